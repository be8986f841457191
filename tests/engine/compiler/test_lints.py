"""Each lint speaks where it should, stays silent on the near miss, and can be silenced in place."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest

from regauth import schemas
from regauth.engine import Compilation, Severity, compile_policy
from regauth.engine.compiler import lints
from regauth.engine.source.problems import Problem

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)

HEAD = """
version: 1
services: [registry.example.com]
providers:
  github:
    issuer: https://token.actions.githubusercontent.com/acme
    audience: registry.example.com
    claims: github-actions
"""
REST = """
grants:
  - name: g
    providers: [%s]
    when: '%s'
    repositories: [a]
    actions: [pull]
"""
DENIAL = """
grants:
  - {name: all, repositories: ["acme/**"], actions: [pull]}
denials:
  - name: d
    when: '%s'
    repositories: ["acme/**"]
    actions: [pull]
"""
OTHERS = """
  gitlab: {issuer: "https://gitlab.example.com", audience: me, claims: gitlab-ci}
  cluster: {issuer: "https://k.example.com", audience: me, claims: kubernetes}
  generic: {issuer: "https://g.example.com", audience: me}
  buildkite:
    issuer: https://agent.buildkite.com
    audience: me
    claims: buildkite
    rules:
      - name: ours
        check: >-
          has(claims.cluster_id) && claims.cluster_id == "0191f956-042f-7ec4-aa62-8e5eeae396d0"
"""


def compiled(text: str) -> Compilation:
    compilation = compile_policy({"policy.yaml": text}, now=NOW)
    errors = [str(p) for p in compilation.problems if p.severity is Severity.ERROR]

    assert errors == []
    return compilation


def found(text: str) -> list[str]:
    """The codes of the lints, without what is not theirs."""
    codes = [problem.code for problem in compiled(text).problems]
    return [code for code in codes if code in lints.CODES and code != "unused-provider"]


CHOICES = {"chosen-by-strangers", "open-ref", "loose-ref", "unprotected-environment"}
"""Lints of what others choose, which have tests of their own below."""


def of_condition(condition: str, provider: str = "github") -> list[str]:
    return [code for code in every_of_condition(condition, provider) if code not in CHOICES]


def of_choices(condition: str, provider: str = "github") -> list[str]:
    return [code for code in every_of_condition(condition, provider) if code in CHOICES]


def every_of_condition(condition: str, provider: str) -> list[str]:
    return found(HEAD + OTHERS + REST % (provider, condition.replace("'", "''")))


def of_denial(condition: str) -> list[str]:
    return found(HEAD + DENIAL % condition.replace("'", "''"))


def of_grants(*grants: str) -> list[str]:
    return found(HEAD + "grants:\n" + "".join(f"  - {{{grant}}}\n" for grant in grants))


class TestMutableName:
    @pytest.mark.parametrize(
        "condition",
        [
            'claims.repository_owner == "acme"',
            '"acme" == claims.repository_owner',
            'claims.repository in ["acme/app", "acme/lib"]',
            'claims.repository.lowerAscii() == "acme/app"',
            'claims.repository == "acme/app" && claims.ref == "refs/heads/main"',
            'claims.run_id == "7" || claims.repository == "acme/app"',
            '!(claims.run_id == "7" || !(claims.repository == "acme/app"))',
            'claims.run_id == "7" ? claims.repository == "acme/app" : claims.run_id == "8"',
            'claims.actor == "alice"',
        ],
    )
    def test_a_name_alone_is_not_enough(self, condition: str) -> None:
        assert of_condition(condition) == ["mutable-name"]

    @pytest.mark.parametrize(
        "condition",
        [
            'claims.repository_owner == "acme" && claims.repository_owner_id == "1342004"',
            'claims.repository == "acme/app" && claims.repository_id == "456789"',
            'claims.repository == "acme/app" && claims.repository_owner_id == "1342004"',
            'claims.repository_owner_id == "1342004"',
            'claims.repository_owner != "acme"',
            '!(claims.repository_owner == "acme")',
            'claims.ref == "refs/heads/main"',
            'claims.event_name == "push"',
            "claims.repository == claims.repository_owner + '/app'",
            'has(claims.environment) && claims.environment == "production"',
            'claims.workflow == "Build"',
        ],
    )
    def test_what_its_id_pins_or_nobody_else_can_take_is_good(self, condition: str) -> None:
        assert of_condition(condition) == []

    def test_two_names_of_one_thing_are_each_said(self) -> None:
        both = 'claims.repository_owner == "acme" && claims.repository == "acme/app"'

        assert of_condition(both) == ["mutable-name", "mutable-name"]

    @pytest.mark.parametrize(
        ("condition", "provider", "expected"),
        [
            ('claims.namespace_path == "acme"', "gitlab", ["mutable-name"]),
            ('claims.project_path == "acme/app"', "gitlab", ["mutable-name"]),
            (
                'claims.project_path == "acme/app" && claims.namespace_id == "72"',
                "gitlab",
                [],
            ),
            (
                'has(claims.environment) && claims.environment == "production"',
                "gitlab",
                [],
            ),
            ('claims.organization_slug == "acme"', "buildkite", ["mutable-name"]),
            ('claims.pipeline_slug == "deploy"', "buildkite", []),
            ('claims["kubernetes.io"].namespace == "team-a"', "cluster", []),
            (
                'claims["kubernetes.io"].serviceaccount.name == "builder"',
                "cluster",
                ["ambiguous-name"],
            ),
            (
                'has(claims.email) && claims.email == "a@example.com"',
                "generic",
                ["unverified-value"],
            ),
        ],
    )
    def test_what_identifies_is_what_the_claim_schema_says(
        self, condition: str, provider: str, expected: list[str]
    ) -> None:
        assert of_condition(condition, provider) == expected

    def test_a_rule_pins_for_all_grants(self) -> None:
        rule = '    rules:\n      - {name: ours, check: claims.repository_owner_id == "1"}\n'
        text = REST % ("github", 'claims.repository == "acme/app"')

        assert found(HEAD + text) == ["mutable-name"]
        assert found(HEAD + rule + text) == []

    def test_a_rule_of_one_provider_does_not_pin_for_another(self) -> None:
        rule = '    rules:\n      - {name: ours, check: claims.repository_owner_id == "1"}\n'
        other = """  enterprise:
    issuer: https://token.actions.acme.ghe.com
    audience: me
    claims: github-actions
