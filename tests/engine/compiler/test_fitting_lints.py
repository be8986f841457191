"""Lints fit the issuer that they speak of, tell of siblings, and stay silent about good code."""

import pytest

from .issuing_policies import Given, codes, problems

APP = 'claims.repository_id == "1" && '
COMMIT = "b8962f4eaff8e14fc646cb22c596c81e67d71362"
NAMESPACE = 'claims["kubernetes.io"].namespace'
ORIGIN = '"oidc.circleci.com/vcs-origin" in claims && claims["oidc.circleci.com/vcs-origin"]'
PIPELINE = 'has(claims.pipeline_id) && claims.pipeline_id == "0184990a-4782-42b5-afc1-16715b10b110"'
OWN_BRANCH = 'has(claims.job_workflow_ref) && claims.job_workflow_ref.startsWith("{}")'
FILE = "acme/ci/.github/workflows/release.yml"


class TestOnlyExcluded:
    @pytest.mark.parametrize(
        ("name", "when", "value", "protected"),
        [
            ("github", 'claims.ref != "refs/heads/dev"', "claims.ref", True),
            ("gitlab", 'claims.ref != "dev"', "claims.ref", True),
            ("buildkite", 'claims.build_branch != "dev"', "claims.build_branch", False),
            ("semaphore", 'claims.branch != "dev"', "claims.branch", False),
        ],
    )
    def test_its_hint_writes_refs_as_the_issuer_does(
        self, name: str, when: str, value: str, protected: bool
    ) -> None:
        [hint] = [one.hint for one in problems(name, when) if one.code == "only-excluded"]
        whole = "refs/heads/" if name == "github" else ""
        assert f'`{value} == "{whole}main"`' in hint
        assert ("ref_protected" in hint) == protected

    @pytest.mark.parametrize(
        "beside",
        [
            'claims.ref.startsWith("refs/")',
            'claims.ref.startsWith("r")',
            'claims.ref.matches("^refs/.*")',
            'claims.ref.contains("/")',
            'claims.ref_type in ["branch", "tag"]',
            'claims.ref_protected in ["true", "false"]',
        ],
    )
    def test_what_every_ref_passes_says_nothing_of_it(self, beside: str) -> None:
        assert "only-excluded" in codes("github", f'{APP}{beside} && claims.ref != "refs/heads/x"')

    @pytest.mark.parametrize(
        "beside",
        [
            'claims.ref.startsWith("refs/heads/")',
            'claims.ref.split("/")[1] == "heads"',
            '["heads"].exists(kind, claims.ref.split("/")[1] == kind)',
            f'claims.sha == "{COMMIT}"',
            f'claims.workflow_sha == "{COMMIT}"',
            f'has(claims.job_workflow_sha) && claims.job_workflow_sha == "{COMMIT}"',
            'claims.ref_type == "branch"',
            'claims.ref_protected == "true"',
        ],
    )
    def test_what_some_refs_pass_or_one_commit_does(self, beside: str) -> None:
        when = f'{APP}{beside} && claims.ref != "refs/heads/x"'
        assert "only-excluded" not in codes("github", when)

    def test_a_commit_of_another_issuer(self) -> None:
        when = f'claims.build_commit == "{COMMIT}" && claims.build_branch != "dev"'
        assert "only-excluded" not in codes("buildkite", when)

    def test_a_rule_that_is_not_understood(self) -> None:
        rules = {"github": 'claims.ref.split("/")[1] == "heads"'}
        when = f'{APP}claims.ref != "refs/heads/x"'
        assert "only-excluded" not in codes("github", when, rules=rules)


class TestAudience:
    def test_what_the_issuer_fixes_cannot_be_chosen(self) -> None:
        audience = "api://AzureADTokenExchange"
        [problem] = [
            one
            for one in problems("devops", 'claims.sub == "sc://a/b/c"', audience=audience)
            if one.code == "foreign-audience"
        ]
        assert problem.hint.startswith("Azure DevOps makes no token with another audience")

    @pytest.mark.parametrize("audience", ["sigstore", "sts.amazonaws.com"])
    def test_what_a_job_chooses_can_be(self, audience: str) -> None:
        [problem] = [
            one
            for one in problems("gitlab", 'claims.project_id == "2"', audience=audience)
            if one.code == "foreign-audience"
        ]
        assert problem.hint.startswith("ask for tokens with an audience of your own")


