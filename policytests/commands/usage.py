"""
`policytest usage`, `tighten` and `suggest`: what the logs say about a policy.

What lives here: options, and what is told and written.
Not here: reading logs, counting and tightening (`regauth.policytests.usage`), and deciding
(`regauth.engine.decisions`).
"""

import difflib
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, cast

from regauth.engine.compiler.compiler import Compilation
from regauth.engine.policy.policy import Policy, Statement
from regauth.engine.source.foreign_text import visible
from regauth.engine.source.rendering import render_text
from regauth.policytests.execution.cases import Case
from regauth.policytests.execution.judging import CaseOutcome
from regauth.policytests.execution.policies import CompiledFolder
from regauth.policytests.execution.run import Loaded, Run, SuiteError
from regauth.policytests.exit_codes import NOTHING_RUN, POLICY_BROKEN, USAGE
from regauth.policytests.proofs import Question, more_access
from regauth.policytests.proofs.lifetimes import limited
from regauth.policytests.replay.deciding import UndecidedReason
from regauth.policytests.replay.logs import STANDARD_INPUT, LogError
from regauth.policytests.suites.suite import SUFFIX
from regauth.policytests.usage.formats import FORMATS, changes, span
from regauth.policytests.usage.gathering import Gathered, TooManyError
from regauth.policytests.usage.raw_tokens import Asking
from regauth.policytests.usage.reading import LogQuestion, Sources, UsageError
from regauth.policytests.usage.samples import records_of
from regauth.policytests.usage.suggesting import POLICY_FILE, Suggestion, SuggestionError, suggest
from regauth.policytests.usage.tightening.ages import Ages
from regauth.policytests.usage.tightening.cases import CaseFile, CasesError
from regauth.policytests.usage.tightening.checking import (
    Tightened,
    TighteningError,
    contradicted,
    tighten,
)
from regauth.policytests.usage.tightening.plans import TighteningBounds, TighteningPlan, plan
from regauth.policytests.usage.tightening.rewriting import lines_of
from regauth.policytests.usage.uses import Usage

from .questions import TOKEN_IN_ARGUMENTS, is_token

TESTS_FAILED: Final = 1
INCOMPLETE: Final = 1
SUGGESTED_SUITE: Final = f"suggested{SUFFIX}"
SUGGESTED_FOLDER: Final = "policy"


def _broken(compiled: CompiledFolder) -> int:
    compilation = compiled.compilation
    sys.stderr.write(render_text(compilation.problems, compilation.sources) + "\n")
    return POLICY_BROKEN


def show_usage(logs: Sequence[str], options: Mapping[str, object]) -> int:
    """Show what logs used of a policy; return the exit code."""
    form = str(options["form"])
    question = LogQuestion(cast("Path", options["policy"]), cast("str | None", options["since"]))
    compiled = question.compiled()
    if compiled.compilation.policy is None:
        return _broken(compiled)
    try:
        usage = question.count(logs, compiled.compilation.policy)
    except (UsageError, LogError) as error:
        sys.stderr.write(f"policytest: {visible(str(error))}\n")
        return USAGE
    sys.stdout.write(FORMATS[form](usage))
    return 0 if usage.requests else NOTHING_RUN


