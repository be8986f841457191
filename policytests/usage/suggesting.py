"""
Suggesting: a draft, compiled, and checked by every record.

What lives here: the check that a draft allows what was allowed, and the suite of what was seen.
Not here: the draft's text (`drafting`), and files (`commands.usage`).
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from regauth.engine.compiler.compiler import compile_policy
from regauth.engine.policy.policy import Policy
from regauth.policytests.replay.deciding import Change, Replay, UndecidedReason
from regauth.policytests.replay.records import Record
from regauth.policytests.replay.suite import RecordedSuite

from .drafting import Draft, draft
from .gathering import Gathered

POLICY_FILE: Final = "policy.yaml"
MAX_TOLD: Final = 20
"""Kinds of accesses that a draft does not allow which are told."""


class SuggestionError(Exception):
    """No policy can be suggested; the message says why."""


@dataclass(slots=True)
class Suggestion:
    """
    A draft and its policy.

    Feed it the records again with `check`; then it knows what the draft lacks.
    """

    draft: Draft
    policy: Policy
    lacking: Counter[str] = field(default_factory=Counter)
    """Logged accesses that the draft does not allow, with the reason."""
    suite: RecordedSuite = field(init=False)
    _replay: Replay = field(init=False)

    def __post_init__(self) -> None:
        self.suite = RecordedSuite(self.policy)
        self._replay = Replay(self.policy)

    def check(self, record: Record) -> None:
        """
        Decide a record by the draft.

        Raises:
            IncoherentError: The record contradicts itself.
        """
        if not record.answered:
            return
        found = self._replay.differences(record)
        if isinstance(found, UndecidedReason):
            if any(one.allowed for one in record.accesses.values()):
                self.lacking[f"a request that cannot be decided: {found}"] += 1
            return
        lost = [one for one in found if one.change is Change.NARROWER and one.before.allowed]
        for one in lost:
            if len(self.lacking) < MAX_TOLD or str(one.access) in self.lacking:
                self.lacking[f"{one.access} of {one.identity}: {one.after}"] += 1
        same = all(one.change is Change.OTHERWISE for one in found)
        if any(answer.allowed for answer in record.accesses.values()):
            self.suite.add(record, same=same)

    def write_suite(self, suite: Path, folder: Path) -> str:
        """Return the text of a suite of what was seen; empty where no token can be written."""
        text = self.suite.write(suite, folder)
        return text.replace("policytest replay --suite", "policytest suggest", 1)


def suggest(gathered: Gathered, now: datetime | None = None) -> Suggestion:
    """
    Draft a policy and compile it.

    Raises:
        SuggestionError: Nothing was allowed, or the draft does not compile.
    """
    if not gathered.anonymous and not any(one.labels for one in gathered.issuers.values()):
        raise SuggestionError("no request was allowed of which a policy could be made")
    made = draft(gathered)
    compilation = compile_policy({POLICY_FILE: made.text}, now=now)
    if compilation.policy is None:
        told = "; ".join(map(str, compilation.problems[:5]))
        raise SuggestionError(f"the draft does not compile: {told}")
    return Suggestion(made, compilation.policy)