class TestOpenRef:
    @pytest.mark.parametrize(
        ("text", "passing"),
        [
            (FILE, "any ref passes"),
            (f"{FILE}@", "any ref passes"),
            (f"{FILE}@refs/", "any ref passes"),
            (f"{FILE}@ref", "any ref passes"),
            (f"{FILE}@refs/heads/", "any branch passes"),
            (f"{FILE}@refs/head", "any branch passes"),
            ("acme/ci/.github/workflows/", "other files and any ref pass"),
        ],
    )
    def test_it_says_what_passes(self, text: str, passing: str) -> None:
        when = APP + OWN_BRANCH.format(text)
        [problem] = [one for one in problems("github", when) if one.code == "open-ref"]
        assert problem.message.startswith(f"{passing}: ")

    @pytest.mark.parametrize("end", ["@refs/tags/v", "@refs/tags/", "@refs/heads/release/"])
    def test_some_refs_are_good(self, end: str) -> None:
        assert codes("github", APP + OWN_BRANCH.format(FILE + end)) == []


class TestUnbracketedOr:
    @pytest.mark.parametrize(
        "when",
        [
            'has(claims.environment) && claims.environment == "x" || claims.ref == "refs/heads/main"',
            '"environment" in claims && claims.environment == "x" || claims.ref == "refs/heads/main"',
        ],
    )
    def test_a_guard_belongs_to_what_it_guards(self, when: str) -> None:
        assert "unbracketed-or" not in codes("github", when)

    def test_so_does_one_against_null(self) -> None:
        tag = 'has(claims.build_tag) && claims.build_tag != null && claims.build_tag == "v1"'
        assert (
            codes("buildkite", f'{tag} || claims.build_branch == "main"').count("unbracketed-or")
            == 0
        )

    @pytest.mark.parametrize(
        "when",
        [
            'has(claims.environment) && claims.run_id == "1" || claims.ref == "refs/heads/main"',
            (
                'has(claims.environment) && claims.environment == "x" && claims.run_id == "1" '
                '|| claims.ref == "refs/heads/main"'
            ),
            (
                'claims.run_id == "1" && has(claims.environment) && claims.environment == "x" '
                '|| claims.ref == "refs/heads/main"'
            ),
        ],
    )
    def test_what_asks_for_more_is_told(self, when: str) -> None:
        assert "unbracketed-or" in codes("github", when)


class TestOpenPrefix:
    @pytest.mark.parametrize(
        ("name", "when"),
        [
            ("cluster", f'{NAMESPACE}.startsWith("team")'),
            ("github", 'claims.repository.startsWith("acme/app")'),
            ("github", OWN_BRANCH.format("acme/ci")),
            ("gitlab", 'claims.namespace_id == "72" && claims.project_path.startsWith("acme/app")'),
            ("gitlab", 'claims.job_project_path.startsWith("acme/app")'),
            ("circle", f'{ORIGIN}.startsWith("github.com/acme/app")'),
            (
                "devops",
                'has(claims.rpo_uri) && claims.rpo_uri.startsWith("https://github.com/acme")',
            ),
            ("semaphore", 'claims.repo_slug.startsWith("acme/app")'),
            ("buildkite", 'claims.pipeline_slug.startsWith("app")'),
            ("buildkite", 'claims.pipeline_slug.lowerAscii().startsWith("app")'),
            ("buildkite", 'has(claims.cluster_name) && claims.cluster_name.startsWith("prod")'),
            ("google", 'has(claims.hd) && claims.hd.startsWith("example")'),
            (
                "entra",
                (
                    "has(claims.xms_mirid) && "
                    'claims.xms_mirid.startsWith("/subscriptions/0/resourcegroups/acme")'
                ),
            ),
        ],
    )
    def test_a_name_goes_on(self, name: str, when: str) -> None:
        assert "open-prefix" in codes(name, when)

    @pytest.mark.parametrize(
        ("name", "when", "more"),
        [
            ("cluster", f'{NAMESPACE}.startsWith("team-")', {}),
            ("cluster", f'{NAMESPACE} == "ci" && {NAMESPACE}.startsWith("c")', {}),
            (
                "cluster",
                (
                    f'{NAMESPACE} == "ci" && '
                    'claims["kubernetes.io"].serviceaccount.name.startsWith("builder")'
                ),
                {},
            ),
            (
                "cluster",
                f'{NAMESPACE}.startsWith("team")',
                {"repositories": [f"${{{NAMESPACE}}}/**"]},
            ),
            ("github", 'claims.repository.startsWith("acme/app-")', {}),
            ("github", f'{APP}claims.repository.startsWith("acme/app")', {}),
            ("github", 'has(claims.environment) && claims.environment.startsWith("prod")', {}),
            (
                "github",
                'claims.repository.startsWith("acme/app")',
                {"repositories": ["${claims.repository.lowerAscii()}"]},
            ),
            ("github", APP + OWN_BRANCH.format(f"{FILE}@refs/tags/v"), {}),
            ("gitlab", 'claims.namespace_id == "72" && claims.project_path.startsWith("acme")', {}),
            ("gitlab", 'claims.project_id == "20" && claims.project_path.startsWith("acme/a")', {}),
            ("buildkite", 'claims.pipeline_slug.startsWith("app-")', {}),
            ("buildkite", f'{PIPELINE} && claims.pipeline_slug.startsWith("app")', {}),
            (
                "buildkite",
                'has(claims.step_key) && claims.step_key != null && claims.step_key.startsWith("a")',
                {},
            ),
            (
                "buildkite",
                (
                    "has(claims.build_tag) && claims.build_tag != null && "
                    'claims.build_tag.startsWith("v")'
                ),
                {},
            ),
            ("semaphore", 'claims.tag.startsWith("v")', {}),
        ],
    )
    def test_a_name_that_cannot_go_on_elsewhere(self, name: str, when: str, more: Given) -> None:
        told = codes(name, when, **more)
        assert told.count("open-prefix") == when.count(f'{NAMESPACE}.startsWith("c")')


