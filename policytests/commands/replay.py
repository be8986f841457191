"""
`policytest replay`: a decision log, decided again with another policy.

What lives here: reading logs, driving the replay, and the exit codes of mistakes.  Not here:
deciding (`regauth.policytests.replay.deciding`), counting and what a replay ends with
(`replay.report`), and how it is said (`replay.formats`).
"""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, cast

from regauth.engine.access.outcomes import Refusal
from regauth.engine.policy.policy import Policy
from regauth.engine.source.foreign_text import visible
from regauth.engine.source.problems import Location
from regauth.engine.source.rendering import render_text, wants_color
from regauth.policytests.execution.judging import CaseOutcome
from regauth.policytests.execution.policies import compile_folder
from regauth.policytests.execution.run import Run, SuiteError
from regauth.policytests.execution.telling import tell_refusal, tell_verdict
from regauth.policytests.exit_codes import POLICY_BROKEN, USAGE
from regauth.policytests.replay.deciding import Change, Redecided, Replay, UndecidedReason
from regauth.policytests.replay.formats import FORMATS
from regauth.policytests.replay.logs import LogError, check_logs, lines
from regauth.policytests.replay.questions import IncoherentError
from regauth.policytests.replay.records import RecordError, read_record
from regauth.policytests.replay.report import AcceptedFailures, Group, ReplayReport
from regauth.policytests.replay.suite import RecordedSuite
from regauth.policytests.replay.view import ReplayView, Told
from regauth.policytests.suites.suite import SUFFIX
from regauth.policytests.suites.times import parse_time

EVERY: Final = 5_000
"""Lines between two checks of the clock for the progress line."""


class ReplayError(Exception):
    """The command line asks for something impossible; the caller's fault."""


@dataclass(frozen=True, slots=True)
class Replaying:
    """The options of a replay."""

    policy: Path
    at: str
    form: str
    limit: int
    accept_widening: str | None
    accept_undecided: str | None
    fail_on_narrowing: bool
    suite: Path | None = None

    @classmethod
    def of(cls, options: Mapping[str, object]) -> "Replaying":
        """Make it of the command line's options."""
        return cls(**cast("dict[str, str]", dict(options)))  # type: ignore[arg-type]  # click made each option of its field's type

    def run(self, logs: Sequence[str]) -> int:
        """Replay logs, say what differs, and return the exit code."""
        try:
            at = self._moment()
            accepted = AcceptedFailures(
                _reason("--accept-widening", self.accept_widening),
                _reason("--accept-undecided", self.accept_undecided),
            )
            check_logs(logs)
            self._check_suite()
            compiled = compile_folder(self.policy, self.policy.as_posix())
            compilation = compiled.compilation
            if compilation.policy is None:
                sys.stderr.write(render_text(compilation.problems, compilation.sources) + "\n")
                return POLICY_BROKEN
            replay = Replay(compilation.policy, at)
            report = ReplayReport(compiled.shown, compilation.policy.hash, at)
            kept = RecordedSuite(compilation.policy) if self.suite else None
            progress = _progress if sys.stderr.isatty() else None
            read_logs(logs, replay, report, kept, progress)
        except (ReplayError, LogError) as error:
            sys.stderr.write(f"policytest: {visible(str(error))}\n")
            return USAGE
        code = report.exit_code(accepted, fail_on_narrowing=self.fail_on_narrowing)
        told = {
            change: [tell(replay, group) for group in report.groups(change)[: self.limit or None]]
            for change in Change
        }
        color = wants_color(os.environ, terminal=sys.stdout.isatty())
        view = ReplayView(report, told, accepted, code, self.policy.as_posix(), color=color)
        sys.stdout.write(FORMATS[self.form](view))
        try:
            self._write_suite(kept)
        except ReplayError as error:
            sys.stderr.write(f"policytest: {visible(str(error))}\n")
            return code or USAGE
        return code

    def _check_suite(self) -> None:
        if self.suite is None:
            return
        if not self.suite.name.endswith(SUFFIX):
            raise ReplayError(
                f"the name of a suite ends in {SUFFIX}, that of {self.suite} does not"
            )
        if self.suite.exists():
            raise ReplayError(f"{self.suite} exists; nothing was done")

    def _write_suite(self, kept: RecordedSuite | None) -> None:
        """Write the suite and run it: a case that fails with this policy would be no test."""
        if kept is None or self.suite is None:
            return
        text = kept.write(self.suite, self.policy)
        counts = [f"{why}: {count}" for why, count in sorted(kept.left_out.items()) if count]
        left_out = f"; left out: {', '.join(counts)}" if counts else ""
        if not text:
            raise ReplayError(
                f"no suite was written, for no decision of the log can be a test{left_out}"
            )
        try:
            self.suite.parent.mkdir(parents=True, exist_ok=True)
            self.suite.write_text(text, encoding="utf-8")
            loaded = Run.at(Path.cwd()).load(self.suite.absolute())
        except OSError as error:
            raise ReplayError(f"{self.suite}: {error.strerror}") from error
        except SuiteError as error:
            raise ReplayError(error.render()) from error
        judged = [
            case.judge(loaded.evaluation).outcome is CaseOutcome.PASSED for case in loaded.cases
        ]
        passed = f"{judged.count(True)} of {len(judged)} requests pass"
        sys.stderr.write(f"wrote {self.suite}: {passed}{left_out}\n")

    def _moment(self) -> datetime | None:
        if self.at == "recorded":
            return None
        moment = datetime.now(UTC) if self.at == "now" else parse_time(self.at)
        if moment is None:
            raise ReplayError(
                f"--at is `recorded`, `now` or a time like 2026-11-01T12:00:00Z, not {self.at!r}"
            )
        return moment


