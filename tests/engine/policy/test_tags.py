"""What `tags` mean, to who sees the request and to who does not yet."""

from collections.abc import Callable
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regauth.engine.access.outcomes import Identity, Verdict, Why
from regauth.engine.access.references import ALL_TAGS, UPLOAD, read, write
from regauth.engine.access.scope import Access, repository_access
from regauth.engine.compiler.compiler import compile_policy
from regauth.engine.decisions.authentication import Authenticated
from regauth.engine.decisions.decide import decide
from regauth.engine.decisions.prospects import may_be_granted
from regauth.engine.explaining.explanation import explain_verified
from regauth.engine.explaining.narration import narrate
from regauth.engine.policy.policy import Policy
from regauth.engine.tokens.jwt import Claims

HEAD = """
version: 1
services: [registry.example.com]
providers:
  ci: {issuer: "https://ci.example.com", audience: me}
"""
DIGEST = "sha256:" + "0" * 64
OTHER = "sha512:" + "a" * 128
CLAIMS = {"sub": "s", "groups": ["a"], "ref_name": "v1.2", "branch": "feature/x"}
NAME = "acme/app"

Compile = Callable[..., Policy]
Ask = Callable[..., Verdict]


@pytest.fixture
def ask(compiled: Compile, now: datetime) -> Ask:
    """Decide one action on one place under a policy's statements."""

    def decide_(statements: str, place: str, action: str = "push") -> Verdict:
        access = repository_access(place, action)
        assert access is not None
        policy = compiled(HEAD + statements)
        return one(policy, access, now)

    return decide_


def one(policy: Policy, access: Access, now: datetime) -> Verdict:
    who = Identity("ci", "s")
    claims, service = Claims(CLAIMS), "registry.example.com"
    [verdict] = decide(policy, who, claims, service, [access], now).verdicts
    [whole] = decide(policy, who, claims, service, [access], now, exhaustive=True).verdicts
    assert verdict.why is whole.why
    return verdict


def login(policy: Policy, now: datetime) -> Authenticated:
    return Authenticated(Identity("ci", "s"), policy.providers["ci"], Claims(CLAIMS), now, now)


GRANT = """
grants:
  - {name: g, repositories: [acme/app], tags: [%s], actions: [pull, push, delete]}
"""
DENIAL = """
grants:
  - {name: g, repositories: [acme/app], actions: [pull, push, delete]}
denials:
  - {name: d, repositories: [acme/app], tags: [%s], actions: [pull, push, delete]}
"""


class TestPatterns:
    @pytest.mark.parametrize(
        ("pattern", "tag", "matches"),
        [
            ("latest", "latest", True),
            ("latest", "Latest", False),
            ("latest", "latest2", False),
            ("v*", "v", True),
            ("v*", "v1.2_3-x", True),
            ("v*", "xv1", False),
            ("'*'", "anything", True),
            ("'*-rc*'", "v1-rc2", True),
            ("'*-rc*'", "v1", False),
            ("'*-rc'", "v1-rc-rc", True),
            ("'1.0'", "1.0", True),
            ("'1.0'", "1x0", False),
            ("'${claims.ref_name}'", "v1.2", True),
            ("'${claims.ref_name}'", "v1.3", False),
            ("'${claims.ref_name}-*'", "v1.2-amd64", True),
            ("'${claims.branch}'", "feature", False),
            ("a, b", "b", True),
        ],
    )
    def test_they_match_the_whole_tag(
        self, ask: Ask, pattern: str, tag: str, matches: bool
    ) -> None:
        assert ask(GRANT % pattern, f"{NAME}:{tag}").allowed == matches
        assert ask(DENIAL % pattern, f"{NAME}:{tag}").allowed != (
            matches or pattern == "'${claims.branch}'"  # an error makes a denial match
        )

    def test_a_value_that_is_no_part_of_a_tag_is_an_error_and_allows_nothing(
        self, ask: Ask
    ) -> None:
        granted = ask(GRANT % "'${claims.branch}'", f"{NAME}:feature")
        denied = ask(DENIAL % "'${claims.branch}'", f"{NAME}:feature")

        assert [error.code for error in granted.errors] == ["pattern-value"]
        assert (denied.why, [error.code for error in denied.errors]) == (
            Why.DENIED,
            ["pattern-value"],
        )

    def test_a_star_in_a_claim_is_no_wildcard(self, compiled: Compile, now: datetime) -> None:
        policy = compiled(HEAD + GRANT % "'${claims.ref_name}'")
        access = Access(repository_access(NAME, "push").resource, "push", "v1")
        who, claims = Identity("ci", "s"), Claims({**CLAIMS, "ref_name": "*"})
        [verdict] = decide(policy, who, claims, "registry.example.com", [access], now).verdicts

        assert not verdict.allowed