@dataclass(frozen=True, slots=True)
class Tightening:
    """The options of `tighten`."""

    policy: Path
    since: str | None
    names: int
    values: int
    any_age: bool
    write: bool

    @classmethod
    def of(cls, options: Mapping[str, object]) -> "Tightening":
        """Make it of the command line's options."""
        return cls(**cast("dict[str, str]", dict(options)))  # type: ignore[arg-type]  # click made each option of its field's type

    def run(self, logs: Sequence[str]) -> int:
        """Show, and with `--write` make, the narrowest change that keeps every logged allow."""
        question = LogQuestion(self.policy, self.since)
        compiled = question.compiled()
        policy = compiled.compilation.policy
        if policy is None:
            return _broken(compiled)
        sources = _files(self.policy)
        try:
            with CaseFile() as cases:
                usage = question.count(logs, policy, cases)
                done = self._tightened(usage, cases, sources)
        except (UsageError, LogError, CasesError, TighteningError) as error:
            sys.stderr.write(f"policytest: {visible(str(error))}\n")
            return USAGE
        if isinstance(done, int):
            return done
        sys.stdout.write(_diff(sources, done.files, self.policy))
        self._say_what_is_lost(usage, done)
        code = self._run_suites(done)
        if self.write and not code:
            for name, text in done.files.items():
                if text != sources[name]:
                    (self.policy / name).write_text(text, encoding="utf-8", newline="")
            sys.stderr.write(f"written to {self.policy}\n")
        return code

    def _tightened(
        self, usage: Usage, cases: CaseFile, sources: Mapping[str, str]
    ) -> Tightened | int:
        """Return the tightened policy, or the exit code where there is nothing to tighten."""
        sys.stderr.write(f"{span(usage)}\n")
        if not usage.requests:
            return NOTHING_RUN
        bounds = TighteningBounds(self.names, self.values)
        planned = plan(usage, bounds, self._reasons(usage.first, usage.policy))
        for kept in planned.kept:
            sys.stderr.write(f"kept: {kept.grant}: {kept.reason}\n")
        planned = self._without_contradicted(planned, sources, usage.policy)
        if not planned:
            sys.stderr.write("nothing to tighten: the log used everything else\n")
            return 0
        return tighten(sources, cases, planned, datetime.now(UTC))

    def _without_contradicted(
        self, planned: TighteningPlan, sources: Mapping[str, str], policy: Policy
    ) -> TighteningPlan:
        """Leave alone the users of grants of whom a suite expects more than the log saw."""
        if not planned.claims:
            return planned
        folder, run = self.policy.resolve(), Run.at(Path.cwd())
        try:
            expected = [
                record
                for path in suites_about(run, folder)
                for record in records_of(run.load(path))
            ]
        except SuiteError:
            expected = []  # the suites run later, and it is said then
        found = contradicted(sources, planned, policy, expected)
        for grant, suite in found.items():
            sys.stderr.write(
                f"kept: {grant}: its users stay; {suite} has others, who may do it too\n"
            )
        return planned.with_claims_of(planned.claims.keys() - found)

    def _reasons(self, first: datetime | None, policy: Policy) -> Callable[[Statement], str]:
        """Return what says why a grant stays though the log does not use it."""
        ages, places = Ages(self.policy), lines_of(_files(self.policy))
        limits = limited(policy)

        def reason(grant: Statement) -> str:
            if grant.name in limits:
                return f"without it, tokens by {limits[grant.name]} could be valid for longer"
            if self.any_age:
                return ""
            changed = ages.changed(*places[grant.name])
            if changed is None:
                return "git does not know its age; --any-age takes it for old enough"
            return "it is younger than the log" if first is None or changed > first else ""

        return reason

    def _say_what_is_lost(self, usage: Usage, done: Tightened) -> None:
        gained = more_access(Question(new=done.policy, bound=usage.policy))
        proved = "it is proved" if gained.proved else "it is not proved"
        sys.stderr.write(f"{proved} that nobody gains access by this change\n")
        for line in changes(done.plan, usage):
            sys.stderr.write(f"{visible(line)}\n")

    def _run_suites(self, done: Tightened) -> int:
        """Run the suites of this policy on the new one; return the exit code."""
        folder, here = self.policy.resolve(), Path.cwd()
        known = Run.at(here)
        paths = suites_about(known, folder)
        changed = Run.at(here)
        compilation = Compilation(done.policy, (), done.files)
        changed.policies.put(folder, CompiledFolder(folder, self.policy.as_posix(), compilation))
        failed = passed = 0
        for path in paths:
            try:
                loaded = changed.load(path)
            except SuiteError as error:
                sys.stderr.write(error.render() + "\n")
                failed += 1
                continue
            for case in loaded.cases:
                good = _holds(case, loaded)
                passed, failed = passed + good, failed + (not good)
                if not good:
                    sys.stderr.write(f"fails: {loaded.suite.file}: {case.id}\n")
        told = f"{passed} of {passed + failed} cases pass" if paths else "none is about this policy"
        sys.stderr.write(f"suites: {told}\n")
        return TESTS_FAILED if failed else 0


def _holds(case: Case, loaded: Loaded) -> bool:
    """Tell whether a case passes; one that may fail counts for nothing."""
    passed = case.judge(loaded.evaluation).outcome is CaseOutcome.PASSED
    return passed or case.exemption is not None


def suites_about(run: Run, folder: Path) -> list[Path]:
    """Return the suites below the current folder that are about a policy, or cannot be read."""
    here = Path.cwd()
    return [one for one in sorted(here.rglob(f"*{SUFFIX}")) if _is_about(run, one, folder)]


def _is_about(run: Run, suite: Path, folder: Path) -> bool:
    try:
        return run.load(suite).compiled.folder.resolve() == folder
    except SuiteError:
        return True  # whose it is cannot be known, and it must not be passed over


