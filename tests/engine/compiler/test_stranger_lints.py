"""
Work that strangers bring about, texts made of other claims, and issuers that a schema does not know.

Each is data of the claim schemas, so each is tried for every schema that has it.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from regauth import schemas
from regauth.engine import compile_policy
from regauth.engine.compiler.claim_schemas import known_issuers, known_schema
from regauth.engine.compiler.lints.operands import written
from regauth.engine.issuers import Claim, coherent
from regauth.engine.languages import automaton, find_common, prefixed

KNOWN = schemas.claims_names()
OURS = "https://issuer.example.com"


def codes(
    schema: str,
    when: str = "",
    *,
    issuer: str = "",
    rule: str = "",
    definitions: Mapping[str, str] | None = None,
    actions: tuple[str, ...] = ("pull",),
    files: Mapping[str, str] | None = None,
) -> list[str]:
    grant: dict[str, Any] = {"name": "g", "repositories": ["acme/x"], "actions": list(actions)}
    provider: dict[str, Any] = {
        "issuer": issuer or issuer_of(schema),
        "audience": "us",
        "claims": schema,
    }
    policy = {
        "version": 1,
        "services": ["registry.example.com"],
        **({"definitions": definitions} if definitions else {}),
        "providers": {
            "p": {**provider, "rules": [{"name": "r", "check": rule}]} if rule else provider
        },
        "grants": [{**grant, "when": when} if when else grant],
    }
    compilation = compile_policy({"policy.yaml": json.dumps(policy), **(files or {})})
    return [one.code for one in compilation.problems]


def issuer_of(schema: str) -> str:
    """Return an address of one customer, so that no rule is missing."""
    if schema.endswith(".json"):
        return OURS
    made = coherent(known_schema(schema), {}).get("iss", OURS)
    return {"github-actions": f"{made}/acme"}.get(schema, str(made))


def guarded(claim: Claim, test: str) -> str:
    """Return a condition on a claim that some tokens do not have, or have as null."""
    name = written(("claims", *claim.path))
    asked = [] if claim.always else [f"{json.dumps(claim.path[0])} in claims"]
    asked += [f"{name} != null"] if claim.nullable else []
    return " && ".join([*asked, f"{name}{test}"])


def caused() -> Iterator[tuple[str, str, str]]:
    for schema in KNOWN:
        for claim in known_schema(schema).claims.values():
            if claim.by_strangers is None:
                continue
            values = claim.by_strangers.values
            texts = values.enum or (find_common(values.language, claim.values.language),)
            for text in texts:
                yield schema, claim.name, str(text)


CAUSED = tuple(caused())


@pytest.mark.parametrize(("schema", "name", "value"), CAUSED)
def test_a_value_that_strangers_cause_is_found_where_it_admits(
    schema: str, name: str, value: str
) -> None:
    claim = known_schema(schema).claims[(name,)]
    literal = json.dumps(value)
    for test in (f" == {literal}", f" in [{literal}]"):
        assert "caused-by-strangers" in codes(schema, guarded(claim, test)), test
    assert "caused-by-strangers" not in codes(schema, guarded(claim, f" != {literal}"))


@pytest.mark.parametrize(("schema", "name", "value"), CAUSED)
def test_no_other_example_of_the_claim_is_reported(schema: str, name: str, value: str) -> None:
    claim = known_schema(schema).claims[(name,)]
    by_strangers = claim.by_strangers
    assert by_strangers is not None
    assert by_strangers.values.can_equal(value)
    for example in claim.examples:
        if not by_strangers.values.can_equal(example):
            condition = guarded(claim, f" == {json.dumps(example)}")
            assert "caused-by-strangers" not in codes(schema, condition), example


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ('claims.rpo_ref.startsWith("refs/pull/")', True),
        ('claims.rpo_ref.matches("^refs/pull/[0-9]+/merge$")', True),
        ('claims.rpo_ref.startsWith("refs/")', False),
        ('claims.rpo_ref.contains("pull")', False),
        ('!claims.rpo_ref.startsWith("refs/pull/")', False),
        ('claims.rpo_ref.startsWith("refs/heads/")', False),
    ],
)
def test_a_beginning_that_only_such_values_have_is_found(condition: str, *, found: bool) -> None:
    said = codes("azure-devops", f"has(claims.rpo_ref) && {condition}")
    assert ("caused-by-strangers" in said) == found


FORKS = [name for name in KNOWN if known_schema(name).forks is not None]


@pytest.mark.parametrize("schema", FORKS)
def test_a_push_that_builds_of_forks_can_use_is_found(schema: str) -> None:
    known = known_schema(schema)
    forks = known.forks
    assert forks is not None
    hidden = [known.claims[path] for path in forks.hidden_by]
    base = guarded(hidden[0], f" == {json.dumps(hidden[0].examples[0])}") if hidden else ""
    assert "fork-builds" in codes(schema, base, actions=("pull", "push"))
    assert "fork-builds" in codes(schema, base, actions=("delete",))
    assert "fork-builds" not in codes(schema, base, actions=("pull",))
    if hidden:
        assert "fork-builds" not in codes(schema, actions=("pull", "push"))
    for path in forks.shown_by:
        claim = known.claims[path]
        shown = guarded(claim, f" == {json.dumps(claim.examples[0])}")
        condition = f"{base} && {shown}" if base else shown
        assert "fork-builds" not in codes(schema, condition, actions=("pull", "push")), claim.name


@pytest.mark.parametrize(
    ("when", "told"),
    [
        ('claims.pipeline_source == "merge_request_event"', True),
        ('claims.pipeline_source in ["push", "merge_request_event"]', True),
        ('claims.pipeline_source == "push"', False),
        ('claims.pipeline_source != "schedule"', False),
        (
            'claims.job_project_id == claims.project_id && claims.pipeline_source == "merge_request_event"',
            False,
        ),
    ],
)
def test_what_is_proposed_can_be_that_of_a_fork(when: str, *, told: bool) -> None:
    condition = f'{when} && claims.namespace_id == "72"'
    assert ("fork-builds" in codes("gitlab-ci", condition, actions=("pull", "push"))) == told
    assert "fork-builds" not in codes("gitlab-ci", condition)


@pytest.mark.parametrize(
    ("when", "told"),
    [
        ('claims.email == "builder@acme-prod.iam.gserviceaccount.com"', False),
        ('claims.email.endsWith("@acme-prod.iam.gserviceaccount.com")', False),
        ('claims.email in ["a@acme.com", "b@acme-prod.iam.gserviceaccount.com"]', True),
        ('claims.email.endsWith("@acme.com")', True),
        ('claims.email.endsWith("@acme.com") && has(claims.hd) && claims.hd == "acme.com"', False),
        ('claims.email == "a@acme.com" && claims.sub == "104029292853099978293"', False),
    ],
)
def test_an_address_of_a_domain_is_not_the_domains_own(when: str, *, told: bool) -> None:
    said = codes("google", f"has(claims.email) && {when}")
    assert ("ambiguous-name" in said) == told


VERIFIED = [
    (schema, claim)
    for schema in KNOWN
    for claim in known_schema(schema).claims.values()
    if claim.verified_by
]


@pytest.mark.parametrize(
    ("schema", "claim"), VERIFIED, ids=[f"{schema} {claim.name}" for schema, claim in VERIFIED]
)
class TestVerifiedValues:
    """A value that proves nothing unless another claim says that the issuer has verified it."""

    def values(self, schema: str, claim: Claim) -> tuple[str, str, str, str]:
        known = known_schema(schema)
        verified = known.claims[(*claim.path[:-1], claim.verified_by)]
        twin = known.claims[(*claim.path[:-1], claim.twin)]
        value = json.dumps(claim.examples[0])
        return (
            guarded(claim, f" == {value}"),
            written(("claims", *claim.path)),
            guarded(verified, ""),
            guarded(twin, f" == {json.dumps(twin.examples[0])}"),
        )

    def test_however_it_is_compared_it_is_found(self, schema: str, claim: Claim) -> None:
        compared, name, _, _ = self.values(schema, claim)
        value = json.dumps(claim.examples[0])
        whole = f"{name} == {value}"
        assert whole in compared
        for other in (
            whole,
            f"{value} == {name}",
            f"{name} in [{value}]",
            f"{name}.endsWith({json.dumps('@' + str(claim.examples[0]).partition('@')[2])})",
            f"{name}.matches('^[a-z]+@example[.]com$')",
            f"{name}.lowerAscii() == {value}",
            f"[{value}].exists(one, one == {name})",
        ):
            when = compared.replace(whole, other)
            assert codes(schema, when).count("unverified-value") == 1, when

    def test_who_asks_whether_it_is_verified_or_who_it_is_hears_nothing(
        self, schema: str, claim: Claim
    ) -> None:
        compared, _, verified, twin = self.values(schema, claim)
        for more in (verified, twin):
            assert "unverified-value" not in codes(schema, f"{compared} && {more}")
            assert "unverified-value" not in codes(schema, f"{more} && ({compared})")
            assert "unverified-value" not in codes(schema, compared, rule=more)
        assert "unverified-value" not in codes(schema, f"!({compared})")

    def test_that_it_is_said_is_not_what_is_said(self, schema: str, claim: Claim) -> None:
        compared, _, verified, _ = self.values(schema, claim)
        asked = f'"{claim.verified_by}" in claims'
        assert "unverified-value" in codes(schema, f"{compared} && {asked}")
        assert "unverified-value" in codes(schema, compared, rule=asked)
        assert "unverified-value" not in codes(schema, f"{compared} && {asked}", rule=verified)
        definitions = {"sure": verified}
        assert "unverified-value" not in codes(
            schema, f"{compared} && {asked} && defs.sure", definitions=definitions
        )


def test_mail_addresses_of_known_issuers_are_verified_or_nobodys() -> None:
    """Every issuer that says whether a value is verified declares it."""
    for schema in KNOWN:
        claims = known_schema(schema).claims
        for path, claim in claims.items():
            if path[-1].endswith("_verified"):
                about = claims[(*path[:-1], path[-1].removesuffix("_verified"))]
                assert about.verified_by == claim.path[-1], f"{schema} {about.name}"


def test_the_target_branch_of_a_pull_request_does_not_keep_forks_out() -> None:
    """Semaphore's `branch` is the branch that a pull request goes to."""
    condition = 'claims.prj_id == "936a5312-a3b8-4921-8b3f-2cec8baac574" && claims.branch == "main"'
    assert "fork-builds" in codes("semaphore", condition, actions=("pull", "push"))


