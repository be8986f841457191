"""
Looking at a condition for each of its providers.

What lives here: which parts of a condition are about the tokens of which provider, and how a
finding says that it holds for some of them only.  Not here: the lints (`conditions`, `values`,
`choices`).

Two issuers can call different things by one name: `ref` is a whole ref at GitHub and a short name
at GitLab.  What is said of a condition must not depend on the order of the providers.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from regauth.engine.cel.syntax.nodes import (
    Binary,
    Call,
    Constant,
    Logic,
    Name,
    Node,
    path_of,
    walk,
)

from .subject import Condition, LintFinding, pinned_by
from .values import is_never_true

_SUBJECT: Final = ("claims", "sub")
_Check = Callable[[Condition], Iterator[LintFinding]]


@dataclass(frozen=True, slots=True)
class ForProviders:
    """A condition as providers with the same schema and the same rules see it."""

    condition: Condition
    names: list[str] = field(default_factory=list)


def each_provider(condition: Condition) -> Sequence[ForProviders]:
    """Return a condition once for all providers whose tokens mean the same by it."""
    if len(condition.claims) == 1:  # it is already what its one provider sees
        return [ForProviders(condition, list(condition.providers) or [""])]
    found: dict[object, ForProviders] = {}
    for at, (schema, rules) in enumerate(zip(condition.claims, condition.before, strict=True)):
        name = condition.providers[at] if condition.providers else ""
        key = (id(schema), tuple(rule.check.text for rule in rules))
        if key not in found:
            pinned = condition.pinned | pinned_by(rules)
            one = replace(condition, claims=[schema], before=[rules], issuers=(), pinned=pinned)
            found[key] = ForProviders(one)
        found[key].names.append(name)
    if len(found) == 1:
        return list(found.values())
    return [
        replace(one, condition=replace(one.condition, dead=_dead(one, condition)))
        for one in found.values()
    ]


def _dead(one: ForProviders, whole: Condition) -> frozenset[Node]:
    """Return what is never true of these providers' tokens, such as the values of another's."""
    own = one.condition
    never = {
        part
        for part, _ in own.parts
        if is_never_true(own, part) or _is_others_subject(part, own, whole)
    }

    def below(node: Node) -> bool:
        if isinstance(node, Logic):
            dead = [below(operand) for operand in node.operands]
            if any(dead) if node.operator == "&&" else all(dead):
                never.add(node)
        elif _names_other(node, one.names):
            never.add(node)
        return node in never

    below(own.program.node)
    return frozenset(never)


def _is_others_subject(part: Node, own: Condition, whole: Condition) -> bool:
    """Whether a subject begins as those of another provider do, and as none of this one's."""
    texts = [one.value for one in walk(part) if isinstance(one, Constant)]
    if path_of(_operand(part)) != _SUBJECT or not texts:
        return False
    asked = {_kind(str(text)) for text in texts}
    return asked <= _kinds(whole) and asked.isdisjoint(_kinds(own))


def _kinds(condition: Condition) -> set[str]:
    """Return what the subjects of a condition's tokens begin with, as far as it is known."""
    known = (schema.claims.get(_SUBJECT[1:]) for schema in condition.claims)
    return {_kind(str(one)) for claim in known if claim is not None for one in claim.examples}


def _operand(part: Node) -> Node:
    """Return what a comparison, or a test of a text, looks at."""
    if isinstance(part, Call) and part.target is not None:
        return part.target
    return part.left if isinstance(part, Binary) else part


def _kind(text: str) -> str:
    return re.split("[:/]", text, maxsplit=1)[0]


def _names_other(node: Node, names: Sequence[str]) -> bool:
    """Whether it asks for the tokens of a provider that is none of these."""
    match node:
        case Binary(operator="==", left=Name(name="provider"), right=Constant(value=value)):
            return value not in names
        case Binary(operator="==", left=Constant(value=value), right=Name(name="provider")):
            return value not in names
        case _:
            return False


def findings_of_each(check: _Check, all_: Sequence[ForProviders]) -> Iterator[LintFinding]:
    """Yield what a lint finds; what is found for some providers only names them."""
    found: dict[LintFinding, dict[str, list[str]]] = {}
    all_findings = [dict.fromkeys(check(one.condition)) for one in all_]
    if not any(all_findings):
        return
    for one, findings in zip(all_, all_findings, strict=True):
        for finding in findings:
            hints = found.setdefault(replace(finding, hint=""), {})
            hints.setdefault(finding.hint, []).extend(one.names)
    every = sum(len(one.names) for one in all_)
    for finding, hints in found.items():
        if sum(map(len, hints.values())) < every:
            yield _of_some(finding, hints, denial=all_[0].condition.denial)
        elif len(hints) == 1:
            yield replace(finding, hint=next(iter(hints)))
        else:
            each = sorted(f"for {_quoted(names)}, {hint}" for hint, names in hints.items())
            yield replace(finding, hint="; ".join(each))


def _of_some(
    finding: LintFinding, hints: Mapping[str, Sequence[str]], *, denial: bool
) -> LintFinding:
    names = sorted(name for some in hints.values() for name in some)
    statement = "denial" if denial else "grant"
    return replace(
        finding,
        message=f"for tokens of {_quoted(names)}: {finding.message}",
        hint=f"in a {statement} with `providers: [{', '.join(names)}]`: {'; '.join(hints)}",
    )


def _quoted(names: Sequence[str]) -> str:
    return " and ".join(f"`{name}`" for name in sorted(names))
