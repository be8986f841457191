"""
Reading: the records of logs, and of the suites that stand for logs, given to who counts them.

What lives here: logs read record by record, since when, and by which policy; logs told from tokens.
Not here: lines of a log (`regauth.policytests.replay.logs`), and counting (`counting`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from regauth.engine.policy.policy import Policy
from regauth.engine.source.quantities import parse_duration
from regauth.engine.tokens.jwt import Claims
from regauth.policytests.execution.policies import CompiledFolder, compile_folder
from regauth.policytests.execution.run import Run
from regauth.policytests.replay.deciding import UndecidedReason
from regauth.policytests.replay.logs import STANDARD_INPUT, check_logs, lines
from regauth.policytests.replay.questions import IncoherentError
from regauth.policytests.replay.records import Record, RecordError, read_record
from regauth.policytests.suites.suite import SUFFIX
from regauth.policytests.usage.tightening.cases import CaseFile

from .counting import UsageCounter
from .raw_tokens import Asking, TokensError, records_of_tokens, tokens_in
from .samples import records_of
from .uses import Usage

_NOTHING_SAID: Final = Asking()


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
    """Decision logs, and suites and raw tokens that stand for requests."""

    logs: tuple[str, ...]
    suites: tuple[Path, ...]
    since: datetime | None
    tokens: Mapping[str, Sequence[Claims]] = field(default_factory=dict)
    """Those of each file; nobody verified them."""
    asking: Asking = _NOTHING_SAID
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        since: str | None,
        asking: Asking = _NOTHING_SAID,
        standard_input: Path | None = None,
    ) -> "Sources":
        """
        Tell logs, suites and files of tokens apart, by their names and what they begin with.

        Args:
            names: The files; `-` is standard input.
            since: From when on records of logs count.
            asking: What tokens ask for.
            standard_input: The file that holds what standard input had.

        Raises:
            UsageError, LogError: A file cannot be opened, or holds malformed tokens.
        """
        check_logs([one for one in names if not one.endswith(SUFFIX)])
        logs: list[str] = []
        tokens: dict[str, Sequence[Claims]] = {}
        for name in names:
            if name.endswith(SUFFIX):
                continue
            path = standard_input if name == STANDARD_INPUT and standard_input else Path(name)
            try:
                found = tokens_in(path)
            except (TokensError, OSError) as error:
                told = error.strerror if isinstance(error, OSError) else error
                raise UsageError(f"{name}: {told}") from error
            if found is None:
                logs.append(str(path))
            else:
                tokens[name] = found
        suites = tuple(Path(one) for one in names if one.endswith(SUFFIX))
        return cls(tuple(logs), suites, LogQuestion(Path(), since).begin(), tokens, asking)

    def read(
        self, take: Callable[[Record], object], fault: Callable[[UndecidedReason], object]
    ) -> None:
        """
        Give every record to `take`.

        Raises:
            UsageError: It is not known what tokens ask for.
        """
        read_logs(self.logs, self.since, take, fault)
        for record in self._standing_in():
            try:
                take(record)
            except IncoherentError:
                fault(UndecidedReason.NOT_A_RECORD)

    def _standing_in(self) -> Iterator[Record]:
        run = Run.at(Path.cwd())
        for suite in self.suites:
            yield from records_of(run.load(suite))
        for name, tokens in self.tokens.items():
            try:
                yield from records_of_tokens(name, tokens, self.asking, self.now)
            except TokensError as error:
                raise UsageError(f"{name}: {error}") from error
