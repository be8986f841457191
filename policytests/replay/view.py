"""
What a replay shows, and the sentences that all its formats share.

What lives here: differences with what explains them, and words.  Not here: any format (`formats`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from regauth.engine.source.foreign_text import visible
from regauth.engine.source.problems import Location
from regauth.policytests.wording import counted

from .deciding import Change, UndecidedReason
from .report import AcceptedFailures, Group, ReplayReport

MEANING: Final[Mapping[Change, str]] = {
    Change.WIDER: "refused then, allowed now",
    Change.NARROWER: "allowed then, refused now",
    Change.OTHERWISE: "the same access, decided by something else",
}
"""The meaning of each change."""

MATTER: Final[Mapping[UndecidedReason, str]] = {
    UndecidedReason.NOT_A_RECORD: "is no decision record of this version",
    UndecidedReason.TORN: "ends early: it was being written, or cut off",
    UndecidedReason.NOT_VERIFIED: "a login that was refused before its claims were believed",
    UndecidedReason.UNAVAILABLE: "a login whose provider could not be reached",
    UndecidedReason.UNKNOWN_SERVICE: "a login for a service that only this policy answers for",
    UndecidedReason.NO_CLAIMS: "the log was written without claims",
    UndecidedReason.REDACTED: "holds [token] in place of a claim, a scope or the service",
    UndecidedReason.NO_ADDRESS: "does not say which address of its client conditions could read",
    UndecidedReason.CUT: "was too long, so that its scopes, accesses or claims were cut off",
}
"""Why a line is not decided again."""


@dataclass(frozen=True, slots=True)
class Told:
    """A difference, why it is one, and the part of the policy that makes it."""

    group: Group
    lines: tuple[str, ...]
    location: Location


@dataclass(frozen=True, slots=True)
class ReplayView:
    """What is shown of a report."""

    report: ReplayReport
    told: Mapping[Change, Sequence[Told]]
    accepted: AcceptedFailures
    code: int
    folder: str
    color: bool = False

    def summary(self) -> str:
        """Return the last line: what differs, in numbers."""
        report = self.report
        counts = [
            f"{report.requests[change]:,} {change.value}"
            for change in Change
            if report.requests[change]
        ]
        counts += [f"{report.undecided.total():,} not decided again"] if report.undecided else []
        found = ", ".join(counts) or ("nothing differs" if report.lines else "there is none")
        return f"{counted(report.decided, 'request')} decided again: {found}"

    def verdict(self) -> Iterator[str]:
        """Yield the reason for the exit code, and what can be done."""
        report, accepted = self.report, self.accepted
        if report.requests[Change.WIDER]:
            yield (
                f"new access, accepted: {accepted.widening}"
                if accepted.widening
                else 'new access; accept it with --accept-widening "REASON"'
            )
        if report.undecided:
            yield (
                f"what was not decided again is accepted: {accepted.undecided}"
                if accepted.undecided
                else "new access for what was not decided again cannot be excluded; "
                'accept that with --accept-undecided "REASON"'
            )
        if not report.lines:
            yield "there is no decision in the log, so nothing is said about the policy"

    def head(self) -> Iterator[str]:
        """Yield which requests and which policy it is about."""
        report = self.report
        if report.first is not None and report.last is not None:
            when = "each as of its time" if report.at is None else f"as of {stamp(report.at)}"
            yield f"{stamp(report.first)} to {stamp(report.last)}, {when}"
        same = report.recorded[report.hash]
        known = f"; {counted(same, 'request')} had been decided by this very policy" if same else ""
        yield f"policy {visible(report.policy)} {report.hash[:19]}{known}"


def stamp(moment: datetime) -> str:
    """Return a time to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
