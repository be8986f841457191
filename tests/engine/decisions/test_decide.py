"""What grants and denials mean (policy language, "Meaning", 3 to 6)."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import pytest

from regauth.engine.access.outcomes import Decision, Identity, Why
from regauth.engine.access.scope import accesses, parse_scopes
from regauth.engine.cel import BOOL
from regauth.engine.cel.evaluation.program import make
from regauth.engine.cel.syntax.nodes import Constant
from regauth.engine.decisions.decide import Request, decide
from regauth.engine.policy.policy import Policy
from regauth.engine.tokens.jwt import NO_CLAIMS, Claims

HEAD = """
version: 1
services: [registry.example.com, other.example.com]
providers:
  ci: {issuer: "https://ci.example.com", audience: me}
  dev: {issuer: "https://dev.example.com", audience: me}
"""
MAIN = {"sub": "s", "repository": "acme/app", "ref": "refs/heads/main", "team": "blue"}

Compile = Callable[..., Policy]


@pytest.fixture
def ask(compiled: Compile, now: datetime) -> Callable[..., Decision]:
    """Decide scopes under a policy whose grants are given as text."""

    def decide_(statements: str, *scopes: str, **request: object) -> Decision:
        claims = request.get("claims", MAIN)
        identity = request.get("identity", Identity("ci", "s"))
        assert isinstance(claims, dict)
        assert isinstance(identity, Identity)
        both = [
            decide(
                compiled(HEAD + statements),
                identity,
                Claims(claims),
                str(request.get("service", "registry.example.com")),
                accesses(parse_scopes(scopes)),
                now,
                exhaustive=exhaustive,
            )
            for exhaustive in (False, True)
        ]

        assert [v.why for v in both[0].verdicts] == [v.why for v in both[1].verdicts]
        return both[bool(request.get("exhaustive"))]

    return decide_


def allowed(decision: Decision) -> list[str]:
    return [str(verdict.access) for verdict in decision.verdicts if verdict.allowed]


GRANT = """
grants:
  - {name: g, repositories: [%s], actions: [pull, push]}
"""


class TestPatterns:
    @pytest.mark.parametrize(
        ("pattern", "name", "matches"),
        [
            ("acme/app", "acme/app", True),
            ("acme/app", "acme/app2", False),
            ("acme/app", "acme/app/x", False),
            ("acme/*", "acme/app", True),
            ("acme/*", "acme", False),
            ("acme/*", "acme/a/b", False),
            ("acme/*", "acme-evil/app", False),
            ("acme/**", "acme/app", True),
            ("acme/**", "acme/a/b/c", True),
            ("acme/**", "acme", False),
            ("acme/**", "acme-evil/a", False),
            ("**", "a", True),
            ("**", "a/b/c", True),
            ("**/app", "app", True),
            ("**/app", "a/b/app", True),
            ("**/app", "a/b/myapp", False),
            ("a/**/z", "a/z", True),
            ("a/**/z", "a/b/c/z", True),
            ("a/**/z", "a/bz", False),
            ("a/**/z/**", "a/z/b", True),
            ("a/**/z/**", "a/z", False),
            ("app-*", "app-1", True),
            ("app-*", "app", False),
            ("*-app", "my-app", True),
            ("a*b*c", "abc", True),
            ("a*b*c", "axxbyyc", True),
            ("a*b*c", "axxbyy", False),
            ("*/app", "a/app", True),
            ("*/app", "a/b/app", False),
            ("localhost:5000/**", "localhost:5000/a", True),
        ],
    )
    def test_wildcards(
        self, ask: Callable[..., Decision], pattern: str, name: str, *, matches: bool
    ) -> None:
        decision = ask(GRANT % f'"{pattern}"', f"repository:{name}:pull")

        assert bool(allowed(decision)) is matches

    @pytest.mark.parametrize(
        ("value", "name", "matches"),
        [
            ("acme/app", "acme/app/x", True),
            ("acme/app", "acme/app", False),
            ("acme/*", "acme/app/x", False),
            ("**", "acme/app/x", False),
            ("acme/app/", "acme/app/x", False),
            ("../acme", "acme/x", False),
            ("", "acme/x", False),
            ("Acme", "acme/x", False),
            ("acme\n", "acme/x", False),
            ("host:5000/acme", "host:5000/acme/x", False),
            (7, "7/x", False),
            (None, "none/x", False),
            (["acme"], "acme/x", False),
        ],
    )
    def test_a_value_is_matched_literally_and_must_be_segments(
        self, ask: Callable[..., Decision], value: object, name: str, *, matches: bool
    ) -> None:
        decision = ask(
            GRANT % '"${claims.team}/**"', f"repository:{name}:pull", claims={"team": value}
        )

        assert bool(allowed(decision)) is matches

    def test_a_value_can_stand_within_a_segment(self, ask: Callable[..., Decision]) -> None:
        text = GRANT % '"team-${claims.team}-x/${claims.repository}"'

        assert allowed(ask(text, "repository:team-blue-x/acme/app:pull"))
        assert not allowed(ask(text, "repository:team-red-x/acme/app:pull"))

    def test_a_value_that_cannot_stand_in_a_name_is_an_error(
        self, ask: Callable[..., Decision]
    ) -> None:
        decision = ask(GRANT % '"${claims.team}/**"', "repository:a/b:pull", claims={"team": "A B"})
        (error,) = decision.verdicts[0].errors

        assert (error.source, error.code) == ("g", "pattern-value")
        assert error.message == (
            "'A B', the value of ${claims.team}, cannot stand in a repository's name"
        )

    def test_pattern_hint_a_long_value_is_cut_in_the_message(
        self, ask: Callable[..., Decision]
    ) -> None:
        claims = {"team": "A" * 5000}
        decision = ask(GRANT % '"${claims.team}/**"', "repository:a/b:pull", claims=claims)
        (error,) = decision.verdicts[0].errors

        assert len(error.message) < 150


class TestGrants:
    def test_no_grant_gives_nothing(self, ask: Callable[..., Decision]) -> None:
        decision = ask("", "repository:acme/app:pull")

        assert [verdict.why for verdict in decision.verdicts] == [Why.NO_GRANT]
        assert decision.granted == ()

    def test_each_access_is_decided_alone(self, ask: Callable[..., Decision]) -> None:
        decision = ask(GRANT % "acme/app", "repository:acme/app:pull,delete", "repository:b:pull")

        assert allowed(decision) == ["repository:acme/app:pull"]
        assert [str(scope) for scope in decision.granted] == ["repository:acme/app:pull"]

    def test_the_first_grant_that_matches_is_named(self, ask: Callable[..., Decision]) -> None:
        text = """