class TestContentWithoutATag:
    @pytest.mark.parametrize("place", [f"@{DIGEST}", f"@{OTHER}", UPLOAD])
    @pytest.mark.parametrize("action", ["pull", "push"])
    def test_it_moves_no_tag_so_grants_hold_and_denials_do_not(
        self, ask: Ask, place: str, action: str
    ) -> None:
        assert ask(GRANT % "v1", NAME + place, action).allowed
        assert ask(DENIAL % "v1", NAME + place, action).allowed

    def test_deleting_it_takes_its_tags_along(self, ask: Ask) -> None:
        assert not ask(GRANT % "'*'", f"{NAME}@{DIGEST}", "delete").allowed
        assert ask(DENIAL % "v1", f"{NAME}@{DIGEST}", "delete").why is Why.DENIED

    def test_an_upload_can_be_given_up(self, ask: Ask) -> None:
        assert ask(GRANT % "v1", NAME + UPLOAD, "delete").allowed
        assert ask(DENIAL % "v1", NAME + UPLOAD, "delete").allowed

    @pytest.mark.parametrize(("tags", "listed"), [("v1", False), ("v*", False), ("'*'", True)])
    def test_all_tags_are_listed_by_who_may_have_all_of_them(
        self, ask: Ask, tags: str, listed: bool
    ) -> None:
        assert ask(GRANT % tags, f"{NAME}:{ALL_TAGS}", "pull").allowed == listed
        assert ask(DENIAL % tags, f"{NAME}:{ALL_TAGS}", "pull").why is Why.DENIED


class TestConditions:
    def test_they_see_the_tag_and_the_digest(self, ask: Ask) -> None:
        statements = """
grants:
  - name: g
    repositories: [acme/app]
    tags: ["*"]
    when: scope.reference == claims.ref_name || scope.reference.startsWith("sha256:")
    actions: [push]
"""
        assert ask(statements, f"{NAME}:v1.2").allowed
        assert not ask(statements, f"{NAME}:v1.3").allowed
        assert ask(statements, f"{NAME}@{DIGEST}").allowed
        assert not ask(statements, NAME + UPLOAD).allowed, "the reference of an upload is empty"

    @pytest.mark.parametrize("claim", ["sub == 'else'", "none == 'else'", "groups == 'else'"])
    def test_a_claim_that_rules_a_grant_out_leaves_nothing_open(self, ask: Ask, claim: str) -> None:
        """With the index and without, so that suites see what the server does."""
        granted = GRANT.replace("tags:", f"when: \"claims.{claim} && scope.name == 'x'\", tags:")

        assert ask(granted % "v1", NAME).why is Why.NO_GRANT

    def test_a_claim_that_rules_a_denial_out_leaves_nothing_open(self, ask: Ask) -> None:
        condition = "claims.sub == 'else' && scope.name == 'acme/app'"
        denied = DENIAL.replace("tags:", f'when: "{condition}", tags:') % "v1"

        assert ask(denied, NAME).why is Why.GRANTED

    def test_what_does_not_ask_for_the_scope_is_decided_before(self, ask: Ask) -> None:
        statements = GRANT.replace("tags:", "when: claims.sub == 'else', tags:") % "v1"

        assert ask(statements, NAME).why is Why.NO_GRANT


class TestWithoutAReference:
    def test_what_depends_on_it_is_refused_and_said_to(self, ask: Ask) -> None:
        verdict = ask(GRANT % "'*'", NAME)

        assert (verdict.why, verdict.source) == (Why.DEPENDS_ON_REFERENCE, "g")
        assert not verdict.allowed

    def test_a_grant_for_everything_comes_first(self, ask: Ask) -> None:
        both = GRANT % "v1" + "  - {name: all, repositories: ['acme/*'], actions: [push]}\n"

        assert (ask(both, NAME).allowed, ask(both, NAME).source) == (True, "all")
        assert ask(both, NAME, "delete").why is Why.DEPENDS_ON_REFERENCE

    def test_a_denial_of_some_tags_leaves_it_open(self, ask: Ask) -> None:
        verdict = ask(DENIAL % "v1", NAME)

        assert (verdict.why, verdict.source) == (Why.DEPENDS_ON_REFERENCE, "d")

    def test_nothing_is_open_where_no_grant_is(self, ask: Ask) -> None:
        assert ask(DENIAL % "v1", "acme/else").why is Why.NO_GRANT

    def test_a_scope_carries_only_what_holds_for_everything(
        self, compiled: Compile, now: datetime
    ) -> None:
        policy = compiled(
            HEAD + GRANT % "v1" + "  - {name: r, repositories: ['**'], actions: [pull]}\n"
        )
        places = (NAME, f"{NAME}:v1")
        asked = [a for p in places for x in ("pull", "push") if (a := repository_access(p, x))]
        decision = decide(
            policy, Identity("ci", "s"), Claims(CLAIMS), "registry.example.com", asked, now
        )

        assert [verdict.allowed for verdict in decision.verdicts] == [True, False, True, True]
        assert list(map(str, decision.granted)) == ["repository:acme/app:pull"]
        assert list(map(str, decision.deferred)) == ["repository:acme/app:push"]

    def test_the_controller_counts_it_as_something(self, compiled: Compile, now: datetime) -> None:
        policy = compiled(HEAD + GRANT % "v1")

        assert may_be_granted(policy, login(policy, now), "registry.example.com", now)


