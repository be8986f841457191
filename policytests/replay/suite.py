"""
A suite of recorded decisions: requests of production, kept as tests.

What lives here: choosing distinct requests and writing them down.  Not here: running a suite
(`execution.run`), and any decision of its own: what is expected is what was recorded and what the
engine says again (`deciding`).

A token here has the claims of a recorded one, but for its times and its `jti`: it is issued anew
when the suite runs.  Tokens that differ in nothing that the policy reads are one.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from regauth.engine.access.outcomes import Refusal, Verdict, Why
from regauth.engine.access.scope import Access, accesses, parse_scopes, scopes
from regauth.engine.decisions.authentication import Authenticated
from regauth.engine.decisions.decide import unknown
from regauth.engine.decisions.exchange import login_verified
from regauth.engine.policy.policy import Policy, Provider
from regauth.engine.source.problems import Location
from regauth.engine.tokens.jwt import NO_CLAIMS, supposed
from regauth.policytests.execution.evaluation import ask
from regauth.policytests.execution.judging import sources_of_errors
from regauth.policytests.suites.writing import yaml_value
from regauth.policytests.tokens.issuing import claims_of
from regauth.policytests.tokens.profiles.profile import TIMES
from regauth.policytests.tokens.spec import TokenSpec

from .dependencies import Dependencies
from .records import Answered, Record

MAX_TOKENS: Final = 500
"""Tokens of a suite; further tokens are counted."""

MAX_ACCESSES: Final = 100
"""Accesses that one token asks for."""

VOLATILE: Final = frozenset({*TIMES, "jti"})
"""Claims of one token alone."""

_REFUSALS: Final = re.compile(r"rule:.*|no-subject|wrong-audience")
"""Refusals that a new token gets again, at any time."""

_NAME: Final = re.compile(r"[^A-Za-z0-9]+")
_LONGEST_NAME: Final = 60
_PLAIN: Final = re.compile(r"(?!(?:null|true|false|yes|no|on|off)$)[a-z][a-z_]+", re.ASCII)


@dataclass(slots=True)
class _RecordedLogin:
    """A recorded login, and what was asked with it."""

    record: Record
    reach: dict[Access, int] = field(default_factory=dict)
    """How far each access goes (`Answered.reach`)."""


@dataclass(slots=True)
class RecordedSuite:
    """
    Gathers recorded requests that the policy decides as they were decided.

    Args:
        policy: The policy that the suite will test.
    """

    policy: Policy
    left_out: Counter[str] = field(default_factory=Counter)
    """Requests, or accesses, that are not in the suite, by the reason."""
    _reads: Dependencies = field(init=False)
    _asked: dict[bytes, _RecordedLogin] = field(init=False, default_factory=dict)
    _last: datetime | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._reads = Dependencies.of(self.policy, logins=True)

    def add(self, record: Record, *, same: bool) -> None:
        """Take up a request; `same` tells whether the policy decides it as it was decided."""
        if not same:
            self.left_out["requests that this policy decides otherwise"] += 1
            return
        if record.by_reference:
            self.left_out["requests to a proxy, decided by their tag or digest"] += 1
            return
        refused = not record.answered
        if record.claims is None or (refused and not _REFUSALS.fullmatch(record.reason)):
            self.left_out["requests without claims that a new token could carry"] += 1
            return
        key = self._reads.token(record)
        asked = self._asked.get(key)
        if asked is None:
            if len(self._asked) >= MAX_TOKENS:
                self.left_out[f"requests of more than {MAX_TOKENS} tokens"] += 1
                return
            asked = self._asked[key] = _RecordedLogin(record)
        if self._last is None or record.time > self._last:
            self._last = record.time
        for access in accesses(parse_scopes(record.asked)):
            if unknown(access) is None and len(asked.reach) < MAX_ACCESSES:
                answered = record.accesses.get(str(access))
                asked.reach[access] = answered.reach if answered is not None else 0

    def write(self, suite: Path, folder: Path) -> str:
        """
        Return the text of the suite, for a file and a policy folder; empty without a request.

        What the policy decides otherwise for a token issued anew is left out and counted.
        """
        if self._last is None:
            return ""
        at = self._last.replace(microsecond=0)
        tokens: list[str] = []
        tests: list[str] = []
        names: Counter[str] = Counter()
        for asked in self._asked.values():
            name = _name(asked.record, names)
            written = self._written(name, asked, at)
            if written is not None:
                tokens.append(written[0])
                tests.append(written[1])
        if not tokens:
            return ""
        policy = os.path.relpath(folder.resolve(), suite.resolve().parent)
        head = (
            "# Written by `policytest replay --suite`: what was asked for, and what was decided.",
            f"policy: {yaml_value(Path(policy).as_posix())}",
            f"at: {at:%Y-%m-%dT%H:%M:%SZ}",
        )
        return "\n".join((*head, "tokens:", *tokens, "tests:", *tests)) + "\n"

    def _written(self, name: str, asked: _RecordedLogin, at: datetime) -> tuple[str, str] | None:
        """Return a token and its test, or None when it is decided otherwise at that time."""
        record = asked.record
        recorded = record.claims or NO_CLAIMS
        given = {key: value for key, value in recorded.items() if key not in VOLATILE}
        chosen = self._provider(record)
        spec = TokenSpec(name, Location(""), claims=given, provider=chosen.name)
        made = claims_of(spec, chosen, at)
        without = [key for key in made if key not in recorded]
        for key in without:
            made.pop(key)
        login = login_verified(self.policy, chosen.name, supposed(made), record.service, at)
        expected = self._expected(record, asked.reach, login, at)
        if expected is None:
            self.left_out["answers that depend on their time"] += 1
            return None
        token: dict[str, object] = {"profile": "plain", "provider": chosen.name}
        token |= {"without": without} if without else {}
        claims = ["    claims:", *_block(given, 6)]
        head = {"name": f"{name} at {record.service}"[:200], "token": name}
        test = "\n".join(_block({**head, "service": record.service, **expected}, 4))
        return "\n".join((f"  {name}:", *_block(token, 4), *claims)), f"  - {test.lstrip()}"

    def _provider(self, record: Record) -> Provider:
        """Return the provider that a record's login has with this policy."""
        username = "" if record.routing == "issuer" else record.provider
        when = record.checked or record.time
        claims = record.claims or NO_CLAIMS
        login = login_verified(self.policy, username, claims, record.service, when)
        if isinstance(login, Authenticated):
            return login.provider
        return self.policy.providers[login.provider]

    def _expected(
        self,
        record: Record,
        recorded: Mapping[Access, int],
        login: Authenticated | Refusal,
        at: datetime,
    ) -> dict[str, object] | None:
        wanted = [str(scope) for scope in scopes(recorded)]
        if isinstance(login, Refusal):
            if record.answered or login.reason != record.reason:
                return None
            return {"scopes": wanted, "expect": {"refused": login.reason}}
        if not record.answered:
            return None
        request = ask(self.policy, login, record.service, at)
        verdicts = [request.verdict(access) for access in recorded]
        kept = [
            one
            for one in verdicts
            if Answered(one.allowed, str(one.why)).reach == recorded[one.access]
        ]
        self.left_out["answers that depend on their time"] += len(verdicts) - len(kept)
        return dict(_expectation(kept))


