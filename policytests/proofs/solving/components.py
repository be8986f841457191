"""
Components: the parts of a formula that share nothing, so that each can be solved by itself.

What lives here: taking a formula apart.  Not here: solving the parts, and keeping what is known of
them (`search`).

A formula is a login, a grant and what the bound says of both, joined by "and".  Most of it is the
same in every question about two policies: the issuer, the audience, the times of the token.  What
shares no text, no number and nothing opaque with the rest has its own models, whatever the rest is.
"""

from collections.abc import Hashable, Iterable

from regauth.policytests.proofs.logic import atoms
from regauth.policytests.proofs.logic.atoms import (
    Compares,
    Fits,
    In,
    IsTrue,
    KindIs,
    Opaque,
    SameText,
    Text,
    TooLong,
    Variable,
    Wild,
)
from regauth.policytests.proofs.logic.formulas import Formula, every

from .compound import compound_of


def components(formula: Formula) -> list[Formula]:
    """Return formulas that hold together exactly where one does, and that share nothing."""
    parts = formula.parts if formula.operator == "and" else (formula,)
    if len(parts) < 2:  # noqa: PLR2004 - one part is one component
        return [formula]
    above: dict[Hashable, Hashable] = {}

    def root(thing: Hashable) -> Hashable:
        while (over := above.setdefault(thing, thing)) != thing:
            thing = over
        return thing

    first: list[Hashable] = []
    for part in parts:
        things = [thing for about in part.atoms for thing in _things(about)]
        first.append(things[0])
        for thing in things:
            above[root(thing)] = root(things[0])
    groups: dict[Hashable, list[Formula]] = {}
    for part, thing in zip(parts, first, strict=True):
        groups.setdefault(root(thing), []).append(part)
    return [every(group) for group in groups.values()]


def _things(about: Hashable) -> Iterable[Hashable]:
    """Return what an atom asks about: nothing else decides whether it holds."""
    match about:
        case In(text=text) | TooLong(text=text):
            return _of_texts(text)
        case SameText(left=left, right=right):
            return _of_texts(left, right)
        case Opaque(key=Fits(text=text, parts=parts)):
            known = [part for part in parts if not isinstance(part, Wild)]
            return [about, *_of_texts(text, *known)]
        case KindIs(path=path) | IsTrue(path=path):
            return [Variable(path)]
        case Compares(sum=total):
            return [one for one, _ in total.terms]
        case _:
            return [about]


def _of_texts(*texts: Text) -> Iterable[Hashable]:
    """Return the texts that some are made of; of a compound its name and its parts."""
    for text in texts:
        for one in atoms.variables_of(text):
            yield one
            whole = compound_of(one)
            if whole is not None:
                yield from atoms.variables_of(whole)
