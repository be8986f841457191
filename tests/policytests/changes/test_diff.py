"""`policytest diff`: what a change means for every possible token, from git and from folders."""

import json
import os
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from regauth.policytests.cli import main

POLICY = """\
version: 1
services: [registry.example.com]
providers:
  github:
    issuer: https://token.actions.githubusercontent.com
    audience: https://registry.example.com
    claims: github-actions
    rules:
      - {name: ours, check: claims.repository_owner_id == "1342004"}
grants:
  - name: pull
    repositories: [acme/**]
    actions: [pull]
  - name: push
    when: claims.ref == "refs/heads/main"
    repositories: ["acme/app"]
    actions: [push]
denials:
  - name: frozen
    repositories: [acme/legacy]
    actions: [pull]
"""
WIDER = POLICY.replace(
    'claims.ref == "refs/heads/main"', 'claims.ref.startsWith("refs/heads/main")'
)
NARROWER = POLICY.replace('"refs/heads/main"', '"refs/heads/main" && claims.event_name == "push"')


class Site:
    """A repository with a policy, and the command in it."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self._capsys = capsys

    def git(self, *words: str) -> str:
        done = subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", *words],
            cwd=self.root, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout.strip()

    def write(self, text: str, name: str = "policy/policy.yaml") -> None:
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def commit(self, text: str | None = None, name: str = "policy/policy.yaml") -> str:
        if text is not None:
            self.write(text, name)
        self.git("add", "-A")
        self.git("commit", "-qm", "change", "--allow-empty")
        return self.git("rev-parse", "HEAD")

    def diff(self, *words: str) -> tuple[int, str]:
        code = main(["diff", *words])
        said = self._capsys.readouterr()
        return code, said.out + said.err

    def document(self, *words: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.diff(*words, "-f", "json")[1])
        return document


@pytest.fixture
def site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Site:
    for name in list(os.environ):
        if name.startswith(("GIT_", "GITHUB_")):
            monkeypatch.delenv(name)
    root = tmp_path / "repository"
    root.mkdir()
    monkeypatch.chdir(root)
    site = Site(root, capsys)
    site.git("init", "-q", "-b", "main")
    site.commit(POLICY)
    return site


def test_a_policy_that_stays_is_proved_without_a_step(site: Site) -> None:
    code, said = site.diff("HEAD")
    (policy,) = site.document("HEAD")["policies"]

    assert (code, said.splitlines()[-1]) == (0, "nobody gains access: proved")
    assert policy["gained"]["status"] == policy["lost"]["status"] == "proved"
    assert policy["gained"]["compared"] == policy["gained"]["identical"]


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(POLICY.replace("name: push", "name: publish"), id="renamed"),
        pytest.param(
            POLICY.replace("claims.ref ==", "defs.main && claims.ref ==").replace(
                "services:", 'definitions: {main: claims.ref == "refs/heads/main"}\nservices:'
            ),
            id="refactored into a definition",
        ),
        pytest.param(
            POLICY.replace(
                'claims.ref == "refs/heads/main"', "'!(\"refs/heads/main\" != claims.ref)'"
            ),
            id="written otherwise",
        ),
        pytest.param("# a comment\n" + POLICY, id="commented"),
    ],
)
def test_what_means_the_same_is_proved(site: Site, written: str) -> None:
    site.write(written)
    document = site.document("HEAD")

    assert document["exitCode"] == 0
    assert [one["lost"]["status"] for one in document["policies"]] == ["proved"]


def test_new_access_ends_with_12_and_shows_a_token_that_the_suite_confirms(site: Site) -> None:
    site.write(WIDER)
    code, said = site.diff("HEAD")
    (policy,) = site.document("HEAD")["policies"]
    (witness,) = policy["gained"]["witnesses"]

    assert code == 12
    assert "repository:acme/app:push  by a token of github" in said
    assert "allowed by grant push (policy/policy.yaml:14:11)" in said
    assert (witness["allowedBy"], witness["refusedBy"]) == ("push", "no-grant")
    assert policy["lost"]["status"] == "proved"

    claims = {
        name: value
        for name, value in witness["claims"].items()
        if name not in {"iss", "iat", "nbf", "exp"}
    }
    token = {"profile": "plain", "provider": "github", "claims": claims}
    suite = {
        "policy": "policy", "at": "2026-11-01T12:00:00Z", "service": witness["service"],
        "tokens": {"witness": token},
        "tests": [
            {"name": "gained", "token": "witness", "scopes": [witness["access"]],
             "expect": {"granted": [witness["access"]]}}
        ],
    }  # fmt: skip
    (site.root / "gained.policytest.yaml").write_text(json.dumps(suite))
    assert main(["gained.policytest.yaml", "-q", "-p", "no:cacheprovider"]) == 0
    site.write(POLICY)
    assert main(["gained.policytest.yaml", "-q", "-p", "no:cacheprovider"]) == 1


def test_new_access_is_accepted_with_a_reason_alone(site: Site) -> None:
    site.write(WIDER)

    code, said = site.diff("HEAD", "--accept-widening", "  team B\n moves in ")
    assert (code, said.splitlines()[-1]) == (0, "new access, accepted: team B moves in")
    code, said = site.diff("HEAD", "--accept-widening", " ")
    assert (code, said) == (4, "policytest: --accept-widening needs a reason\n")
    assert site.diff("HEAD", "--accept-undecided", "other")[0] == 12


def test_lost_access_fails_where_it_is_asked_for(site: Site) -> None:
    site.write(NARROWER)

    code, said = site.diff("HEAD")
    assert code == 0
    assert "GAINED  proved none" in said
    assert "before   allowed by grant push" in said
    assert site.diff("HEAD", "--fail-on-narrowing")[0] == 1


def test_a_denial_that_goes_is_named_where_it_stood(site: Site) -> None:
    site.write(POLICY[: POLICY.index("denials:")])
    code, said = site.diff("HEAD")

    assert code == 12
    assert "before   denial frozen (policy/policy.yaml:19:11)" in said


@pytest.mark.parametrize("deleted", [False, True])
def test_a_policy_that_is_new_or_gone_is_gained_or_lost_as_a_whole(
    site: Site, deleted: bool
) -> None:
    site.write(POLICY, "policy/other/policy.yaml")
    shutil.move(site.root / "policy/policy.yaml", site.root / "policy.yaml")
    (site.root / "policy/one").mkdir()
    shutil.move(site.root / "policy.yaml", site.root / "policy/one/policy.yaml")
    both = site.commit()
    shutil.rmtree(site.root / "policy/other")
    one = site.commit()
    old, new = (both, one) if deleted else (one, both)
    document = site.document(old, new)
    kept, changed = document["policies"]

    assert (kept["gained"]["status"], kept["lost"]["status"]) == ("proved", "proved")
    direction, other = ("lost", "gained") if deleted else ("gained", "lost")
    assert {each["allowedBy"] for each in changed[direction]["witnesses"]} == {"pull", "push"}
    assert changed[other]["status"] == ("unknown" if deleted else "proved")
    assert document["exitCode"] == (13 if deleted else 12)


@pytest.mark.parametrize("wide", [POLICY, WIDER], ids=["as it was", "wider"])
def test_a_policy_that_is_moved_out_of_what_is_compared_is_not_harmless(
    site: Site, wide: str
) -> None:
    """Servers are told of the new place elsewhere, so nothing is known of what they read there."""
    shutil.move(site.root / "policy", site.root / "rules")
    site.commit(wide, "rules/policy.yaml")
    code, said = site.diff("HEAD~1", "HEAD")

    assert code == 13
    assert "policy (removed)" in said
    assert "a policy that was moved elsewhere is not compared" in said
    assert site.diff("HEAD~1", "HEAD", "--accept-undecided", "retired")[0] == 0


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("target", ["../wide", "/nowhere", "../../outside", "one"])
def test_a_linked_policy_among_several_is_not_passed_over(
    site: Site, target: str, *, committed: bool
) -> None:
    (site.root / "policy/one").mkdir()
    (site.root / "policy/policy.yaml").rename(site.root / "policy/one/policy.yaml")
    site.write(WIDER, "wide/policy.yaml")
    site.commit()
    (site.root / "policy/README").symlink_to("one/policy.yaml")
    (site.root / "policy/new").symlink_to(target)
    site.commit()
    code, said = site.diff("HEAD~1", *(["HEAD"] if committed else []))

    if committed:
        assert code == 10
        assert "policy/new is a link or a submodule" in said
    elif target in ("../wide", "one"):
        assert code == 12
        assert "policy/new (new)" in said
    else:
        assert code == 0  # a server finds no folder there either


def test_a_policy_that_lies_deeper_among_several_is_not_passed_over(site: Site) -> None:
    (site.root / "policy/one").mkdir()
    (site.root / "policy/policy.yaml").rename(site.root / "policy/one/policy.yaml")
    site.commit()
    site.commit(WIDER, "policy/new/deep/policy.yaml")
    for head in ([], ["HEAD"]):
        code, said = site.diff("HEAD~1", *head)
        assert code == 10
        assert "policy/new holds no *.yaml file" in said


# --- git -----------------------------------------------------------------------------------------


def test_the_base_is_the_merge_base_with_the_main_branch(site: Site) -> None:
    site.git("checkout", "-qb", "feature")
    site.commit(WIDER)
    site.git("checkout", "-q", "main")
    site.commit(NARROWER)
    site.git("checkout", "-q", "feature")
    (policy,) = site.document()["policies"]

    assert len(policy["gained"]["witnesses"]) == 1
    assert policy["lost"]["status"] == "proved"


def test_a_pull_request_s_own_target_is_the_main_branch(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.git("checkout", "-qb", "release-1")
    site.commit(WIDER)
    site.git("checkout", "-qb", "feature")
    site.commit()
    monkeypatch.setenv("GITHUB_BASE_REF", "release-1")

    assert site.diff()[0] == 0
    monkeypatch.delenv("GITHUB_BASE_REF")
    assert site.diff()[0] == 12


def test_two_commits_are_compared_whatever_the_working_tree_has(site: Site) -> None:
    old = site.commit(POLICY)
    new = site.commit(WIDER)
    site.write("no policy")

    assert site.diff(old, new)[0] == 12
    assert site.diff(new, old)[0] == 0


def test_a_subfolder_is_where_its_policy_is_looked_for(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.commit(POLICY, "deploy/policy/policy.yaml")
    site.write(WIDER, "deploy/policy/policy.yaml")
    monkeypatch.chdir(site.root / "deploy")
    code, said = site.diff("HEAD")

    assert code == 12
    assert "deploy/policy/policy.yaml:14:11" in said


def test_a_shallow_clone_without_a_merge_base_says_what_to_fetch(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.git("checkout", "-qb", "feature")
    site.commit(WIDER)
    site.git("checkout", "-q", "main")
    site.commit(NARROWER)
    clone = tmp_path / "clone"
    site.git("clone", "-q", "--depth=1", "--no-single-branch", site.root.as_uri(), str(clone))
    monkeypatch.chdir(clone)
    subprocess.run(["git", "checkout", "-q", "feature"], cwd=clone, check=True)
    code, said = site.diff()

    assert code == 4
    assert "HEAD shares no commit with origin/HEAD" in said
    assert "fetch-depth: 0" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "there is no commit 'nowhere'"),
        (["--", "--output=x"], "there is no commit '--output=x'"),
        (["HEAD", "policy"], "policy is a folder, HEAD is not"),
        (["HEAD", "--policy", "elsewhere"], "has a policy in elsewhere; say where it is with"),
        (["HEAD", "--policy", "../.."], "../.. is outside the repository"),
        (["policy", "elsewhere"], "there is no folder elsewhere to compare policy with"),
        (["HEAD", "--at", "noon"], "--at is a time like"),
        (["HEAD", "-f", "xml"], "--format is text, json, markdown, github, html"),
        (["HEAD", "-f", "json=no/such/folder.json"], "no/such/folder.json cannot be written"),
    ],
)
def test_what_cannot_be_compared_is_said_in_one_line(
    site: Site, words: list[str], said: str
) -> None:
    code, told = site.diff(*words)

    assert (code, told.count("\n")) == (4, 1)
    assert said in told


def test_outside_of_a_repository_folders_can_be_compared(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    for name, text in (("old", POLICY), ("new", WIDER)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "policy.yaml").write_text(text)

    assert "in no git repository that can be read" in site.diff()[1]
    code, said = site.diff("old", "new")
    assert code == 12
    assert "new/policy.yaml:14:11" in said
    assert site.diff("new", "old")[0] == 0


@pytest.mark.parametrize("broken", ["base", "head"])
def test_a_policy_that_does_not_compile_is_named_with_its_side(site: Site, broken: str) -> None:
    good = site.commit(POLICY)
    bad = site.commit(POLICY.replace("actions: [push]", "actions: [write]"))
    base, head = (bad, good) if broken == "base" else (good, bad)
    code, said = site.diff(base, head)

    assert code == 10
    assert f"policy of {bad[:12]} does not compile" in said
    assert "policy/policy.yaml:17:" in said


def test_a_link_in_a_commit_is_no_policy(site: Site) -> None:
    (site.root / "policy/more.yaml").symlink_to("/etc/hostname")
    site.commit()
    code, said = site.diff("HEAD", "HEAD")

    assert code == 10
    assert "policy/more.yaml is no regular file" in said


def test_a_link_in_the_policy_s_place_is_not_a_policy_that_is_gone(site: Site) -> None:
    base = site.git("rev-parse", "HEAD")
    (site.root / "policy").rename(site.root / "wide")
    (site.root / "policy").symlink_to("wide")
    site.git("add", "-A")
    site.git("commit", "-qm", "link")
    code, said = site.diff(base, "HEAD")

    assert code == 10
    assert "policy is a link or a submodule" in said


def trap(site: Site, name: str) -> Path:
    """A program that leaves a mark when it runs."""
    program = site.root / name
    program.write_text(f"#!/bin/sh\ntouch '{site.root}/ran-{name}'\nexec cat\n")
    program.chmod(0o755)
    return program


def test_nothing_of_the_tree_runs(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The change that is judged may be hostile: hooks, filters, drivers and programs of its own."""
    for key in (
        "core.fsmonitor", "filter.evil.smudge", "filter.evil.clean", "diff.evil.textconv",
        "diff.evil.command", "core.pager", "core.sshCommand", "uploadpack.packObjectsHook",
    ):  # fmt: skip
        site.git("config", key, str(trap(site, key.replace(".", "-"))))
    site.git("config", "core.hooksPath", str(site.root / "hooks"))
    (site.root / "hooks").mkdir()
    for hook in ("post-checkout", "post-index-change", "reference-transaction"):
        shutil.copy(trap(site, hook), site.root / "hooks" / hook)
    trap(site, "git")
    site.write("* filter=evil diff=evil\n", ".gitattributes")
    monkeypatch.setenv("PATH", f".:{os.environ['PATH']}")
    before = {path.name for path in site.root.glob("ran-*")}
    site.write(WIDER)

    assert site.diff("HEAD")[0] == 12
    assert site.diff("HEAD", "HEAD")[0] == 0
    assert {path.name for path in site.root.glob("ran-*")} == before