class TestTemplateOfStrangers:
    WORKFLOW = "acme/${claims.workflow.lowerAscii()}"

    @pytest.mark.parametrize(
        ("name", "when", "repository", "others"),
        [
            ("github", "", WORKFLOW, ()),
            ("github", 'claims.ref == "refs/heads/main"', WORKFLOW, ()),
            ("github", f"{APP}true", WORKFLOW, ("acme/app",)),
            ("github", "", "branches/${claims.sha}", ()),
            ("buildkite", "", "app/${claims.build_branch.lowerAscii()}", ()),
            ("gitlab", "", "acme/${claims.user_login.lowerAscii()}", ("acme/base",)),
        ],
    )
    def test_a_folder_of_several(
        self, name: str, when: str, repository: str, others: tuple[str, ...]
    ) -> None:
        told = codes(name, when, repositories=[repository], others=others)
        assert "template-of-strangers" in told

    @pytest.mark.parametrize(
        ("name", "when", "repository", "others"),
        [
            ("github", 'claims.repository_id == "1"', WORKFLOW, ()),
            ("github", 'claims.repository_id in ["1", "2"]', WORKFLOW, ("other/app", "acme/**")),
            ("github", "", "ci/${claims.repository.lowerAscii()}/${claims.workflow}", ()),
            ("github", 'claims.repository_id == "1"', "branches/${claims.sha}", ()),
            ("buildkite", 'claims.pipeline_slug == "app"', "app/${claims.build_branch}", ()),
            ("gitlab", "", "users/${claims.user_login.lowerAscii()}/**", ()),
        ],
    )
    def test_a_folder_of_its_own(
        self, name: str, when: str, repository: str, others: tuple[str, ...]
    ) -> None:
        told = codes(name, when, repositories=[repository], others=others)
        assert "template-of-strangers" not in told

    def test_who_only_pulls_overwrites_nothing(self) -> None:
        told = codes("github", repositories=[self.WORKFLOW], actions=["pull"])
        assert "template-of-strangers" not in told


class TestAlwaysTrue:
    @pytest.mark.parametrize(
        "when",
        [
            '(claims.ref_protected == "true" || claims.ref_protected == "false")',
            'claims.ref_type in ["branch", "tag"]',
            '(claims.ref_type == "tag" || claims.ref_type in ["branch"])',
        ],
    )
    def test_all_values_that_there_are(self, when: str) -> None:
        assert "always-true" in codes("github", APP + when)

    @pytest.mark.parametrize(
        "when",
        [
            'claims.ref_type in ["branch"]',
            '(claims.ref_type == "branch" || claims.event_name == "push")',
            'claims.repository_visibility in ["private", "internal"]',
            'claims.event_name in ["push", "schedule"]',
        ],
    )
    def test_some_values(self, when: str) -> None:
        assert "always-true" not in codes("github", APP + when)


def test_a_wildcard_in_a_list_is_asked_of_its_items() -> None:
    for when in ('"Registry.*" in claims.roles', 'claims.roles.exists(it, it == "Registry.*")'):
        [problem] = [
            one
            for one in problems("entra", f"has(claims.roles) && {when}")
            if one.code == "glob-in-comparison"
        ]
        assert problem.hint == (
            "ask for the beginning: claims.roles.exists(one, one.startsWith('Registry.'))"
        )


@pytest.mark.parametrize("issuer", ["https://www.gitlab.com", "https://WWW.gitlab.com/"])
def test_a_web_page_is_no_issuer(issuer: str) -> None:
    when = 'claims.project_id == "20" && claims.ref_path == "refs/heads/main"'
    [problem] = problems("gitlab", when, issuer=issuer)
    assert problem.code == "near-issuer"
    assert "`https://gitlab.com`" in problem.hint
