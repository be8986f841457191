"""
Lints of work that strangers bring about: events of their making, and builds of forks.

What lives here: values that strangers can cause, and grants that no claim keeps from builds of
forks.  Not here: which values and claims these are, which claim schemas say (`issuers.claims`); and
claims whose value strangers choose (`choices`).
"""

from collections.abc import Iterator
from typing import Final

from regauth.engine import languages
from regauth.engine.cel.syntax.nodes import Binary, Call, Constant, ListLiteral, Node
from regauth.engine.issuers import ByStrangers, Claim, Forks
from regauth.engine.issuers.values import language_of
from regauth.engine.languages import UncomparableError
from regauth.engine.policy.policy import Grant, Policy, Provider

from .conjunctions import Facts, said_by, said_by_rule, said_in
from .narrowing import ways
from .operands import written
from .subject import CHANGING, Condition, LintFinding, named_by

_MAX_NAMED: Final = 3
"""How many other values a hint names."""


def caused_by_strangers(condition: Condition) -> Iterator[LintFinding]:
    """A value that people can bring about who have no rights in the workload."""
    for part, admits in condition.parts:
        if not admits:
            continue
        for operand, text in _admitted(part):
            claim = condition.claim(operand)
            if claim is None or claim.by_strangers is None:
                continue
            if _is_caused(part, text, claim.by_strangers):
                yield LintFinding(
                    f"strangers can cause {text!r}: {claim.by_strangers.because}",
                    _others(claim, claim.by_strangers),
                    part.start,
                    part.end,
                )
                break

    yield from _left_open(condition)


def _left_open(condition: Condition) -> Iterator[LintFinding]:
    """Yield each value that is excluded while another, which begins so, is not: strangers' own."""
    if condition.admits is not True:
        return
    said = said_in(condition, condition.program.node)
    for one in said:
        for schema, rules in zip(condition.claims, condition.before, strict=True):
            claim = schema.claims.get(one.path)
            if one.outside is None or claim is None or claim.by_strangers is None:
                continue
            rest = [*said, *(it for rule in rules for it in said_by_rule(rule))]
            facts = Facts(claim, [it for it in rest if it.path == one.path])
            try:
                found = list(_left(claim, claim.by_strangers, facts))
            except UncomparableError:
                continue
            for excluded, left in found:
                node = one.places[0].node
                if excluded in one.outside and node is not None:
                    yield LintFinding(
                        f"this lets {left!r} through: {claim.by_strangers.because}",
                        f"exclude {left!r} too, or say which values you admit",
                        node.start,
                        node.end,
                    )


def _left(claim: Claim, known: ByStrangers, facts: Facts) -> Iterator[tuple[str, str]]:
    """Yield values that are excluded, each with one of strangers that is not and begins so."""
    if facts.options is not None or any(one.inside is not None for one in facts.said):
        return
    values = [one for one in claim.values.enum if isinstance(one, str)]
    open_ = [one for one in values if facts.can_be_in(languages.literals([one]))]
    for excluded in values:
        if excluded in open_ or known.values.can_equal(excluded):
            continue
        for left in open_:
            if left.startswith(f"{excluded}_") and known.values.can_equal(left):
                yield excluded, left


def _admitted(part: Node) -> Iterator[tuple[Node, str]]:
    """Yield each operand with a literal that makes the part of a condition true."""
    if isinstance(part, Binary) and part.operator in ("==", "in"):
        for side, other in ((part.left, part.right), (part.right, part.left)):
            for one in other.items if isinstance(other, ListLiteral) else (other,):
                if isinstance(one, Constant) and isinstance(one.value, str):
                    yield side, one.value
    elif isinstance(part, Call) and part.target is not None and part.arguments:
        literal = part.arguments[0]
        if isinstance(literal, Constant) and isinstance(literal.value, str):
            yield part.target, literal.value


def _is_caused(part: Node, text: str, known: ByStrangers) -> bool:
    """Whether every value that makes the part true is one that strangers can cause."""
    if not isinstance(part, Call):
        return known.values.can_equal(text)
    if part.function not in ("startsWith", "matches"):
        return False
    asked = language_of(text) if part.function == "matches" else languages.prefixed(text)
    try:
        return asked is not None and languages.find_outside(asked, known.values.language) is None
    except UncomparableError:
        return False


def _others(claim: Claim, known: ByStrangers) -> str:
    examples = [
        f"`{one}`"
        for one in claim.examples
        if isinstance(one, str) and one and not known.values.can_equal(one)
    ]
    return f"admit other values, such as {', '.join(examples[:_MAX_NAMED])}"


def fork_builds(policy: Policy) -> Iterator[tuple[Grant, LintFinding]]:
    """A grant to change images that a build of a fork can use, where forks are built."""
    for grant in policy.grants:
        if not grant.actions & CHANGING:
            continue
        for provider in policy.providers.values():
            forks = provider.claims.forks
            applies = grant.providers is None or provider.name in grant.providers
            if not applies or forks is None:
                continue
            if hint := _open_to(forks, grant, provider):
                yield (
                    grant,
                    LintFinding(
                        f"{forks.when}, such a build can use this grant as `{provider.name}`",
                        f"{hint}, or silence this and say why forks get no tokens",
                    ),
                )
                break


def _open_to(forks: Forks, grant: Grant, provider: Provider) -> str:
    """Return what to compare, where builds of forks can use a grant; "" where they cannot."""
    read = set(named_by(grant) if grant.when is None else grant.when.paths | named_by(grant))
    for rule in provider.rules:
        read |= rule.check.paths
    shown = any(("claims", *path) in read for path in forks.shown_by)
    hidden = any(("claims", *path) in read for path in forks.hidden_by)
    claim = written(("claims", *forks.shown_by[0]))
    if not shown and (hidden or not forks.hidden_by):
        return f"compare `{claim}` too"
    if not hidden and _asks_for_proposed(forks, grant):
        return f"compare `{claim}` with `{written(('claims', *forks.hidden_by[0]))}`"
    return ""


def _asks_for_proposed(forks: Forks, grant: Grant) -> bool:
    """Whether a grant asks by name for builds of what somebody proposes."""
    if grant.when is None or not forks.asked_by or not forks.hidden_by:
        return False
    values = dict(forks.asked_by)
    return any(
        one in values.get(said.path, ())
        for nodes in ways(grant.when.node)
        for node in nodes
        for said in said_by(node, grant.when.definitions)
        for one in said.options or ()
    )
