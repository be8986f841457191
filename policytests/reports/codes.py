"""
`policytest check --explain CODE`: what a code of a problem means.

What lives here: the section of the page about problems, as a terminal shows it.  Not here: the page
(`problems.md` beside this module; in the repository it is a link), and finding a problem
(`regauth.engine.compiler.lints`).
"""

import re
import sys
from importlib.resources import files
from typing import Final

from regauth.engine.source.nearest import did_you_mean
from regauth.policytests.exit_codes import USAGE

_HEADING: Final = re.compile(r"^### (\S+)$", re.MULTILINE)
_LINK: Final = re.compile(r"\[([^\]]+)\]\([^)]+\)")


def explain(code: str) -> int:
    """Write what a code means to standard output; return the exit code."""
    sections = read_sections()
    if code not in sections:
        hint = did_you_mean(code, sections, "`policytest check` shows codes in brackets")
        sys.stderr.write(f"policytest: there is no problem {code!r}; {hint}\n")
        return USAGE
    sys.stdout.write(f"{code}\n\n{sections[code]}\n")
    return 0


def read_sections() -> dict[str, str]:
    """Return the text about each code, links and emphasis as plain words."""
    page = files("regauth.policytests.reports").joinpath("problems.md").read_text("utf-8")
    found: dict[str, str] = {}
    for heading in _HEADING.finditer(page):
        body = re.split(r"^##", page[heading.end() :], maxsplit=1, flags=re.MULTILINE)[0]
        found[heading[1]] = _plain(body)
    return found


def _plain(text: str) -> str:
    """Return a section without its markup; examples are indented."""
    lines: list[str] = []
    example = False
    for line in text.strip().splitlines():
        if line.startswith("```"):
            example = not example
        elif example:
            lines.append(f"    {line}".rstrip())
        else:
            lines.append(
                _LINK.sub(r"\1", line)
                .replace("*Error.*", "Error.")
                .replace("*Warning.*", "Warning.")
            )
    return "\n".join(lines)
