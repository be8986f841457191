"""Assumptions of suites in `policytest diff`: a change cannot excuse itself by them."""

import pytest

from tests.policytests.changes.test_diff import POLICY, Site, site

__all__ = ["site"]

WIDER = POLICY.replace(
    'claims.ref == "refs/heads/main"',
    'claims.ref == "refs/heads/main" || claims.repository.startsWith("other/")',
)
SUITE = """\
at: 2026-11-01T12:00:00Z
invariants:
  never:
    - {name: nobody deletes, repositories: ["**"], actions: [delete]}
  assume:
    - when: claims.repository_owner_id == "1342004"
      then: claims.repository.startsWith("acme/")
"""
NONE = SUITE[: SUITE.index("  assume")]
PLACE = "policytests/policy.policytest.yaml"


@pytest.mark.parametrize(
    ("base", "head", "code"),
    [
        (SUITE, SUITE, 0),
        (SUITE, SUITE.replace("when: c", "name: other words\n      when: c"), 0),
        # What the change adds, removes or alters proves nothing.
        (NONE, SUITE, 12),
        (SUITE, NONE, 12),
        (SUITE, SUITE.replace('"acme/"', '"acm"'), 12),
        # A suite that cannot be read assumes nothing, nor does one about another policy.
        (SUITE.replace("at: ", "att: "), SUITE, 12),
        (f"policy: ../other\n{SUITE}", f"policy: ../other\n{SUITE}", 12),
        (f"policy: ../policy\n{SUITE}", SUITE, 0),
        # Everything would be proved with it.
        (*[SUITE.replace('startsWith("acme/")', 'startsWith("/")')] * 2, 12),
    ],
)
def test_only_what_both_sides_assume_is_used(site: Site, base: str, head: str, code: int) -> None:
    site.commit(base, PLACE)
    site.write(head, PLACE)
    site.write(WIDER)

    found, said = site.diff("HEAD")

    assert code == found, said
    assert (code == 0) == ("of the claim schemas and 1 assumption of the suites" in said)


def test_a_proof_that_needs_no_assumption_names_none(site: Site) -> None:
    site.commit(SUITE, PLACE)
    site.write(
        POLICY.replace('"refs/heads/main"', '"refs/heads/main" && claims.sha.startsWith("a")')
    )

    code, said = site.diff("HEAD")

    assert 0 == code
    assert "GAINED  proved none" in said
    assert "for every token that the providers' keys can sign" in said


def test_two_folders_have_no_suites(site: Site) -> None:
    for name, policy in (("old", POLICY), ("new", WIDER)):
        site.write(policy, f"{name}/policy.yaml")
    site.write(f"policy: ../old\n{SUITE}", "policytests/old.policytest.yaml")
    site.write(f"policy: ../new\n{SUITE}", "policytests/new.policytest.yaml")

    assert 12 == site.diff("old", "new")[0]


def test_the_assumptions_that_were_used_are_named(site: Site) -> None:
    site.commit(SUITE, PLACE)
    site.write(WIDER)

    (policy,) = site.document("HEAD")["policies"]

    assert [
        'claims.repository_owner_id == "1342004" => claims.repository.startsWith("acme/")'
    ] == policy["assumptions"]


def test_a_link_in_the_place_of_a_suite_is_not_followed(site: Site) -> None:
    site.write(SUITE, "elsewhere.txt")
    place = site.root / PLACE
    place.parent.mkdir()
    place.symlink_to("../elsewhere.txt")
    site.commit()
    site.write(WIDER)

    assert 12 == site.diff("HEAD")[0]