def composed() -> Iterator[tuple[str, str]]:
    for schema in KNOWN:
        for claim in known_schema(schema).claims.values():
            if claim.composed is not None:
                yield schema, claim.name


@pytest.mark.parametrize(("schema", "name"), tuple(composed()))
def test_a_text_made_of_other_claims_is_not_to_be_compared(schema: str, name: str) -> None:
    claim = known_schema(schema).claims[(name,)]
    assert claim.composed is not None
    example = next(
        one for one in map(str, claim.examples) if one.startswith(claim.composed.beginning)
    )
    tests = (
        f" == {json.dumps(example)}",
        f" in [{json.dumps(example)}]",
        f".startsWith({json.dumps(example[:12])})",
        f".endsWith({json.dumps(example)})",
        f".matches({json.dumps(f'^{example[:5]}.*$')})",
    )
    for test in tests:
        assert "subject-text" in codes(schema, guarded(claim, test)), test


def test_the_subject_of_a_service_connection_is_all_that_its_token_has() -> None:
    assert codes("azure-devops", 'claims.sub == "sc://acme/app/registry"') == []
    assert codes("azure-devops", 'claims.sub == "p://acme/app/release"') == ["subject-text"]


@pytest.mark.parametrize("schema", ["kubernetes", "spiffe", "google", "keycloak", "vault"])
def test_a_subject_that_is_a_name_of_its_own_is_compared(schema: str) -> None:
    example = known_schema(schema).claims[("sub",)].examples[0]
    issuer = OURS if schema == "google" else ""
    assert "subject-text" not in codes(
        schema, f"claims.sub == {json.dumps(example)}", issuer=issuer
    )