"""
        text = REST % ("github, enterprise", 'claims.repository == "acme/app"')

        assert found(HEAD + rule + other + text) == ["mutable-name"]

    def test_a_denial_by_name_can_be_escaped(self) -> None:
        assert of_denial('claims.repository_owner == "evil"') == ["mutable-name"]

    def test_a_definition_is_looked_at_where_it_stands(self) -> None:
        text = HEAD + REST % ("github", "defs.ours")
        text += 'definitions: {ours: claims.repository_owner == "acme"}\n'
        (problem,) = compiled(text).problems

        assert (problem.code, problem.location.line) == ("mutable-name", 16)

    def test_a_negated_definition_admits_nothing(self) -> None:
        text = HEAD + REST % ("github", "!defs.theirs")
        text += 'definitions: {theirs: claims.repository_owner == "evil"}\n'

        assert found(text) == []


class TestSubjectText:
    @pytest.mark.parametrize(
        "condition",
        [
            'claims.sub == "repo:acme/app:ref:refs/heads/main"',
            'claims.sub in ["repo:acme/app:pull_request"]',
            'claims.sub.startsWith("repo:acme/")',
            '!claims.sub.endsWith(":pull_request")',
            'claims.sub.contains("environment")',
            'claims.sub.matches("^repo:acme/.*$")',
        ],
    )
    def test_githubs_subject_has_two_forms(self, condition: str) -> None:
        assert of_condition(condition) == ["subject-text"]

    @pytest.mark.parametrize(
        ("condition", "provider"),
        [
            ('claims.sub == "system:serviceaccount:a:b"', "cluster"),
            ('claims.sub == "someone"', "generic"),
            ("claims.sub == claims.repository", "github"),
            ("claims.sub.size() > 3", "github"),
        ],
    )
    def test_others_may_be_compared(self, condition: str, provider: str) -> None:
        assert of_condition(condition, provider) == []


class TestOpenPrefix:
    @pytest.mark.parametrize(
        ("condition", "provider"),
        [
            ('claims.repository.startsWith("acme")', "github"),
            ('claims.repository_owner.startsWith("acme")', "github"),
            ('claims.project_path.startsWith("acme")', "gitlab"),
            ('claims.sub.startsWith("system:serviceaccount:team")', "cluster"),
            ('claims["kubernetes.io"].namespace.startsWith("team-a")', "cluster"),
            ('!(!claims.repository.startsWith("acme"))', "github"),
        ],
    )
    def test_a_prefix_in_the_middle_of_a_name(self, condition: str, provider: str) -> None:
        assert of_condition(condition, provider) == ["open-prefix"]

    @pytest.mark.parametrize(
        ("condition", "provider"),
        [
            (
                'claims.repository.startsWith("acme/") && claims.repository_owner_id == "1"',
                "github",
            ),
            ('claims.repository.startsWith("acme") && claims.repository_owner_id == "1"', "github"),
            ('claims.ref.startsWith("refs/heads/release")', "github"),
            ('!claims.repository.startsWith("acme")', "github"),
            ('claims.sub.startsWith("system:serviceaccount:team:")', "cluster"),
            ('claims["kubernetes.io"].namespace.startsWith("team-")', "cluster"),
            ('has(claims.environment) && claims.environment.startsWith("prod")', "github"),
        ],
    )
    def test_a_separator_or_an_id_ends_it(self, condition: str, provider: str) -> None:
        assert of_condition(condition, provider) == []

    def test_in_a_denial_the_negation_is_what_admits(self) -> None:
        assert of_denial('claims.repository.startsWith("evil")') == []
        assert of_denial('!claims.repository.startsWith("acme")') == ["open-prefix"]


class TestUnanchoredMatches:
    @pytest.mark.parametrize(
        "pattern",
        [
            "refs/tags/v1",
            "^refs/tags/v[0-9]+",
            "refs/tags/v[0-9]+$",
            "^refs/heads/main$|refs/heads/dev",
            "^(a)|(b)$",
            r"^cost\\$",
            "^[$]",
            "(^a|b$)",
        ],
    )
    def test_a_part_of_the_text_is_enough(self, pattern: str) -> None:
        assert of_condition(f'claims.workflow.matches("{pattern}")') == ["unanchored-matches"]

    @pytest.mark.parametrize(
        "pattern",
        [
            "^refs/tags/v[0-9]+$",
            r"\\Arefs/tags/v[0-9]+\\z",
            "^refs/heads/.*",
            ".*-release$",
            "^refs/heads/(main|dev)$",
            "^refs/heads/main$|^refs/heads/dev$",
            "(^refs/heads/main$|^refs/heads/dev$)",
            "(?i)^refs/heads/main$",
            "^(?:refs/heads/main)$",
            "^[|]$",
            r"^a\\|b$",
            r"^a\\\\$",
        ],
    )
    def test_an_anchored_pattern_is_good(self, pattern: str) -> None:
        assert of_condition(f'claims.workflow.matches("{pattern}")') == []

    def test_what_refuses_may_be_broad(self) -> None:
        assert of_condition('!claims.ref.matches("dependabot")') == []
        assert of_denial('claims.ref.matches("dependabot")') == []


class TestImpossibleTogether:
    @pytest.mark.parametrize(
        ("condition", "count"),
        [
            ('claims.ref_type == "tag" && claims.ref == "refs/heads/main"', 1),
            ('claims.ref_type in ["tag"] && "refs/heads/main" == claims.ref', 1),
            (
                'claims.ref_type == "tag" && (claims.run_id == "7" || claims.ref == "refs/heads/a")',
                1,
            ),
            (
                'claims.ref_type == "tag" && (claims.run_id == "7" && claims.ref == "refs/heads/a")',
                1,
            ),
            ('claims.ref_type == "tag" || claims.ref == "refs/heads/main"', 0),
            ('claims.ref_type == "tag" && !(claims.ref == "refs/heads/main")', 0),
            ('claims.ref_type == "tag" && claims.ref != "refs/heads/main"', 0),
            ('claims.ref_type in ["tag", "branch"] && claims.ref == "refs/heads/main"', 0),
            ('claims.ref_type == "tag" && claims.ref == "refs/tags/v1"', 0),
            # The environment is open, and so is the form of `sub`.
            ('claims.repository_id == "4" && claims.ref == "refs/heads/main"', 0),
        ],
    )
    def test_it_is_told_once_where_it_is_certain(self, condition: str, count: int) -> None:
        assert of_condition(condition).count("impossible-together") == count

    def test_it_says_what_would_be_right(self) -> None:
        text = HEAD + REST % (
            "github",
            'claims.repository_owner == "a" && claims.ref_type == "tag"',
        )
        text = text.replace("claims.ref_type", 'claims.repository == "b/c" && claims.ref_type')
        (problem,) = [one for one in compiled(text).problems if one.code == "impossible-together"]
        assert problem.hint is not None
        assert "`repository` would be 'a/" in problem.hint


class TestUnescapedDot:
    @pytest.mark.parametrize(
        "pattern",
        ["^refs/tags/v1.2$", "^refs/tags/v[0-9]+.[0-9]+$", "^a(b)?.c$", r"^a{2}.\\d$"],
    )
    def test_one_character_between_others_is_found(self, pattern: str) -> None:
        assert "unescaped-dot" in of_condition(f'claims.workflow.matches("{pattern}")')

    @pytest.mark.parametrize(
        "pattern",
        ["^v1\\\\.2$", "^a.*b$", "^a.+b$", "^a[.]b$", "^a.?b$", "^a.{2}b$", "^.b$", "^a.$"],
    )
    def test_another_dot_is_good(self, pattern: str) -> None:
        assert "unescaped-dot" not in of_condition(f'claims.workflow.matches("{pattern}")')

    def test_what_refuses_may_be_broad(self) -> None:
        assert of_condition('!claims.workflow.matches("^a.b$")') == []


class TestShortName:
    @pytest.mark.parametrize(
        "condition",
        [
            'claims.build_branch == "refs/heads/main"',
            'claims.build_branch in ["main", "refs/heads/dev"]',
            'claims.build_branch.startsWith("refs/heads/release/")',
        ],
    )
    def test_a_whole_ref_is_found(self, condition: str) -> None:
        assert "short-name" in of_condition(condition, "buildkite")

    def test_in_a_denial_it_is_an_error(self) -> None:
        text = HEAD.replace("github-actions", "buildkite") + DENIAL
        policy = compile_policy({"policy.yaml": text % 'claims.build_branch == "refs/heads/a"'})
        (problem,) = [one for one in policy.problems if one.code == "short-name"]
        assert problem.severity is Severity.ERROR
        assert problem.hint == "did you mean 'a'?"

    def test_where_the_claim_has_whole_refs_they_are_good(self) -> None:
        assert of_condition('claims.ref == "refs/heads/main"') == []
        assert of_condition('claims.build_branch == "main"', "buildkite") == []


class TestLooseSubject:
    @pytest.mark.parametrize("function", ["contains", "endsWith"])
    def test_a_part_of_a_subject_is_found(self, function: str) -> None:
        assert of_condition(f'claims.sub.{function}(":builder")', "cluster") == ["loose-subject"]

    def test_the_beginning_of_a_mail_address_is_no_domain(self) -> None:
        condition = 'has(claims.email) && claims.email.contains("@acme.com")'
        assert "loose-subject" in of_condition(condition, "generic")

    def test_a_whole_subject_and_what_refuses_are_good(self) -> None:
        whole = 'claims.sub == "system:serviceaccount:a:b"'
        assert of_condition(whole, "cluster") == []
        assert of_condition('!claims.sub.contains(":builder")', "cluster") == []


class TestAbsentPasses:
    @pytest.mark.parametrize(
        "condition",
        [
            '!has(claims.environment) || claims.environment == "a"',
            'claims.environment == "a" || !("environment" in claims)',
            '!has(claims.environment) || claims.environment in ["a", "b"]',
            '!has(claims.environment) || claims.environment.startsWith("a/")',
            'claims.run_id == "7" && (!has(claims.environment) || claims.environment == "a")',
        ],
    )
    def test_a_value_that_is_asked_only_where_it_is_there_is_found(self, condition: str) -> None:
        assert "absent-passes" in of_condition(condition)

    @pytest.mark.parametrize(
        "condition",
        [
            'has(claims.environment) && claims.environment == "a"',
            '!has(claims.environment) || claims.environment != "a"',
            '!has(claims.environment) || claims.environment == ""',
            '!has(claims.environment) || claims.run_id == "7"',
        ],
    )
    def test_a_value_that_is_refused_or_asked_for_is_good(self, condition: str) -> None:
        assert "absent-passes" not in of_condition(condition)

    def test_a_denial_is_good(self) -> None:
        assert of_denial('!has(claims.environment) || claims.environment == "a"') == []


class TestBranchesThatOnlyBeginSo:
    @pytest.mark.parametrize(
        ("condition", "provider"),
        [
            ('claims.ref.startsWith("refs/heads/main")', "github"),
            ('claims.ref.startsWith("refs/heads/team/release")', "github"),
            ('claims.workflow_ref.startsWith("a/b/.github/workflows/c.yml@refs/heads/main")',
             "github"),
            ('claims.build_branch.startsWith("release")', "buildkite"),
        ],
    )  # fmt: skip
    def test_a_beginning_that_is_a_whole_name_is_found(self, condition: str, provider: str) -> None:
        assert "loose-ref" in of_choices(condition, provider)

    @pytest.mark.parametrize(
        ("condition", "provider"),
        [
            ('claims.ref.startsWith("refs/heads/release/")', "github"),
            ('claims.ref.startsWith("refs/heads/release-")', "github"),
            ('claims.ref.startsWith("refs/heads/v")', "github"),
            ('claims.ref.startsWith("refs/tags/release")', "github"),
            ('claims.build_branch.startsWith("v1")', "buildkite"),
        ],
    )
    def test_a_beginning_that_goes_on_is_good(self, condition: str, provider: str) -> None:
        assert "loose-ref" not in of_choices(condition, provider)


class TestWhatBeginsLikeAnExcludedEvent:
    def test_the_other_event_of_pull_requests_is_found(self) -> None:
        for condition in (
            'claims.event_name != "pull_request"',
            'claims.run_id == "7" && !(claims.event_name in ["pull_request", "release"])',
        ):
            assert of_condition(condition) == ["caused-by-strangers"], condition

    def test_excluding_both_or_naming_events_is_good(self) -> None:
        for condition in (
            '!(claims.event_name in ["pull_request", "pull_request_target"])',
            'claims.event_name != "pull_request" && claims.event_name != "pull_request_target"',
            'claims.event_name in ["push", "release"] && claims.event_name != "pull_request"',
        ):
            assert "caused-by-strangers" not in of_condition(condition), condition

    def test_a_rule_may_exclude_the_other(self) -> None:
        rule = "    rules: [{name: r, check: 'claims.event_name != \"pull_request_target\"'}]\n"
        text = HEAD + rule + REST % ("github", 'claims.event_name != "pull_request"')
        assert "caused-by-strangers" not in [one.code for one in compiled(text).problems]


class TestMutableBeginnings:
    @pytest.mark.parametrize(
        ("condition", "provider", "found"),
        [
            ('claims.repository.startsWith("acme/")', "github", ["mutable-name"]),
            ('claims.project_path.startsWith("acme/")', "gitlab", ["mutable-name"]),
            ('claims.project_path.startsWith("acme/team/")', "gitlab", ["mutable-name"]),
            ('!claims.repository.startsWith("acme/")', "github", []),
            (
                'claims.repository.startsWith("acme/") && claims.repository_id == "4"',
                "github",
                [],
            ),
            ('claims.ref.startsWith("refs/heads/")', "github", []),
        ],
    )
    def test_the_owner_before_a_slash_is_a_name(
        self, condition: str, provider: str, found: list[str]
    ) -> None:
        assert of_condition(condition, provider) == found


AMBIGUOUS = 'claims["kubernetes.io"].serviceaccount.name == "a"'


class TestAmbiguousName:
    @pytest.mark.parametrize(
        ("condition", "provider", "found"),
        [
            ('claims.ref == "main"', "gitlab", ["ambiguous-name"]),
            ('claims.ref in ["main", "v1"]', "gitlab", ["ambiguous-name"]),
            ('claims.ref == "main" && claims.ref_type == "branch"', "gitlab", []),
            (
                'claims.ref == "main" && claims.ref_protected == "true"',
                "gitlab",
                ["ambiguous-name"],
            ),
            ('claims.ref != "main"', "gitlab", []),
            ('claims.ref_path == "refs/heads/main"', "gitlab", []),
            ('claims.ref == "refs/heads/main"', "github", []),
            (AMBIGUOUS + ' && claims["kubernetes.io"].namespace == "b"', "cluster", []),
        ],
    )
    def test_a_name_of_several_things(
        self, condition: str, provider: str, found: list[str]
    ) -> None:
        assert of_condition(condition, provider) == found

    def test_a_repository_can_say_which_is_meant(self) -> None:
        """The account of each namespace for the repositories of that namespace."""
        text = HEAD + OTHERS + REST % ("cluster", AMBIGUOUS)
        namespace = """'${claims["kubernetes.io"].namespace}/**'"""
        assert "ambiguous-name" in found(text)
        named = text.replace("repositories: [a]", f"repositories: [{namespace}]")
        assert "ambiguous-name" not in found(named)


class TestCausedByStrangers:
    @pytest.mark.parametrize(
        "condition",
        [
            'claims.event_name == "pull_request_target"',
            'claims.event_name in ["push", "pull_request_target"]',
            'claims.run_id == "7" || claims.event_name == "pull_request_target"',
        ],
    )
    def test_it_runs_for_strangers(self, condition: str) -> None:
        assert of_condition(condition) == ["caused-by-strangers"]

    @pytest.mark.parametrize(
        "condition",
        [
            'claims.event_name != "pull_request_target"',
            '!(claims.event_name in ["pull_request_target", "workflow_run"])',
            'claims.event_name == "pull_request"',
            'claims.workflow == "pull_request_target"',
        ],
    )
    def test_not_to_admit_it_is_good(self, condition: str) -> None:
        assert of_condition(condition) == []

    def test_a_denial_of_it_is_good(self) -> None:
        assert of_denial('claims.event_name == "pull_request_target"') == []
        assert of_denial('!(claims.event_name == "pull_request_target")') == ["caused-by-strangers"]

    def test_a_definition_that_is_negated_is_good(self) -> None:
        text = HEAD + REST % ("github", "!defs.risky")
        text += 'definitions: {risky: claims.event_name == "pull_request_target"}\n'

        assert found(text) == []


class TestLegacyKubernetesClaim:
    LEGACY = 'claims["kubernetes.io/serviceaccount/namespace"] == "team-a"'

    def test_an_open_schema_does_not_know_that_it_is_gone(self) -> None:
        assert of_condition(self.LEGACY, "generic") == ["legacy-kubernetes-claim"]

    def test_the_new_path_is_good(self) -> None:
        assert of_condition('claims["kubernetes.io"].namespace == "a"', "generic") == []

    def test_in_the_kubernetes_schema_it_is_an_error_that_says_the_new_path(self) -> None:
        text = HEAD + OTHERS + REST % ("cluster", self.LEGACY)
        (problem,) = [
            problem
            for problem in compile_policy({"policy.yaml": text}).problems
            if problem.severity is Severity.ERROR
        ]

        assert problem.code == "cel-unknown-claim"
        assert problem.hint.endswith('read claims["kubernetes.io"].namespace')


class TestDefaultAudience:
    @pytest.mark.parametrize(
        ("audience", "expected"),
        [
            ("https://github.com/acme", ["default-audience"]),
            ("https://github.com/acme/", ["default-audience"]),
            ("https://token.actions.githubusercontent.com/acme", ["default-audience"]),
            ("[registry, https://github.com/acme]", ["default-audience"]),
            ("https://github.com/acme/app", []),
            ("https://registry.example.com", []),
        ],
    )
    def test_it_is_in_tokens_for_others(self, audience: str, expected: list[str]) -> None:
        text = HEAD.replace("audience: registry.example.com", f"audience: {audience}")

        assert found(text + REST % ("github", 'claims.run_id == "7"')) == expected


class TestLongSession:
    @pytest.mark.parametrize(
        ("longest", "expected"),
        [("24h", []), ("1d1ms", ["long-session"]), ("30d", ["long-session"])],
    )
    def test_it_outlasts_a_job(self, longest: str, expected: list[str]) -> None:
        rest = REST % ("github", 'claims.run_id == "7"')

        assert found(HEAD + f"    refreshTokens: {{maxSession: {longest}}}\n" + rest) == expected


class TestUnusedProvider:
    def test_a_provider_without_a_grant(self) -> None:
        text = HEAD + OTHERS + REST % ("github", 'claims.run_id == "7"')
        codes = [problem.code for problem in compiled(text).problems]

        assert codes == ["unused-provider"] * 4

    def test_a_grant_for_all_is_for_each(self) -> None:
        text = HEAD + OTHERS + "grants: [{name: g, repositories: [a], actions: [pull]}]\n"

        assert compiled(text).problems == ()


class TestPushWithoutPull:
    @pytest.mark.parametrize(
        "grants",
        [
            ["name: g, repositories: [a], actions: [push]"],
            ["name: g, repositories: [a], actions: [push, delete]"],
            [
                'name: g, repositories: ["acme/a/**"], actions: [push]',
                'name: h, repositories: ["acme/b/**", other], actions: [pull]',
            ],
        ],
    )
    def test_registries_ask_for_both(self, grants: list[str]) -> None:
        assert of_grants(*grants) == ["push-without-pull"]

    @pytest.mark.parametrize(
        "grants",
        [
            ["name: g, repositories: [a], actions: [pull, push]"],
            ["name: g, repositories: [a], actions: [delete]"],
            [
                'name: g, repositories: ["acme/a/**"], actions: [push]',
                'name: h, repositories: ["acme/**"], actions: [pull]',
            ],
            [
                'name: h, repositories: ["**"], actions: [pull]',
                'name: g, repositories: ["acme/a"], actions: [push]',
            ],
            [
                'name: g, repositories: ["${claims.repository.lowerAscii()}"], actions: [push]',
                'name: h, repositories: ["acme/**"], actions: [pull]',
            ],
            [
                'name: g, repositories: ["acme/**"], actions: [push]',
                "name: h, repositories: [acme/a/b], actions: [pull]",
            ],
        ],
    )
    def test_another_grant_may_give_the_pull(self, grants: list[str]) -> None:
        assert of_grants(*grants) == []

    def test_not_a_grant_of_other_tags(self) -> None:
        codes = of_grants(
            "name: a, repositories: [a], tags: [v1], actions: [push]",
            "name: b, repositories: [a], tags: [latest], when: '!scope.reference.contains(\"x\")', actions: [pull]",
        )

        assert codes == ["push-without-pull"]

    def test_not_a_grant_for_another_provider(self) -> None:
        text = (
            HEAD
            + OTHERS
            + """
