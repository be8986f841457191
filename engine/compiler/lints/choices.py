"""
Lints of conditions on values that others choose.

What lives here: claims that strangers choose, refs that a test leaves open, and environments that
nothing else protects.  Not here: values that no token has (`values`).

Each looks at conditions that let something through by being true.  What a denial or a negation
says of such a value takes access away, and harms nobody.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from regauth.engine.cel import Program
from regauth.engine.cel.syntax.nodes import (
    Constant,
    ListLiteral,
    Logic,
    Node,
    definition_of,
    path_of,
    walk,
)
from regauth.engine.issuers import Claim
from regauth.engine.source.problems import Severity

from .conjunctions import asked_claim, said_in
from .operands import written
from .subject import Condition, LintFinding, Path

_ANY_BRANCH: Final = "@refs/heads/"
"""What a prefix of a workflow's file ends with, or begins to, that leaves the ref open."""
_WHOLE: Final = ("refs/heads/", "refs/tags/")
_WORD: Final = 3
"""How many letters a branch's name has at least, so that a beginning looks like a whole name."""
_BESIDE_ENVIRONMENT: Final = frozenset(
    {"ref", "ref_path", "ref_type", "ref_protected", "environment_protected", "sha"}
    | {"job_workflow_ref", "workflow_ref", "job_workflow_sha", "workflow_sha", "event_name"}
)
"""Claims by which a condition asks for more than the name of an environment."""


def chosen_by_strangers(condition: Condition) -> Iterator[LintFinding]:
    """A value that people choose who have no rights in the workload."""
    for part, claim, _, _, admits in condition.tests:
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
    for part, claim, other, how, admits in condition.tests:
        if not admits or how not in ("startsWith", "contains") or not names_file(claim):
            continue
        text = other.value if isinstance(other, Constant) else None
        if not isinstance(text, str) or not _is_open(text) or _pins_commit(claim, condition):
            continue
        name = ".".join(claim.path)
        yield LintFinding(
            f"{_passing(text)}: whoever can push a branch can change the file of `{name}`",
            "compare the whole value, or go on to a protected ref, such as `@refs/tags/v`",
            part.start,
            part.end,
        )


def names_file(claim: Claim) -> bool:
    """Whether a claim's values are a file and the ref that it was read from."""
    return any(isinstance(one, str) and "@refs/" in one for one in claim.examples)


def _is_open(text: str) -> bool:
    file, sign, ref = text.partition("@")
    if sign:
        return _ANY_BRANCH.startswith(f"@{ref}")
    return any(part in file for part in (".yml", ".yaml", "/workflows/"))


def _passing(text: str) -> str:
    """Say what passes a beginning, or a part, that is open."""
    file, _, ref = text.partition("@")
    if ref.startswith("refs/h"):
        return "any branch passes"
    return "any ref passes" if ".y" in file else "other files and any ref pass"


def _pins_commit(claim: Claim, condition: Condition) -> bool:
    """Whether the commit of the same file is compared too."""
    commit = claim.path[-1].removesuffix("_ref") + "_sha"
    return ("claims", *claim.path[:-1], commit) in condition.pinned


def ambiguous_name(condition: Condition) -> Iterator[LintFinding]:
    """A name that does not say by itself what it is a name of."""
    for part, claim, other, _, admits in condition.tests:
        if not admits or claim.needs is None or not _is_literal(other):
            continue
        needed = [("claims", *path) for path in claim.needs.claims]
        if claim.needs.excuses(_texts(other)):
            continue
        if not any(path in condition.pinned | condition.named for path in needed):
            yield LintFinding(
                claim.needs.because,
                f"compare `{written(needed[0])}` too",
                part.start,
                part.end,
            )


def unverified_value(condition: Condition) -> Iterator[LintFinding]:
    """A value that the issuer also puts into tokens before it knows that it is true."""
    read = condition.pinned | condition.named
    for part, claim, _, _, admits in condition.tests:
        if not admits or not claim.verified_by:
            continue
        verified = ("claims", *claim.path[:-1], claim.verified_by)
        twin = ("claims", *claim.path[:-1], claim.twin)
        if twin in read or (verified in read and not _is_only_asked(verified, condition)):
            continue
        asked = written(verified)
        instead = f", or compare `{written(twin)}` instead" if claim.twin else ""
        yield LintFinding(
            f"`{written(('claims', *claim.path))}` proves nothing unless `{asked}` is true",
            f"ask for `{asked}` too{instead}",
            part.start,
            part.end,
        )


def _is_only_asked(path: Path, condition: Condition) -> bool:
    """Whether it is asked that a claim is there, and never which value it has."""
    rules = [rule.check for rules in condition.before for rule in rules]
    nodes = [node for one in (condition.program, *rules) for node in _nodes(one)]
    return any(asked_claim(node) == path[1:] for node in nodes) and not any(
        path_of(node) == path for node in nodes
    )


def _nodes(program: Program) -> Iterator[Node]:
    """Yield the parts of an expression, those of the definitions that it uses included."""
    for node in walk(program.node):
        yield node
        name = definition_of(node)
        if name is not None and name in program.definitions:
            yield from _nodes(program.definitions[name])


def loose_ref(condition: Condition) -> Iterator[LintFinding]:
    """A part of a ref's name: others can have branches and tags whose names hold it."""
    for part, claim, other, how, admits in condition.tests:
        text = other.value if isinstance(other, Constant) else None
        if not admits or not isinstance(text, str):
            continue
        if how == "startsWith" and _ends_in_branch(text, claim, condition):
            example, hint = f"{text}-x", "end it with `/` or `-`, or compare the whole with `==`"
        elif how in ("contains", "endsWith") and is_ref(claim) and _can(claim, how, text):
            example = f"x-{text}-y" if how == "contains" else f"x{text}"
            if text.startswith("refs/"):  # a branch can be called so
                example = f"refs/heads/{text}"
            hint = "compare the whole ref with `==`, or its beginning with `startsWith`"
        else:
            continue
        yield LintFinding(
            f"whoever can push can name a branch so that this is true, such as {example!r}",
            hint,
            part.start,
            part.end,
        )


