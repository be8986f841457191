"""
`policytest diff`: what a change of a policy means for every possible token.

What lives here: driving the comparison, output, and the exit codes of mistakes.  Not here: the two
sides (`regauth.policytests.changes.sides`), reading commits (`changes.git`), the comparison
(`changes.comparison`), what a comparison ends with (`changes.view`), and how it is said
(`changes.formats`).
"""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from regauth.engine.compiler.compiler import Compilation
from regauth.engine.policy.policy import Policy
from regauth.engine.source.foreign_text import visible
from regauth.engine.source.rendering import render_text, wants_color
from regauth.policytests.changes.assumptions import shared_assumptions
from regauth.policytests.changes.comparison import Comparison, compare
from regauth.policytests.changes.explaining import explain_proof, explain_witness
from regauth.policytests.changes.formats import FORMATS
from regauth.policytests.changes.git import GitError
from regauth.policytests.changes.sides import ChangeSide, Sides, find_sides
from regauth.policytests.changes.view import AcceptedResults, ChangeView, requests
from regauth.policytests.exit_codes import POLICY_BROKEN, USAGE
from regauth.policytests.suites.invariants import SuiteAssumption
from regauth.policytests.suites.times import parse_time


class DiffError(Exception):
    """The command line asks for something impossible; the caller's fault."""


class BrokenPolicyError(Exception):
    """A policy does not compile; the message shows its problems."""


@dataclass(frozen=True, slots=True)
class Diffing:
    """The options of a comparison."""

    policy: Sequence[Path]
    formats: Sequence[str]
    at: str | None
    limit: int
    steps: int
    accept_widening: str | None
    accept_undecided: str | None
    fail_on_narrowing: bool
    explain: bool

    @classmethod
    def of(cls, options: Mapping[str, object]) -> "Diffing":
        """Make it of the command line's options."""
        return cls(**cast("dict[str, str]", dict(options)))  # type: ignore[arg-type]  # click made each option of its field's type

    def run(self, base: str | None, head: str | None) -> int:
        """Compare two states, say what differs, and return the exit code."""
        try:
            accepted = AcceptedResults(
                _reason("--accept-widening", self.accept_widening),
                _reason("--accept-undecided", self.accept_undecided),
            )
            formats = list(_formats(self.formats))
            policies = [one.as_posix() for one in self.policy] or ["policy"]
            sides = find_sides(base, head, policies, Path.cwd())
            comparisons = list(self._comparisons(sides))
            view = self._view(sides, comparisons, accepted)
            for name, file in formats:
                _write(FORMATS[name](view), file)
        except BrokenPolicyError as error:
            sys.stderr.write(f"{error}\n")
            return POLICY_BROKEN
        except (DiffError, GitError) as error:
            sys.stderr.write(f"policytest: {visible(str(error))}\n")
            return USAGE
        return view.code

    def _comparisons(self, sides: Sides) -> Iterator[Comparison]:
        at = None
        if self.at is not None:
            at = parse_time(self.at)
            if at is None:
                raise DiffError(f"--at is a time like 2026-11-01T12:00:00Z, not {self.at!r}")
        for folders in sides.pairs:
            before = _policy(sides.base, folders[0])
            after = _policy(sides.head, folders[1])
            assumptions: tuple[SuiteAssumption, ...] = ()
            if before is not None and after is not None and before.hash != after.hash:
                both, policies = (sides.base, sides.head), (before, after)
                assumptions = shared_assumptions(both, folders, policies)
            yield compare(before, after, folders, self.steps, at, assumptions, account=self.explain)

    def _explained(self, comparisons: list[Comparison]) -> dict[int, Sequence[str]]:
        """Explain every answer; one that the engine contradicts is no proof any more."""
        explained: dict[int, Sequence[str]] = {}
        at = parse_time(self.at) if self.at is not None else None
        for number, one in enumerate(comparisons):
            answers = []
            for answer, account in zip((one.gained, one.lost), one.accounts or (), strict=False):
                lines, doubts = explain_proof(account, at) if answer.proved else ([], [])
                told = replace(answer, unknown=(*answer.unknown, *doubts))
                explained[id(told)] = lines
                answers.append(told)
            if answers:
                comparisons[number] = replace(one, gained=answers[0], lost=answers[1])
        return explained

    def _view(
        self, sides: Sides, comparisons: list[Comparison], accepted: AcceptedResults
    ) -> ChangeView:
        explained: dict[int, Sequence[str]] | None = None
        if self.explain:
            explained = self._explained(comparisons)
            for one in comparisons:
                for witness in (*requests(one.gained), *requests(one.lost)):
                    explained[id(witness)] = explain_witness(one.base, one.head, witness)
        return ChangeView(
            comparisons,
            sides.base.name,
            sides.head.name,
            accepted,
            self.fail_on_narrowing,
            self.limit,
            wants_color(os.environ, terminal=sys.stdout.isatty()),
            explained,
        )


def _policy(side: ChangeSide, folder: str) -> Policy | None:
    compilation: Compilation | None = side.compile(folder)
    if compilation is None:
        return None
    if compilation.policy is None:
        told = render_text(compilation.problems, compilation.sources)
        raise BrokenPolicyError(f"{told}\n{folder} of {side.name} does not compile")
    return compilation.policy


def _formats(written: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each format and the file it goes to; `-` is standard output."""
    for one in written or ("text",):
        name, equals, file = one.partition("=")
        if name not in FORMATS or (equals and not file):
            raise DiffError(f"--format is {', '.join(FORMATS)}, or one with =FILE; not {one!r}")
        yield name, file or "-"


def _write(text: str, file: str) -> None:
    if file == "-":
        sys.stdout.write(text)
        return
    try:
        Path(file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise DiffError(f"{file} cannot be written: {error.strerror}") from error


def _reason(option: str, reason: str | None) -> str:
    text = " ".join((reason or "").split())
    if reason is not None and not text:
        raise DiffError(f"{option} needs a reason")
    return text
