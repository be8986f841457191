"""Every token that a report proposes or a hostile layer makes is one that the issuer can make."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import yaml

from regauth import schemas
from regauth.engine import compile_policy
from regauth.engine.compiler.claim_schemas import known_schema
from regauth.engine.issuers import ClaimSchema, coherent
from regauth.engine.policy.policy import Provider
from regauth.engine.source.problems import Location
from regauth.policytests.analysis.possible import Maker, make
from regauth.policytests.analysis.variations import ABSENT, Variation
from regauth.policytests.execution.run import SuiteError
from regauth.policytests.tokens.coherence import contradictions, is_possible
from regauth.policytests.tokens.issuing import claims_of
from regauth.policytests.tokens.near_misses import near_misses
from regauth.policytests.tokens.spec import TokenSpec
from tests.policytests.conftest import TOKENS, Repository
from tests.policytests.test_plugin import run

from .test_coverage import GRID

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
NAMES = [name for name in schemas.claims_names() if name != "generic"]


def policy_of(name: str, conditions: list[str], variant: str = "") -> str:
    schema = known_schema(name)
    given = schema.samples.variants[variant].claims if variant in schema.samples.variants else {}
    issuer = coherent(schema, given).get("iss", "https://issuer.example.com")
    grants = [
        {"name": f"g{at}", "when": one, "repositories": [f"a{at}"], "actions": ["pull"]}
        for at, one in enumerate(conditions)
    ]
    provider = {"issuer": issuer, "audience": "us", "algorithms": ["RS256"], "claims": name}
    return json.dumps(
        {
            "version": 1,
            "services": ["registry.example.com"],
            "providers": {"p": provider},
            "grants": grants,
        }
    )


def provider_of(name: str, variant: str) -> Provider:
    policy = compile_policy({"policy.yaml": policy_of(name, ["true"], variant)}).policy
    assert policy is not None
    return policy.providers["p"]


def profiles() -> Iterator[tuple[str, str]]:
    for name in NAMES:
        for variant in known_schema(name).samples.variants:
            yield name, f"{name}/{variant}".rstrip("/")


@pytest.mark.parametrize(("name", "profile"), tuple(profiles()))
def test_a_near_miss_of_every_profile_is_possible(name: str, profile: str) -> None:
    provider = provider_of(name, profile.partition("/")[2])
    spec = TokenSpec("x", Location(""), profile=profile)
    genuine = claims_of(spec, provider, NOW)
    assert is_possible(provider.claims, genuine)
    for miss in near_misses(spec, genuine):
        made = claims_of(miss.spec, provider, NOW)
        found = [one.message for one in contradictions(provider.claims, made)]
        assert found == [], miss.name


def conditions(schema: ClaimSchema) -> list[str]:
    """Return a condition for each of some claims, and one on two claims that belong together."""
    made = []
    for claim in schema.claims.values():
        if len(claim.path) > 1 or claim.type != "string" or claim.path in (("iss",), ("jti",)):
            continue
        limited = claim.values.limited or claim.path == ("sub",)
        if limited and claim.examples and not claim.nullable:
            name = f"claims[{json.dumps(claim.path[0])}]"
            there = "" if claim.always else f"{json.dumps(claim.path[0])} in claims && "
            made.append(f"{there}{name} == {json.dumps(claim.examples[0])}")
    pair = [" && ".join(f"({one})" for one in made[1:3])] if made[2:] else []
    return [*made[:3], *pair]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_what_coverage_and_mutants_propose_is_possible(house: Repository, name: str) -> None:
    asked = conditions(known_schema(name))
    house.write("policy/policy.yaml", policy_of(name, asked))
    head = f"""\
at: 2026-11-01T12:00:00Z
tokens:
  main: {{profile: {name}, claims: {{aud: us}}}}
"""
    rows = "".join(f"      main a{at} A\n" for at in range(len(asked)))
    house.suite(f"tests:\n  - name: grid\n    grid: |\n      token repository pull\n{rows}", head)
    said = run(house.root, "--mutate").stdout
    proposals = sorted(
        set(re.findall(r"\{from: main(?:,[^{}]*(?:\{(?:[^{}]|\{[^{}]*\})*\})?)*\}", said))
    )
    assert proposals, said
    tokens = "".join(f"  p{at}: {one}\n" for at, one in enumerate(proposals))
    always = {claim.name for claim in known_schema(name).claims.values() if claim.always}
    for one in proposals:
        token = yaml.safe_load(one)
        assert isinstance(token, dict)
        assert always.isdisjoint(token.get("without", ())), one
    grid = "".join(f"      p{at} a0 A\n" for at in range(len(proposals))) or "      main a0 A\n"
    test = f"tests:\n  - name: grid\n    grid: |\n      token repository pull\n{grid}"
    try:
        house.load(test, head + tokens)
    except SuiteError as error:
        codes = [str(one) for one in error.problems if one.code == "impossible-claim"]
        assert codes == []


def test_a_maker_makes_a_variation_once_and_of_each_sample_its_own(house: Repository) -> None:
    more = "  lab: {from: main, claims: {repository: acme/lab}}\n"
    rows = GRID + "      lab   acme/lab   A    A\n"
    samples = house.load(rows, TOKENS + more).evaluation.linked.samples
    main, lab = samples["main"], samples["lab"]
    maker, ref = Maker(), Variation(("ref",), "refs/heads/x")
    made = maker.make(main, ref)

    assert made is not None
    assert made == make(main, ref)
    assert maker.make(main, Variation(("ref",), "refs/heads/x")) is made
    assert maker.make(lab, ref) == make(lab, ref) != made
    assert maker.make(main, Variation(("repository_owner_id",), "x y")) is None


def test_no_token_lacks_what_every_token_has(house: Repository) -> None:
    main = house.load(GRID).evaluation.linked.samples["main"]
    assert make(main, Variation(("ref",), ABSENT)) is None
    assert make(main, Variation(("environment",), ABSENT)) is not None
