"""
What an issuer guarantees of its tokens, as formulas.

What lives here: the values of single claims and the relations between claims that a schema says are
guaranteed.  Not here: what is only known of today's tokens, which proves nothing of tomorrow's
(`regauth.engine.issuers`).

A relation that cannot be said exactly is left out: then more tokens are asked about, never fewer.
"""

from collections.abc import Iterable

from regauth.engine.issuers import ClaimSchema, Constraint, Relation, Template, Values
from regauth.engine.issuers.relations import ClaimReference

from .evaluation.evaluator import Evaluator
from .languages import language as languages
from .logic import atoms, formulas
from .logic.atoms import In, IsTrue, KindIs, Literal_, Part, Path, SameText, Text, Variable, Wild
from .logic.formulas import FALSE, TRUE, Formula, both
from .logic.patterns import fits
from .logic.universe import Kind

Conditions = tuple[tuple[tuple[str, ...], Constraint], ...]


def paths_of(formula: Formula) -> set[Path]:
    """Return the claims that a formula asks about."""
    found: set[Path] = set()
    for about in formula.atoms:
        match about:
            case KindIs(path=path) | IsTrue(path=path):
                found.add(path)
            case In(text=text):
                found |= _paths((text,))
            case SameText(left=left, right=right):
                found |= _paths((left, right))
            case atoms.Fits(text=text, parts=parts):
                found |= _paths((text, *(one for one in parts if not isinstance(one, Wild))))
            case _:
                pass
    return found


def _paths(texts: Iterable[Text]) -> set[Path]:
    return {
        one.path
        for text in texts
        for one in atoms.variables_of(text)
        if isinstance(one, Variable) and one.is_claim
    }


def guaranteed(schema: ClaimSchema, evaluator: Evaluator, asked: set[Path]) -> Formula:
    """Return what an issuer guarantees of the claims that are asked about."""
    found = []
    for path in sorted(asked, key=repr):
        claim = schema.claim(tuple(map(str, path)))
        if claim is not None and claim.values.limited and claim.values.guaranteed:
            found.append(_can_be(evaluator, path, claim.values))
    found += [
        _relation(evaluator, relation)
        for relation in schema.relations
        if relation.guaranteed and not relation.usual and _is_about(relation, asked)
    ]
    return formulas.every(found)


def _is_about(relation: Relation, asked: set[Path]) -> bool:
    """Tell whether a relation can matter: what follows by it is asked about."""
    return any(path in asked for path, _ in (*relation.then, *relation.when))


def _can_be(evaluator: Evaluator, path: Path, values: Values) -> Formula:
    """Return that a claim is one of its values, where it is a text."""
    text = evaluator.is_kind(path, Kind.STRING)
    listed = [one for one in values.enum if isinstance(one, str)]
    if values.enum:
        return formulas.some((text.negation, atoms.is_text(Variable(path), *listed)))
    return formulas.some((text.negation, _matches(Variable(path), values.pattern)))


def _matches(text: Text, pattern: str) -> Formula:
    """Return whether a whole text matches a pattern."""
    return atoms.is_in(text, languages.matches(rf"\A(?:{pattern})\z"))


def _relation(evaluator: Evaluator, relation: Relation) -> Formula:
    """Return that a relation holds, or nothing where that cannot be said exactly."""
    conditions = []
    for path, constraint in relation.when:
        holds = _holds(evaluator, path, constraint)
        if holds is None:
            return TRUE
        conditions.append(holds)
    applies = formulas.every(conditions)
    kept = [_kept(evaluator, path, constraint) for path, constraint in relation.then]
    return formulas.some((applies.negation, formulas.every(kept)))


def _holds(evaluator: Evaluator, path: Path, constraint: Constraint) -> Formula | None:
    """Return when a text fulfils what is asked of it; None where that is not exact."""
    values = constraint.values
    if constraint.negated is not None and constraint == Constraint(negated=constraint.negated):
        inner = _holds(evaluator, path, constraint.negated)
        # A value that is no text also fulfils it: leaving those out asks about more tokens.
        there = evaluator.is_kind(path, Kind.STRING)
        return None if inner is None else both(there, inner.negation)
    if not _is_plain(constraint) or values is None or constraint.templates:
        return None
    if constraint.present is not None or constraint.null is not None:
        return None
    if not _is_reached(evaluator, path):
        return None
    there = evaluator.is_kind(path, Kind.STRING)
    if values.enum:
        listed = [one for one in values.enum if isinstance(one, str)]
        if len(listed) < len(values.enum):
            return None
        return both(there, atoms.is_text(Variable(path), *listed))
    # A value that is no text is in a pattern, by what the schema's reader says of it.
    return both(there, _matches(Variable(path), values.pattern)) if values.pattern else None


def _kept(evaluator: Evaluator, path: Path, constraint: Constraint) -> Formula:
    """Return what follows for a claim that is a text, as far as it can be said."""
    if not _is_plain(constraint) or not _is_reached(evaluator, path):
        return TRUE
    found = []
    text = evaluator.is_kind(path, Kind.STRING)
    if constraint.present is True:
        found.append(evaluator.is_there(path))
    if constraint.values is not None and constraint.values.limited:
        found.append(_can_be(evaluator, path, constraint.values))
    if constraint.templates and all(map(_is_simple, constraint.templates)):
        read = [
            one.path
            for template in constraint.templates
            for one in template.pieces
            if isinstance(one, ClaimReference)
        ]
        if all(_is_reached(evaluator, one) for one in read):
            known = formulas.every(evaluator.is_kind(one, Kind.STRING) for one in read)
            options = [fits(Variable(path), _parts(one)) for one in constraint.templates]
            found.append(formulas.some((both(text, known).negation, *options)))
    return formulas.every(found)


def _is_plain(constraint: Constraint) -> bool:
    return constraint.negated is None and not constraint.parts and not constraint.escape


def _is_simple(template: Template) -> bool:
    return not template.when and not any(
        isinstance(one, ClaimReference) and one.group for one in template.pieces
    )


def _is_reached(evaluator: Evaluator, path: Path) -> bool:
    """Tell whether a claim stands in the token itself, so that nothing around it can be missing."""
    return len(path) == 1 and evaluator.is_kind(path, Kind.STRING) is not FALSE


def _parts(template: Template) -> list[Part]:
    return [
        Literal_(one)
        if isinstance(one, str)
        else Variable(one.path)
        if isinstance(one, ClaimReference)
        else Wild("**")
        for one in template.pieces
    ]