grants:
  - {name: g, providers: [github], repositories: [a], actions: [push]}
  - {name: h, providers: [gitlab], repositories: [a], actions: [pull]}
"""
        )
        assert found(text) == ["push-without-pull"]

    def test_a_denial_of_push_alone_is_good(self) -> None:
        text = HEAD + DENIAL.replace("actions: [pull]\n", "actions: [push]\n")

        assert found(text % 'claims.run_id == "7"') == []


class TestPushAnywhere:
    @pytest.mark.parametrize(
        ("grant", "expected"),
        [
            ('repositories: ["**"], actions: [pull, push]', ["push-anywhere"]),
            ('repositories: [a, "**"], actions: [pull, push]', ["push-anywhere"]),
            ('repositories: ["**"], actions: [pull]', []),
            ('repositories: ["acme/**"], actions: [pull, push]', []),
            (
                'when: scope.name == claims.repository, repositories: ["**"], actions: [pull, push]',
                [],
            ),
        ],
    )
    def test_every_image_there_is(self, grant: str, expected: list[str]) -> None:
        assert of_grants(f"name: g, {grant}") == expected


class TestExpired:
    @pytest.mark.parametrize(
        ("expires", "expected"),
        [
            ("2026-10-31", ["expired"]),
            ("2026-11-01T12:00:00Z", ["expired"]),
            ("2026-11-01T12:00:01Z", []),
            ("2027-01-31", []),
        ],
    )
    def test_what_has_ended(self, expires: str, expected: list[str]) -> None:
        assert of_grants(f"name: g, repositories: [a], actions: [pull], expires: '{expires}'") == (
            expected
        )

    def test_without_a_time_nothing_is_said(self) -> None:
        text = HEAD + "grants: [{name: g, repositories: [a], actions: [pull], expires: 2020-01-01}]"

        assert compile_policy({"policy.yaml": text}).problems == ()


class TestTagsOfContent:
    @pytest.mark.parametrize(
        ("statements", "expected"),
        [
            ("grants: [{name: g, repositories: [a], tags: [v1], actions: [pull]}]", 1),
            ("grants: [{name: g, repositories: [a], tags: [v1], actions: [pull, push]}]", 0),
            ("grants: [{name: g, repositories: [a], tags: [v1], actions: [delete]}]", 0),
            ("grants: [{name: g, repositories: [a], tags: [v1], when: '!scope.reference.contains(\":\")', actions: [pull]}]", 0),
            ("grants: [{name: g, repositories: [a], actions: [pull]}]", 0),
            ("denials: [{name: d, repositories: [a], tags: [v1], actions: [pull, push]}]", 1),
            ("denials: [{name: d, repositories: [a], tags: [v1], when: 'scope.name == \"a\"', actions: [pull]}]", 1),
            ("denials: [{name: d, repositories: [a], tags: [v1], actions: [push]}]", 0),
        ],
    )  # fmt: skip
    def test_content_is_read_by_digest(self, statements: str, expected: int) -> None:
        rest = (
            ""
            if "grants" in statements
            else "\ngrants: [{name: x, repositories: [x], actions: [pull]}]"
        )

        assert found(f"{HEAD}\n{statements}{rest}\n") == ["tags-of-content"] * expected


class TestShadowedGrant:
    @pytest.mark.parametrize(
        "grants",
        [
            [
                'name: a, repositories: ["acme/**"], actions: [pull]',
                "name: b, repositories: [acme/x], actions: [pull]",
            ],
            [
                'name: a, repositories: ["**"], actions: [pull, push]',
                'name: b, when: claims.run_id == "7", repositories: ["${claims.repository.lowerAscii()}"], actions: [pull, push]',
            ],
            [
                'name: a, when: claims.run_id == "7", repositories: [x, y], actions: [pull]',
                'name: b, when: claims.run_id == "7", repositories: [y], actions: [pull], expires: 2027-01-01',
            ],
        ],
    )
    def test_an_earlier_grant_gives_it_all(self, grants: list[str]) -> None:
        assert [code for code in of_grants(*grants) if code != "push-anywhere"] == [
            "shadowed-grant"
        ]

    @pytest.mark.parametrize(
        "grants",
        [
            [
                "name: a, repositories: [acme/x], actions: [pull]",
                'name: b, repositories: ["acme/**"], actions: [pull]',
            ],
            [
                'name: a, repositories: ["acme/**"], actions: [pull]',
                "name: b, repositories: [acme], actions: [pull]",
            ],
            [
                'name: a, repositories: ["acme/**"], actions: [pull]',
                "name: b, repositories: [acme/x], actions: [pull, push]",
            ],
            [
                'name: a, when: claims.run_id == "7", repositories: ["acme/**"], actions: [pull]',
                "name: b, repositories: [acme/x], actions: [pull]",
            ],
            [
                'name: a, repositories: ["acme/**"], actions: [pull], expires: 2027-01-01',
                "name: b, repositories: [acme/x], actions: [pull]",
            ],
            [
                'name: a, repositories: ["acme/**"], actions: [pull]',
                "name: b, class: plugin, repositories: [acme/x], actions: [pull]",
            ],
            [
                'name: a, repositories: ["acme/*"], actions: [pull]',
                'name: b, repositories: ["acme/**"], actions: [pull]',
            ],
        ],
    )
    def test_what_the_earlier_does_not_give_is_no_shadow(self, grants: list[str]) -> None:
        assert of_grants(*grants) == []

    def test_not_for_other_providers(self) -> None:
        text = (
            HEAD
            + OTHERS
            + """
