"""
Lints of conditions on values that others choose.

What lives here: claims that strangers choose, refs that a test leaves open, and environments that
nothing else protects.  Not here: values that no token has (`values`).

Each looks at conditions that let something through by being true.  What a denial or a negation
says of such a value takes access away, and harms nobody.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from regauth.engine.cel.syntax.nodes import Binary, Call, Constant, ListLiteral, Node, path_of
from regauth.engine.issuers import Claim

from .operands import written
from .subject import Condition, LintFinding

_TESTS: Final = frozenset({"startsWith", "endsWith", "contains", "matches"})
_OPEN_ENDS: Final = ("@", "@refs/", "@refs/heads/")
"""What a prefix of a workflow's file may end with and leave the choice of the ref open."""
_BESIDE_ENVIRONMENT: Final = frozenset(
    {"ref", "ref_path", "ref_type", "ref_protected", "environment_protected", "sha"}
    | {"job_workflow_ref", "workflow_ref", "job_workflow_sha", "workflow_sha", "event_name"}
)
"""Claims by which a condition asks for more than the name of an environment."""


def _compared(condition: Condition) -> Iterator[tuple[Node, Claim, Node, str, bool | None]]:
    """Yield each test of a claim: the part, the claim, its other side, how, and what it admits."""
    for part, admits in condition.parts():
        if isinstance(part, Binary) and part.operator in ("==", "in"):
            for side, other in ((part.left, part.right), (part.right, part.left)):
                claim = condition.claim(side)
                if claim is not None:
                    yield part, claim, other, part.operator, admits
                    break
        elif isinstance(part, Call) and part.function in _TESTS and part.target is not None:
            claim = condition.claim(part.target)
            if claim is not None and part.arguments:
                yield part, claim, part.arguments[0], part.function, admits


def chosen_by_strangers(condition: Condition) -> Iterator[LintFinding]:
    """A value that people choose who have no rights in the workload."""
    for part, claim, _, _, admits in _compared(condition):
        if admits and claim.chosen_by == "strangers":
            name = ".".join(claim.path)
            yield LintFinding(
                f"strangers choose `{name}`: it does not say who sent the token",
                "ask for a claim that the issuer or the owner of the workload sets",
                part.start,
                part.end,
            )


def open_ref(condition: Condition) -> Iterator[LintFinding]:
    """A test of a workflow's file that any ref of its repository passes."""
    for part, claim, other, how, admits in _compared(condition):
        if not admits or how not in ("startsWith", "contains") or not _names_file(claim):
            continue
        text = other.value if isinstance(other, Constant) else None
        if not isinstance(text, str) or not _is_open(text) or _pins_commit(claim, condition):
            continue
        name = ".".join(claim.path)
        yield LintFinding(
            f"any ref passes: whoever can push a branch can change the file of `{name}`",
            "compare the whole value, or go on to a protected ref, such as `@refs/tags/v`",
            part.start,
            part.end,
        )


def _names_file(claim: Claim) -> bool:
    """Whether a claim's values are a file and the ref that it was read from."""
    return any(isinstance(one, str) and "@refs/" in one for one in claim.examples)


def _is_open(text: str) -> bool:
    file, sign, ref = text.partition("@")
    if sign:
        return f"@{ref}" in _OPEN_ENDS
    return any(part in file for part in (".yml", ".yaml", "/workflows/"))


def _pins_commit(claim: Claim, condition: Condition) -> bool:
    """Whether the commit of the same file is compared too."""
    commit = claim.path[-1].removesuffix("_ref") + "_sha"
    return ("claims", *claim.path[:-1], commit) in condition.pinned


def ambiguous_name(condition: Condition) -> Iterator[LintFinding]:
    """A name that does not say by itself what it is a name of."""
    for part, claim, other, _, admits in _compared(condition):
        if not admits or claim.needs is None or not _is_literal(other):
            continue
        needed = [("claims", *path) for path in claim.needs.claims]
        if not any(path in condition.pinned | condition.named for path in needed):
            yield LintFinding(
                claim.needs.because,
                f"compare `{written(needed[0])}` too",
                part.start,
                part.end,
            )


def loose_ref(condition: Condition) -> Iterator[LintFinding]:
    """A part of a ref's name: others can have branches and tags whose names hold it."""
    for part, claim, other, how, admits in _compared(condition):
        if not admits or how not in ("contains", "endsWith") or not _is_ref(claim):
            continue
        text = other.value if isinstance(other, Constant) else ""
        if isinstance(text, str) and text.startswith("refs/"):
            continue
        example = f"x-{text}-y" if how == "contains" else f"x{text}"
        yield LintFinding(
            f"whoever can push can name a branch so that this is true, such as {example!r}",
            "compare the whole ref with `==`, or its beginning with `startsWith`",
            part.start,
            part.end,
        )


def _is_ref(claim: Claim) -> bool:
    beginnings = ("refs/heads/", "main")
    return claim.chosen_by in ("anybody", "strangers", "owner") and any(
        isinstance(one, str) and one.startswith(beginnings) for one in claim.examples
    )


def unprotected_environment(condition: Condition) -> Iterator[LintFinding]:
    """The name of an environment, which says nothing of who may use it."""
    for part, claim, other, _, admits in _compared(condition):
        if not admits or claim.path != ("environment",) or not _is_literal(other):
            continue
        beside = {path[1] for path in condition.pinned if path[:1] == ("claims",) and path[1:]}
        if not beside & _BESIDE_ENVIRONMENT:
            yield LintFinding(
                "only the protection rules of this environment say which branches may use it, "
                "and a token does not show them",
                "ask for the ref too, or silence this with where the rules are",
                part.start,
                part.end,
            )


def _is_literal(node: Node) -> bool:
    return isinstance(node, Constant | ListLiteral) and path_of(node) is None


CHOICE_LINTS: Final[Mapping[str, Callable[[Condition], Iterator[LintFinding]]]] = {
    "chosen-by-strangers": chosen_by_strangers,
    "open-ref": open_ref,
    "loose-ref": loose_ref,
    "ambiguous-name": ambiguous_name,
    "unprotected-environment": unprotected_environment,
}