grants:
  - {name: no, when: "false", repositories: ["**"], actions: [pull]}
  - {name: first, repositories: ["acme/**"], actions: [pull]}
  - {name: second, repositories: ["**"], actions: [pull]}
"""
        assert ask(text, "repository:acme/app:pull").verdicts[0].source == "first"

    def test_a_star_is_answered_with_what_is_allowed_of_it(
        self, ask: Callable[..., Decision]
    ) -> None:
        decision = ask(GRANT % "acme/app", "repository:acme/app:*")

        assert [str(scope) for scope in decision.granted] == ["repository:acme/app:pull,push"]

    def test_an_error_makes_a_grant_not_match_and_is_reported(
        self, ask: Callable[..., Decision]
    ) -> None:
        text = """
grants:
  - {name: broken, when: claims.missing.startsWith("x"), repositories: ["**"], actions: [pull]}
  - {name: good, repositories: ["**"], actions: [pull]}
"""
        verdict = ask(text, "repository:a:pull").verdicts[0]

        assert (verdict.why, verdict.source) == (Why.GRANTED, "good")
        assert [error.source for error in verdict.errors] == ["broken"]

    @pytest.mark.parametrize("condition", ["claims.team", "claims.count", "claims.groups[0]"])
    def test_only_true_allows(self, ask: Callable[..., Decision], condition: str) -> None:
        """A claim of an open schema may be anything; nothing but `true` counts as true."""
        text = f"""
grants:
  - {{name: g, when: "{condition}", repositories: ["**"], actions: [pull]}}
"""
        claims = {"team": "true", "count": 1, "groups": [[1]]}

        assert not allowed(ask(text, "repository:a:pull", claims=claims))
        assert allowed(
            ask(text, "repository:a:pull", claims={"team": True, "count": True, "groups": [True]})
        )

    def test_a_grant_is_for_its_providers(self, ask: Callable[..., Decision]) -> None:
        text = "\ngrants: [{name: g, providers: [dev], repositories: [a], actions: [pull]}]"

        assert not allowed(ask(text, "repository:a:pull"))
        assert allowed(ask(text, "repository:a:pull", identity=Identity("dev", "s")))

    def test_a_grant_is_for_its_services(self, ask: Callable[..., Decision]) -> None:
        text = (
            "\ngrants: [{name: g, services: [other.example.com], repositories: [a], "
            "actions: [pull]}]"
        )

        assert not allowed(ask(text, "repository:a:pull"))
        assert allowed(ask(text, "repository:a:pull", service="other.example.com"))

    @pytest.mark.parametrize(
        ("expires", "good"),
        [
            ("2026-11-02", True),
            ("2026-11-01", False),
            ("2026-11-01T12:00:00Z", False),
            ("2026-11-01T12:00:01Z", True),
            ("2026-11-01T13:00:00+02:00", False),
        ],
    )
    def test_a_grant_can_end(
        self, ask: Callable[..., Decision], expires: str, *, good: bool
    ) -> None:
        text = f"\ngrants: [{{name: g, expires: '{expires}', repositories: [a], actions: [pull]}}]"

        assert bool(allowed(ask(text, "repository:a:pull"))) is good

    def test_a_class_is_asked_for_by_name(self, ask: Callable[..., Decision]) -> None:
        text = """
