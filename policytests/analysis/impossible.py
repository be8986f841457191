"""
Impossible outcomes: what no possible token makes of a condition.

What lives here: an outcome of a part of a condition as a question to the prover.  Not here: the
prover (`regauth.policytests.proofs`), and which outcomes nobody has seen (`coverage`).

The question is about two policies that differ in this condition alone.  Where the first gives
nobody an access that the second does not, no token shows the outcome.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from msgspec import structs

from regauth.engine.cel import BOOL, Node, Program, unparse
from regauth.engine.cel.evaluation.program import make
from regauth.engine.cel.syntax.nodes import Conditional, Constant, Logic, Unary
from regauth.engine.policy.patterns.names import Pattern, Wildcard
from regauth.engine.policy.policy import Grant, Policy, Provider, Rule
from regauth.engine.source.problems import Location

from .parts import ERROR, TRUE
from .possible import shows_nothing

STEPS: Final = 1_000_000
"""Steps of the solver for one outcome and one direction."""

MAX_QUESTIONS: Final = 200
"""Outcomes of one policy that the prover is asked about."""

_EVERYTHING: Final = Pattern("**", (Wildcard.REST,))


@dataclass(slots=True)
class Impossible:
    """Asks which outcomes no possible token shows."""

    policy: Policy
    left: int = MAX_QUESTIONS

    def part(self, kind: str, name: str, program: Program, node: Node, outcome: str) -> bool:
        """Tell whether it is proved that a part of a condition never has an outcome."""
        negated = Unary(node.start, node.end, "!", node)
        if outcome == ERROR:
            always = Constant(node.start, node.end, value=True)
            return self._ask(kind, name, program, [always], [node, negated])
        return self._ask(kind, name, program, [node if outcome == TRUE else negated], [])

    def decides(self, kind: str, name: str, program: Program, node: Node, outcome: str) -> bool:
        """Tell whether it is proved that a part with an outcome never decides the whole alone."""
        part = node if outcome == TRUE else Unary(node.start, node.end, "!", node)
        one, other = (_both(part, _with(program.node, node, value)) for value in (True, False))
        return self._ask(kind, name, program, [one], [other]) and self._ask(
            kind, name, program, [other], [one]
        )

    def _ask(
        self, kind: str, name: str, program: Program, new: list[Node], bound: list[Node]
    ) -> bool:
        if self.left <= 0 or (kind == "definition" and "scope" in program.variables):
            return False
        self.left -= 1
        policies = [
            self._policy_of(kind, name, [_program(program, node) for node in nodes])
            for nodes in (new, bound)
        ]
        if policies[0] is None or policies[1] is None:
            return False
        return shows_nothing(policies[0], policies[1], STEPS)

    def _policy_of(self, kind: str, name: str, conditions: list[Program]) -> Policy | None:
        """Return the policy that gives something where one of the conditions is true."""
        policy = replace(self.policy, denials=(), anonymous=None)
        if kind == "rule":
            providers = dict(_ruled(policy, name, conditions))
            return replace(policy, providers=providers, grants=(self._grant(None),))
        if kind == "definition":
            free = {one: replace(its, rules=()) for one, its in policy.providers.items()}
            grants = tuple(self._grant(condition) for condition in conditions)
            return replace(policy, providers=free, grants=grants)
        for statement in (*self.policy.grants, *self.policy.denials):
            if statement.name == name:
                grants = tuple(
                    Grant(
                        f"{name}~{number}",
                        statement.providers,
                        statement.services,
                        condition,
                        statement.patterns,
                        statement.actions,
                        statement.catalog,
                        statement.class_,
                        None,
                        statement.location,
                        statement.tags,
                    )
                    for number, condition in enumerate(conditions)
                )
                return replace(policy, grants=grants)
        return None

    def _grant(self, when: Program | None) -> Grant:
        services = self.policy.services
        actions = frozenset({"pull"})
        return Grant(
            *("~", None, services, when, (_EVERYTHING,), actions, False, "", None, Location(""))
        )


def _ruled(policy: Policy, rule: str, conditions: list[Program]) -> Iterator[tuple[str, Provider]]:
    """Yield the providers with a rule, the conditions in its place and no rule behind it."""
    for name, provider in policy.providers.items():
        before: list[Rule] = []
        for one in provider.rules:
            if one.name == rule:
                false = Constant(0, 0, value=False)
                whole = conditions[0] if conditions else _program(one.check, false)
                if len(conditions) > 1:
                    nodes = tuple(condition.node for condition in conditions)
                    whole = _program(one.check, Logic(0, 0, "||", nodes))
                yield name, replace(provider, rules=(*before, replace(one, check=whole)))
                break
            before.append(one)


def _program(program: Program, node: Node) -> Program:
    return make(unparse(node), node, BOOL, program.definitions)


def _both(one: Node, other: Node) -> Node:
    return Logic(one.start, one.end, "&&", (one, other))


def _with(root: Node, part: Node, value: bool) -> Node:  # noqa: FBT001 - a value
    """Return a condition in which a part has a value."""
    if root is part:
        return Constant(part.start, part.end, value=value)
    match root:
        case Logic():
            operands = tuple(_with(one, part, value) for one in root.operands)
            return structs.replace(root, operands=operands)
        case Unary(operator="!"):
            return structs.replace(root, operand=_with(root.operand, part, value))
        case Conditional():
            test, yes, no = (_with(one, part, value) for one in (root.test, root.yes, root.no))
            return structs.replace(root, test=test, yes=yes, no=no)
        case _:
            return root