grants:
  - {name: a, providers: [github], repositories: ["acme/**"], actions: [pull]}
  - {name: b, repositories: [acme/x], actions: [pull]}
"""
        )
        assert found(text) == []


class TestTemplateCase:
    """msg-15-no-lower: a name with capitals would match no repository, silently."""

    @pytest.mark.parametrize(
        "pattern",
        [
            "${claims.repository}",
            "${claims.repository}/**",
            "team/${claims.repository_owner}/*",
            "${claims.repository_owner + '/app'}",
            "${'dev/' + claims.repository}",
            "${claims.repository.replace('acme/', '')}",
            "x/${claims.repository.substring(5)}",
            "${claims.ref == 'x' ? claims.repository : 'acme/other'}",
            "${claims.repository_owner.lowerAscii() + '/' + claims.repository}",
        ],
    )
    def test_msg_15_no_lower_a_name_that_can_have_capitals(self, pattern: str) -> None:
        assert of_grants(f'name: a, repositories: ["{pattern}"], actions: [pull]') == [
            "template-case"
        ]

    @pytest.mark.parametrize(
        "pattern",
        [
            "${claims.repository.lowerAscii()}",
            "${(claims.repository_owner + '/app').lowerAscii()}",
            "${claims.repository.replace('/', '-').lowerAscii()}",
            "acme/${claims.repository_id}",
            "acme/${claims.ref_type}",
            "acme/${claims.sha}",
            "${claims.repository == 'acme/App' ? 'acme/app' : 'acme/other'}",
            "acme/${claims.workflow}",
        ],
    )
    def test_what_has_no_capitals_or_no_known_case_is_good(self, pattern: str) -> None:
        """The case of a workflow's name may tell two apart, so nothing is said of it."""
        assert of_grants(f'name: a, repositories: ["{pattern}"], actions: [pull]') == []

    @pytest.mark.parametrize(
        ("condition", "expected"),
        [
            ('claims.repository in ["acme/app"] && claims.repository_id == "1"', []),
            (
                'claims.repository == "acme/App" && claims.repository_id == "1"',
                ["template-case"],
            ),
            ('claims.repository.matches("^acme/[a-z]+$")', []),
            ('claims.ref == "refs/heads/main"', ["template-case"]),
        ],
    )
    def test_a_condition_that_leaves_no_capitals_is_enough(
        self, condition: str, expected: list[str]
    ) -> None:
        grant = (
            f"name: a, when: '{condition}', repositories: ['${{claims.repository}}'], "
            "actions: [pull]"
        )
        assert of_grants(grant) == expected

    def test_a_rule_of_each_provider_is_enough(self) -> None:
        rules = """
    rules:
      - {name: lower, check: 'claims.repository.matches("^[a-z/]+$")'}
"""
        grant = "grants: [{name: a, repositories: ['${claims.repository}'], actions: [pull]}]\n"

        assert found(HEAD.rstrip() + rules + grant) == []
        assert found(HEAD + grant) == ["template-case"]

    def test_a_claim_of_one_provider_is_enough_and_each_is_told_once(self) -> None:
        text = (
            HEAD
            + OTHERS
            + """
grants:
  - {name: a, providers: [gitlab], repositories: ["${claims.project_path}"], actions: [pull]}
  - {name: b, providers: [buildkite], repositories: ["${claims.pipeline_slug}"], actions: [pull]}
  - {name: c, providers: [generic], repositories: ["${claims.sub}"], actions: [pull]}
  - name: d
    providers: [github]
    repositories: ["${claims.repository}", "${claims.repository}/**"]
    actions: [pull]
denials:
  - {name: e, providers: [github], repositories: ["${claims.actor}/**"], actions: [push]}
"""
        )
        problems = [one for one in compiled(text).problems if one.code == "template-case"]

        assert [text.splitlines()[one.location.line - 1].strip()[:9] for one in problems] == [
            "- {name: ",
            "repositor",
            "- {name: ",
        ]
        assert [one.hint for one in problems] == [
            "write claims.project_path.lowerAscii()",
            "write claims.repository.lowerAscii()",
            "write claims.actor.lowerAscii()",
        ]

    def test_a_definition_is_told_once_where_it_stands(self) -> None:
        text = (
            HEAD
            + """
definitions:
  image: claims.repository
grants:
  - {name: a, repositories: ["${defs.image}"], actions: [pull]}
  - {name: b, repositories: ["dev/${defs.image}"], actions: [pull]}
"""
        )
        (problem,) = compiled(text).problems
        line = text.splitlines()[problem.location.line - 1]

        assert problem.code == "template-case"
        assert line[problem.location.column - 1 :] == "claims.repository"


