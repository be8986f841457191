"""
The command line's own options, as the plugin calls them.

What lives here: the translation.  What must not: what an option does.
"""

from collections.abc import Sequence

from .plugin import OPTIONS

SHORT = {"-f": "--format"}
"""Options of one letter."""


def translated(words: Sequence[str]) -> list[str]:
    """Return the words with policytest's options under the names the plugin has them by."""
    own = {f"--{name}" for name, _ in OPTIONS}
    result: list[str] = []
    for number, word in enumerate(words):
        if word == "--":
            return [*result, *words[number:]]
        name, equals, value = word.partition("=")
        if name[:2] in SHORT and not name.startswith("--"):
            name, equals, value = SHORT[name[:2]], "=" if word[2:] else "", word[2:]
        if name in own:
            result.append(f"--policytest-{name[2:]}{equals}{value}")
        else:
            result.append(word)
    return result
