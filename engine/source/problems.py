"""
Problems: what is wrong with a policy, where, and what to do about it.

What lives here: the values every compile step reports with (`Location`, `Problem`) and the
collector they are put in (`Problems`).  Not here: rendering for people
(`regauth.engine.source.rendering`) or for machines (`regauth.policytests.reports`), and judging a
policy (`compiler`).

A problem is a value, never an exception: a compile step reports it and goes on, so that an author
sees all problems at once.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum


class Severity(Enum):
    """How bad a problem is: an error stops the policy from being used, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """
    A stretch of a file.

    Lines and columns count from 1, columns in characters.  The end is exclusive: a stretch of one
    character at column 3 ends at column 4.
    """

    file: str
    line: int = 1
    column: int = 1
    end_line: int = 0
    end_column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """
    One thing that is wrong, or looks wrong, in a file that an author wrote.

    `code` is stable and documented in docs/problems.md; `message` states the fact; `hint` says
    what to do about it and may be empty.
    """

    location: Location
    code: str
    message: str
    hint: str = ""
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.location}: {self.severity.value}: {self.message}{hint} [{self.code}]"


@dataclass(slots=True)
class Problems:
    """Collects problems in any order; hands them out sorted by position, each once."""

    _found: dict[Problem, None] = field(default_factory=dict)
    error_count: int = 0
    """How many of the problems stop the policy from being used."""

    def error(self, location: Location, code: str, message: str, hint: str = "") -> None:
        """Report something that stops the policy from being used."""
        self._add(Problem(location, code, message, hint))

    def warning(self, location: Location, code: str, message: str, hint: str = "") -> None:
        """Report something that is probably not what the author meant."""
        self._add(Problem(location, code, message, hint, Severity.WARNING))

    def extend(self, problems: Iterable[Problem]) -> None:
        """Report what another step has found."""
        for problem in problems:
            self._add(problem)

    def _add(self, problem: Problem) -> None:
        if problem not in self._found:
            self._found[problem] = None
            self.error_count += problem.severity is Severity.ERROR

    def __iter__(self) -> Iterator[Problem]:
        return iter(sorted(self._found, key=lambda p: (p.location, p.code, p.message)))

    def __len__(self) -> int:
        return len(self._found)

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that stop the policy from being used, in the order they were found."""
        return tuple(p for p in self._found if p.severity is Severity.ERROR)