HARD = '(claims.ref.matches("^.*a.{30}b$") || claims.ref.matches("^.*c.{20}d$"))'
"""A condition on a claim of which three make languages that are too large to be compared."""

FIRING: Mapping[str, str] = {
    "mutable-name": REST % ("github", 'claims.repository_owner == "acme"'),
    "subject-text": REST % ("github", 'claims.sub == "repo:acme/app:pull_request"'),
    "open-prefix": REST % ("github", 'claims.repository.startsWith("acme")'),
    "open-suffix": REST % ("github", 'claims.repository.endsWith("app")'),
    "unbracketed-or": REST
    % (
        "github",
        'claims.run_id == "7" && claims.event_name == "push" || claims.ref == "refs/heads/main"',
    ),
    "unchecked-condition": REST % ("github", " && ".join(HARD for _ in range(3))),
    "only-excluded": "\ngrants: [{name: g, when: 'claims.ref != \"refs/heads/dev\"', "
    "repositories: [a], actions: [pull, push]}]\n",
    "unanchored-matches": REST % ("github", 'claims.ref.matches("v1")'),
    "unescaped-dot": REST % ("github", 'claims.ref.matches("^refs/tags/v1.2$")'),
    "short-name": REST
    % ("bitbucket", 'has(claims.branchName) && claims.branchName == "refs/heads/main"'),
    "loose-subject": REST % ("cluster", 'claims.sub.contains(":builder")'),
    "absent-passes": REST
    % ("github", '!has(claims.environment) || claims.environment == "a" && claims.run_id == "7"'),
    "impossible-together": REST
    % ("github", 'claims.ref_type == "tag" && claims.ref == "refs/heads/main"'),
    "ambiguous-name": REST
    % ("cluster", 'claims["kubernetes.io"].serviceaccount.name == "builder"'),
    "unverified-value": REST % ("generic", 'has(claims.email) && claims.email == "a@example.com"'),
    "impossible-issuer": "grants:\n  - {name: a, repositories: [acme/x], actions: [pull]}\n",
    "caused-by-strangers": REST % ("github", 'claims.event_name == "pull_request_target"'),
    "fork-builds": "grants:\n  - {name: a, repositories: [acme/x], actions: [pull, push]}\n# circle\n",
    "known-issuer": "grants:\n  - {name: a, repositories: [acme/x], actions: [pull]}\n",
    "legacy-kubernetes-claim": REST % ("generic", TestLegacyKubernetesClaim.LEGACY),
    "unlisted-claim": REST
    % (
        "circle",
        '"oidc.circleci.com/vcs-shaa" in claims && claims["oidc.circleci.com/vcs-shaa"] == "a"',
    ),
    "impossible-value": REST % ("github", 'claims.event_name == "pull-request"'),
    "glob-in-comparison": REST % ("github", 'claims.ref == "refs/heads/*"'),
    "unguarded-lookup": 'definitions: {teams: {"7": acme}}\n'
    + REST % ("github", 'defs.teams[claims.run_id] == "acme"'),
    "always-true": REST % ("github", 'claims.head_ref == "" && claims.repository.contains("/")'),
    "default-audience": REST % ("github", 'claims.run_id == "7"'),
    "open-issuer": REST % ("github", 'claims.ref == "refs/heads/main"'),
    "unused-provider": REST % ("generic", "claims.exp > 1"),
    "long-session": "    refreshTokens: {maxSession: 7d}\n"
    + REST % ("github", 'claims.run_id == "7"'),
    "push-without-pull": "\ngrants: [{name: g, repositories: [a], actions: [push]}]\n",
    "push-anywhere": "\ngrants: [{name: g, repositories: ['**'], actions: [pull, push]}]\n",
    "expired": "\ngrants: [{name: g, repositories: [a], actions: [pull], expires: 2020-01-01}]\n",
    "tags-of-content": "\ngrants: [{name: g, repositories: [a], tags: [v1], actions: [pull]}]\n",
    "new-tags-without-push": "\ngrants: [{name: g, repositories: [a], tags: [v1], actions: [pull], newTagsOnly: true}]\n",
    "template-case": """
grants: [{name: g, repositories: ["${claims.repository}"], actions: [pull]}]
""",
    "shadowed-grant": """
grants:
  - {name: a, repositories: ["acme/**"], actions: [pull]}
  - {name: b, repositories: [acme/x], actions: [pull]}
""",
    "chosen-by-strangers": REST % ("github", 'claims.head_ref == "x"'),
    "open-ref": REST % ("github", 'claims.workflow_ref.startsWith("a/b/.github/workflows/x.yml@")'),
    "loose-ref": REST % ("github", 'claims.ref.contains("main")'),
    "unprotected-environment": REST
    % ("github", 'has(claims.environment) && claims.environment == "live"'),
    "near-issuer": "grants:\n  - {name: a, repositories: [acme/x], actions: [pull]}\n",
    "foreign-audience": "grants:\n  - {name: a, repositories: [acme/x], actions: [pull]}\n",
    "service-host": (
        "grants:\n  - {name: a, repositories: [registry.example.com/x], actions: [pull]}\n"
    ),
    "template-of-strangers": (
        'grants:\n  - {name: a, repositories: ["x/${claims.head_ref}"], actions: [pull]}\n'
    ),
    "template-collision": """
grants:
  - {name: a, repositories: ["${claims.workflow}/**"], actions: [pull, push]}
  - {name: b, repositories: [base/x], actions: [pull]}
""",
}