# --- a change cannot excuse itself ----------------------------------------------------------------


def schema(presence: str) -> str:
    """A claim schema of one's own, whose issuer promises that `event` is there, or does not."""
    claims = {
        "iss": {"type": "string"}, "sub": {"type": "string"}, "exp": {"type": "int"},
        "aud": {"type": "list", "items": {"type": "string"}},
        "event": {"type": "string"},
    }  # fmt: skip
    for one in claims.values():
        one |= {"presence": "always", "description": "A claim.", "guaranteed": ["presence"]}
    claims["event"]["presence"] = presence
    return json.dumps({"name": "own", "title": "own", "claims": claims})


def own_policy(providers: str, condition: str) -> str:
    return (
        "version: 1\nservices: [registry.example.com]\nproviders:\n"
        f"  {providers}: {{issuer: 'https://{providers}.example.com', claims: own.json,"
        " audience: 'https://registry.example.com'}\n"
        "grants:\n"
        f"  - {{name: one, when: '{condition}', repositories: [acme/app], actions: [pull]}}\n"
    )


PUSH = 'claims.event == "push"'
FORK = "!has(claims.event)"


def test_the_base_s_schema_bounds_the_tokens(site: Site) -> None:
    """What the issuer promises was reviewed with the base, so a proof may use it."""
    site.write(schema("always"), "policy/own.json")
    base = site.commit(own_policy("farm", PUSH))
    head = site.commit(own_policy("farm", f"{PUSH} || {FORK}"))
    (policy,) = site.document(base, head)["policies"]

    assert policy["gained"]["status"] == "proved"
    assert policy["gained"]["about"] == "tokens of the claim schema"


