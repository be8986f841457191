"""
One run of policytest: the policies, the issuers' keys and the suites it has read.

What lives here: what the cases of a run share, from a suite's path to its cases.  Not here: pytest
(`collection`).

The plugin, the commands and Python tests all run through here.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from regauth.engine.source import nodes
from regauth.engine.source.nearest import did_you_mean
from regauth.engine.source.problems import Location, Problem, Problems
from regauth.engine.source.rendering import render_text
from regauth.policytests.suites.captured import Surroundings
from regauth.policytests.suites.linking import link
from regauth.policytests.suites.reading import read_suite
from regauth.policytests.suites.samples import SamplesReader
from regauth.policytests.suites.suite import SUFFIX, Suite
from regauth.policytests.tokens.issuing import IssuerKeys

from .cases import Case, cases
from .causes import Causes
from .evaluation import Evaluation
from .hostile import HostileCase, NearMissCase, hostile_cases
from .invariants import InvariantCase, check_assumptions
from .policies import CompiledFolder, OutsideError, Policies, shown


class SuiteError(Exception):
    """A suite cannot be run; `problems` has everything that is wrong with it."""

    def __init__(
        self, problems: tuple[Problem, ...], sources: Mapping[str, str], *, policy: bool = False
    ) -> None:
        super().__init__(f"{len(problems)} problems")
        self.problems = problems
        self.sources = sources
        self.policy = policy
        """Whether it is the policy that does not compile."""

    def render(self, *, color: bool = False) -> str:
        """Return the problems with their source lines."""
        return render_text(self.problems, self.sources, color=color)


@dataclass(slots=True)
class Loaded:
    """A suite that can be run."""

    suite: Suite
    compiled: CompiledFolder
    evaluation: Evaluation
    source: str
    causes: Causes
    cases: tuple[Case, ...] = ()
    judged: list[Case] = field(default_factory=list)
    """The cases that were run."""


@dataclass(slots=True)
class Run:
    """The shared state of a run."""

    root: Path
    policies: Policies
    now: datetime
    """The real time; the cases themselves run at the time that their suite names."""
    keys: IssuerKeys = field(default_factory=IssuerKeys)
    loaded: dict[Path, Loaded] = field(default_factory=dict)
    broken: dict[str, SuiteError] = field(default_factory=dict)
    """The errors of suites that cannot be run, by the suite."""

    @classmethod
    def at(cls, root: Path) -> "Run":
        """Start a run whose messages name files from a root folder on."""
        return cls(root, Policies(root), datetime.now(UTC))

    def load(self, path: Path) -> Loaded:
        """
        Read a suite, compile its policy and tie the two together, once.

        Raises:
            SuiteError: Something is wrong with the suite or with its policy.
        """
        # The path is resolved with `..`, because its folders tell the repository in which it lies.
        path = Path(os.path.normpath(path.absolute()))
        known = self.loaded.get(path)
        if known is None:
            try:
                known = self.loaded[path] = self._load(path)
            except SuiteError as error:
                self.broken[shown(path, self.root)] = error
                raise
        return known

    def _load(self, path: Path) -> Loaded:
        file = shown(path, self.root)
        problems = Problems()
        if not path.name.endswith(SUFFIX):
            message = f"the name of a suite ends in {SUFFIX}, exactly so; this one is not read"
            problems.error(Location(file), "suite-name", message, f"rename it to *{SUFFIX}")
            raise SuiteError(tuple(problems), {})
        source = _read(path, file, problems)

        def resolve(name: str) -> Path:
            return self.policies.inside(path, name)

        shared = SamplesReader(path.parent, resolve, lambda one: shown(one, self.root), problems)
        suite = None if problems.errors else read_suite(source, path, file, problems, shared)
        sources = {file: source, **shared.sources}
        if suite is None:
            raise SuiteError(tuple(problems), sources)
        compiled = self._compile(suite, problems)
        if compiled is None:
            raise SuiteError(tuple(problems), sources)
        policy = compiled.compilation.policy
        if policy is None:
            raise SuiteError(
                tuple(
                    one for one in compiled.compilation.problems if one.severity.value == "error"
                ),
                compiled.compilation.sources,
                policy=True,
            )
        linked = link(suite, policy, Surroundings(self.keys, resolve, self.now), problems)
        if problems.errors:
            raise SuiteError(tuple(problems), sources)
        hostile = tuple(hostile_cases(suite, linked.samples))
        _check_hostile(suite, hostile, problems)
        evaluation = Evaluation(linked)
        if linked.assumptions:
            check_assumptions(evaluation, problems)
        if problems.errors:
            raise SuiteError(tuple(problems), sources)
        every = (*cases(suite), *map(InvariantCase, linked.invariants), *hostile)
        return Loaded(suite, compiled, evaluation, source, Causes(policy), every)

    def _compile(self, suite: Suite, problems: Problems) -> CompiledFolder | None:
        try:
            folder = self.policies.find(suite.path, suite.policy)
        except OutsideError as error:
            hint = "a policy lies in the repository of its tests"
            problems.error(suite.policy_location, "outside", str(error), hint)
            return None
        except OSError as error:
            message = error.strerror or str(error)
            problems.error(suite.policy_location, "policy-folder", message, "policy: ../../policy")
            return None
        return self.policies.compile(folder)


def _check_hostile(suite: Suite, hostile: tuple[HostileCase, ...], problems: Problems) -> None:
    """Report captured tokens, and exceptions for near misses that no listed token has."""
    if suite.hostile is None:
        return
    for token in suite.hostile.tokens:
        if suite.tokens[token].jwt is not None:
            message = f"`{token}` is a captured token; nobody here can sign its near misses"
            hint = "forge a sample token that is like it"
            problems.error(suite.hostile.location, "captured-token", message, hint)
    known = {case.miss.name for case in hostile if isinstance(case, NearMissCase)}
    for name, location in suite.hostile.except_.items():
        if name not in known:
            message = f"no token here has the near miss `{name}`"
            problems.error(location, "unknown-near-miss", message, did_you_mean(name, list(known)))


def _read(path: Path, file: str, problems: Problems) -> str:
    try:
        return nodes.decoded(path.read_bytes(), file, problems) or ""
    except OSError as error:
        problems.error(Location(file), "yaml-syntax", f"the file cannot be read: {error.strerror}")
    return ""
