"""
The command line's own options, as the plugin calls them.

What lives here: the translation.  Not here: the options (`options`), and what they do (`recorder`).
"""

from collections.abc import Sequence
from typing import Final

from regauth.engine.source.nearest import did_you_mean

from .options import OPTIONS

SHORT: Final = {"-f": "--format"}
"""Options of one letter."""

FORMATS: Final = (
    *("json", "junit", "github", "sarif", "tap", "markdown", "lcov", "cobertura", "html"),
)
"""What `--format` takes."""


class OptionError(ValueError):
    """The command line asks for something that does not exist; the caller's fault."""


def translated(words: Sequence[str]) -> list[str]:
    """
    Return the words, with policytest's options under the plugin's names.

    Raises:
        OptionError: A format does not exist.
    """
    own = {f"--{name}" for name, _ in OPTIONS}
    result: list[str] = []
    expects_format = False
    for number, word in enumerate(words):
        if word == "--":
            return [*result, *words[number:]]
        if expects_format:
            _check_format(word)
        name, equals, value = word.partition("=")
        if name[:2] in SHORT and not name.startswith("--"):
            rest = word[2:].removeprefix("=")
            name, equals, value = SHORT[name[:2]], "=" if rest else "", rest
        expects_format = name == "--format" and not equals
        if name == "--format" and equals:
            _check_format(value)
        result.append(f"--policytest-{name[2:]}{equals}{value}" if name in own else word)
    return result


def _check_format(text: str) -> None:
    name = text.partition("=")[0]
    if name not in FORMATS:
        raise OptionError(f"there is no format {name!r}; {did_you_mean(name, list(FORMATS))}")
