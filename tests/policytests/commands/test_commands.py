"""The commands beside the tests."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from regauth import schemas
from regauth.engine.compiler.compiler import compile_policy
from regauth.policytests.cli import COMMANDS, main
from regauth.policytests.commands.help import EXAMPLES, HELP
from regauth.policytests.tokens.forgeries.known import FORGERIES
from tests.policytests.conftest import POLICY, TOKENS, Repository
from tests.policytests.test_plugin import run
from tests.policytests.tokens.test_tokens import AT, capture

COMMAND = "import sys; from regauth.policytests.cli import main; sys.exit(main())"

GRID = """
tests:
  - name: grid
    grid: |
      token repository pull push
      main  acme/app   A    A
"""


def test_help_teaches_by_example_without_importing_the_engine() -> None:
    code = "import sys; sys.argv=['policytest','--help']\ntry:\n from regauth.policytests.cli import main\n sys.exit(main())\nexcept SystemExit: pass\nprint('regauth.engine' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(HELP)
    assert done.stdout.endswith("False\n")
    assert all(f"  {command}" in HELP for command in COMMANDS)
    assert set(COMMANDS) == set(EXAMPLES)


def test_a_check_loads_nothing_that_only_tokens_and_suites_need(tmp_path: Path) -> None:
    """A pre-commit hook checks a small policy at each commit, and most of that time is importing."""
    (tmp_path / "policy.yaml").write_text(POLICY)
    code = f"import sys; sys.argv=['policytest','check',{str(tmp_path)!r}]\ntry:\n from regauth.policytests.cli import main\n sys.exit(main())\nexcept SystemExit: pass\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.startswith("no problem found\n")
    loaded = set(done.stdout.split())
    assert "regauth.engine.compiler.compiler" in loaded
    assert (
        loaded & {"cryptography", "jwt", "jsonschema", "pytest", "regauth.policytests.suites"}
        == set()
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(tmp_path: Path, command: str) -> None:
    done = run(tmp_path, command, "--help")
    assert 0 == done.returncode
    assert EXAMPLES[command][0] in done.stdout


@pytest.mark.parametrize(
    ("word", "meant"), [("repaly", "replay"), ("whocan", "who-can"), ("hwy", "why")]
)
def test_a_misspelt_command_is_no_missing_file(tmp_path: Path, word: str, meant: str) -> None:
    done = run(tmp_path, word, "x")
    said = f"policytest: there is no {word!r} here; did you mean `{meant}`?\n"
    assert (4, said, "") == (done.returncode, done.stderr, done.stdout)
    (tmp_path / word).mkdir()
    assert "did you mean" not in run(tmp_path, word).stderr


def test_check_shows_every_problem_and_fails_by_code_10(house: Repository) -> None:
    assert 0 == run(house.root, "check", "--strict").returncode
    policy = house.root / "policy" / "policy.yaml"
    policy.write_text(policy.read_text().replace("${claims.repository.lowerAscii()}", "**"))
    assert 0 == run(house.root, "check").returncode
    assert 1 == run(house.root, "check", "--strict").returncode
    house.write("policy/b.yaml", "version: 1\ngrants:\n  - {name: a, repositry: [x]}\n")
    done = run(house.root, "check")
    assert (10, True) == (done.returncode, "policy/b.yaml:3:" in done.stdout)
    problems = json.loads(run(house.root, "check", "-f", "json").stdout)
    assert "policy/b.yaml" in [problem["file"] for problem in problems]
    sarif = json.loads(run(house.root, "check", "-f", "sarif").stdout)
    assert "2.1.0" == sarif["version"]
    assert run(house.root, "check", "-f", "github").stdout.startswith("::")
    assert done.stdout.endswith("\n\n2 errors, 0 warnings\n")


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        (
            "nowhere",
            "nowhere cannot be read: No such file or directory [policy-folder]\n  = name the",
        ),
        ("policy/policy.yaml", "YAML files [policy-folder]\n  = policytest check policy\n"),
        (".", "there is no policy in it [policy-folder]\n  = policytest check policy\n"),
    ],
)
def test_check_says_what_to_check_instead_of_what_is_no_policy(
    house: Repository, folder: str, said: str
) -> None:
    done = run(house.root, "check", folder)
    assert (10, True) == (done.returncode, said in done.stdout), done.stdout
    assert done.stdout.endswith("\n\n1 error, 0 warnings\n")


def test_what_cannot_be_written_is_said_without_a_traceback(house: Repository) -> None:
    house.write("file", "")
    for words in (("init", "file/x"), ("schema", "policy", "-o", "file/x")):
        done = run(house.root, *words)
        assert 4 == done.returncode
        assert done.stderr.startswith("policytest: file/x"), done.stderr
        assert done.stderr.endswith(": Not a directory\n"), done.stderr
    (house.root / "half").mkdir()
    house.write("half/policytests", "")
    assert 4 == run(house.root, "init", "half").returncode
    left = [path.name for path in (house.root / "half").rglob("*")]
    assert left == ["policytests"], "half a start is left"


def test_init_writes_through_no_link(house: Repository) -> None:
    (house.root / "linked" / "policy").mkdir(parents=True)
    (house.root / "linked" / "policy" / "policy.yaml").symlink_to(house.root / "elsewhere")
    done = run(house.root, "init", "linked")

    assert (4, True) == (done.returncode, "there already: linked/policy/policy.yaml" in done.stderr)
    assert not (house.root / "elsewhere").exists()


def test_why_explains_a_decision_of_a_suites_token(house: Repository) -> None:
    house.suite(GRID)
    done = run(house.root, "why", "main", "repository:acme/lib:push")
    assert 0 == done.returncode, done.stderr
    assert "repository:acme/lib:push: REFUSED" in done.stdout
    assert "push-own (policy/policy.yaml:16:11)" in done.stdout
    unknown = run(house.root, "why", "mian", "repository:acme/lib:push")
    assert (4, True) == (unknown.returncode, "did you mean `main`?" in unknown.stderr)
    assert 0 == run(house.root, "why", "main", "acme/lib").returncode
    assert 4 == run(house.root, "why", "main").returncode


def test_why_verifies_a_real_token_or_warns_that_it_did_not(house: Repository) -> None:
    capture(house, AT)
    verified = run(house.root, "why", "a.jwt", "repository:a/b:pull", "--keys", "a.json")
    assert ("", True) == (verified.stderr, "repository:a/b:pull: ALLOWED by all" in verified.stdout)
    decoded = run(house.root, "why", "a.jwt", "repository:a/b:pull")
    assert "the signature was not verified" in decoded.stderr
    assert "all" in decoded.stdout
    late = run(
        house.root,
        *(
            "why",
            "a.jwt",
            "repository:a/b:pull",
            "--keys",
            "a.json",
            "--at",
            "2030-01-01T00:00:00Z",
        ),
    )
    assert "REFUSED expired" in late.stdout
    token = (house.root / "a.jwt").read_text()
    assert token not in verified.stdout + decoded.stdout + late.stdout


def test_can_shows_what_a_token_can_do_and_by_which_grant(house: Repository) -> None:
    house.suite(GRID)
    done = run(house.root, "can", "main")
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["main", "acme/app", "A", "pull-all", "A", "push-own", "."] in rows
    assert ["pull,push", "acme/app", "push-own", "(policy/policy.yaml:16:11)"] in rows
    named = run(house.root, "can", "main", "other/app")
    assert ["main", "other/app", ".", ".", "."] in [
        line.split() for line in named.stdout.splitlines()
    ]


def test_who_can_names_tokens_and_grants(house: Repository) -> None:
    house.suite(GRID)
    done = run(house.root, "who-can", "push", "acme/app")
    assert "\n\nsuite.policytest.yaml: main  by push-own" in done.stdout
    assert done.stdout.startswith("a token of github can push acme/app at registry.example.com, by")
    nobody = run(house.root, "who-can", "delete", "acme/app")
    nobody_can = "nobody can delete acme/app at registry.example.com: proved for every token"
    assert nobody.stdout.startswith(nobody_can)
    assert nobody.stdout.endswith("\n\nno token of the suites may delete acme/app\n")


def test_who_can_asks_a_policy_without_suites(house: Repository) -> None:
    for words in ((), ("--policy", "policy")):
        done = run(house.root, "who-can", "push", "acme/app", *words)
        assert (
            """\
