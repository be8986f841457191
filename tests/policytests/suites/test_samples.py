"""Shared samples: files of tokens and groups that several suites use."""

import pytest

from regauth import schemas
from regauth.policytests.execution.run import SuiteError
from tests.policytests.conftest import Repository

SHARED = """
tokens:
  main: {profile: github-actions, claims: {repository: acme/app, repository_owner_id: "1342004"}}
  branch: {from: main, claims: {ref: refs/heads/x}}
  alien: {from: main, claims: {repository_owner_id: "999"}}
  cluster: {profile: kubernetes}
groups:
  ours: [main, branch]
"""
SUITE = """
at: 2026-11-01T12:00:00Z
samples: [samples/github.samples.yaml]
"""
GRID = """
tests:
  - name: grid
    grid: |
      token repository pull push
      @ours acme/app   A    .
"""


@pytest.fixture
def shared(house: Repository) -> Repository:
    house.write("samples/github.samples.yaml", SHARED)
    return house


def test_a_suite_uses_the_tokens_and_groups_of_a_file(shared: Repository) -> None:
    text = GRID.replace("@ours acme/app   A    .", "main acme/app A A\n      branch acme/app A .")

    assert set(shared.outcomes(text, SUITE).values()) == {"passed"}
    failed = [name for name, one in shared.outcomes(GRID, SUITE).items() if one == "failed"]
    assert failed == ["grid[main-acme/app-push]"]


def test_a_token_is_made_from_a_shared_one(shared: Repository) -> None:
    own = SUITE + "tokens:\n  other: {from: branch, claims: {ref: refs/heads/main}}\n"
    text = GRID.replace("@ours acme/app   A    .", "other acme/app A A")
    loaded = shared.load(text, own)

    assert set(loaded.suite.tokens) == {"branch", "other"}
    assert all(case.judge(loaded.evaluation).outcome.value == "passed" for case in loaded.cases)


def test_what_a_suite_does_not_use_its_policy_need_not_know(shared: Repository) -> None:
    """The policy has no provider for `cluster`, and no test uses it."""
    assert set(shared.load(GRID, SUITE).suite.tokens) == {"main", "branch"}
    text = GRID + "      cluster acme/app U U\n"
    assert [one.split()[1] for one in shared.problems(text, SUITE)] == ["unknown-provider"]


def test_two_suites_share_a_file(shared: Repository) -> None:
    shared.write("policytests/two.policytest.yaml", SUITE.replace("samples/", "../samples/") + GRID)
    loaded = shared.load(GRID, SUITE)
    other = shared.load_file("policytests/two.policytest.yaml")

    assert loaded.suite.tokens == other.suite.tokens


WRONG = {
    "tokens: {main: {profile: github-actions}}\n": "duplicate-name",
    "tokens: {t: {from: nobody}}\n": "unknown-token",
    "groups: {ours: [main]}\n": "duplicate-name",
}


@pytest.mark.parametrize(("more", "code"), WRONG.items())
def test_a_name_means_one_thing(shared: Repository, more: str, code: str) -> None:
    found = {one.split()[1] for one in shared.problems(GRID, SUITE + more)}

    assert code in found


def test_two_files_cannot_bring_one_name(shared: Repository) -> None:
    shared.write("samples/more.samples.yaml", "tokens: {main: {profile: github-actions}}\n")
    both = SUITE.replace("]", ", samples/more.samples.yaml]")

    assert shared.problems(GRID, both) == ["2:40 duplicate-name"]


