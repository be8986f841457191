"""
Starters that are made from a claim schema.

What lives here: the policy and the suite for the tokens of an issuer, from its usual token.
Not here: the starters that are written by hand (`starters.texts`), and which claims identify a
workload (`usage.identities`).

The owner's workloads pull, and one workload pushes, from its main branch where tokens tell the
branch.  Each condition of the policy has a token in the suite that fails it alone.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from regauth.engine.compiler.claim_schemas import known_schema
from regauth.engine.issuers import Claim, ClaimSchema, check_token, coherent
from regauth.engine.issuers.relations import MISSING, value_at
from regauth.policytests.usage.identities import IDENTITIES, IdentityClaims, equals

_AUDIENCE: Final = "https://registry.example.com"
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_./@-]*")
_CONDITION: Final = re.compile(r"(claims|has\()[^#]*")
"""A condition that YAML reads as it is: it begins with a name, and has no sign of a comment."""
_WORDS: Final = frozenset(("true", "false", "null", "yes", "no"))
_ANYBODY: Final = IdentityClaims((("sub",),))
_ALSO: Final[Mapping[str, tuple[str, ...]]] = {"keycloak": ("azp",)}
"""Claims that a starter compares too, by the schema: an account's token tells its client."""

_RENAMED: Final[Mapping[str, tuple[str, str]]] = {
    "azure-devops": (
        "name project",
        "a repository keeps its id, whatever its pipelines are called",
    ),
    "buildkite": ("pipeline", "a pipeline keeps its id when it gets another name"),
    "semaphore": ("repository", "a project keeps its id when its repository gets another name"),
}
"""Names that a starter does not compare, because an id says more: their near misses, and why."""

_MAX_LINE: Final = 90
_MAIN: Final = ("refs/heads/main", "main")


@dataclass(frozen=True, slots=True)
class _Compared:
    """A claim that the policy compares: its value, and one that the policy does not allow."""

    token: str
    """What the suite calls the token that differs in it."""
    claim: Claim
    value: str
    other: str


@dataclass(frozen=True, slots=True)
class _Starter:
    """What a starter is made of."""

    schema: ClaimSchema
    usual: Mapping[str, object]
    """All claims of the usual token."""
    owner: _Compared | None
    """What a rule asks for; None where the issuer has one owner."""
    members: tuple[str, ...]
    """Both values that the rule allows, where an owner has no claim."""
    push: tuple[_Compared, ...]


def policy_and_suite(name: str) -> tuple[str, str]:
    """Return the texts of a policy and its suite for a known issuer."""
    starter = _starter(known_schema(name))
    return _policy(starter), _suite(starter)


def _starter(schema: ClaimSchema) -> _Starter:
    usual = _usual(schema)
    identity = IDENTITIES.get(schema.name, _ANYBODY)
    also = [(name,) for name in _ALSO.get(schema.name, ())]
    push = [_compared("other", schema.claims[path], usual) for path in identity.who]
    push += [_compared(f"other-{path[0]}", schema.claims[path], usual) for path in also]
    ref = _main_branch(schema, usual)
    push += [] if ref is None else [_compared("branch", ref, usual)]
    flags = [schema.claims[path] for path in identity.flags]
    push += [_compared("unprotected", one, usual) for one in flags if one.always]
    push += [_compared("fork", one, usual) for one in _fork(schema, push)]
    owner = None
    if identity.owner:
        owner = _compared("stranger", schema.claims[identity.owner], usual)
        # Of an issuer for one customer alone, no other customer has tokens.
        changed = coherent(schema, {"iss": usual["iss"], identity.owner[0]: owner.other}, ())
        several = schema.serves_everybody(str(usual["iss"])) or _is_possible(schema, changed)
        owner = owner if several else None
    members: tuple[str, ...] = ()
    if owner is None and push[0].claim.always:
        members = (push[0].value, push[0].other)
        owner = _compared("stranger", push[0].claim, usual)
        owner = replace(owner, other=_other(owner.claim, owner.value, members))
    return _Starter(schema, usual, owner, members, tuple(push))


def _usual(schema: ClaimSchema) -> Mapping[str, object]:
    sample = schema.samples.variants[""]
    return coherent(schema, sample.claims, sample.including)