a token of github can push acme/app at registry.example.com, by push-own (policy/policy.yaml:16:11)
  if       claims.repository_owner_id == "1342004"
           claims.ref == "refs/heads/main"
           claims.repository.lowerAscii() == "acme/app"
  such as  profile: github-actions
"""
            == done.stdout
        )


def test_who_can_says_what_to_ask_about_instead_of_a_name_with_the_host(house: Repository) -> None:
    done = run(house.root, "who-can", "push", "registry.example.com/acme/app")

    assert done.stdout.startswith("nobody can push registry.example.com/acme/app at")
    assert done.stdout.endswith("without the registry's host; ask about acme/app\n")


def test_who_can_says_whether_the_tag_must_be_new(house: Repository, repository: Path) -> None:
    policy = str(repository / "policy" / "proxy-tags")
    said = {
        state: run(house.root, "who-can", "push", f"acme/app:v1{state}", "--policy", policy).stdout
        for state in ("", "=existing", "=new")
    }

    assert "the tag does not exist yet" in said[""]
    assert said["=existing"].startswith("nobody can push acme/app:v1=existing at")
    assert said["=new"].startswith("a token of github can push acme/app:v1=new at")
    assert "exist yet" not in said["=new"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("why", "main", "repository:a:pull", "--provider", "githib"), "did you mean `github`?"),
        (("can", "main", "--provider", "githib"), "did you mean `github`?"),
        (("can", "main", "--keys", "a.json"), "--keys is for a real token"),
        (("who-can", "push", "acme/app", "--service", "other"), "no policy answers for the"),
    ],
)
def test_an_option_that_would_have_no_effect_is_an_error(
    house: Repository, words: tuple[str, ...], said: str
) -> None:
    house.suite(GRID)
    done = run(house.root, *words)
    assert (4, "") == (done.returncode, done.stdout)
    assert said in done.stderr


def test_a_suites_token_logs_in_as_the_provider_that_is_named(house: Repository) -> None:
    house.suite(GRID)
    policy = house.root / "policy" / "policy.yaml"
    other = "  other: {issuer: https://other.example.com, audience: https://registry.example.com}\n"
    policy.write_text(policy.read_text().replace("grants:\n", f"{other}grants:\n"))
    done = run(house.root, "why", "main", "repository:acme/app:pull", "--provider", "other")
    assert "REFUSED" in done.stdout
    assert "other" in done.stdout.splitlines()[0]


@pytest.mark.parametrize("profile", ["github-actions", "kubernetes"])
def test_init_gives_a_green_suite_a_red_one_after_a_mistake_and_a_ci_job(
    tmp_path: Path, profile: str
) -> None:
    (tmp_path / ".git").mkdir()
    assert 0 == run(tmp_path, "init", "--issuer", profile).returncode
    gates = ("--cov-fail-under", "100", "--min-mutation-score", "100")
    green = run(tmp_path, *gates)
    assert 0 == green.returncode, green.stdout
    assert 0 == run(tmp_path, "check", "--strict").returncode
    policy = tmp_path / "policy" / "policy.yaml"
    lines = [line for line in policy.read_text().split("\n") if "when:" not in line]
    policy.write_text("\n".join(lines))
    assert 1 == run(tmp_path).returncode
    workflow = (tmp_path / ".github" / "workflows" / "policy.yml").read_text()
    assert "policytest" in workflow
    assert "pip install jwt-registry-auth" not in workflow, "anybody could take that name"
    again = run(tmp_path, "init", "--issuer", profile)
    assert (4, True) == (again.returncode, "nothing was written" in again.stderr)


def test_schema_prints_what_is_published(tmp_path: Path) -> None:
    assert schemas.text("suite") == run(tmp_path, "schema", "suite").stdout
    assert "suite" in run(tmp_path, "schema").stdout.split()
    wrong = run(tmp_path, "schema", "suit")
    assert (4, True) == (wrong.returncode, "did you mean `suite`?" in wrong.stderr)


def test_hostile_lists_every_forgery(tmp_path: Path) -> None:
    listed = run(tmp_path, "hostile", "--list").stdout.splitlines()
    assert list(FORGERIES) == [line.split()[0] for line in listed]
    assert 4 == run(tmp_path, "hostile").returncode


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_and_completes_commands(tmp_path: Path, shell: str) -> None:
    assert "_POLICYTEST_COMPLETE" in run(tmp_path, "completion", shell).stdout
    env = {
        "_POLICYTEST_COMPLETE": "bash_complete",
        "COMP_WORDS": "policytest who",
        "COMP_CWORD": "1",
    }
    assert "plain,who-can\n" == run(tmp_path, env={**os.environ, **env}).stdout


CONFIG = """
server: {listenAddress: ":5000"}
token: {certificate: cert.pem, key: key.pem, issuer: me}
providers:
  - name: github
    oidcDiscoveryURL: https://token.actions.githubusercontent.com
    authn: {condition: 'claims.repository_owner == "acme"'}
    authz:
      condition: >-
        scope["type"] == "repository" && scope["action"] == "pull" ||
        scope["name"] == claims.repository
  - name: open
    oidcDiscoveryURL: https://issuer.example.com