grants:
  - {name: images, repositories: [a], actions: [pull]}
  - {name: plugins, class: plugin, repositories: [b], actions: [pull]}
"""
        decision = ask(
            text,
            "repository(plugin):a:pull",
            "repository(plugin):b:pull",
            "repository:b:pull",
            "repository:a:pull",
        )

        assert allowed(decision) == ["repository(plugin):b:pull", "repository:a:pull"]

    def test_a_condition_sees_the_scope(self, ask: Callable[..., Decision]) -> None:
        text = """
grants:
  - name: g
    when: scope.type == "repository" && scope.action == "pull" && scope.name.startsWith("acme/")
    repositories: ["**"]
    actions: [pull, push]
"""
        decision = ask(text, "repository:acme/a:pull,push", "repository:b:pull")

        assert allowed(decision) == ["repository:acme/a:pull"]

    def test_the_catalog_is_one_scope(self, ask: Callable[..., Decision]) -> None:
        text = "\ngrants: [{name: browse, catalog: true}]"
        decision = ask(text, "registry:catalog:*", "registry:catalog:pull", "repository:a:pull")

        assert allowed(decision) == ["registry:catalog:*"]

    def test_a_repository_grant_is_not_for_the_catalog(self, ask: Callable[..., Decision]) -> None:
        assert not allowed(ask(GRANT % "'**'", "registry:catalog:*"))

    @pytest.mark.parametrize(
        ("scope", "why"),
        [
            ("repository:a:admin", Why.UNKNOWN_ACTION),
            ("registry:catalog:pull", Why.UNKNOWN_ACTION),
            ("registry:other:*", Why.UNKNOWN_TYPE),
            ("registry(x):catalog:*", Why.UNKNOWN_TYPE),
            ("artifact:a:pull", Why.UNKNOWN_TYPE),
            ("repository:A:pull", Why.INVALID_NAME),
            ("repository:a//b:pull", Why.INVALID_NAME),
            ("repository:a/../b:pull", Why.INVALID_NAME),
        ],
    )
    def test_the_unknown_is_refused(
        self, ask: Callable[..., Decision], scope: str, why: Why
    ) -> None:
        text = """
grants:
  - {name: all, repositories: ["**"], actions: [pull, push, delete]}
  - {name: browse, catalog: true}
"""
        assert [verdict.why for verdict in ask(text, scope).verdicts] == [why]


class TestDenials:
    TEXT = """
grants:
  - {name: all, repositories: ["**"], actions: [pull, push, delete]}
  - {name: browse, catalog: true}
denials:
  - {name: d, %s}