ADDRESSES = sorted({one.address for one in known_issuers()})


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_schema_that_does_not_know_a_known_issuer_is_named(address: str) -> None:
    assert codes("generic", issuer=address.replace("*", "acme")) == ["known-issuer"]


@pytest.mark.parametrize("address", [one for one in ADDRESSES if "*" not in one])
def test_almost_a_known_issuer_is_found_without_its_schema(address: str) -> None:
    host = address.removeprefix("https://")
    for near in (f"{address}/", f"https://{host[:1]}{host[2:]}", f"https://{host.upper()}"):
        assert codes("generic", issuer=near) == ["near-issuer"], near


@pytest.mark.parametrize(
    "issuer",
    [
        "https://gitlab.example.com",
        "https://gitlab.acme.com",
        "https://gitlab.x.com",
        "https://token.example.com",
        "https://accounts.example.com",
        "https://sso.example.com/realms/acme",
        "https://oidc.example.com/org/acme",
    ],
)
def test_an_address_of_ones_own_is_not_misspelt(issuer: str) -> None:
    assert codes("generic", issuer=issuer) == []
    assert "near-issuer" not in codes("gitlab-ci", issuer=issuer)


OWN: Mapping[str, Any] = {
    "name": "farm",
    "title": "build farm",
    "claims": {
        "iss": {"type": "string", "presence": "always", "description": "x"},
        "sub": {
            "type": "string",
            "presence": "always",
            "description": "x",
            "composed": {"because": "names in `sub` can change", "claims": ["team_id"]},
        },
        "aud": {
            "type": "list",
            "items": {"type": "string"},
            "presence": "always",
            "description": "x",
        },
        "exp": {"type": "int", "presence": "always", "description": "x"},
        "team_id": {"type": "string", "presence": "always", "description": "x"},
        "origin": {"type": "string", "presence": "always", "description": "x"},
        "trigger": {
            "type": "string",
            "presence": "always",
            "description": "x",
            "examples": ["push"],
            "causedByStrangers": {"enum": ["review"], "because": "a stranger opens one"},
        },
    },
    "forks": {"shownBy": ["origin"], "when": "Where the farm builds forks"},
}