"""


def test_migrate_keeps_conditions_and_closes_what_was_open(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)
    arguments = ("--service", "registry.example.com", "--audience", "https://registry.example.com")
    done = run(tmp_path, "migrate", "config.yaml", *arguments, "-o", "policy/policy.yaml")
    assert 0 == done.returncode, done.stderr
    assert "open: without authz it got whatever it asked for; here it gets nothing" in done.stderr
    assert "tokens must now be issued for" in done.stderr
    compilation = compile_policy({"p.yaml": (tmp_path / "policy" / "policy.yaml").read_bytes()})
    policy = compilation.policy
    assert policy is not None
    assert ["github", "open"] == list(policy.providers)
    assert ["github-repositories", "github-catalog"] == [grant.name for grant in policy.grants]
    assert "scope" in policy.grants[0].when.variables


def test_python_tests_ask_a_policy_through_the_fixture(house: Repository) -> None:
    house.suite(GRID, TOKENS)
    house.write(
        "test_policy.py",
        """
        def test_only_main_pushes(policytest):
            policy = policytest("policy")
            main = policy.token(
                "github-actions", repository="acme/app", repository_owner_id="1342004"
            )
            assert main.may("push", "acme/app")
            assert not main.but(ref="refs/heads/x").may("push", "acme/app")
            assert main.forged("alg-none").refused() == "algorithm-not-allowed"
            assert main.but(repository_owner_id="9").refused() == "rule:our-organisation"
            assert main.ask("push", "acme/app").source == "push-own"
        """,
    )
    done = run(house.root)
    assert (0, True) == (done.returncode, "2 passed" in done.stdout), done.stdout
    assert "and 1 Python tests passed" in done.stdout


def test_check_proves_only_if_it_is_asked(house: Repository) -> None:
    text = POLICY + "  - {name: idle, repositories: [idle/**], actions: [delete]}\n"
    house.write("policy/policy.yaml", text)
    plain = run(house.root, "check", "--strict", "policy")
    assert (0, "no problem found\n") == (plain.returncode, plain.stdout)
    proved = run(house.root, "check", "--strict", "--prove", "policy")
    assert 1 == proved.returncode
    assert "`idle` refuses nothing that a grant allows [useless-denial]" in proved.stdout
    silenced = text.replace(
        "  - {name: idle", "  # policytest: ignore[useless-denial] for later\n  - {name: idle"
    )
    house.write("policy/policy.yaml", silenced)
    for more in ([], ["--prove"]):
        assert 0 == run(house.root, "check", "--strict", *more, "policy").returncode
    house.write(
        "policy/policy.yaml",
        POLICY.replace(
            "  - name: frozen", "  # policytest: ignore[useless-denial] wrong\n  - name: frozen"
        ),
    )
    assert 0 == run(house.root, "check", "--strict", "policy").returncode
    unused = run(house.root, "check", "--strict", "--prove", "policy")
    assert 1 == unused.returncode
    assert "silence-unused" in unused.stdout


def test_check_says_which_questions_have_no_answer(house: Repository) -> None:
    done = run(house.root, "check", "--prove", "--steps", "1", "policy")
    assert 0 == done.returncode
    assert "no answer about `" in done.stdout
    assert "because of the bound on the solver's steps" in done.stdout


def test_check_shows_the_problems_of_a_folder_and_of_its_files_at_once(
    house: Repository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The provider could stand in the file that is not read, so nothing is said of it."""
    house.write("policy/teams/one.yaml", "version: 1\n")
    house.write("policy/two.YAML", "version: 1\n")
    house.write(
        "policy/more.yaml",
        """
        version: 1
        grants:
          - {name: more, providers: [cluster], repositories: [more], actions: [pul]}
        """,
    )
    monkeypatch.chdir(house.root)
    code = main(["check", "policy"])
    lines = [one for one in capsys.readouterr().out.splitlines() if one.startswith("policy")]

    assert code == 10
    assert [one.partition(": error: ")[0] for one in lines] == [
        "policy:1:1",
        "policy:1:1",
        "policy/more.yaml:3:72",
    ]
    assert "teams/one.yaml" in lines[0] + lines[1]
    assert "two.YAML" in lines[0] + lines[1]