def _files(folder: Path) -> dict[str, str]:
    from regauth.engine.files import read_policy_folder

    return {name: bytes(text).decode("utf-8") for name, text in read_policy_folder(folder).items()}


def _diff(before: Mapping[str, str], after: Mapping[str, str], folder: Path) -> str:
    parts: list[str] = []
    for name, text in before.items():
        parts += difflib.unified_diff(
            text.splitlines(keepends=True),
            after[name].splitlines(keepends=True),
            f"a/{(folder / name).as_posix()}",
            f"b/{(folder / name).as_posix()}",
        )
    return "".join(parts)


# --- suggest -------------------------------------------------------------------------------------


def run_suggest(names: Sequence[str], options: Mapping[str, object]) -> int:
    """Show a first policy, and write it and its suite where that was asked for."""
    folder = cast("Path | None", options["folder"])
    asking = Asking(cast("tuple[str, ...]", options["asks"]), str(options["service"]))
    try:
        if folder is not None:
            _check_free(folder)
        _check_arguments(names)
        with ExitStack() as stack:
            held = stack.enter_context(_held()) if STANDARD_INPUT in names else None
            sources = Sources.of(names, cast("str | None", options["since"]), asking, held)
            return _suggested(sources, folder)
    except (UsageError, LogError, TooManyError, SuggestionError, OSError) as error:
        sys.stderr.write(f"policytest: {visible(str(error))}\n")
        return USAGE
    except SuiteError as error:
        sys.stderr.write(f"{error.render()}\n")
        return USAGE


def _check_arguments(names: Sequence[str]) -> None:
    """
    Check that no argument is a token itself.

    Raises:
        UsageError: One is.
    """
    if any(map(is_token, names)):
        raise UsageError(TOKEN_IN_ARGUMENTS)


@contextmanager
def _held() -> Iterator[Path]:
    """Keep standard input in a file, which only its owner reads: it is read twice."""
    with tempfile.NamedTemporaryFile(prefix="policytest-") as held:
        shutil.copyfileobj(sys.stdin.buffer, held)
        held.flush()
        yield Path(held.name)


def _suggested(sources: Sources, folder: Path | None) -> int:
    gathered, faults = Gathered(), Counter[UndecidedReason]()

    def fault(why: UndecidedReason) -> None:
        faults[why] += 1

    for name in sources.tokens:
        sys.stderr.write(f"{visible(name)}: its tokens are not verified; anybody can write some\n")
    sources.read(gathered.add, fault)
    if not gathered.requests:
        sys.stderr.write("policytest: no request of these logs was answered\n")
        return NOTHING_RUN
    made = suggest(gathered, datetime.now(UTC))
    sources.read(made.check, lambda _: None)
    if folder is None:
        sys.stdout.write(made.draft.text)
    else:
        _write_suggestion(folder, made)
    _tell_suggestion(made, gathered, faults)
    return INCOMPLETE if made.lacking else 0


def _suggested_files(folder: Path) -> tuple[Path, Path]:
    return folder / SUGGESTED_FOLDER / POLICY_FILE, folder / SUGGESTED_SUITE


def _check_free(folder: Path) -> None:
    """
    Check that nothing would be overwritten, and that no other file would join the policy.

    Raises:
        UsageError: There is a file in the way.
    """
    for path in (*_suggested_files(folder), folder / SUGGESTED_FOLDER):
        if os.path.lexists(path):
            raise UsageError(f"{path} is there already; choose another folder for --write")


def _write_suggestion(folder: Path, made: Suggestion) -> None:
    policy, suite = _suggested_files(folder)
    tests = made.write_suite(suite, policy.parent)
    policy.parent.mkdir(parents=True)
    written = [(policy, made.draft.text), *([(suite, tests)] if tests else [])]
    for path, text in written:
        with path.open("x", encoding="utf-8", newline="") as stream:
            stream.write(text)
        sys.stderr.write(f"written: {path}\n")


def _tell_suggestion(
    made: Suggestion, gathered: Gathered, faults: Counter[UndecidedReason]
) -> None:
    lines = ["this is a draft: it allows what was asked, not what should be allowed"]
    lines += [f"wider than the log: {one}" for one in made.draft.wider]
    lines += [f"left out: {count:,} {why}" for why, count in gathered.left_out.items() if count]
    lines += [f"not counted: {count:,} lines: {why}" for why, count in faults.items()]
    lines += [
        f"not allowed by the draft: {count:,} times {one}" for one, count in made.lacking.items()
    ]
    for line in lines:
        sys.stderr.write(f"{visible(line)}\n")
