"""`policytest diff --explain`: what a proof compared, its cells, and the engine's word on each."""

import os

import pytest

from regauth.engine import compile_policy
from regauth.engine.files import read_policy_folder
from regauth.policytests.analysis.mutants import mutants
from regauth.policytests.analysis.places import Places
from regauth.policytests.proofs import Question, Witness, more_access
from regauth.policytests.proofs.longer import LongerQuestion
from regauth.policytests.proofs.refinement import GrantQuestion, Slice
from regauth.policytests.proofs.retelling import Notes, login_of, retell
from tests.conftest import REPOSITORY
from tests.policytests.changes.test_diff import NARROWER, POLICY, WIDER, Site, site

__all__ = ["site"]

EVERY = 1 if float(os.environ.get("FUZZ_SECONDS", "0")) else 4
"""Of how many mutants one is asked about."""


def test_a_proof_says_what_it_compared_and_why_none_is_left(site: Site) -> None:
    written = NARROWER.replace("acme/legacy", "acme/legacy/x").replace(
        "[acme/**]", "[acme/app, acme/lib]"
    )
    site.write(written.replace("name: pull\n", "name: pull-some\n"))

    _, said = site.diff("HEAD", "--explain")

    gained = said.partition("  LOST")[0].splitlines()
    assert "  GAINED  proved none" in said
    assert "    github: push (push acme/app), with push" in gained
    assert any(
        line.startswith("      claims.ref: ") and '"refs/heads/main"' in line for line in gained
    )
    assert "    github: pull-some (pull acme/app), with pull" in gained
    assert any(line.endswith("allowed by both, 0 left") for line in gained)


def test_what_is_the_same_is_told_without_cells(site: Site) -> None:
    site.write(
        POLICY.replace("name: pull\n", "name: read\n").replace(
            'when: claims.ref == "refs/heads/main"',
            "when: '!(\"refs/heads/main\" != claims.ref)'",
        )
    )

    said = site.diff("HEAD", "--explain")[1]

    assert "    github: the same text: read" in said
    assert "    github: the same meaning by its formula: push" in said


LONGER = POLICY.replace(
    "actions: [pull]\n  - name: push", "actions: [pull]\n    tokenLifetime: 4m\n  - name: push"
)


def test_a_longer_token_is_told_with_who_gets_it_and_both_decisions(site: Site) -> None:
    site.commit(LONGER.replace("4m", "2m"))
    site.write(LONGER)

    code, said = site.diff("HEAD", "--explain")
    gained = said.partition("  LOST")[0]
    longer = site.document("HEAD")["policies"][0]["gained"]["longer"][0]
    annotation = site.diff("HEAD", "-f", "github")[1]
    page = site.diff("HEAD", "-f", "html")[1]

    assert code == 12
    assert longer["provider"] == "github"
    assert "0:02:00 before, 0:04:00 after" in gained
    assert 'repository_owner_id: "1342004"' in gained
    assert gained.index("of at most 120 seconds") < gained.index("of at most 240 seconds")
    assert (longer["allowedBy"], longer["claims"]["repository_owner_id"]) == ("pull", "1342004")
    assert "::error file=policy/policy.yaml,line=11" in annotation
    assert "<details><summary>token</summary><pre>" in page.partition("Access lost")[0]
    assert "the token of repository:acme/" in site.diff("HEAD", "-f", "markdown")[1]


def test_a_proof_says_which_lifetimes_it_compared_and_why_nothing_is_left(site: Site) -> None:
    two = LONGER.replace("actions: [push]", "actions: [push]\n    tokenLifetime: 2m")
    site.commit(two)
    site.write(two.replace("acme/**", "acme/app"))

    gained = site.diff("HEAD", "--explain")[1].partition("  LOST")[0].splitlines()
    shorter = gained.index("    tokens that are valid for longer than the 0:02:00 of others:")
    longer = gained.index("    tokens that are valid for longer than the 0:04:00 of others:")

    assert "      github: pull (pull acme/app, the tag not known yet), with pull" in gained
    assert any(line.endswith("no longer than before, 0 left") for line in gained[shorter:longer])
    assert gained[longer + 1] == "      no grant is longer"