def _compared(token: str, claim: Claim, usual: Mapping[str, object]) -> _Compared:
    known = value_at(usual, claim.path)
    value = str(claim.examples[0] if known is MISSING else known)
    return _Compared(token, claim, value, _other(claim, value, ()))


def _other(claim: Claim, value: str, known: Sequence[str]) -> str:
    """Return another value that the claim can have."""
    flags = ["false"] if value == "true" else []
    changed = [value.replace("main", "feature"), *map(str, claim.examples), *flags]
    changed += [
        value[:at] + new + value[at + 1 :]
        for at in range(len(value) - 1, -1, -1)
        for new in "19a"
        if value[at] in "0123456789abcdef"
    ]
    changed.append(f"{value}-x")
    return next(
        one for one in changed if one not in (value, *known) and claim.values.can_equal(one)
    )


def _main_branch(schema: ClaimSchema, usual: Mapping[str, object]) -> Claim | None:
    """Return the claim that says the branch, the one with the whole ref if there is one."""
    for value in _MAIN:
        for path, claim in schema.claims.items():
            if value_at(usual, path) == value and claim.chosen_by == "anybody":
                return claim
    return None


def _fork(schema: ClaimSchema, compared: Sequence[_Compared]) -> list[Claim]:
    """Return the claim that tells a fork's build, where none of those compared does."""
    if schema.forks is None:
        return []
    told = schema.forks.shown_by
    known = {one.claim.path for one in compared}
    return [] if known & set(told) else [schema.claims[told[0]]]


def _condition(compared: Sequence[_Compared], schema: ClaimSchema, indent: str) -> str:
    """Write that all claims have their values, in lines of its own where it is long."""
    parts = [equals(one.claim.path, [one.value], schema) for one in compared]
    text = " && ".join(parts)
    if len(text) < _MAX_LINE:
        return _text(text)
    return ">-" + "".join(f"\n{indent}{'&& ' if at else ''}{part}" for at, part in enumerate(parts))


def _policy(starter: _Starter) -> str:
    schema, owner = starter.schema, starter.owner
    lines = [
        "# Who may do what in the registry.  Whatever no grant allows is refused.",
        f"# The ids are examples: `policytest token {schema.name}` shows what a token says.",
        "version: 1",
        "",
        "services: [registry.example.com] # the registry's auth.token.service",
        "",
        "providers:",
        f"  {schema.name}: # docker login -u {schema.name}",
        f"    issuer: {starter.usual['iss']}",
        f"    audience: {_AUDIENCE}",
        f"    algorithms: [{schema.samples.algorithm}]",
        f"    claims: {schema.name}",
    ]
    if owner is not None:
        values = list(starter.members) or [owner.value]
        lines += [
            "    rules:",
            "      - name: ours",
            f"        check: {_text(equals(owner.claim.path, list(values), schema))}",
            "        message: only our own workloads may log in",
        ]
    lines += [
        "",
        "grants:",
        "  - name: pull-our-images",
        "    repositories: [acme/**]",
        "    actions: [pull]",
        "",
        "  - name: push-app",
        f"    when: {_condition(starter.push, schema, 6 * ' ')}",
        "    repositories: [acme/app]",
        "    actions: [pull, push]",
    ]
    return "\n".join(lines) + "\n"


def _suite(starter: _Starter) -> str:
    tokens = dict(_tokens(starter))
    turned_away = [one for one in tokens if one.startswith("stranger")] + ["forged"]
    width = max(map(len, [*tokens, "forged"]))
    rows = [f"{'token':{width}}  repository  pull  push  delete"]
    rows += [
        f"{'main':{width}}  {repository:10}  {can}"
        for repository, can in (
            ("acme/app", "A     A     ."),
            ("acme/lib", "A     .     ."),
            ("acme/app-x", "A     .     ."),
            ("other/app", ".     .     ."),
        )
    ]
    rows += [
        f"{one:{width}}  acme/app    A     .     ."
        for one in tokens
        if one != "main" and one not in turned_away
    ]
    rows += [f"{one:{width}}  acme/app    U     U     U" for one in turned_away]
    written_tokens = "".join(
        f"  {one}:{'' if one == 'main' else ' '}{said}\n" for one, said in tokens.items()
    )
    grid = "".join(f"      {row}\n" for row in rows)
    return _SUITE.format(
        tokens=written_tokens,
        grid=grid,
        condition=_condition(starter.push, starter.schema, 8 * " "),
        accepted=_accepted(starter.schema.name),
    )


