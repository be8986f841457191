"""
Witnesses: a token and an access that tell a mutant from its policy.

What lives here: the search, which tries every value that the policy's conditions distinguish.
Not here: a proof.  Where nothing is found, the prover is asked (`equivalence`).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from regauth.engine.access.outcomes import Refusal, Verdict, Why
from regauth.engine.access.references import ALL_TAGS, UPLOAD, TagState, is_tag, write
from regauth.engine.access.scope import (
    Access,
    is_repository_name,
    repository_access,
    repository_accesses,
)
from regauth.engine.cel import CelError, Program
from regauth.engine.decisions.authentication import Authenticated, authenticate
from regauth.engine.decisions.decide import Request
from regauth.engine.policy.patterns.names import Pattern, Wildcard
from regauth.engine.policy.patterns.tags import STAR, TagPattern
from regauth.engine.policy.policy import Policy, Statement
from regauth.engine.source.addresses import IpAddress
from regauth.engine.tokens.jwt import supposed
from regauth.policytests.execution.evaluation import Session, ask
from regauth.policytests.tokens.issuing import Sample

from .mutants import Mutant
from .possible import make
from .variations import Variation, variations

MAX_BASES: Final = 40
"""Tokens of the run that the search starts from."""


@dataclass(frozen=True, slots=True)
class MutantWitness:
    """A token, made from one of the run's, and what it gets before and after the change."""

    token: str
    variation: str
    access: str
    before: str
    after: str

    def __str__(self) -> str:
        made = f"{{from: {self.token}, {self.variation}}}" if self.variation else self.token
        return f"{made} {self.access}: {self.before} -> {self.after}"


@dataclass(frozen=True, slots=True)
class _Base:
    token: str
    claims: Mapping[str, object]
    provider: str
    service: str
    now: datetime
    client: IpAddress | None
    sample: Sample


@dataclass(frozen=True, slots=True)
class _Candidate:
    base: _Base
    variation: Variation | None
    claims: Mapping[str, object]
    written: str = ""


class Witnesses:
    """Searches among a run's tokens and their variations."""

    def __init__(self, policy: Policy, sessions: Iterable[Session], names: Collection[str]) -> None:
        self._policy = policy
        self._bases = list(_bases(sessions))
        self._names = list(names)
        self._requests: dict[tuple[str, str], Request | Refusal] = {}

    def find(self, mutant: Mutant) -> MutantWitness | None:
        """Return a token and an access that the mutant answers otherwise, or None."""
        names = self._repositories(mutant)
        for candidate in self._varied(mutant):
            witness = self._compare(mutant, candidate, names)
            if witness is not None and candidate.variation is not None:
                # What tells the policies apart is a token of the issuer only with all that follows.
                whole = self._whole(candidate)
                witness = None if whole is None else self._compare(mutant, whole, names)
            if witness is not None:
                return witness
        return None

    def _whole(self, candidate: _Candidate) -> _Candidate | None:
        """Return a candidate as its issuer would make it, or None where it would not."""
        variation = candidate.variation
        made = None if variation is None else make(candidate.base.sample, variation)
        if made is None:
            return None
        # The audience is a list to a condition, whichever way the token has it.
        aud = made.claims.get("aud")
        claims = {**made.claims, "aud": [aud] if isinstance(aud, str) else aud}
        return _Candidate(candidate.base, variation, claims, str(made))

    def _varied(self, mutant: Mutant) -> Iterator[_Candidate]:
        for base in self._bases:
            yield _Candidate(base, None, base.claims)
        found = _variations(mutant, self._policy)
        for base in self._bases:
            for variation in found:
                claims = variation.apply(base.claims)
                yield _Candidate(base, variation, claims, str(variation))

    def _compare(
        self, mutant: Mutant, candidate: _Candidate, names: Collection[str]
    ) -> MutantWitness | None:
        before = self._request(candidate)
        pairs: list[Pair] | None = None
        if not mutant.providers:
            if isinstance(before, Refusal):
                return None
            pairs = _told_apart(before, mutant, self._policy)
            if not pairs:
                return None
        after = _request(mutant.policy, candidate)
        if isinstance(before, Refusal) and isinstance(after, Refusal):
            return None
        for access in repository_accesses(names):
            if pairs and not any(_matches_otherwise(before, *pair, access) for pair in pairs):
                continue
            old, new = _answer(before, access), _answer(after, access)
            if old != new:
                base = candidate.base
                return MutantWitness(base.token, candidate.written, str(access), old, new)
        return None

    def _request(self, candidate: _Candidate) -> Request | Refusal:
        """Return the policy's own answer to a candidate's login, made once."""
        key = (candidate.base.token, candidate.written)
        known = self._requests.get(key)
        if known is None:
            known = self._requests[key] = _request(self._policy, candidate)
        return known

    def _repositories(self, mutant: Mutant) -> list[str]:
        """Return places of the suites, and some that the changed patterns distinguish."""
        names: dict[str, None] = {}
        references: dict[str, None] = {}
        for policy in (self._policy, mutant.policy):
            for statement in (*policy.grants, *policy.denials):
                if statement.name in mutant.statements:
                    for pattern in statement.patterns:
                        names.update(dict.fromkeys(self._samples(pattern)))
                    for tag in statement.tags:
                        references.update(dict.fromkeys(self._tag_samples(tag)))
        good = [name for name in names if is_repository_name(name)]
        named = [write(name, reference) for reference in references for name in good]
        creates = self._policy.by_new_tag or mutant.policy.by_new_tag
        stated = [
            f"{place}={state}"
            for place in (*self._names, *named)
            if creates and _is_tagged(place)
            for state in (TagState.EXISTING, TagState.NEW)
        ]
        return [*self._names, *stated, *named, *good]

    def _tag_samples(self, tag: TagPattern) -> Iterator[str]:
        """Yield references that a pattern distinguishes, and those that are not tags."""
        for base in self._bases[:8]:
            text = "".join(
                _evaluated(part, base.claims) if isinstance(part, Program) else part
                for part in tag.parts
            )
            for end in ("", "-x", "x"):
                sample = f"{text.replace(STAR, 'some')}{end}"
                if is_tag(sample):
                    yield sample
        yield from ("another", f"sha256:{'0' * 64}", ALL_TAGS, UPLOAD)

    def _samples(self, pattern: Pattern) -> Iterator[str]:
        for text in dict.fromkeys(_spelled(pattern, base.claims) for base in self._bases[:8]):
            for end in ("", "-x", "x", "/x", "/x/y"):
                yield f"{text}{end}"
            yield f"x/{text}"
            yield f"{text.rpartition('/')[0]}/another"
        yield "another/one"


