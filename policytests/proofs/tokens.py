"""
Tokens: the claims of a model, and the access that it asks for.

What lives here: putting a token together from the values that a search has found.  Not here: the
values (`solving.search`), and whether the engine agrees (`confirmation`).

What nobody asks for is filled so that the token conforms to its issuer's schema, with the schema's
own examples where there are some.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Final, Literal

from regauth.engine.access.references import ALL_TAGS, UPLOAD
from regauth.engine.access.scope import CATALOG, REGISTRY, REPOSITORY, Access, Resource
from regauth.engine.cel import RecordType
from regauth.engine.policy.policy import Provider
from regauth.engine.source.addresses import IpAddress

from .languages import addresses
from .logic import atoms
from .logic.atoms import (
    AT,
    CLIENT,
    NOW,
    Applied,
    Compares,
    Joined,
    Literal_,
    Number,
    OpaqueText,
    Path,
    Quantity,
    Slot,
    Text,
    Unclaimed,
    Variable,
)
from .logic.universe import TIMES, Kind, Universe, universe_of
from .solving.search import Model
from .solving.theory import Choice, Examples
from .statements import DIGEST, Reference, Target

LIFETIME: Final = 300
"""Seconds for which a token is valid that nobody asks about."""

_HALF: Final = Fraction(1, 2)
_TOKEN_TIMES: Final = sorted(TIMES, key=repr)
_DIGEST: Final = f"sha256:{'0' * 64}"
_MAX_PADDED: Final = 1_000
_TIMES: Final[tuple[Literal["int", "double", "rounded", "floor"], ...]] = (
    *("int", "double", "rounded"),
    "floor",
)


def wishes(now: int) -> list[Compares]:
    """
    Return what is wished of the times of tokens: now is `now`, and the token is fresh.

    A time with a fraction is half a second past a whole one: a smaller fraction can be lost.
    """

    def equals(left: Quantity, right: Quantity, more: Number = 0) -> Compares:
        total = atoms.added(atoms.quantity(left), atoms.quantity(right), -1)
        return Compares("==", atoms.added(total, atoms.constant(more), -1))

    moment = atoms.added(atoms.quantity(NOW), atoms.constant(now), -1)
    return [
        Compares("==", moment),
        equals(AT, NOW),
        *(equals(Quantity("int", (name,)), NOW) for name in ("iat", "nbf")),
        equals(Quantity("int", ("exp",)), NOW, LIFETIME),
        *(
            equals(Quantity("double", path), Quantity("floor", path), _HALF)
            for path in _TOKEN_TIMES
        ),
        *(equals(Quantity("rounded", path), Quantity("double", path)) for path in _TOKEN_TIMES),
    ]


def examples_of(provider: Provider | None) -> Examples:
    """Return what gives the examples that a provider's claim schema has for a claim."""
    claims = {} if provider is None else provider.claims.claims

    def examples(path: Path) -> Sequence[object]:
        if path == CLIENT.path:
            return addresses.EXAMPLES
        claim = claims.get(tuple(str(name) for name in path))
        return () if claim is None else claim.examples

    return examples


class TokenMaker:
    """Makes the claims of models, for one provider's tokens."""

    def __init__(
        self, universe: Universe, provider: Provider, examples: Examples, now: int
    ) -> None:
        self._universe = universe
        self._provider = provider
        self._examples = examples
        self._now = now

    def moment(self, model: Model, quantity: Quantity = NOW) -> Fraction:
        """Return the time of a model, in seconds since 1970."""
        if quantity is AT and AT not in model.numbers:
            return self.moment(model)
        return model.numbers.get(quantity, Fraction(self._now))

    def claims(self, model: Model) -> dict[str, object]:
        """Return the claims of a model."""
        claims = _Claims(self._universe, self._examples, model).map_at(())
        now = int(self.moment(model, AT))
        if Variable(("iss",)) not in model.choices:
            claims["iss"] = self._provider.issuer
        for name, after in (("iat", 0), ("nbf", 0), ("exp", LIFETIME)):
            asked = any(Quantity(kind, (name,)) in model.numbers for kind in _TIMES)
            if not asked and (name == "exp" or type(claims.get(name)) in (int, float)):
                claims[name] = now + after
        if not claims.get("aud") and type(self._provider.audiences) is frozenset:
            claims["aud"] = [min(self._provider.audiences)]
        if not isinstance(claims.get("sub"), str) and Variable(("sub",)) not in model.choices:
            claims["sub"] = "x"
        return claims