def firing(code: str) -> str:
    head = HEAD
    if code == "default-audience":
        head = head.replace("audience: registry.example.com", "audience: https://github.com/acme")
    if code == "foreign-audience":
        head = head.replace("audience: registry.example.com", "audience: sigstore")
    if code == "impossible-issuer":
        head = head.replace("claims: github-actions", "claims: azure")
    if code == "known-issuer":
        head = head.replace("claims: github-actions", "claims: generic")
    if code == "near-issuer":
        head = head.replace("githubusercontent.com/acme", "githubusercontent.com/acme/")
    if code == "open-issuer":
        head = head.replace("githubusercontent.com/acme", "githubusercontent.com")
    generic = '  generic: {issuer: "https://g.example.com", audience: me}\n'
    circle = '  circle: {issuer: "https://c.example.com", audience: me, claims: circleci}\n'
    cluster = '  cluster: {issuer: "https://k.example.com", audience: me, claims: kubernetes}\n'
    bitbucket = '  bitbucket: {issuer: "https://b.example.com", audience: me, claims: bitbucket-pipelines}\n'
    known = {"bitbucket": bitbucket, "generic": generic, "circle": circle, "cluster": cluster}
    others = "".join(text for name, text in known.items() if name in FIRING[code])
    return head + others + FIRING[code]


class TestChoices:
    @pytest.mark.parametrize(
        ("condition", "code"),
        [
            ('claims.head_ref == "main"', "chosen-by-strangers"),
            ('claims.head_ref.startsWith("release/")', "chosen-by-strangers"),
            ('claims.actor == "dependabot[bot]"', "chosen-by-strangers"),
            ('claims.actor_id in ["49699333"]', "chosen-by-strangers"),
            ('claims.run_id == "7" || claims.actor == "alice"', "chosen-by-strangers"),
            ('claims.workflow_ref.startsWith("a/b/.github/workflows/c.yml")', "open-ref"),
            (
                'claims.workflow_ref.startsWith("a/b/.github/workflows/c.yaml@refs/heads/")',
                "open-ref",
            ),
            ('claims.workflow_ref.contains("/workflows/c.yml@")', "open-ref"),
            ('claims.workflow_ref.startsWith("a/b/.github/workflows/")', "open-ref"),
            ('claims.ref.contains("release")', "loose-ref"),
            ('claims.ref.endsWith("/main")', "loose-ref"),
            ('claims.base_ref.endsWith("main")', "loose-ref"),
            ('claims.ref.endsWith("refs/heads/main")', "loose-ref"),
            ('claims.ref.contains("refs/tags/")', "loose-ref"),
            ('has(claims.environment) && claims.environment == "live"', "unprotected-environment"),
            (
                'has(claims.environment) && claims.environment in ["a", "b"]',
                "unprotected-environment",
            ),
        ],
    )
    def test_what_others_choose_lets_them_in(self, condition: str, code: str) -> None:
        assert of_choices(condition) == [code]

    @pytest.mark.parametrize(
        "condition",
        [
            'claims.head_ref == "" || claims.ref == "refs/heads/main"',
            'claims.actor != "dependabot[bot]"',
            '!(claims.head_ref == "main")',
            'claims.workflow_ref == "a/b/.github/workflows/c.yml@refs/heads/main"',
            'claims.workflow_ref.startsWith("a/b/.github/workflows/c.yml@refs/tags/v")',
            'claims.workflow_ref.startsWith("a/b/.github/workflows/c.yml@refs/heads/main/")',
            'claims.workflow_ref.startsWith("a/b/")',
            (
                'claims.workflow_ref.startsWith("a/b/.github/workflows/c.yml@") && '
                'claims.workflow_sha == "b8962f4eaff8e14fc646cb22c596c81e67d71362"'
            ),
            '!claims.ref.contains("wip")',
            'claims.ref.startsWith("refs/tags/v")',
            'claims.repository.endsWith("/app")',
            'has(claims.environment) && claims.environment == "live" && claims.ref == "refs/heads/main"',
            'has(claims.environment) && claims.environment == "live" && claims.ref_protected == "true"',
            'has(claims.environment) && claims.environment != "live"',
            "has(claims.environment)",
        ],
    )
    def test_what_takes_access_away_or_asks_for_more_is_good(self, condition: str) -> None:
        assert [one for one in of_choices(condition) if one != "chosen-by-strangers"] == []
        if "head_ref" not in condition:
            assert of_choices(condition) == []

    @pytest.mark.parametrize(
        ("condition", "provider", "code"),
        [
            ('claims.ref.endsWith("main")', "gitlab", "loose-ref"),
            ('claims.build_branch.contains("main")', "buildkite", "loose-ref"),
            (
                'has(claims.environment) && claims.environment == "live"',
                "gitlab",
                "unprotected-environment",
            ),
        ],
    )
    def test_of_other_issuers_too(self, condition: str, provider: str, code: str) -> None:
        assert of_choices(condition, provider) == [code]

    def test_a_denial_may_ask_for_it(self) -> None:
        for condition in ('claims.head_ref == "wip"', 'claims.ref.contains("wip")'):
            assert not set(of_denial(condition)) & CHOICES