def test_a_false_proof_about_lifetimes_is_found_by_the_engine(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.commit(LONGER.replace("4m", "2m"))
    site.write(LONGER)

    def blind(self: LongerQuestion, number: int, used: Slice) -> Witness | bool | None:
        self._note(number, used)
        return None

    monkeypatch.setattr(LongerQuestion, "_round", blind)

    assert 0 == site.diff("HEAD")[0]  # the planted bug
    code, said = site.diff("HEAD", "--explain")

    assert 13 == code
    assert "pull of github (pull): not excluded because of a request that the engine" in said


def test_a_longer_token_of_several_grants_is_told_once_in_every_format(site: Site) -> None:
    waiting = LONGER.replace("4m", "2m\n    tags: [v1]").replace(
        "  - name: push",
        "  - {name: other, repositories: [acme/**], actions: [pull], tags: [v2], tokenLifetime: 2m}\n"
        "  - name: push",
    )
    site.commit(waiting)
    site.write(waiting.replace("2m", "4m"))

    for form in ("text", "markdown", "github", "html"):
        assert site.diff("HEAD", "-f", form)[1].count("0:04:00 after") == 1, form
    assert len(site.document("HEAD")["policies"][0]["gained"]["longer"]) == 1


def test_longer_tokens_beyond_the_limit_are_counted(site: Site) -> None:
    two = LONGER.replace("actions: [push]", "actions: [push]\n    tokenLifetime: 4m")
    site.commit(two.replace("4m", "2m"))
    site.write(two)

    told = [site.diff("HEAD", "--limit", "1", "-f", form)[1] for form in ("text", "markdown")]

    assert [one.count("0:04:00 after") for one in told] == [1, 1]
    assert ["and 1 more" in one for one in told] == [True, True]
    assert site.diff("HEAD", "--limit", "0")[1].count("0:04:00 after") == 2


def test_without_the_option_nothing_of_it_is_shown(site: Site) -> None:
    site.write(NARROWER)

    assert "decided by the engine" not in site.diff("HEAD")[1]


def test_a_false_proof_is_found_by_the_engine(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second path does not use the solver: a solver that misses something is contradicted."""
    site.write(WIDER)
    asked = GrantQuestion._round

    def blind(self: GrantQuestion, number: int, used: Slice) -> Witness | bool | None:
        if self.grant.name == "everything":
            return asked(self, number, used)
        self._note(number, used)
        return None

    monkeypatch.setattr(GrantQuestion, "_round", blind)

    assert 0 == site.diff("HEAD")[0]  # the planted bug
    code, said = site.diff("HEAD", "--explain")

    assert 13 == code
    assert "push of github (push): not excluded because of a request that the engine" in said


@pytest.mark.fuzz
@pytest.mark.parametrize("name", ["github-actions", "gitlab-ci", "kubernetes", "spiffe"])
def test_the_engine_finds_nothing_left_of_what_is_proved(name: str) -> None:
    """Of a mutant of a reference policy that gives nothing more, all is decided again."""
    compilation = compile_policy(read_policy_folder(REPOSITORY / "policy" / name))
    policy = compilation.policy
    assert policy is not None
    decided = 0
    for mutant in list(mutants(policy, Places.of(compilation.sources)))[:40:EVERY]:
        account = Notes()
        if not more_access(Question(mutant.policy, policy, account=account)).proved:
            continue
        login = {one: login_of(policy, one, None) for one in policy.providers}
        for refuted in account.refuted:
            retold = retell(refuted, login.get(refuted.pair.name, {}))
            if retold is not None:
                assert 0 == retold.against, (mutant, refuted.grant.name)
                decided += retold.decided
    assert decided > 20