def test_a_claim_schema_that_comes_with_the_change_proves_nothing(site: Site) -> None:
    site.write(schema("sometimes"), "policy/own.json")
    base = site.commit(own_policy("farm", PUSH))
    site.write(schema("always"), "policy/own.json")
    head = site.commit(own_policy("farm", f"{PUSH} || {FORK}"))
    document = site.document(base, head)
    (witness,) = document["policies"][0]["gained"]["witnesses"]

    assert document["exitCode"] == 12, "by the base's schema some tokens have no event"
    assert "event" not in witness["claims"]


@pytest.mark.parametrize("new", ["provider", "schema"])
def test_a_proof_that_hangs_on_what_the_change_brings_is_not_one(site: Site, new: str) -> None:
    site.write(schema("always"), "policy/own.json")
    base = site.commit(own_policy("farm", PUSH))
    if new == "provider":
        head = site.commit(own_policy("other", FORK))
    else:
        site.write(schema("always").replace("A claim.", "The claim."), "policy/own.json")
        head = site.commit(own_policy("farm", f"{PUSH} || {FORK}"))
    code, said = site.diff(base, head)

    assert code == 13
    assert "not excluded because of a claim schema that comes with the change" in said
    assert site.diff(base, head, "--accept-undecided", "reviewed")[0] == 0


