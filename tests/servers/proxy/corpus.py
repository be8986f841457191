"""The corpus of requests, as data."""

import re
from dataclasses import dataclass
from pathlib import Path

_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")


@dataclass(frozen=True)
class Line:
    """A request, and what it is read as."""

    method: str
    target: str
    expected: str

    @property
    def refused(self) -> bool:
        return self.expected.isdigit()


def targets() -> list[Line]:
    """Return the requests of `hostile_targets.tsv`."""
    text = (Path(__file__).parent / "hostile_targets.tsv").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text.split("\n") if line and not line.startswith("#")]
    return [Line(method, _decoded(target), expected) for method, target, expected in rows]


def _decoded(text: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
