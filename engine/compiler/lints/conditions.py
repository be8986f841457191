"""
Lints of CEL conditions, wherever in a policy they stand.

What lives here: one small function for each code.  Not here: finding the conditions of a policy
(`regauth.engine.compiler.lints`).
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from regauth.engine.cel.syntax.analysis import references
from regauth.engine.cel.syntax.nodes import (
    Binary,
    Call,
    Constant,
    ListLiteral,
    Logic,
    Node,
    Unary,
    path_of,
    walk,
)
from regauth.engine.issuers import MOVED, Claim
from regauth.engine.source.nearest import did_you_mean

from .choices import is_ref, names_file
from .conjunctions import asked_claim
from .operands import written
from .subject import Condition, LintFinding, Path

_MAX_QUOTED: Final = 60
"""Characters of a part of an expression in a message."""


def _literals(node: Node) -> list[str]:
    """Return the strings of a literal or a list of them; nothing for anything else."""
    if isinstance(node, Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ListLiteral):
        texts = [text for item in node.items for text in _literals(item)]
        return texts if len(texts) == len(node.items) else []
    return []


def _comparisons(
    condition: Condition,
) -> Iterator[tuple[Node, list[str], Binary, bool | None]]:
    """Return each `x == "literal"` and `x in ["literal"]`, and whether it admits by being true."""
    for part, admits in condition.parts:
        if isinstance(part, Binary) and part.operator in ("==", "in"):
            if texts := _literals(part.right):
                yield part.left, texts, part, admits
            elif part.operator == "==" and (texts := _literals(part.left)):
                yield part.right, texts, part, admits


def _tests(condition: Condition, *names: str) -> Iterator[tuple[Node, str, Call, bool | None]]:
    """Return each `x.startsWith("literal")` and the like, and whether it admits by being true."""
    for part, admits in condition.calls:
        if part.function in names and part.target is not None:
            for text in _literals(part.arguments[0]) if part.arguments else ():
                yield part.target, text, part, admits


def mutable_name(condition: Condition) -> Iterator[LintFinding]:
    """A name that can change hands decides, and its id does not."""
    yield from _mutable_beginnings(condition)
    for operand, texts, part, admits in _comparisons(condition):
        claim = condition.claim(operand)
        if claim is None or not (admits or condition.denial):
            continue
        if not _is_taken_by_strangers(claim, condition):
            continue
        what = ".".join(claim.path)
        twin = ".".join((*claim.path[:-1], claim.twin))
        yield LintFinding(
            f"`{what}` is a name: it can be given up and taken by somebody else",
            f"compare `claims.{twin}` too, which never changes hands "
            f"(for {texts[0]!r} look it up once)",
            part.start,
            part.end,
        )


def _mutable_beginnings(condition: Condition) -> Iterator[LintFinding]:
    """What begins with a name that can change hands, such as the owner in OWNER/NAME."""
    for operand, text, part, admits in _tests(condition, "startsWith"):
        claim = condition.claim(operand)
        outer = None if claim is None else _outer(claim, condition)
        if claim is None or outer is None or not text.endswith("/"):
            continue
        if (admits or condition.denial) and _is_taken_by_strangers(claim, condition):
            what = text.removesuffix("/")
            twin = ".".join((*outer.path[:-1], outer.twin))
            yield LintFinding(
                f"{what!r} is a name: it can be given up and taken by somebody else",
                f"compare `claims.{twin}` too, which never changes hands "
                f"(for {what!r} look it up once)",
                part.start,
                part.end,
            )


def _outer(claim: Claim, condition: Condition) -> Claim | None:
    """Return the claim of what a name is unique within, if it has an id."""
    path = (*claim.path[:-1], claim.within)
    found = (schema.claims.get(path) for schema in condition.claims)
    return next((one for one in found if one is not None and one.twin), None)


def _is_taken_by_strangers(claim: Claim, condition: Condition) -> bool:
    """Whether a name can change hands, and no other claim in the condition would show it."""
    return claim.whole and claim.twin.endswith("_id") and not _is_pinned(claim, condition)


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


def subject_text(condition: Condition) -> Iterator[LintFinding]:
    """A text that is made of other claims, compared as text: usually `sub`."""
    tests = ("startsWith", "endsWith", "contains", "matches")
    found: list[tuple[Node, list[str], Node]] = [
        *((operand, texts, part) for operand, texts, part, _ in _comparisons(condition)),
        *((operand, [text], part) for operand, text, part, _ in _tests(condition, *tests)),
    ]
    for operand, texts, part in found:
        claim = condition.claim(operand)
        composed = None if claim is None else claim.composed
        if composed is None or not any(
            one.removeprefix("^").startswith(composed.beginning) for one in texts
        ):
            continue
        instead = [f"`{written(('claims', one))}`" for one in composed.claims]
        first = f"{', '.join(instead[:-1])} and " if instead[1:] else ""
        yield LintFinding(
            composed.because,
            f"compare {first}{instead[-1]} instead",
            part.start,
            part.end,
        )


def open_prefix(condition: Condition) -> Iterator[LintFinding]:
    """A prefix that ends in the middle of a name: `acme` is also a prefix of `acme-evil`."""
    for operand, text, part, admits in _tests(condition, "startsWith"):
        claim = condition.claim(operand)
        if claim is None or not admits or not text[-1:].isalnum():
            continue
        if claim.path == ("sub",) or _is_cut(claim, text, condition):
            yield LintFinding(
                f"names that only begin with {text!r} pass too, such as {_longer(text, claim)!r}",
                "end it with the separator that follows the name, or compare the whole with ==",
                part.start,
                part.end,
            )


def _longer(text: str, claim: Claim) -> str:
    """Return a value that begins so, and that others can have."""
    made = (f"{text}-evil", f"{text}evil", f"{text}7")
    return next((one for one in made if claim.values.can_equal(one)), made[0])


def _is_cut(claim: Claim, text: str, condition: Condition) -> bool:
    """
    Whether a beginning ends in the middle of a name of which others can have a longer one.

    Where the name also names the repository each has its own.  What stands within a thing, such as
    an environment, belongs to the owner of the thing, and so do the names of objects of Kubernetes;
    but within a whole organisation, as pipelines are, one team can begin a name as another does.
    Versions begin alike on purpose, so what anybody chooses must be unique, or a path.
    """
    if _is_taken_by_strangers(claim, condition):
        return True
    if claim.chosen_by not in ("owner", "anybody") or claim.needs is not None:
        return False
    if not claim.whole and not _is_of_customer(claim, condition):
        return False
    if is_ref(claim) or claim.twin == "uid" or ("claims", *claim.path) in condition.named:
        return False
    if names_file(claim):
        return not any(sign in text for sign in ("@", "//", "/workflows", "/.github"))
    twin = ("claims", *claim.path[:-1], claim.twin)
    if claim.twin and twin in condition.pinned:
        return False
    is_path = any("/" in str(one) for one in claim.examples)
    is_name = claim.mutable if claim.chosen_by == "owner" else claim.twin or is_path
    return bool(is_name or claim.narrows) and (
        not claim.within or not claim.whole or "/" in text or not _is_pinned(claim, condition)
    )


def _is_of_customer(claim: Claim, condition: Condition) -> bool:
    """Whether a name with an id of its own is unique within all that a customer has."""
    outer = _outer(claim, condition)
    return claim.twin.endswith("_id") and outer is not None and not outer.within


def open_suffix(condition: Condition) -> Iterator[LintFinding]:
    """An end that begins in the middle of a name: `acme.com` is also the end of `notacme.com`."""
    for operand, text, part, admits in _tests(condition, "endsWith"):
        claim = condition.claim(operand)
        if claim is None or not admits or not text[:1].isalnum():
            continue
        is_mail = claim.values.can_equal("a@b.example") and claim.path[-1] == "email"
        if is_mail or claim.path[-1] == "hd" or _is_taken_by_strangers(claim, condition):
            before = "@" if is_mail else "." if claim.path[-1] == "hd" else "/"
            yield LintFinding(
                f"names that only end with {text!r} pass too, such as {'not' + text!r}",
                f"begin it with `{before}`, or compare the whole with ==",
                part.start,
                part.end,
            )


def unbracketed_or(condition: Condition) -> Iterator[LintFinding]:
    """`a && b || c` without brackets: `c` stands by itself, whatever `a` says."""
    text = condition.program.text
    for node in walk(condition.program.node):
        if not isinstance(node, Logic) or node.operator != "||":
            continue
        *before, last = node.operands
        if isinstance(last, Logic | Unary):
            continue
        for one in before:
            is_bare = text[one.end :].lstrip().startswith("||")
            if isinstance(one, Logic) and is_bare and len(_without_guards(one)) > 1:
                yield LintFinding(
                    f"`&&` binds more tightly than `||`, so `{_shortened(last, text)}` counts also "
                    f"where `{_shortened(one, text)}` does not hold",
                    "write brackets around what belongs together",
                    last.start,
                    last.end,
                )
                break


def _without_guards(joined: Logic) -> Sequence[Node]:
    """Return the parts of a conjunction, without those that only guard what another one reads."""
    return [
        part
        for part in joined.operands
        if (guarded := _guarded(part)) is None
        or not any(guarded in references(one) for one in joined.operands if one is not part)
    ]


def _guarded(node: Node) -> Path | None:
    """Return the claim that a condition only asks to be there, and not null."""
    claim = asked_claim(node)
    if claim is not None:
        return ("claims", *claim)
    if isinstance(node, Binary) and node.operator == "!=" and isinstance(node.right, Constant):
        return path_of(node.left) if node.right.value is None else None
    return None


def _shortened(node: Node, text: str) -> str:
    line = " ".join(text[node.start : node.end].split())
    return line if len(line) <= _MAX_QUOTED else f"{line[: _MAX_QUOTED - 3]}..."


def unanchored_matches(condition: Condition) -> Iterator[LintFinding]:
    """A regular expression that matches a part of the text."""
    for _, text, part, admits in _tests(condition, "matches"):
        where = _open_ends(text) if admits else ""
        if where:
            yield LintFinding(
                f"`matches` is satisfied by a part of the text: anything may stand {where} it",
                "begin the pattern with `^` and end it with `$`, or with `.*` where that is meant",
                part.start,
                part.end,
            )


def unescaped_dot(condition: Condition) -> Iterator[LintFinding]:
    """A `.` in a pattern where the character itself is meant: `acme.com` is also `acmexcom`."""
    for _, text, part, admits in _tests(condition, "matches"):
        signs = [sign for _, sign, _ in _outside(text)]
        padded = ["", *signs, ""]
        beside = zip(padded, signs, padded[2:], strict=False)  # the first is longer
        if admits and any(_is_bare_dot(*one) for one in beside):
            yield LintFinding(
                "in a pattern `.` is any character, so other texts match too",
                "write `\\.` for the character itself, in a raw text such as r'...'",
                part.start,
                part.end,
            )


def _is_bare_dot(before: str, sign: str, after: str) -> bool:
    """Whether a sign is a `.` for one character, between others."""
    goes_on = after.isalnum() or after[:1] in ("[", "(", "\\")
    return sign == "." and goes_on and (before[-1:].isalnum() or before[-1:] in tuple("]+)}?"))


def _open_ends(pattern: str) -> str:
    """Say on which sides of a match other text may stand; empty where it may on neither."""
    pattern = re.sub(r"^\(\?[a-zA-Z]+\)", "", pattern)
    alternatives = _alternatives(pattern)
    if alternatives == [pattern] and (inner := _group(pattern)) is not None:
        return _open_ends(inner)
    before = not all(one.startswith(("^", r"\A", ".*")) for one in alternatives)
    after = not all(map(_is_closed, alternatives))
    return " and ".join(["before"] * before + ["after"] * after)


def _is_closed(pattern: str) -> bool:
    if pattern.endswith((r"\z", ".*")):
        return True
    rest = pattern.removesuffix("$")
    # A backslash before it makes the sign a character, unless that one is escaped itself.
    return rest != pattern and (len(rest) - len(rest.rstrip("\\"))) % 2 == 0


def _outside(pattern: str) -> Iterator[tuple[int, str, int]]:
    """Return the signs of a pattern with their places and depth, escapes and classes left out."""
    depth = 0
    for found in re.finditer(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.", pattern, re.DOTALL):
        sign = found[0]
        depth -= sign == ")"
        yield found.start(), sign, depth
        depth += sign == "("


def _alternatives(pattern: str) -> list[str]:
    """Split a pattern at each `|` that stands in no group."""
    cuts = [at for at, sign, depth in _outside(pattern) if sign == "|" and not depth]
    starts = [0, *(at + 1 for at in cuts)]
    return [pattern[start:end] for start, end in zip(starts, [*cuts, len(pattern)], strict=True)]


def _group(pattern: str) -> str | None:
    """Return what is in the group that a pattern is as a whole, if it is one."""
    closing = [at for at, sign, depth in _outside(pattern) if sign == ")" and not depth]
    opening = re.match(r"\((?:\?:|\?P?<\w+>)?", pattern)
    if opening is None or closing != [len(pattern) - 1]:
        return None
    return pattern[opening.end() : -1]


def legacy_kubernetes_claim(condition: Condition) -> Iterator[LintFinding]:
    """A claim of the tokens that Kubernetes kept in Secrets until 1.24."""
    for part, _ in condition.parts:
        path = path_of(part) or ()
        if len(path) == 2 and path[0] == "claims" and path[1] in MOVED:  # noqa: PLR2004 - claims.X
            yield LintFinding(
                f"`{path[1]}` is a claim of the old tokens in Secrets; "
                "those of TokenRequest do not have it",
                f"read {MOVED[path[1]]}",
                part.start,
                part.end,
            )


def unlisted_claim(condition: Condition) -> Iterator[LintFinding]:
    """A claim of a family whose members are known, and which is not one of them."""
    for part, _ in condition.parts:
        path = path_of(part) or ()
        if len(path) < 2 or path[0] != "claims":  # noqa: PLR2004 - claims.X
            continue
        name = path[1]
        for schema in condition.claims:
            family = schema.family(name)
            if family is not None and family.listed and (name,) not in schema.claims:
                known = [claim.name for claim in schema.claims.values()]
                yield LintFinding(
                    f"{schema.title} is not known to send '{name}'",
                    did_you_mean(name, known, "it may be newer than the schema"),
                    part.start,
                    part.end,
                )


CONDITION_LINTS: Final[Mapping[str, Callable[[Condition], Iterator[LintFinding]]]] = {
    "mutable-name": mutable_name,
    "subject-text": subject_text,
    "open-prefix": open_prefix,
    "open-suffix": open_suffix,
    "unbracketed-or": unbracketed_or,
    "unanchored-matches": unanchored_matches,
    "unescaped-dot": unescaped_dot,
    "legacy-kubernetes-claim": legacy_kubernetes_claim,
    "unlisted-claim": unlisted_claim,
}