"""

    @pytest.mark.parametrize(
        ("denial", "refused"),
        [
            ('repositories: ["a/**"], actions: [push]', ["repository:a/b:push"]),
            (
                'when: claims.team == "blue", repositories: [a/b], actions: [push]',
                ["repository:a/b:push"],
            ),
            ('when: claims.team == "red", repositories: [a/b], actions: [push]', []),
            (
                'when: claims.missing == "x", repositories: [a/b], actions: [push]',
                ["repository:a/b:push"],
            ),
            (
                'when: "!has(claims.missing)", repositories: [a/b], actions: [pull]',
                ["repository:a/b:pull"],
            ),
            ('repositories: ["${claims.missing}/b"], actions: [push]', ["repository:a/b:push"]),
            ('repositories: ["a/${claims.missing}"], actions: [push]', ["repository:a/b:push"]),
            ('repositories: ["c/${claims.missing}"], actions: [push]', []),
            ('repositories: ["${claims.repository}/b"], actions: [push]', []),
            ("providers: [dev], repositories: [a/b], actions: [push]", []),
            ("services: [other.example.com], repositories: [a/b], actions: [push]", []),
            ("expires: '2026-01-01', repositories: [a/b], actions: [push]", []),
            ("class: plugin, repositories: [a/b], actions: [push]", []),
            ("catalog: true", ["registry:catalog:*"]),
        ],
    )
    def test_a_denial_beats_every_grant(
        self, ask: Callable[..., Decision], denial: str, refused: list[str]
    ) -> None:
        """One that cannot be evaluated matches; a certain mismatch elsewhere outweighs that."""
        decision = ask(self.TEXT % denial, "repository:a/b:pull,push", "registry:catalog:*")

        assert [str(v.access) for v in decision.verdicts if v.why is Why.DENIED] == refused
        assert {v.source for v in decision.verdicts if v.why is Why.DENIED} <= {"d"}

    @pytest.mark.parametrize(
        ("denial", "refused"),
        [
            ("", ["repository(plugin):a:push", "repository:a:push"]),
            ("class: plugin, ", ["repository(plugin):a:push"]),
        ],
    )
    def test_a_denial_without_a_class_is_for_every_class(
        self, ask: Callable[..., Decision], denial: str, refused: list[str]
    ) -> None:
        """Registries drop the class of a token's access: asking with one must evade nothing."""
        text = f"""
grants:
  - {{name: images, repositories: ["**"], actions: [push]}}
  - {{name: plugins, class: plugin, repositories: ["**"], actions: [push]}}
denials:
  - {{name: d, {denial}repositories: [a], actions: [push]}}
"""
        decision = ask(text, "repository(plugin):a:push", "repository:a:push")

        assert refused == [str(v.access) for v in decision.verdicts if v.why is Why.DENIED]

    def test_an_error_in_a_denial_is_reported(self, ask: Callable[..., Decision]) -> None:
        text = self.TEXT % 'when: claims.missing == "x", repositories: ["**"], actions: [pull]'
        verdict = ask(text, "repository:a:pull").verdicts[0]

        assert [error.source for error in verdict.errors] == ["d"]

    def test_an_indexed_equality_on_an_unreadable_claim_still_denies(
        self, ask: Callable[..., Decision]
    ) -> None:
        """The index must not turn the error of a denial into a miss."""
        text = self.TEXT % 'when: claims.team == "red", repositories: ["**"], actions: [pull]'

        assert allowed(ask(text, "repository:a:pull", claims={"team": "blue"}))
        assert not allowed(ask(text, "repository:a:pull", claims={"team": 7}))
        assert not allowed(ask(text, "repository:a:pull", claims={}))
        assert not allowed(ask(text, "repository:a:pull", claims={"team": "red"}))


class TestAnonymous:
    TEXT = """
grants:
  - {name: all, repositories: ["**"], actions: [pull, push]}
anonymous: {repositories: ["public/**"]}
denials:
  - {name: frozen, repositories: ["public/secret"], actions: [pull]}
  - {name: not-for-dev, providers: [dev], repositories: ["public/**"], actions: [pull]}
"""

    def test_it_gets_what_anonymous_says_and_no_grant(self, ask: Callable[..., Decision]) -> None:
        decision = ask(
            self.TEXT,
            "repository:public/a:pull,push",
            "repository:acme/a:pull",
            "repository:public/secret:pull",
            identity=Identity(),
            claims=NO_CLAIMS,
        )

        assert allowed(decision) == ["repository:public/a:pull"]
        assert decision.verdicts[0].source == "anonymous"
        assert decision.verdicts[3].why is Why.DENIED

    def test_a_denial_that_needs_claims_refuses_it(self, ask: Callable[..., Decision]) -> None:
        text = """
anonymous: {repositories: ["public/**"]}
denials:
  - {name: d, when: claims.team == "red", repositories: ["**"], actions: [pull]}
"""
        decision = ask(text, "repository:public/a:pull", identity=Identity(), claims=NO_CLAIMS)

        assert not allowed(decision)

    def test_others_do_not_get_it(self, ask: Callable[..., Decision]) -> None:
        text = "\nanonymous: {repositories: ['public/**']}"

        assert not allowed(ask(text, "repository:public/a:pull"))


def test_a_condition_that_is_gone_leaves_no_answer_behind(compiled: Compile, now: datetime) -> None:
    """Mutants ask one request about thousands of conditions, each of which is soon freed."""
    grants = "grants: [{name: g, when: 'true', repositories: [a/b], actions: [pull]}]"
    policy = compiled(HEAD + grants)
    request = Request(policy, Identity("ci", "s"), Claims(MAIN), "registry.example.com", now)
    [access] = accesses(parse_scopes(["repository:a/b:pull"]))
    found = []
    for number in range(100):
        value = Constant(0, 4, value=bool(number % 2))
        changed = replace(policy.grants[0], when=make("text", value, BOOL, {}))
        found.append(request.match(changed, access))
        del changed
    assert [bool(number % 2) for number in range(100)] == found
