"""
Witnesses that a person believes: tokens as their issuer makes them, where there are such.

What lives here: other claims for a witness, of which the engine says the same, for all that shows
witnesses: `diff`, `who-can` and invariants.  Not here: finding a witness
(`regauth.policytests.proofs`), and how it is shown (`examples`).

The prover chooses what decides and takes anything for the rest: a repository `0/0` with the subject
of another one.  Here such a token is made anew as a suite would write it, with as few claims as
needed, and all others follow from these.  When no possible token is found so, the prover's own
stays.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from msgspec import structs

from regauth.engine.access.scope import Access, repository_access
from regauth.engine.issuers import ClaimSchema
from regauth.engine.policy.policy import Policy
from regauth.engine.source.problems import Location
from regauth.policytests.proofs import (
    About,
    Assumption,
    Question,
    Witness,
    Written,
    more_access,
)
from regauth.policytests.proofs.confirmation import Asked, Said, ask
from regauth.policytests.proofs.refinement import holds_of
from regauth.policytests.tokens.coherence import is_possible
from regauth.policytests.tokens.issuing import claims_of
from regauth.policytests.tokens.profiles import known as profiles
from regauth.policytests.tokens.spec import TokenSpec

STEPS: Final = 300_000
"""Steps of the solver for a possible token, where the first witness is none."""

_GIVEN: Final = ("iss", "aud", "iat", "nbf", "exp")
"""Claims that stay as the prover has chosen them."""

_NOBODY: Final = re.compile(r"(?<![A-Za-z0-9])0(?![A-Za-z0-9])|(?<=/)\Z", re.ASCII)
"""What the prover calls what has no name: `refs/heads/0`, or `refs/heads/`."""

_WORDS: Final = ("app", "other", "shared")
"""Names of a repository; the policies may allow one of them before and after."""


@dataclass(frozen=True, slots=True)
class _Draft:
    """A token as a suite writes it, and what it asks for."""

    changed: Mapping[str, object]
    without: tuple[str, ...]
    access: Access
    variant: str = ""


def believable(
    witness: Witness, new: Policy, bound: Policy, assumptions: Sequence[Assumption]
) -> Witness:
    """
    Return a witness of the same by a token that its issuer can make.

    Args:
        witness: A request that `new` allows and `bound` refuses.
        new: The policy that allows it.
        bound: The policy that refuses it.
        assumptions: What holds of the token, too.

    The witness itself where there is none, for a session, and without credentials.
    """
    provider = new.providers.get(witness.provider)
    if provider is None or witness.session or witness.now != witness.at:
        return witness
    found = profiles.find(provider.claims.name, (provider.claims,))
    if found is None or found[0].schema is None or not isinstance(provider.audiences, frozenset):
        return witness
    return (
        _Search(witness, new, bound, assumptions).found()
        or _possible(witness, new, bound, assumptions)
        or witness
    )


def _possible(
    witness: Witness, new: Policy, bound: Policy, assumptions: Sequence[Assumption]
) -> Witness | None:
    """Return a witness of the same grant and action by a token that its issuer makes."""
    if is_possible(new.providers[witness.provider].claims, witness.claims):
        return None
    question = Question(
        promised(new),
        promised(bound),
        (About.SCHEMA,),
        tuple(assumptions),
        steps=STEPS,
        at=witness.now,
        grants=frozenset({witness.source}),
    )
    for other in more_access(question).witnesses:
        is_of_action = other.access.action == witness.access.action
        is_of_provider = other.provider == witness.provider and not other.session
        if is_of_action and is_of_provider and other.now == other.at:
            return _Search(other, new, bound, assumptions).found()
    return None


def promised(policy: Policy) -> Policy:
    """Return a policy whose issuers guarantee all that is known of them."""
    schemas: dict[int, ClaimSchema] = {}
    providers = {}
    for name, provider in policy.providers.items():
        schema = schemas.setdefault(id(provider.claims), _promised(provider.claims))
        providers[name] = replace(provider, claims=schema)
    return replace(policy, providers=providers)


def _promised(schema: ClaimSchema) -> ClaimSchema:
    claims = {
        path: structs.replace(
            claim,
            presence_guaranteed=claim.always,
            values=replace(claim.values, guaranteed=True),
            items=replace(claim.items, guaranteed=True),
        )
        for path, claim in schema.claims.items()
    }
    relations = tuple(replace(one, guaranteed=not one.usual) for one in schema.relations)
    return structs.replace(schema, claims=claims, relations=relations)


class _Search:
    """The search for one witness."""

    def __init__(
        self, witness: Witness, new: Policy, bound: Policy, assumptions: Sequence[Assumption]
    ) -> None:
        self._witness = witness
        self._new = new
        self._bound = bound
        self._assumptions = assumptions
        self._provider = new.providers[witness.provider]

    def found(self) -> Witness | None:
        """Return the witness, or None."""
        for variant in self._provider.claims.samples.variants:
            found = self._found(variant)
            if found is not None:
                return found
        return None

    def _found(self, variant: str) -> Witness | None:
        """Return a witness by a token of one of the profile's ways of working, or None."""
        draft = self._first(self._whole(variant))
        if draft is None:
            return None
        draft = self._named(self._shorter(draft))
        claims, said = self._claims(draft), self._said(draft)
        if said is None or not is_possible(self._provider.claims, claims):
            return None
        written = Written(self._profile(variant), dict(draft.changed), draft.without)
        return replace(
            self._witness,
            claims=claims,
            access=draft.access,
            obstacle=said.source,
            written=written,
        )

    def _profile(self, variant: str) -> str:
        name = self._provider.claims.name
        return f"{name}/{variant}" if variant else name

    def _whole(self, variant: str) -> Iterator[_Draft]:
        """Yield drafts with the witness's own claims, each with more of them than that before."""
        given, access = self._witness.claims, self._witness.access
        changed: dict[str, object] = {}
        for _ in range(2):  # what one claim changes may follow from another
            made = self._claims(_Draft(changed, (), access, variant))
            changed |= {
                name: value
                for name, value in given.items()
                if name not in _GIVEN and made.get(name) != value
            }
            yield _Draft(dict(changed), (), access, variant)
        made = self._claims(_Draft(changed, (), access, variant))
        absent = tuple(name for name in sorted(made) if name not in given and name not in _GIVEN)
        yield _Draft(changed, absent, access, variant)

    def _shorter(self, draft: _Draft) -> _Draft:
        """Leave out what the change does not need."""
        for name in (*draft.changed, *draft.without):
            changed = {one: value for one, value in draft.changed.items() if one != name}
            without = tuple(one for one in draft.without if one != name)
            draft = self._first(self._asking(draft, changed, without)) or draft
        return draft

    def _named(self, draft: _Draft) -> _Draft:
        """Give names to what the prover calls `0`."""
        for name, value in draft.changed.items():
            if isinstance(value, str) and _NOBODY.search(value):
                changed = {**draft.changed, name: _with_names(value)}
                draft = self._first(self._asking(draft, changed, draft.without)) or draft
        name = draft.access.resource.name
        others = [_renamed(draft.access, name, _NOBODY.sub(word, name)) for word in _WORDS]
        return self._first([replace(draft, access=one) for one in others]) or draft

    def _asking(
        self, draft: _Draft, changed: Mapping[str, object], without: tuple[str, ...]
    ) -> Iterator[_Draft]:
        """Yield a draft with other claims: for what they name now, and for the same as before."""
        other = replace(draft, changed=changed, without=without)
        before, after = self._claims(draft), self._claims(other)
        pairs = [
            (old.lower(), new.lower())
            for name, old in before.items()
            if isinstance(old, str) and isinstance(new := after.get(name), str) and old != new
        ]
        for old, new in sorted(pairs, key=lambda one: -len(one[0])):
            if old and old in draft.access.resource.name:
                yield replace(other, access=_renamed(draft.access, old, new))
        yield other

    def _first(self, drafts: "Iterator[_Draft] | list[_Draft]") -> _Draft | None:
        return next((one for one in drafts if self._said(one) is not None), None)

    def _claims(self, draft: _Draft) -> dict[str, object]:
        spec = TokenSpec(
            "",
            Location(""),
            profile=self._profile(draft.variant),
            claims=draft.changed,
            without=draft.without,
        )
        claims = claims_of(spec, self._provider, self._witness.now)
        given = self._witness.claims
        return {**claims, **{name: given[name] for name in _GIVEN if name in given}}

    def _said(self, draft: _Draft) -> Said | None:
        """Return what the bound says of a draft that shows the change; None of another."""
        claims = self._claims(draft)
        if not holds_of(claims, self._assumptions, self._provider.name):
            return None
        at = self._witness.now
        client = self._witness.address
        asked = Asked(claims, self._witness.service, draft.access, at, at, client=client)
        new = ask(self._new, asked, (self._provider.name,))
        if not new.allowed or new.source != self._witness.source:
            return None
        old = ask(self._bound, asked, tuple(self._bound.providers))
        return None if old.allowed else old


def _renamed(access: Access, old: str, new: str) -> Access:
    """Return an access to a repository of another name; the same where that is none."""
    place = access.place.replace(old, new, 1)
    return repository_access(place, access.action) or access


def _with_names(value: str) -> str:
    """Return a text with names instead of `0`: a branch, or an owner and what it owns."""
    if value.startswith("refs/"):
        return _NOBODY.sub("feature", value)
    return _NOBODY.sub("app", _NOBODY.sub("other", value, count=1))
