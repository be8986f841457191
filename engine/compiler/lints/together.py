"""
The lint of conditions that no token satisfies because of what else is asked of it.

What lives here: whether what a condition says of several claims, together with the issuer and the
rules that come before it, contradicts itself or a relation of the claim schema.  Not here: reading
conditions (`conjunctions`), one literal by itself (`values`), and what needs a search
(`regauth.policytests.analysis.findings`).

A denial that contradicts itself denies nothing.  One that contradicts a rule is of no use, but
harmless, if it says what the rule says.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from regauth.engine.cel.syntax.nodes import Logic, Node
from regauth.engine.issuers import ClaimSchema
from regauth.engine.languages import UncomparableError, UnsupportedPatternError
from regauth.engine.source.problems import Severity

from .conditioned import Conditioned, ExcludedClaim
from .conjunctions import Place, SaidOfClaim, said_by_rule, said_in
from .operands import written
from .subject import Condition, LintFinding

_ISSUER: Final = ("iss",)


def impossible_together(condition: Condition) -> Iterator[LintFinding]:
    """Values of several claims that no token has at once."""
    told: set[Node] = set()
    for said in _conjunctions(condition):
        found = [
            _contradiction(schema, [*_by_issuer(schema, issuer), *before], said, condition)
            for schema, issuer, before in _providers(condition)
        ]
        broken = [one for one in found if one is not None]
        if not broken or len(broken) < len(found):
            continue
        first = broken[0]
        if first.node in told:
            continue
        told.add(first.node)
        opens = condition.denial and not any(one.rules for one in broken)
        yield LintFinding(
            first.message,
            first.hint,
            first.node.start,
            first.node.end,
            Severity.ERROR if opens else Severity.WARNING,
        )


def _providers(
    condition: Condition,
) -> Iterator[tuple[ClaimSchema, str, Sequence[SaidOfClaim]]]:
    """Yield each provider's schema and issuer, and what its rules say."""
    issuers = condition.issuers or [""] * len(condition.claims)
    for schema, issuer, rules in zip(condition.claims, issuers, condition.before, strict=True):
        yield schema, issuer, [one for rule in rules for one in said_by_rule(rule)]


def _by_issuer(schema: ClaimSchema, issuer: str) -> Iterator[SaidOfClaim]:
    """Yield what `iss` is in each token; nothing where `impossible-issuer` says that it cannot."""
    claim = schema.claim(_ISSUER)
    if issuer and claim is not None and claim.values.can_equal(issuer):
        yield SaidOfClaim(_ISSUER, (Place(None, issuer=issuer),), options=(issuer,))


def _conjunctions(condition: Condition) -> Iterator[Sequence[SaidOfClaim]]:
    """Yield what the whole condition says, and what it does with each of its alternatives."""
    node = condition.program.node
    if not isinstance(node, Logic):
        yield said_in(condition, node)
    yield from _below(condition, node, ())


def _below(
    condition: Condition, node: Node, above: Sequence[SaidOfClaim]
) -> Iterator[Sequence[SaidOfClaim]]:
    if not isinstance(node, Logic):
        return
    if node.operator == "&&":
        said = [*above, *(one for part in node.operands for one in said_in(condition, part))]
        yield said
        for operand in node.operands:
            yield from _below(condition, operand, said)
        return
    for operand in node.operands:
        inner = said_in(condition, operand)
        if inner and not isinstance(operand, Logic):
            yield [*above, *inner]
        else:
            yield from _below(condition, operand, above)


@dataclass(frozen=True, slots=True)
class _Contradiction:
    message: str
    hint: str
    node: Node
    rules: tuple[str, ...]
    """The rules that take part in it."""


def _contradiction(
    schema: ClaimSchema,
    known: Sequence[SaidOfClaim],
    said: Sequence[SaidOfClaim],
    condition: Condition,
) -> _Contradiction | None:
    # A denial may repeat what a rule refuses already.
    own = {one.path for one in said} if condition.denial else set()
    before = [
        one
        for one in known
        if one.path not in own or (one.outside is None and not one.excluded and one.there)
    ]
    try:
        whole = Conditioned(schema, [*before, *said], condition).broken()
        alone = whole and Conditioned(schema, said, condition).broken()
        if whole is None or (alone is not None and _is_told(alone, condition)):
            return None
        if alone is None and Conditioned(schema, before, condition).broken() is not None:
            return None  # it is told where the rules are
    except (UncomparableError, UnsupportedPatternError):
        return None
    return _told(alone or whole)


def _told(broken: ExcludedClaim) -> _Contradiction | None:
    """Return what is told of it; None where no part of the condition takes part."""
    nodes = [one.node for one in broken.places if one.node is not None]
    if not nodes:
        return None
    rules = tuple(dict.fromkeys(one.rule for one in broken.places if one.rule))
    named = " and ".join(f"`{one}`" for one in rules)
    issuer = next((f" of {one.issuer!r}" for one in broken.places if one.issuer), "")
    who = f"no token{issuer} that the rule {named} lets in" if rules else f"no token{issuer}"
    if len(rules) > 1:
        who = f"no token{issuer} that the rules {named} let in"
    claim = written(("claims", *broken.path))
    reason = broken.reason or f"the conditions on `{claim}` exclude one another"
    hint = "correct one of the conditions, or remove it"
    if broken.coherent is not None:
        hint = f"`{'/'.join(broken.path)}` would be {broken.coherent!r}"
    return _Contradiction(f"{who} is like this: {reason}", hint, nodes[-1], rules)


def _is_told(broken: ExcludedClaim, condition: Condition) -> bool:
    """Whether `cel-constant` tells of two literals that one claim has to equal."""
    equal = condition.program.equalities.get(("claims", *broken.path))
    return not broken.reason and equal is not None and not equal