class TestAddresses:
    @pytest.mark.parametrize(
        ("issuer", "near"),
        [
            ("https://token.actions.githubusercontent.com/acme", False),
            ("https://token.actions.githubusercontent.com/", True),
            ("http://token.actions.githubusercontent.com", True),
            ("https://Token.Actions.GithubUserContent.com", True),
            ("https://token.action.githubusercontent.com", True),
            ("https://token.actions.githubusercontent.com/acme/", True),
            ("https://github.example.com/_services/token", False),
            ("https://login.example.org", False),
        ],
    )
    def test_an_issuer_that_is_almost_a_known_one(self, issuer: str, near: bool) -> None:
        head = HEAD.replace("https://token.actions.githubusercontent.com/acme", issuer)
        if issuer.startswith("http:"):
            head = head.replace("    audience", "    keys: {jwksFile: keys.json}\n    audience")
        grants = "grants:\n  - {name: a, repositories: [acme/x], actions: [pull]}\n"
        codes = [one.code for one in compile_policy({"p.yaml": head + grants}).problems]
        if "bad-url" not in codes:
            assert ("near-issuer" in codes) == near

    @pytest.mark.parametrize(
        ("audience", "foreign"),
        [
            ("sigstore", True),
            ("sts.amazonaws.com", True),
            ("pypi", True),
            ("[https://registry.example.com, sigstore]", True),
            ("https://registry.example.com", False),
            ("sts.example.com", False),
        ],
    )
    def test_an_audience_of_another_service(self, audience: str, foreign: bool) -> None:
        head = HEAD.replace("audience: registry.example.com", f"audience: {audience}")
        grants = "grants:\n  - {name: a, repositories: [acme/x], actions: [pull]}\n"
        assert found(head + grants) == ["foreign-audience"] * foreign

    @pytest.mark.parametrize(
        ("repository", "host"),
        [
            ("registry.example.com/acme/app", True),
            ("registry.example.com/**", True),
            ("registry.example.com", False),
            ("acme/registry.example.com", False),
            ("other.example.com/acme/app", False),
            ("acme/app", False),
        ],
    )
    def test_the_host_is_no_part_of_a_name(self, repository: str, host: bool) -> None:
        assert of_grants(f"name: a, repositories: ['{repository}'], actions: [pull]") == (
            ["service-host"] * host
        )
        denial = f"denials:\n  - {{name: d, repositories: ['{repository}'], actions: [push]}}\n"
        grants = "grants:\n  - {name: a, repositories: [acme/x], actions: [pull]}\n"
        assert found(HEAD + grants + denial) == ["service-host"] * host


class TestNamespaces:
    @pytest.mark.parametrize(
        ("pattern", "chosen"),
        [
            ("${claims.head_ref}/**", True),
            ("x/${claims.head_ref}", True),
            ("${claims.actor}/app", True),
            ("${claims.sha}", True),
            ("${claims.workflow.lowerAscii()}", True),
            ("by-commit/${claims.sha}", False),
            ("${claims.repository.lowerAscii()}", False),
            ("${claims.head_ref == '' ? 'acme' : 'forks'}/app", False),
        ],
    )
    def test_a_name_that_others_choose(self, pattern: str, chosen: bool) -> None:
        codes = of_grants(f'name: a, repositories: ["{pattern}"], actions: [pull]')
        assert ("template-of-strangers" in codes) == chosen

    @pytest.mark.parametrize(
        ("more", "collides"),
        [
            ("", True),
            ('denials:\n  - {name: d, repositories: ["base/**"], actions: [push]}\n', False),
            ('denials:\n  - {name: d, repositories: ["base/**"], actions: [delete]}\n', True),
            ('denials:\n  - {name: d, repositories: ["other/**"], actions: [push]}\n', True),
        ],
    )
    def test_a_namespace_beside_a_literal(self, more: str, collides: bool) -> None:
        head = """
version: 1
services: [registry.example.com]
providers:
  cluster: {issuer: "https://k.example.com", audience: me, claims: kubernetes}
"""
        grants = """
grants:
  - {name: own, repositories: ['%s'], actions: [pull, push]}
  - {name: base, repositories: [base/*], actions: [pull]}
"""
        own = '${claims["kubernetes.io"].namespace}/**'
        assert found(head + grants % own + more) == ["template-collision"] * collides
        assert found(head + grants % f"team/{own}" + more) == []
        pinned = grants.replace(
            "repositories: ['%s']",
            "when: 'claims[\"kubernetes.io\"].namespace == \"a\"', repositories: ['%s']",
        )
        assert "template-collision" not in found(head + pinned % own + more)


class TestOnlyExcluded:
    @staticmethod
    def told(when: str, *, actions: str = "[pull, push]", rule: str = "") -> list[str]:
        rules = f"    rules: [{{name: r, check: '{rule}'}}]\n" if rule else ""
        grant = f"grants:\n  - {{name: a, when: '{when}', repositories: [x], actions: {actions}}}\n"
        return [one for one in found(HEAD + rules + grant) if one == "only-excluded"]

    @pytest.mark.parametrize(
        "when",
        [
            'claims.ref != "refs/heads/dev"',
            'claims.event_name == "push" && !claims.ref.startsWith("refs/heads/")',
            '!(claims.ref in ["refs/heads/a", "refs/heads/b"])',
            '!(claims.ref == "refs/heads/a" || claims.ref == "refs/heads/b")',
            'claims.base_ref != "dev"',
            'claims.ref == "refs/heads/main" || claims.ref != "refs/heads/dev"',
            'claims.run_id == "7" && (claims.ref != "refs/heads/a" || claims.run_id == "8")',
        ],
    )
    def test_what_a_ref_is_not_says_nothing_of_what_it_is(self, when: str) -> None:
        assert self.told(when) == ["only-excluded"]
        assert self.told(when, actions="[pull]") == []

    @pytest.mark.parametrize(
        "when",
        [
            'claims.ref == "refs/heads/main"',
            'claims.ref.startsWith("refs/heads/") && claims.ref != "refs/heads/dev"',
            'claims.ref_type == "tag" && claims.ref != "refs/tags/test"',
            'claims.ref_protected == "true" && claims.ref != "refs/heads/dev"',
            'claims.ref != ""',
            'claims.event_name != "pull_request_target"',
            (
                'claims.workflow_ref == "a/b/.github/workflows/c.yml@refs/heads/main" '
                '&& claims.ref != "refs/heads/dev"'
            ),
        ],
    )
    def test_a_condition_that_says_which_is_good(self, when: str) -> None:
        assert self.told(when) == []

    def test_a_rule_can_say_which(self) -> None:
        when = 'claims.ref != "refs/heads/dev"'
        assert self.told(when, rule='claims.ref.startsWith("refs/heads/")') == []
        assert self.told(when, rule='claims.run_id == "7"') == ["only-excluded"]

    def test_a_denial_of_other_refs_is_good(self) -> None:
        assert "only-excluded" not in of_denial('claims.ref != "refs/heads/main"')