def _can(claim: Claim, how: str, text: str) -> bool:
    values = claim.values
    return values.can_contain(text) if how == "contains" else values.can_end_with(text)


def _ends_in_branch(text: str, claim: Claim, condition: Condition) -> bool:
    """Whether a beginning ends with what is a branch's whole name: `refs/heads/main`."""
    if names_file(claim):
        name = text.partition("@refs/heads/")[2]
    elif is_ref(claim):
        is_whole = text.startswith("refs/")
        tagged = ("claims", *claim.path[:-1], "ref_type") in condition.pinned
        name = text.removeprefix("refs/heads/") if text.startswith("refs/heads/") else ""
        if not is_whole and not tagged:
            name = text
    else:
        return False
    word = name.rpartition("/")[2]
    return len(word) >= _WORD and word.isalpha()


def short_name(condition: Condition) -> Iterator[LintFinding]:
    """A whole ref where the claim has the name alone."""
    for part, claim, other, how, admits in condition.tests:
        items = other.items if isinstance(other, ListLiteral) else (other,)
        texts = [one.value for one in items if isinstance(one, Constant)]
        if admits is None or how not in ("==", "in", "startsWith") or not _is_short(claim):
            continue
        for text in texts:
            if isinstance(text, str) and text.startswith(_WHOLE):
                name = text.split("/", 2)[2]
                if name in texts:
                    continue  # both are asked for, as of the tokens of two issuers
                yield LintFinding(
                    f"`{written(('claims', *claim.path))}` is the name of a branch or tag alone: "
                    f"it begins with {text[: len(text) - len(name)]!r} only if its name does",
                    f"did you mean {name!r}?" if name else "leave it out",
                    part.start,
                    part.end,
                    Severity.ERROR if condition.denial else Severity.WARNING,
                )


def _is_short(claim: Claim) -> bool:
    examples = [one for one in claim.examples if isinstance(one, str) and one]
    return (
        is_ref(claim)
        and not any(one.startswith("refs/") for one in examples)
        and claim.values.can_start_with("refs/heads/")
    )


def loose_subject(condition: Condition) -> Iterator[LintFinding]:
    """A part of a text that says whose the token is: others can have it at another place."""
    for part, claim, other, how, admits in condition.tests:
        text = other.value if isinstance(other, Constant) else None
        if not admits or claim.composed is not None or not isinstance(text, str):
            continue
        is_subject = claim.path == ("sub",) and how in ("contains", "endsWith")
        if is_subject or (claim.path[-1] == "email" and how == "contains"):
            name = written(("claims", *claim.path))
            yield LintFinding(
                f"`{name}` can have {text!r} at another place than you expect",
                "compare the whole text with `==`, or its beginning with `startsWith`",
                part.start,
                part.end,
            )


def absent_passes(condition: Condition) -> Iterator[LintFinding]:
    """A claim that is asked for a value only where it is there: without it, everything passes."""
    for operands in _alternatives(condition.program.node):
        absent = {
            said.path: operand
            for operand in operands
            for said in said_in(condition, operand)
            if not said.there
        }
        if not condition.admits or not absent:
            continue
        for operand in operands:
            for said in said_in(condition, operand):
                asks = said.inside is not None or any(said.options or ())
                node = absent.get(said.path)
                if node is not None and said.there and asks:
                    name = written(("claims", *said.path))
                    yield LintFinding(
                        f"a token without `{name}` passes, whatever the claim has to be otherwise",
                        f"ask for the claim: `{_asked(said.path)} && ...`",
                        node.start,
                        node.end,
                    )


def _alternatives(node: Node) -> Iterator[tuple[Node, ...]]:
    """Yield the operands of each `||` that is not negated."""
    if isinstance(node, Logic):
        if node.operator == "||":
            yield node.operands
        for operand in node.operands:
            yield from _alternatives(operand)


def _asked(path: Path) -> str:
    inner = written(("claims", *path))
    if path[-1].isidentifier():
        return f"has({inner})"
    return f'"{path[-1]}" in {written(("claims", *path[:-1]))}'


def is_ref(claim: Claim) -> bool:
    """Whether a claim's values are refs, or names of branches or tags, that somebody chooses."""
    beginnings = ("refs/heads/", "main")
    return claim.chosen_by in ("anybody", "strangers", "owner") and any(
        isinstance(one, str) and one.startswith(beginnings) for one in claim.examples
    )


def unprotected_environment(condition: Condition) -> Iterator[LintFinding]:
    """The name of an environment, which says nothing of who may use it."""
    for part, claim, other, _, admits in condition.tests:
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


def _texts(node: Node) -> list[str]:
    items = node.items if isinstance(node, ListLiteral) else (node,)
    return [str(one.value) for one in items if isinstance(one, Constant)]


def _is_literal(node: Node) -> bool:
    return isinstance(node, Constant | ListLiteral) and path_of(node) is None


CHOICE_LINTS: Final[Mapping[str, Callable[[Condition], Iterator[LintFinding]]]] = {
    "chosen-by-strangers": chosen_by_strangers,
    "open-ref": open_ref,
    "loose-ref": loose_ref,
    "short-name": short_name,
    "loose-subject": loose_subject,
    "absent-passes": absent_passes,
    "ambiguous-name": ambiguous_name,
    "unverified-value": unverified_value,
    "unprotected-environment": unprotected_environment,
}