def test_other_keys_are_not_excluded(site: Site) -> None:
    keys = "keys: {jwksUri: 'https://keys.example.com/jwks'}"
    site.write(POLICY.replace("claims: github-actions\n", f"claims: github-actions\n    {keys}\n"))
    code, said = site.diff("HEAD")

    assert code == 13
    assert "github: not excluded because of a changed source of keys" in said
    assert site.diff("HEAD", "--accept-undecided", "our mirror of the keys")[0] == 0


# --- formats -------------------------------------------------------------------------------------


def test_github_is_told_at_the_line_of_the_policy(site: Site) -> None:
    site.write(WIDER)
    _, said = site.diff("HEAD", "-f", "github")

    assert said.startswith(
        "::error file=policy/policy.yaml,line=14,col=11,title=access-gained::repository:acme/app:push"
    )
    _, accepted = site.diff("HEAD", "-f", "github", "--accept-widening", "meant")
    assert accepted.startswith("::warning file=policy/policy.yaml,line=14")


def test_several_formats_are_written_at_once(site: Site) -> None:
    site.write(WIDER)
    code, said = site.diff(
        "HEAD",
        "-f",
        "github",
        "-f",
        "markdown=summary.md",
        "-f",
        "html=diff.html",
        "-f",
        "json=d.json",
    )
    summary = (site.root / "summary.md").read_text()

    assert code == 12
    assert said.startswith("::error")
    assert summary.startswith("<!-- policytest diff -->\n### policytest diff: failed\n")
    assert (
        "| repository:acme/app:push | a token of github | grant push (policy/policy.yaml:14:11) |"
        in (summary)
    )
    assert json.loads((site.root / "d.json").read_text())["exitCode"] == 12