@pytest.mark.slow
class TestUncheckedCondition:
    def test_each_condition_has_its_own_bound(self) -> None:
        hard = " && ".join(HARD for _ in range(3))
        grants = [
            {"name": name, "when": when, "repositories": ["a"], "actions": ["pull"]}
            for name, when in {"a": hard, "b": 'claims.event_name == "pushed"', "c": hard}.items()
        ]
        said = found(HEAD + f"grants: {json.dumps(grants)}\n")
        assert said.count("unchecked-condition") == 2
        assert "impossible-value" in said

    def test_the_whole_policy_has_a_bound(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lints, "_MAX_WORK", 0)
        monkeypatch.setattr(lints, "_MAX_WORK_OF_STATEMENT", 0)
        assert "unchecked-condition" in of_condition(
            'claims.ref.contains("a") && claims.ref.contains("b")', "github"
        )


class TestUnbracketedOr:
    @pytest.mark.parametrize(
        ("when", "told"),
        [
            ("a && b || c", True),
            ("a && b || b && c || c", True),
            ("(a && b) || c", False),
            ("a && (b || c)", False),
            ("a && b || b && c", False),
            ("c || a && b", False),
            ("a && b || !(c)", False),
            ("a || b || c", False),
        ],
    )
    def test_alternatives_beside_what_is_joined_need_brackets(self, when: str, told: bool) -> None:
        for name, condition in {
            "a": 'claims.run_id == "7"',
            "b": 'claims.event_name == "push"',
            "c": 'claims.ref == "refs/heads/main"',
        }.items():
            when = re.sub(rf"\b{name}\b", condition, when)
        assert ("unbracketed-or" in every_of_condition(when, "github")) == told


@cache
def problems_of(code: str) -> tuple[Problem, ...]:
    """What is said of the sample that a lint fires at; some samples take a second."""
    return compiled(firing(code)).problems


class TestSilence:
    def test_every_lint_is_here(self) -> None:
        assert set(FIRING) == set(lints.CODES)

    @pytest.mark.parametrize("code", FIRING)
    def test_a_reason_silences_it_in_place(self, code: str) -> None:
        (problem,) = [one for one in problems_of(code) if one.code == code]
        lines = firing(code).split("\n")
        lines[problem.location.line - 1] += f"  # policytest: ignore[{code}] we know"
        beside = compiled("\n".join(lines)).problems

        assert code not in [one.code for one in beside]
        assert len(beside) == len(problems_of(code)) - 1

    @pytest.mark.parametrize("code", FIRING)
    def test_without_a_reason_it_is_not_silenced(self, code: str) -> None:
        (problem,) = [one for one in problems_of(code) if one.code == code]
        lines = firing(code).split("\n")
        lines[problem.location.line - 1] += f"  # policytest: ignore[{code}]"
        codes = [one.code for one in compiled("\n".join(lines)).problems]

        assert code in codes
        assert "silence-without-reason" in codes

    @pytest.mark.parametrize("code", FIRING)
    def test_a_comment_that_silences_nothing_is_reported(self, code: str) -> None:
        text = (
            HEAD
            + f"# policytest: ignore[{code}] we know\n"
            + REST
            % (
                "github",
                'claims.run_id == "7"',
            )
        )

        assert [problem.code for problem in compiled(text).problems] == ["silence-unused"]

    def test_a_block_is_silenced_from_above_or_from_its_first_line(self) -> None:
        block = """
grants:
  - name: g
    repositories: [a]
    actions: [pull]
    %swhen: |%s
      claims.run_id == "7"
        && claims.repository_owner == "acme"
"""
        comment = "# policytest: ignore[mutable-name] we know"

        assert found(HEAD + block % ("", "")) == ["mutable-name"]
        assert found(HEAD + block % ("", f" {comment}")) == []
        assert found(HEAD + block % (f"{comment}\n    ", "")) == []

    def test_nothing_in_a_text_is_a_comment(self) -> None:
        text = REST % (
            "github",
            'claims.repository_owner == "# policytest: ignore[mutable-name] x"',
        )

        assert found(HEAD + text) == ["mutable-name", "impossible-value"]


class TestClaimSchemas:
    """What the lints know of claims is what the claim schemas say."""

    def inner(self) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
        for name in schemas.claims_names():
            claims = schemas.load_claims(name)["claims"]
            for claim, about in claims.items():
                if "within" in about:
                    yield f"{name} {claim}", about, claims

    def test_what_a_name_is_unique_within_stands_beside_it_and_is_a_name_too(self) -> None:
        assert [path for path, about, beside in self.inner() if about["within"] not in beside] == []
        assert [path for path, about, _ in self.inner() if not about.get("mutable")] == []
        assert "github-actions repository" in [path for path, _, _ in self.inner()]

    def test_within_needs_mutable(self) -> None:
        claim = {"type": "string", "presence": "always", "description": "x", "within": "owner"}
        document = {"name": "ours", "title": "Ours", "claims": {"sub": claim}}
        text = "version: 1\nservices: [a]\nproviders:\n  p: {issuer: https://a.example.com, audience: b, claims: c.json}\n"
        found = compile_policy({"p.yaml": text, "c.json": json.dumps(document)}).problems

        assert [problem.code for problem in found] == ["bad-claims"]

    @pytest.mark.parametrize(
        ("provider", "condition", "codes"),
        [
            ("github", 'has(claims.repo_property_team) && claims.repo_property_team == "a"', []),
            ("github", 'claims.repo_property_team == "a"', ["cel-unguarded"]),
            (
                "github",
                "has(claims.repo_property_team) && claims.repo_property_team == 1",
                ["cel-type"],
            ),
            ("github", "has(claims.repo_property_) && true", ["cel-unknown-claim"]),
            (
                "buildkite",
                '"agent_tag:queue" in claims && claims["agent_tag:queue"] == "default"',
                [],
            ),
            ("buildkite", 'claims["agent_tag:queue"] == "default"', ["cel-unguarded"]),
        ],
    )
    def test_a_family_of_claims_is_optional_and_typed(
        self, provider: str, condition: str, codes: list[str]
    ) -> None:
        text = HEAD + OTHERS + REST % (provider, condition)
        said = [problem.code for problem in compile_policy({"policy.yaml": text}).problems]

        assert [code for code in said if code != "unused-provider"] == codes


LIFETIMES = [  # of the wide grant, with its tags, and of the narrow one
    ("", "", "", True),
    ("", "", "1m", True),
    ("", "5m", "1m", True),
    ("", "5m", "5m", True),
    ("", "1m", "5m", False),
    ("", "1m", "", False),
    ("*", "", "", True),
    ("*", "5m", "5m", True),
    ("*", "5m", "1m", False),
    ("*", "", "1m", False),
    ("*", "1m", "", False),
]


@pytest.mark.parametrize(("tag", "wide", "narrow", "shadowed"), LIFETIMES)
def test_a_grant_that_changes_how_long_tokens_are_valid_is_not_shadowed(
    tag: str, wide: str, narrow: str, shadowed: bool
) -> None:
    grants = [
        {
            "name": name,
            "repositories": [pattern],
            "actions": ["pull"],
            **({"tags": [one]} if tag else {}),
            **({"tokenLifetime": lifetime} if lifetime else {}),
        }
        for name, pattern, one, lifetime in (
            ("wide", "acme/**", tag, wide),
            ("narrow", "acme/app", "v*", narrow),
        )
    ]
    document = {
        "version": 1,
        "services": ["r"],
        "providers": {
            "ci": {"issuer": "https://ci.example.com", "audience": "https://r.example.com"}
        },
        "grants": grants,
    }
    found = compile_policy({"policy.yaml": json.dumps(document)}).problems
    assert ("shadowed-grant" in [one.code for one in found]) is shadowed