@pytest.mark.parametrize("text", ["a/b", "-x", "", "x" * 129, "sha256:abc", "@", "*x"])
def test_what_is_no_reference_gets_nothing(compiled: Compile, now: datetime, text: str) -> None:
    policy = compiled(HEAD + GRANT % "'*'")
    resource = repository_access(NAME, "pull").resource
    verdict = one(policy, Access(resource, "pull", text), now)

    assert verdict.why is (Why.INVALID_REFERENCE if text else Why.DEPENDS_ON_REFERENCE)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("acme/app", ("acme/app", "")),
        ("acme/app:v1", ("acme/app", "v1")),
        ("host:5000/app", ("host:5000/app", "")),
        ("host:5000/app:v1", ("host:5000/app", "v1")),
        (f"acme/app@{DIGEST}", ("acme/app", DIGEST)),
        ("acme/app:*", ("acme/app", "*")),
        ("acme/app@upload", ("acme/app", "@upload")),
        ("acme/app@sha256:abc", None),
        ("acme/app:-x", None),
        ("acme/app:", None),
    ],
)
def test_places_are_written_as_everywhere(text: str, parts: tuple[str, str] | None) -> None:
    assert read(text) == parts
    assert parts is None or write(*parts) == text


def test_an_explanation_shows_the_tags_and_what_is_open(compiled: Compile, now: datetime) -> None:
    statements = GRANT.replace("actions:", "when: scope.reference != 'v0', actions:") % "v0, v2"
    policy = compiled(HEAD + statements)
    places = (NAME, f"{NAME}:v0", f"{NAME}@{DIGEST}")
    asked = [access for place in places if (access := repository_access(place, "push"))]
    told = narrate(explain_verified(policy, login(policy, now), "registry.example.com", asked, now))

    assert "repository:acme/app:push: REFUSED for now, g asks for the tag" in told
    assert "depends on the tag or digest, which is not known here" in told
    assert "repository:acme/app:v0:push: REFUSED, no grant allows it" in told
    assert "tag v0: matches" in told
    assert "tag v2: does not match" in told
    assert f"repository:acme/app@{DIGEST}:push: ALLOWED by g" in told


TAGS = st.sampled_from(["v1", "v*", '"*"', '"${claims.ref_name}"', '"${claims.branch}"'])
WHENS = st.sampled_from(
    ["", 'when: claims.sub == "s"', 'when: claims.sub == "x" && scope.action == "push"',
     'when: claims.none == "x" && scope.action == "push"', 'when: scope.reference == "v1"', 'when: scope.action == "pull"',
     "when: claims.none == 1", 'when: scope.reference.startsWith("v") && claims.none == 1'],
)  # fmt: skip
PLACES = st.sampled_from(["acme/app", "acme/*", '"**"', '"acme/${claims.none}"'])
REFERENCES = ("v1", "v1.2", "latest", ALL_TAGS, UPLOAD, DIGEST)


@st.composite
def policies(draw: st.DrawFn) -> str:
    def listed(kind: str) -> str:
        lines = []
        for number in range(draw(st.integers(0 if kind == "d" else 1, 3))):
            tags = f"tags: [{draw(TAGS)}]" if draw(st.booleans()) else ""
            when = draw(WHENS)
            if "reference" in when and (not tags or kind == "d"):
                when = ""
            actions = draw(st.sampled_from(["pull", "push", "pull, push", "delete"]))
            parts = (f"name: {kind}{number}", f"repositories: [{draw(PLACES)}]", tags, when)
            lines.append("\n    ".join(one for one in (*parts, f"actions: [{actions}]") if one))
        return "".join(f"  - {line}\n" for line in lines)

    denials = listed("d")
    return f"grants:\n{listed('g')}" + (f"denials:\n{denials}" if denials else "")


@pytest.mark.fuzz
def test_what_is_decided_without_a_reference_holds_for_every_one(
    now: datetime, explore: Callable[[Callable[[], None], int], None]
) -> None:
    """A token says "granted" of all there is: no reference may be refused what it grants."""

    @given(policies(), st.sampled_from(["pull", "push", "delete"]))
    def holds(statements: str, action: str) -> None:
        policy = compile_policy({"policy.yaml": HEAD + statements}).policy
        assert policy is not None
        access = repository_access(NAME, action)
        assert access is not None
        before = one(policy, access, now)
        each = [one(policy, Access(access.resource, action, ref), now) for ref in REFERENCES]

        if before.why is Why.DEPENDS_ON_REFERENCE:
            assert {verdict.why for verdict in each} <= {Why.GRANTED, Why.NO_GRANT, Why.DENIED}
        else:
            assert {verdict.allowed for verdict in each} == {before.allowed}

    explore(holds, 400)