def _accepted(name: str) -> str:
    """Return the near misses that the policy lets through, and why."""
    if name not in _RENAMED:
        return ""
    kinds, why = _RENAMED[name]
    hows = ("suffix", "prefix", "longer", *(["other"] if name == "buildkite" else []))
    names = ", ".join(f"{kind}-{how}" for kind in kinds.split() for how in hows)
    return f"  except: [{names}] # {why}\n"


_SUITE: Final = """\
policy: ../policy
at: 2026-11-01T12:00:00Z # the clock stands still in a suite

tokens: # sample tokens, really signed; the profile fills in what is not given
{tokens}  forged: {{from: main, forge: alg-none}}

tests:
  - name: one workload pushes
    # A allowed, . refused by the policy, U not authenticated, E error
    grid: |
{grid}    because: {{main: [pull-our-images, push-app]}}

invariants: # what holds for every token there can be; it is proved, or a token breaks it
  never:
    - name: nobody deletes
      repositories: ["**"]
      actions: [delete]
  only:
    - name: only this workload writes
      to: {condition}
      repositories: ["**"]
      actions: [push]

hostile: # every forgery and near miss of these must be refused
  tokens: [main]
  repositories: [acme/app]
{accepted}"""


def _tokens(starter: _Starter) -> Iterator[tuple[str, str]]:
    """Yield each token of the suite with what is written about it."""
    compared = [*([] if starter.owner is None or starter.members else [starter.owner])]
    compared += starter.push
    claims = "".join(
        f"      {_text(one.claim.path[0])}: {_value(one, one.value)}\n" for one in compared
    )
    yield "main", f"\n    profile: {starter.schema.name}\n    claims:\n{claims.rstrip()}"
    differing = [*starter.push, *([] if starter.owner is None else [starter.owner])]
    for one in differing:
        name, other = _text(one.claim.path[0]), _value(one, one.other)
        yield one.token, f"{{from: main, claims: {{{name}: {other}}}}}"
    yield from _incomplete(starter, differing)


def _incomplete(starter: _Starter, compared: Sequence[_Compared]) -> Iterator[tuple[str, str]]:
    """Yield tokens without the claims that not every token has, as far as there are such tokens."""
    schema = starter.schema
    asked = [one for one in compared if not one.claim.always and len(one.claim.path) == 1]
    together = []
    for one in asked:
        name = one.claim.path[0]
        if _can_lack(starter, [name]):
            yield f"{one.token}-without", f"{{from: main, without: [{_text(name)}]}}"
        else:
            together.append(name)
    every = [one.claim.path[0] for one in asked]
    if together and _can_lack(starter, every):
        yield "without", f"{{from: main, without: [{', '.join(map(_text, every))}]}}"
    elif together:
        for name, sample in schema.samples.variants.items():
            claims = coherent(schema, sample.claims, sample.including)
            if name and not set(together) & set(claims):
                yield "without", f"{{profile: {schema.name}/{name}}}"
                return


def _can_lack(starter: _Starter, names: Sequence[str]) -> bool:
    left = {name: value for name, value in starter.usual.items() if name not in names}
    return _is_possible(starter.schema, left)


def _is_possible(schema: ClaimSchema, claims: Mapping[str, object]) -> bool:
    return next(iter(check_token(schema, claims)), None) is None


def _value(compared: _Compared, value: str) -> str:
    """Write a claim's value, in the objects that it is a member of."""
    text = _text(value)
    for name in reversed(compared.claim.path[1:]):
        text = f"{{{_text(name)}: {text}}}"
    return text


def _text(text: str) -> str:
    """Write a text as YAML, without quotes where it needs none."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    if _CONDITION.fullmatch(text):
        return text
    return json.dumps(text, ensure_ascii=False)