def _is_tagged(place: str) -> bool:
    found = repository_access(place, "push")
    return found is not None and not found.tag_state and is_tag(found.reference)


def _bases(sessions: Iterable[Session]) -> Iterator[_Base]:
    known: set[str] = set()
    for session in sessions:
        outcome = session.outcome
        name = session.sample.spec.name
        if "~" in name or name in known or len(known) >= MAX_BASES:
            continue
        if isinstance(outcome, Authenticated):
            known.add(name)
            yield _Base(
                name,
                outcome.claims,
                outcome.provider.name,
                session.service,
                session.sample.now,
                session.sample.client,
                session.sample,
            )


def _variations(mutant: Mutant, policy: Policy) -> list[Variation]:
    found: dict[Variation, None] = {}
    programs: list[Program] = [mutant.program] if mutant.program is not None else []
    schemas = list({id(one.claims): one.claims for one in policy.providers.values()}.values())
    if programs and programs[0].table is not None:  # which only says something where it is used
        changed = (one for one in policy.statements if one.name in mutant.statements)
        programs = [program for one in changed for program in one.programs]
    for program in programs:
        programs.extend(program.definitions.values())
        for part in program.parts:
            found.update(dict.fromkeys(variations(part.node, program.definitions, schemas)))
    if "audience" in mutant.operator:
        found[Variation(("aud",), "https://another.example.com")] = None
    if "age" in mutant.operator:
        found[Variation(("iat",), 1)] = None
    return list(found)


def _request(policy: Policy, candidate: _Candidate) -> Request | Refusal:
    base = candidate.base
    provider = policy.providers[base.provider]
    outcome = authenticate(provider, supposed(dict(candidate.claims)), base.service, base.now)
    if isinstance(outcome, Refusal):
        return outcome
    return ask(policy, outcome.from_client(base.client), base.service, base.now, mutant=True)


Pair = tuple[Statement, Statement | None]
"""A statement before and after a change; None when it is removed."""


def _told_apart(request: Request, mutant: Mutant, policy: Policy) -> list[Pair]:
    """Return the changed statements whose change can matter to these claims."""
    after = {one.name: one for one in (*mutant.policy.grants, *mutant.policy.denials)}
    pairs: list[Pair] = []
    for one in (*policy.grants, *policy.denials):
        if one.name not in mutant.statements:
            continue
        new = after.get(one.name)
        if new is None or not _same_condition(one, new, request):
            pairs.append((one, new))
    return pairs


def _same_condition(one: Statement, new: Statement, request: Request) -> bool:
    """Tell whether two statements differ only in a condition that has the same value."""
    if one.patterns != new.patterns or one.actions != new.actions:
        return False
    if one.providers != new.providers or one.services != new.services:
        return False
    if one.expires != new.expires or one.tags != new.tags:
        return False
    if one.token_lifetime != new.token_lifetime or one.new_tags_only != new.new_tags_only:
        return False
    if one.when is None or new.when is None:
        return False
    if "scope" in one.when.variables | new.when.variables:
        return False
    return _holds(one.when, request) == _holds(new.when, request)


def _holds(program: Program, request: Request) -> bool | str:
    try:
        return program.holds(request.variables)
    except CelError as error:
        return str(error.code)


def _matches_otherwise(
    request: Request | Refusal, before: Statement, after: Statement | None, access: Access
) -> bool:
    if isinstance(request, Refusal):
        return False
    match = request.match(before, access)
    return match != (after is not None and request.match(after, access))


def _answer(request: Request | Refusal, access: Access) -> str:
    if isinstance(request, Refusal):
        return "not authenticated"
    verdict: Verdict = request.verdict(access)
    if verdict.errors:
        return "allowed after an error" if verdict.allowed else "an error"
    if verdict.why is Why.DEPENDS_ON_REFERENCE:
        return "depends on the tag"
    if verdict.why is Why.DEPENDS_ON_NEW_TAG:
        return "allowed if the tag is new"
    return "allowed" if verdict.allowed else "refused"


def _spelled(pattern: Pattern, claims: Mapping[str, object]) -> str:
    text = ""
    for part in pattern.parts:
        if isinstance(part, str):
            text += part
        elif isinstance(part, Wildcard):
            text += {"*": "some", "**/": "some/", "**": "some"}[part.value]
        else:
            text += _evaluated(part, claims)
    return text


def _evaluated(program: Program, claims: Mapping[str, object]) -> str:
    try:
        value = program.evaluate({"claims": claims})
    except CelError:
        return "some"
    return value if isinstance(value, str) else "some"