def _reason(option: str, reason: str | None) -> str:
    text = " ".join((reason or "").split())
    if reason is not None and not text:
        raise ReplayError(f"{option} needs a reason")
    return text


def read_logs(
    logs: Sequence[str],
    replay: Replay,
    report: ReplayReport,
    kept: RecordedSuite | None = None,
    progress: Callable[[int], None] | None = None,
) -> None:
    """
    Decide every line of the logs again.

    Raises:
        LogError: A log cannot be opened.
    """
    for log in logs:
        for number, line in enumerate(lines(log), 1):
            if progress is not None and number % EVERY == 0:
                progress(report.lines)
            if line.fault:
                report.skip(UndecidedReason.NOT_A_RECORD, line.place, line.fault)
                continue
            try:
                record = read_record(line.text)
                found = replay.differences(record)
            except (RecordError, IncoherentError) as error:
                torn = isinstance(error, RecordError) and not line.text.endswith(b"\n")
                why = UndecidedReason.TORN if torn else UndecidedReason.NOT_A_RECORD
                report.skip(why, line.place, str(error))
                continue
            if isinstance(found, UndecidedReason):
                report.skip(found, line.place, record.reason)
            else:
                report.add(record, line.text, found)
                if kept is not None:
                    kept.add(record, same=not found)
    if progress is not None:
        progress(0)


def _progress(count: int) -> None:
    """Show the progress of a replay; a `count` of 0 removes the line."""
    now = time.monotonic()
    if count and now - _shown[0] < 1:
        return
    _shown[0] = now
    sys.stderr.write(f"\r{count:,} lines\x1b[K" if count else "\r\x1b[K")
    sys.stderr.flush()


_shown: Final = [time.monotonic()]


def tell(replay: Replay, group: Group) -> Told:
    """Explain a difference by one of its requests."""
    again = replay.again(read_record(group.seen.line)) if group.seen.line else None
    if again is None:
        return Told(group, (), Location(""))
    return Told(group, tuple(_why(replay.policy, again, group)), _place(replay.policy, group))


def _why(policy: Policy, again: Redecided, group: Group) -> list[str]:
    if isinstance(again.outcome, Refusal):
        return list(tell_refusal(policy, again.outcome))
    asked = zip(again.asked.names, again.outcome.verdicts, strict=True)
    told = [verdict for names, verdict in asked if group.difference.access in names]
    if not told or again.request is None:
        return []
    return list(tell_verdict(policy, again.request, told[0]))


def _place(policy: Policy, group: Group) -> Location:
    """Return the part of the policy that makes the difference, if it is one part."""
    after = group.difference.after
    if after.source:
        found = [one for one in (*policy.denials, *policy.grants) if one.name == after.source]
        return found[0].location if found else Location("")
    provider = policy.providers.get(group.difference.identity.partition(":")[0])
    if not after.login or provider is None:
        return Location("")
    broken = [rule.location for rule in provider.rules if rule.reason == after.why]
    return broken[0] if broken else provider.location
