"""
Lints of CEL conditions, wherever in a policy they stand.

What lives here: one small function for each code.  What must not: finding the conditions.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from ..cel.nodes import Binary, Call, Constant, ListLiteral, Logic, Node, Unary, path_of, walk
from ..claims import Claim
from .subject import Condition, Finding, Path


def _literals(node: Node) -> list[str]:
    """Return the strings of a literal or a list of them; nothing for anything else."""
    if isinstance(node, Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ListLiteral):
        texts = [text for item in node.items for text in _literals(item)]
        return texts if len(texts) == len(node.items) else []
    return []


def _comparisons(node: Node) -> Iterator[tuple[Node, list[str], Binary]]:
    """Return each `x == "literal"` and `x in ["literal"]`, either way round."""
    for part in walk(node):
        if isinstance(part, Binary) and part.operator in ("==", "in"):
            if texts := _literals(part.right):
                yield part.left, texts, part
            elif part.operator == "==" and (texts := _literals(part.left)):
                yield part.right, texts, part


def _tests(node: Node, *names: str) -> Iterator[tuple[Node, str, Call]]:
    """Return each `x.startsWith("literal")` and the like."""
    for part in walk(node):
        if isinstance(part, Call) and part.function in names and part.target is not None:
            for text in _literals(part.arguments[0]) if part.arguments else ():
                yield part.target, text, part


def mutable_name(condition: Condition) -> Iterator[Finding]:
    """A name that can come to belong to somebody else decides, and its id does not."""
    for operand, texts, part in _comparisons(condition.program.node):
        claim = condition.claim(operand)
        if claim is None or not claim.twin.endswith("_id") or _is_pinned(claim, condition):
            continue
        what = ".".join(claim.path)
        twin = ".".join((*claim.path[:-1], claim.twin))
        yield Finding(
            f"`{what}` is a name: it can be given up and taken by somebody else",
            f"compare `claims.{twin}` too, which never changes hands "
            f"(for {texts[0]!r} look it up once)",
            part.start,
            part.end,
        )


def _is_pinned(claim: Claim, condition: Condition) -> bool:
    """Whether the claim's twin, or that of what its name is unique within, is compared too."""
    seen: set[Path] = set()
    at: Claim | None = claim
    while at is not None and at.path not in seen:
        seen.add(at.path)
        twin = ("claims", *at.path[:-1], at.twin)
        if at.twin and twin in condition.pinned:
            return True
        inner: Path = (*at.path[:-1], at.within)
        found = (schema.claims.get(inner) for schema in condition.claims)
        at = next((one for one in found if one is not None), None) if at.within else None
    return False


def subject_text(condition: Condition) -> Iterator[Finding]:
    """GitHub's `sub` compared as text: its form depends on when the repository was made."""
    if not any(schema.name == "github-actions" for schema in condition.claims):
        return
    node = condition.program.node
    found = [(operand, part) for operand, _, part in _comparisons(node)]
    tests = ("startsWith", "endsWith", "contains", "matches")
    found += [(operand, part) for operand, _, part in _tests(node, *tests)]  # type: ignore[misc]
    for operand, part in found:
        if path_of(operand) == ("claims", "sub"):
            yield Finding(
                "GitHub writes `sub` in two forms, with names or with names and ids",
                "compare `claims.repository_id`, `claims.ref` and `claims.environment` instead",
                part.start,
                part.end,
            )


def open_prefix(condition: Condition) -> Iterator[Finding]:
    """A prefix that ends in the middle of a name: `acme` is also the beginning of `acme-evil`."""
    for operand, text, part in _tests(condition.program.node, "startsWith"):
        claim = condition.claim(operand)
        if claim is None or not text[-1:].isalnum():
            continue
        if claim.twin or claim.path == ("sub",):
            yield Finding(
                f"names that only begin with {text!r} pass too, such as {text + '-evil'!r}",
                f"end it with the separator: {text + '/'!r}, or compare the whole with ==",
                part.start,
                part.end,
            )


def unanchored_matches(condition: Condition) -> Iterator[Finding]:
    """A regular expression that a part of the text satisfies."""
    for _, text, part in _tests(condition.program.node, "matches"):
        if not _is_anchored(text):
            yield Finding(
                "`matches` is satisfied by any part of the text",
                f"anchor the whole pattern: {'^(?:' + text.strip('^$') + ')$'!r}",
                part.start,
                part.end,
            )


def _is_anchored(pattern: str) -> bool:
    """Whether a pattern begins and ends at the text's ends, in each of its alternatives."""
    text = re.sub(r"\\.|\[\^?\]?[^]]*\]", "x", pattern)  # escapes and classes hide no anchors
    starts = pattern.startswith(("^", r"\A"))
    ends = (pattern.endswith("$") and not pattern.endswith(r"\$")) or pattern.endswith(r"\z")
    depth = 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == "|" and depth == 0:
            return False
    return starts and ends


def pull_request_target(condition: Condition) -> Iterator[Finding]:
    """The event in which a stranger's pull request runs with the repository's own rights."""
    if condition.denial:
        return
    for part in _positive(condition.program.node):
        for operand, texts, found in _comparisons_at(part):
            if path_of(operand) == ("claims", "event_name") and "pull_request_target" in texts:
                yield Finding(
                    "`pull_request_target` runs on behalf of strangers' pull requests, "
                    "with this repository's identity",
                    "admit `push`, `release` or `workflow_dispatch` instead",
                    found.start,
                    found.end,
                )


def _positive(node: Node) -> Iterator[Node]:
    """Return the parts that make an expression true by being true."""
    if isinstance(node, Logic):
        for operand in node.operands:
            yield from _positive(operand)
    elif not (isinstance(node, Unary) and node.operator == "!"):
        yield node


def _comparisons_at(node: Node) -> Iterator[tuple[Node, list[str], Binary]]:
    if isinstance(node, Binary):
        yield from _comparisons(node)


def legacy_kubernetes_claim(condition: Condition) -> Iterator[Finding]:
    """A claim of the tokens that Kubernetes kept in Secrets until 1.24."""
    for part in walk(condition.program.node):
        path = path_of(part) or ()
        if any(name.startswith("kubernetes.io/serviceaccount/") for name in path[1:2]):
            yield Finding(
                f"`{path[1]}` is a claim of the old tokens in Secrets; "
                "those of TokenRequest do not have it",
                'read `claims["kubernetes.io"].namespace` and `.serviceaccount.name`',
                part.start,
                part.end,
            )


def never_true(condition: Condition) -> Iterator[Finding]:
    """One claim compared with two different values, both of which must be equal to it."""
    for part in walk(condition.program.node):
        if not isinstance(part, Logic) or part.operator != "&&":
            continue
        wanted: dict[Path, set[str]] = {}
        for operand in part.operands:
            for left, texts, found in _comparisons_at(operand):
                path = path_of(left)
                if path is None:
                    continue
                both = wanted.get(path, set(texts)) & set(texts)
                if not both:
                    yield Finding(
                        f"`{'.'.join(path)}` cannot have both values: this is never true",
                        "join the two with ||, or write `in [...]`",
                        found.start,
                        found.end,
                    )
                wanted[path] = both


CONDITION_LINTS: Final[Mapping[str, Callable[[Condition], Iterator[Finding]]]] = {
    "mutable-name": mutable_name,
    "subject-text": subject_text,
    "open-prefix": open_prefix,
    "unanchored-matches": unanchored_matches,
    "pull-request-target": pull_request_target,
    "legacy-kubernetes-claim": legacy_kubernetes_claim,
    "never-true": never_true,
}