def test_the_page_is_closed_and_escapes_what_a_policy_says(site: Site) -> None:
    site.write(POLICY.replace('"refs/heads/main"', '"refs/heads/<b>"'))
    site.diff("HEAD", "-f", "html=diff.html")
    page = (site.root / "diff.html").read_text()
    opened: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, _attrs: object) -> None:
            if tag != "meta":
                opened.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert opened.pop() == tag

    Reader().feed(page)
    assert opened == []
    assert "<b>" not in page
    assert "default-src 'none'" in page
    assert "<script" not in page


def test_explain_shows_both_decisions_step_by_step(site: Site) -> None:
    site.write(WIDER)
    _, said = site.diff("HEAD", "--explain")
    before, after = said[said.index("before the change:") :].split("after the change:")

    assert "repository:acme/app:push: REFUSED" in before
    assert "repository:acme/app:push: ALLOWED by push" in after
    assert "rule:ours" in before


@pytest.mark.parametrize("words", [["--limit", "1"], []])
def test_a_long_list_is_cut_and_says_so(site: Site, words: list[str]) -> None:
    site.write(
        POLICY.replace(
            "[acme/**]\n    actions: [pull]", "[acme/**]\n    actions: [pull, push, delete]"
        )
    )
    _, said = site.diff("HEAD", *words)

    assert ("more; --limit 0 shows all" in said) == bool(words)