def _expectation(verdicts: list[Verdict]) -> Iterator[tuple[str, object]]:
    yield "scopes", [str(scope) for scope in scopes(one.access for one in verdicts)]
    granted = [str(scope) for scope in scopes(one.access for one in verdicts if one.allowed)]
    expect = {"granted": granted}
    waiting = [one.access for one in verdicts if one.why is Why.DEPENDS_ON_REFERENCE]
    if waiting:
        expect["deferred"] = [str(scope) for scope in scopes(waiting)]
    errors = sources_of_errors(verdicts)
    if errors:
        expect["errors"] = errors
    yield "expect", expect
    because = list(dict.fromkeys(one.source for one in verdicts if one.source))
    if because:
        yield "because", because


def _name(record: Record, names: Counter[str]) -> str:
    """Return a name for a token: what of its subject can stand in one, and a number."""
    base = _NAME.sub("-", record.subject or record.provider)[:_LONGEST_NAME].strip("-") or "token"
    names[base] += 1
    return base if names[base] == 1 else f"{base}.{names[base]}"


def _block(entries: Mapping[str, object], indent: int) -> Iterator[str]:
    """Yield a mapping, an entry a line."""
    for key, value in entries.items():
        name = key if _PLAIN.fullmatch(key) else yaml_value(key)
        yield f"{' ' * indent}{name}: {yaml_value(value)}"
