"""
Named formats: forms that the claims of many issuers share.

What lives here: the formats that a claim schema names in `format` or, within a pattern, as
`(?&NAME)`, each as an anchored RE2 pattern.  Not here: forms of one issuer alone, which are
patterns in its schema (`regauth.schemas.claims`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Format:
    """A form of a text: its pattern, its name in messages, and one such text."""

    pattern: str
    meaning: str
    example: str


_NEVER: Final = r"\x00-\x20\x7f~^:?*\[\\/.@{"
_SIGN: Final = f"[^{_NEVER}]"
_MORE: Final = rf"(?:@*{_SIGN}|\{{)*@*"
"""Any text without a dot or a slash in which no `@` stands before a brace."""
_PART: Final = rf"(?:(?:@*{_SIGN}|\{{)+@*|@+)"
"""The same, not empty."""


def _part_other_than(text: str) -> str:
    """Return alternatives for a part that is not a text."""
    first, rest = text[0], text[1:]
    other = rf"(?:@+{_SIGN}|[^{_NEVER}{first}]|\{{){_MORE}|@+"
    return f"{other}|{first}(?:{_part_other_than(rest)})?" if rest else f"{other}|{first}{_PART}"


_REF: Final = rf"{_PART}(?:/{_PART}|\.(?:lock\.)*(?:{_part_other_than('lock')}|/{_PART}))*"
"""
What git allows as a ref or the rest of one (git-check-ref-format(1)): parts between slashes and
dots.  After a dot comes a part; it is not `lock` at the end of a name or before a slash.
"""

FORMATS: Final[Mapping[str, Format]] = {
    "uuid": Format(
        "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
        "a UUID in lower case",
        "0f8fad5b-d9cb-469f-a165-70867728950e",
    ),
    "decimal": Format("^[0-9]+$", "a number, written as text", "1342004"),
    "boolean": Format("^(true|false)$", "true or false, written as text", "true"),
    "commit": Format(
        "^[0-9a-f]{40}([0-9a-f]{24})?$",
        "the whole id of a git commit, in lower case",
        "b8962f4eaff8e14fc646cb22c596c81e67d71362",
    ),
    "ref": Format(
        f"^refs/{_REF}$",
        "a whole git ref, which begins with refs/",
        "refs/heads/main",
    ),
    "ref-name": Format(f"^{_REF}$", "the name of a branch or tag, without refs/heads/", "main"),
    "url": Format(
        "^https?://[^ ]+$", "an address that begins with https://", "https://example.com"
    ),
    "https-url": Format("^https://[^ ]+$", "an https:// address", "https://example.com"),
    "dns-label": Format(
        "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$",
        "a DNS label: lower-case letters, digits and `-`",
        "web",
    ),
    "dns-name": Format(
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        "a DNS name in lower case",
        "web.example.com",
    ),
    "email": Format("^[^@ ]+@[^@ ]+$", "a mail address", "dev@example.com"),
    "spiffe-id": Format(
        "^spiffe://[a-z0-9._-]+(/[A-Za-z0-9._-]+)+$",
        "a SPIFFE ID: spiffe://TRUST-DOMAIN/PATH",
        "spiffe://example.org/ns/ci/sa/builder",
    ),
}
"""Every format by its name."""

_REFERENCE: Final = re.compile(
    r"""
    \\Q.*?(?:\\E|\Z) | \\.                              # what is quoted
    | \[\^?\]? (?: \[:\^?[a-z]+:\] | \\. | [^\]\\] )* \]    # a class of characters
    | (?P<reference> \(\?& (?P<name> [^()]*) \) )
    """,
    re.VERBOSE | re.DOTALL,
)


def referenced(pattern: str) -> tuple[str, ...]:
    """Return the names that a pattern has in `(?&NAME)`, in their order."""
    return tuple(one["name"] for one in _REFERENCE.finditer(pattern) if one["reference"])


def written_out(pattern: str) -> str:
    """
    Return a pattern with the pattern of each format that it names in its place.

    Raises:
        KeyError: There is no format of a name.
    """

    def replaced(found: re.Match[str]) -> str:
        if not found["reference"]:
            return found[0]
        return f"(?:{FORMATS[found['name']].pattern[1:-1]})"

    return _REFERENCE.sub(replaced, pattern)