@pytest.mark.parametrize(
    ("when", "code"),
    [
        ('claims.sub == "team:a"', "subject-text"),
        ('claims.trigger == "review"', "caused-by-strangers"),
        ('claims.team_id == "7"', "fork-builds"),
    ],
)
def test_a_schema_of_ones_own_has_the_same_power(when: str, code: str) -> None:
    files = {"own.json": json.dumps(OWN)}
    assert code in codes("own.json", when, actions=("pull", "push"), files=files)
    kept = f'{when} && claims.origin == "ours"'
    said = codes("own.json", kept, actions=("pull", "push"), files=files)
    assert ("fork-builds" in said) is False


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"forks": {"shownBy": ["orign"], "when": "x"}}, "orign"),
        ({"forks": {"shownBy": ["origin"], "hiddenBy": ["tem"], "when": "x"}}, "tem"),
        ({"forks": {"shownBy": ["origin"], "askedBy": {"triger": ["x"]}, "when": "x"}}, "triger"),
        ({"forks": {"shownBy": []}}, "forks"),
    ],
)
def test_a_schema_that_names_no_claim_is_told_where(change: Mapping[str, Any], place: str) -> None:
    files = {"own.json": json.dumps({**OWN, **change}, indent=1)}
    policy = {
        "version": 1,
        "services": ["registry.example.com"],
        "providers": {"p": {"issuer": OURS, "audience": "us", "claims": "own.json"}},
        "grants": [{"name": "g", "repositories": ["a"], "actions": ["pull"]}],
    }
    problems = compile_policy({"policy.yaml": json.dumps(policy), **files}).problems
    assert {one.code for one in problems} == {"bad-claims"}
    assert problems[0].location.line > 1
    assert place in f"{problems[0]} {files['own.json'].splitlines()[problems[0].location.line - 1]}"


def test_a_prefix_is_a_language() -> None:
    assert find_common(prefixed("refs/pull/"), prefixed("refs/")) is not None
    assert len(CAUSED) > 10
    assert len(FORKS) > 4


def test_a_condition_that_cannot_be_followed_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The bound is of work, so the outcome does not depend on the machine."""
    condition = 'claims.event_name != "pull_request" && !claims.event_name.matches("(.?){20}z")'
    assert "caused-by-strangers" in codes("github-actions", condition)
    monkeypatch.setattr(automaton, "MAX_WORK", 500)
    assert "caused-by-strangers" not in codes("github-actions", condition)