def test_a_file_of_which_nothing_is_used_is_an_error(shared: Repository) -> None:
    own = SUITE + "tokens:\n  mine: {profile: github-actions}\n"
    text = GRID.replace("@ours", "mine ")

    assert shared.problems(text, own) == ["2:11 unused-samples"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("samples/none.samples.yaml", None),
        ("samples/wrong.yaml", SHARED),
        ("samples/x.policytest.yaml", SHARED),
        ("samples/empty.samples.yaml", ""),
        ("samples/list.samples.yaml", "- a\n"),
        ("../outside.samples.yaml", SHARED),
        ("/etc/passwd.samples.yaml", None),
        ("samples", None),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error_of_the_suite(
    shared: Repository, name: str, content: str | None
) -> None:
    if content is not None:
        path = shared.root / name
        path.write_text(content)
    text = (
        SUITE.replace("samples/github.samples.yaml", name)
        + "tokens:\n  mine: {profile: github-actions}\n"
    )

    assert "2:11 samples-file" in shared.problems(GRID.replace("@ours", "mine "), text)


def test_a_link_out_of_the_repository_is_not_followed(
    shared: Repository, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "x.samples.yaml"
    outside.write_text(SHARED)
    (shared.root / "samples" / "link.samples.yaml").symlink_to(outside)
    text = SUITE.replace("github", "link")

    assert "2:11 samples-file" in shared.problems(GRID, text)


def test_what_is_wrong_in_the_file_is_shown_there(shared: Repository) -> None:
    shared.write("samples/github.samples.yaml", SHARED.replace("from: main", "from: mian", 1))
    with pytest.raises(SuiteError) as caught:
        shared.load(GRID, SUITE)
    shown = caught.value.render()

    assert "samples/github.samples.yaml:3:18: error: there is no token `mian`" in shown
    assert "branch: {from: mian" in shown


def test_tests_do_not_belong_into_samples(shared: Repository) -> None:
    shared.write("samples/github.samples.yaml", SHARED + "at: 2026-11-01T12:00:00Z\n")

    assert any(one.endswith("unknown-key") for one in shared.problems(GRID, SUITE))


def test_a_captured_token_stands_beside_its_samples(shared: Repository) -> None:
    """It is looked for beside the file that names it, not beside the suite."""
    shared.write("samples/real.jwt", "no-token")
    shared.write("samples/real.jwks.json", "{}")
    text = SHARED.replace("groups:", "  real: {jwt: real.jwt, keys: real.jwks.json}\ngroups:")
    shared.write("samples/github.samples.yaml", text)
    with pytest.raises(SuiteError) as caught:
        shared.load(GRID.replace("@ours", "real "), SUITE)

    assert "samples/real.jwks.json" in caught.value.render()
    assert "cannot be read" not in caught.value.render()


def test_the_schema_of_samples_is_that_of_a_suite() -> None:
    suite, samples = schemas.load("suite"), schemas.load("samples")

    assert {key: suite["properties"][key] for key in samples["properties"]} == samples["properties"]
    assert {key: suite["$defs"][key] for key in samples["$defs"]} == samples["$defs"]


CLASSES = """
tests:
  - name: plugins
    grid: |
      token repository                    pull push
      main  repository(plugin):acme/tool  A    .
      main  acme/tool                     A    .
      main  repository(other):acme/tool   .    .
  - name: catalog
    grid: |
      token  catalog
      main   A
      branch .
    because: {main: [browse]}
"""
PLUGINS = """
  - {name: plugins, class: plugin, repositories: [acme/*], actions: [pull]}
  - {name: browse, when: 'claims.ref == "refs/heads/main"', catalog: true}
denials:"""


def test_a_grid_asks_for_classes_and_for_the_catalog(shared: Repository) -> None:
    policy = shared.root / "policy" / "policy.yaml"
    policy.write_text(policy.read_text().replace("\ndenials:", PLUGINS))
    outcomes = shared.outcomes(CLASSES, SUITE)

    assert set(outcomes.values()) == {"passed"}
    assert list(outcomes) == [
        "plugins[main-plugin-acme/tool-pull]",
        "plugins[main-plugin-acme/tool-push]",
        "plugins[main-acme/tool-pull]",
        "plugins[main-acme/tool-push]",
        "plugins[main-other-acme/tool-pull]",
        "plugins[main-other-acme/tool-push]",
        "catalog[main-catalog]",
        "catalog[branch-catalog]",
        "catalog[main-because]",
    ]


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("main  repository():acme/tool A A", "bad-repository"),
        ("main  repository(Plugin):acme/tool A A", "bad-repository"),
        ("main  repository(plugin):Acme A A", "bad-repository"),
        ("main  registry:catalog:* A A", "bad-repository"),
        ("main  plugin:acme/tool:x A A", "bad-repository"),
    ],
)
def test_a_class_is_written_as_in_a_scope(shared: Repository, row: str, code: str) -> None:
    found = shared.problems(GRID.replace("@ours acme/app   A    .", row), SUITE)

    assert any(one.endswith(code) for one in found)


@pytest.mark.parametrize("header", ["token catalog pull", "token catalog *", "catalog", "token"])
def test_the_catalog_has_no_columns(shared: Repository, header: str) -> None:
    text = GRID.replace("token repository pull push", header)

    assert any(one.endswith("grid-header") for one in shared.problems(text, SUITE))