class _Claims:
    """The values of one model, by path."""

    def __init__(self, universe: Universe, examples: Examples, model: Model) -> None:
        self._universe = universe
        self._conforming = universe_of(universe.schema, anything=False)
        self._examples = examples
        self._model = model
        self._choices: dict[Path, Choice] = {}
        self._below: dict[Path, dict[str | Slot | Unclaimed, None]] = {}
        for holder, choice in model.choices.items():
            if isinstance(holder, Variable) and holder.is_claim:
                self._choices[holder.path] = choice
                self._note(holder.path)
        for quantity in model.numbers:
            if quantity.kind in ("int", "double", "size") and isinstance(quantity.about, tuple):
                self._note(quantity.about)

    def _note(self, path: Path) -> None:
        for size in range(len(path)):
            self._below.setdefault(path[:size], {})[path[size]] = None

    def _kind(self, path: Path) -> Kind:
        choice = self._choices.get(path)
        if choice is not None:
            return choice.kind
        kinds = self._universe.kinds(path)
        declared = [kind for kind in self._conforming.kinds(path) if kind in kinds]
        below = self._below.get(path)
        if below:
            wanted = Kind.LIST if any(isinstance(one, Slot) for one in below) else Kind.MAP
            if wanted in kinds:
                return wanted
        for kind in _TIMES[:2]:
            if Quantity(kind, path) in self._model.numbers and Kind(kind) in kinds:
                return Kind(kind)
        return (declared or list(kinds))[0]

    def _at(self, path: Path) -> object:
        kind = self._kind(path)
        match kind:
            case Kind.STRING:
                return self._text(path)
            case Kind.BOOL:
                choice = self._choices.get(path)
                return choice is not None and choice.true
            case Kind.INT:
                return int(self._number(Quantity("int", path), 1))
            case Kind.DOUBLE:
                return float(self._number(Quantity("double", path), Fraction(1, 2)))
            case Kind.LIST:
                return self._list(path)
            case Kind.MAP:
                return self.map_at(path)
            case _:
                pass
        return None

    def _number(self, of: Quantity, default: Fraction | int) -> Fraction | int:
        return self._model.numbers.get(of, default)

    def _text(self, path: Path) -> str:
        known = self._model.texts.get(Variable(path))
        if known is not None:
            return known
        examples = [one for one in self._examples(path) if isinstance(one, str)]
        return examples[0] if examples else "x"

    def _list(self, path: Path) -> list[object]:
        slots = [one for one in self._below.get(path, ()) if isinstance(one, Slot)]
        slots.sort(key=lambda slot: (not slot.position, slot.number))
        found = [
            self._at((*path, slot))
            for slot in slots
            if self._kind((*path, slot)) is not Kind.ABSENT
        ]
        size = self._model.numbers.get(Quantity("size", path))
        if size is None or size > _MAX_PADDED:
            return found
        while len(found) < size:
            found.append(found[-1] if found else self._element(path))
        return found

    def _element(self, path: Path) -> object:
        """Return an element that nobody asks about."""
        kinds = self._conforming.kinds((*path, Slot(0)))
        return self._at((*path, Slot(0))) if Kind.STRING not in kinds else "x"

    def map_at(self, path: Path) -> dict[str, object]:
        """Return the map at a path: what is asked for, and what the schema says is always there."""
        names = {one for one in self._below.get(path, ()) if isinstance(one, str)}
        declared = self._conforming.declared(path) if self._universe.schema else None
        if declared is not None and isinstance(declared[0], RecordType):
            names |= {name for name, member in declared[0].fields.items() if member.required}
        found = {}
        for name in sorted(names):
            below = (*path, name)
            if self._kind(below) is not Kind.ABSENT:
                found[name] = self._at(below)
        return found


def client(model: Model) -> IpAddress | None:
    """Return the address of the client of a model; None: it is not known, or nobody asks for it."""
    return addresses.read(model.texts.get(CLIENT))


def access(target: Target, model: Model, claims: Mapping[str, object]) -> Access | None:
    """Return the access that a model asks for, or None when its name has no value."""
    if target.catalog:
        return Access(Resource(REGISTRY, CATALOG), "*")
    name = _written(target.name, model, claims)
    if name is None:
        return None
    reference = {
        Reference.TAG: _written(target.tag, model, claims) or "x",
        Reference.DIGEST: model.texts.get(DIGEST, _DIGEST),
        Reference.ALL_TAGS: ALL_TAGS,
        Reference.UPLOAD: UPLOAD,
    }.get(target.reference, "")
    resource = Resource(REPOSITORY, name, target.class_)
    return Access(resource, target.action, reference, target.tag_state)


def _written(text: Text, model: Model, claims: Mapping[str, object]) -> str | None:
    match text:
        case Literal_(text=known):
            return known
        case Variable(path=path) if text.is_claim:
            return _text_at(claims, path)
        case Variable() | OpaqueText():
            return model.texts.get(text)
        case Applied(function=function, to=to):
            inner = _written(to, model, claims)
            return None if inner is None else function.apply(inner)
        case Joined(parts=parts):
            found = [_written(part, model, claims) for part in parts]
            return None if None in found else "".join(one for one in found if one is not None)
    return None


def _text_at(claims: Mapping[str, object], path: Path) -> str | None:
    value: object = claims
    for name in path:
        if isinstance(name, Slot):
            if not isinstance(value, list) or len(value) <= name.number:
                return None
            value = value[name.number]
        elif isinstance(value, dict) and name in value:
            value = value[name]
        else:
            return None
    return value if isinstance(value, str) else None
