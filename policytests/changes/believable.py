"""
Witnesses that a person believes: tokens as their issuer makes them, where there are such.

What lives here: other claims for the witness of a change, of which the engine says the same.  Not
here: finding a witness (`regauth.policytests.proofs`).

The prover chooses what decides and takes anything for the rest: a repository `0/0` with the subject
of another one.  Here such a token is made anew as a suite would write it, with as few claims as
needed, and all others follow from these.  When no possible token is found so, the prover's own
stays.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from regauth.engine.access.scope import Access, repository_access
from regauth.engine.policy.policy import Policy
from regauth.engine.source.problems import Location
from regauth.policytests.analysis.possible import is_possible
from regauth.policytests.proofs import Assumption, Witness, Written
from regauth.policytests.proofs.confirmation import Asked, Said, ask
from regauth.policytests.proofs.refinement import holds_of
from regauth.policytests.tokens.issuing import claims_of
from regauth.policytests.tokens.profiles import known as profiles
from regauth.policytests.tokens.spec import TokenSpec

_GIVEN: Final = ("iss", "aud", "iat", "nbf", "exp")
"""Claims that stay as the prover has chosen them."""

_NOBODY: Final = re.compile(r"(?<![A-Za-z0-9])0(?![A-Za-z0-9])", re.ASCII)
"""What the prover calls what has no name: `refs/heads/0`."""

_WORDS: Final = ("app", "other", "shared")
"""Names of a repository; the policies may allow one of them before and after."""


@dataclass(frozen=True, slots=True)
class _Draft:
    """A token as a suite writes it, and what it asks for."""

    changed: Mapping[str, object]
    without: tuple[str, ...]
    access: Access


def believable(
    witness: Witness, new: Policy, bound: Policy, assumptions: Sequence[Assumption]
) -> Witness:
    """
    Return a witness of the same change by a token that its issuer can make.

    The witness itself where there is none, for a session, and without credentials.
    """
    provider = new.providers.get(witness.provider)
    if provider is None or witness.session or witness.now != witness.at:
        return witness
    found = profiles.find(provider.claims.name, (provider.claims,))
    if found is None or found[0].schema is None or not isinstance(provider.audiences, frozenset):
        return witness
    return _Search(witness, new, bound, assumptions).found() or witness


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
        draft = self._first(self._whole())
        if draft is None:
            return None
        draft = self._named(self._shorter(draft))
        claims, said = self._claims(draft.changed, draft.without), self._said(draft)
        if said is None or not is_possible(self._provider.claims, claims):
            return None
        written = Written(self._provider.claims.name, dict(draft.changed), draft.without)
        return replace(
            self._witness,
            claims=claims,
            access=draft.access,
            obstacle=said.source,
            written=written,
        )

    def _whole(self) -> Iterator[_Draft]:
        """Yield drafts with the witness's own claims, each with more of them than that before."""
        given, access = self._witness.claims, self._witness.access
        changed: dict[str, object] = {}
        for _ in range(2):  # what one claim changes may follow from another
            made = self._claims(changed, ())
            changed |= {
                name: value
                for name, value in given.items()
                if name not in _GIVEN and made.get(name) != value
            }
            yield _Draft(dict(changed), (), access)
        made = self._claims(changed, ())
        absent = tuple(name for name in sorted(made) if name not in given and name not in _GIVEN)
        yield _Draft(changed, absent, access)

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
        before = self._claims(draft.changed, draft.without)
        after = self._claims(changed, without)
        pairs = [
            (old.lower(), new.lower())
            for name, old in before.items()
            if isinstance(old, str) and isinstance(new := after.get(name), str) and old != new
        ]
        for old, new in sorted(pairs, key=lambda one: -len(one[0])):
            if old and old in draft.access.resource.name:
                yield _Draft(changed, without, _renamed(draft.access, old, new))
        yield _Draft(changed, without, draft.access)

    def _first(self, drafts: "Iterator[_Draft] | list[_Draft]") -> _Draft | None:
        return next((one for one in drafts if self._said(one) is not None), None)

    def _claims(self, changed: Mapping[str, object], without: tuple[str, ...]) -> dict[str, object]:
        spec = TokenSpec(
            "",
            Location(""),
            profile=self._provider.claims.name,
            claims=changed,
            without=without,
        )
        claims = claims_of(spec, self._provider, self._witness.now)
        given = self._witness.claims
        return {**claims, **{name: given[name] for name in _GIVEN if name in given}}

    def _said(self, draft: _Draft) -> Said | None:
        """Return what the bound says of a draft that shows the change; None of another."""
        claims = self._claims(draft.changed, draft.without)
        if not holds_of(claims, self._assumptions, self._provider.name):
            return None
        at = self._witness.now
        asked = Asked(claims, self._witness.service, draft.access, at, at)
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
