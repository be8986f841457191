"""
Reading: the records of logs, and of the suites that stand for logs, given to who counts them.

What lives here: logs read record by record, since when, and by which policy.  Not here: lines of a
log (`regauth.policytests.replay.logs`), and counting.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from regauth.engine.policy.policy import Policy
from regauth.engine.source.quantities import parse_duration
from regauth.policytests.execution.policies import CompiledFolder, compile_folder
from regauth.policytests.execution.run import Run
from regauth.policytests.replay.deciding import UndecidedReason
from regauth.policytests.replay.logs import STANDARD_INPUT, check_logs, lines
from regauth.policytests.replay.questions import IncoherentError
from regauth.policytests.replay.records import Record, RecordError, read_record
from regauth.policytests.suites.suite import SUFFIX

from .cases import CaseFile
from .counting import Usage, UsageCounter
from .samples import records_of


class UsageError(Exception):
    """The command line asks for something impossible; the caller's fault."""


def read_logs(
    logs: Sequence[str],
    since: datetime | None,
    take: Callable[[Record], object],
    fault: Callable[[UndecidedReason], object] = lambda _: None,
) -> None:
    """
    Give each record of some logs to `take`, and each line that is none to `fault`.

    Raises:
        LogError: A log cannot be opened.
    """
    for log in logs:
        for line in lines(log):
            if line.fault:
                fault(UndecidedReason.NOT_A_RECORD)
                continue
            try:
                record = read_record(line.text)
                if since is None or record.time >= since:
                    take(record)
            except (RecordError, IncoherentError) as error:
                torn = isinstance(error, RecordError) and not line.text.endswith(b"\n")
                fault(UndecidedReason.TORN if torn else UndecidedReason.NOT_A_RECORD)


@dataclass(frozen=True, slots=True)
class LogQuestion:
    """What both commands are asked: a policy, logs, and from when on."""

    policy: Path
    since: str | None

    def count(self, logs: Sequence[str], policy: Policy, cases: CaseFile | None = None) -> Usage:
        """
        Count what the logs used; `cases` takes each kind of request.

        Raises:
            UsageError, LogError: Something is wrong with what was asked.
            CasesError: The temporary file of `cases` cannot be written.
        """
        check_logs(logs)
        counter = UsageCounter(policy, cases)

        def fault(why: UndecidedReason) -> None:
            counter.usage.undecided[why] += 1

        read_logs(logs, self.begin(), counter.add, fault)
        return counter.result()

    def begin(self) -> datetime | None:
        """Return from when on records count."""
        if self.since is None:
            return None
        try:
            return datetime.now(UTC) - parse_duration(self.since)
        except ValueError as error:
            raise UsageError(f"--since: {error}") from error

    def compiled(self) -> CompiledFolder:
        """Compile the policy."""
        return compile_folder(self.policy, self.policy.as_posix())


@dataclass(frozen=True, slots=True)
class Sources:
    """Decision logs, and suites whose tokens stand for requests."""

    logs: tuple[str, ...]
    suites: tuple[Path, ...]
    since: datetime | None

    @classmethod
    def of(cls, names: Sequence[str], since: str | None) -> "Sources":
        """
        Tell logs and suites apart by their names.

        Raises:
            UsageError, LogError: A log cannot be opened, or would be read twice and cannot be.
        """
        logs = tuple(one for one in names if not one.endswith(SUFFIX))
        if STANDARD_INPUT in logs:
            raise UsageError("standard input cannot be read twice; name the log's file")
        check_logs(logs)
        suites = tuple(Path(one) for one in names if one.endswith(SUFFIX))
        return cls(logs, suites, LogQuestion(Path(), since).begin())

    def read(
        self, take: Callable[[Record], object], fault: Callable[[UndecidedReason], object]
    ) -> None:
        """Give every record to `take`."""
        read_logs(self.logs, self.since, take, fault)
        run = Run.at(Path.cwd())
        for suite in self.suites:
            for record in records_of(run.load(suite)):
                try:
                    take(record)
                except IncoherentError:
                    fault(UndecidedReason.NOT_A_RECORD)
