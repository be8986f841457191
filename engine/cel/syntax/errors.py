"""
What can go wrong with an expression: when it is compiled (`Finding`) and when it runs (`CelError`).

What lives here: the two values and their codes.  Not here: judgement.  The modules that find
something wrong say so in the author's words (`checks.wording`, `parsing`).
"""

from dataclasses import dataclass
from enum import StrEnum

from regauth.engine.source.problems import Severity


class FindingCode(StrEnum):
    """The stable codes of what the compiler says about an expression."""

    SYNTAX = "cel-syntax"
    UNSUPPORTED = "cel-unsupported"
    UNDECLARED = "cel-undeclared"
    UNKNOWN_CLAIM = "cel-unknown-claim"
    UNKNOWN_KEY = "cel-unknown-key"
    TYPE = "cel-type"
    RESULT_TYPE = "cel-result-type"
    REGEX = "cel-regex"
    LIMIT = "cel-limit"
    UNGUARDED = "cel-unguarded"
    NULL = "cel-null"
    CONSTANT = "cel-constant"


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One thing the compiler has to say about an expression.

    `start` and `end` are offsets in characters of the expression's text, the end exclusive.
    """

    start: int
    end: int
    code: str
    message: str
    hint: str = ""
    severity: Severity = Severity.ERROR


class CelErrorCode(StrEnum):
    """The stable codes of errors at run time."""

    MISSING = "missing-key"
    TYPE = "wrong-type"
    MISMATCH = "cannot-compare"
    OVERFLOW = "overflow"
    DIVISION = "division-by-zero"
    INDEX = "index-out-of-range"
    ARGUMENT = "bad-argument"
    LIMIT = "limit-exceeded"
    UNBOUND = "unbound-variable"
    UNKNOWN_CLIENT = "unknown-client"
    INTERNAL = "internal"


class CelError(Exception):
    """
    An expression has no value for these claims.

    `start` and `end` are offsets in the expression's text (both -1 until the failing operator is
    known).  The message may name a claim but never shows a value, so that it can be logged.
    """

    def __init__(self, code: str, message: str, start: int = -1, end: int = -1) -> None:
        super().__init__(code, message, start, end)
        self.code = code
        self.message = message
        self.start = start
        self.end = end

    def __str__(self) -> str:
        return f"{self.message} [{self.code}]"

    def at(self, start: int, end: int) -> "CelError":
        """Give the same error with the position of the operator that failed."""
        return CelError(self.code, self.message, start, end)


class RejectedError(Exception):
    """Parsing cannot go on.  The exception carries the finding that says why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


def reject(code: FindingCode, start: int, end: int, message: str, hint: str = "") -> RejectedError:
    """Make the exception that ends parsing at a stretch of the text."""
    return RejectedError(Finding(start, end, code.value, message, hint))
