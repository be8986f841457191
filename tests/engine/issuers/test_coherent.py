"""Whole tokens from a few claims: none contradicts its issuer, and what is given stays."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from regauth import schemas
from regauth.engine.compiler.claim_schemas import known_schema
from regauth.engine.issuers import check_token, coherent, stand_in
from regauth.engine.issuers.relations import Path, value_at

KNOWN = schemas.claims_names()


def examples() -> Iterator[tuple[str, Path, int]]:
    for name in KNOWN:
        claims = known_schema(name).claims
        for path, claim in claims.items():
            if path[:-1] and claims[path[:-1]].type == "list":
                continue  # a member of a list's items
            yield from ((name, path, at) for at in range(len(claim.examples)))
            yield from ((name, path, at) for at in range(-len(claim.values.enum), 0))


EXAMPLES = tuple(examples())


def _id(one: object) -> str:
    return "/".join(one) if isinstance(one, tuple) else str(one)


@pytest.mark.parametrize("name", KNOWN)
def test_a_token_of_nothing_contradicts_nothing(name: str) -> None:
    schema = known_schema(name)
    assert list(check_token(schema, coherent(schema, {}))) == []


@pytest.mark.parametrize(("name", "path", "at"), EXAMPLES, ids=_id)
def test_a_token_with_any_one_value_contradicts_nothing(name: str, path: Path, at: int) -> None:
    schema = known_schema(name)
    claim = schema.claims[path]
    value = claim.values.enum[at] if at < 0 else claim.examples[at]
    given: dict[str, Any] = {path[-1]: value}
    for holder in reversed(path[:-1]):
        given = {holder: given}
    made = coherent(schema, given)
    assert value_at(made, path) == value
    assert list(check_token(schema, made)) == []


GITHUB: Mapping[str, tuple[dict[str, object], dict[str, object]]] = {
    "another repository": (
        {"repository": "other/lib"},
        {
            "repository_owner": "other",
            "sub": "repo:other/lib:ref:refs/heads/main",
            "workflow_ref": "other/lib/.github/workflows/build.yaml@refs/heads/main",
        },
    ),
    "a tag": (
        {"ref": "refs/tags/v2"},
        {"ref_type": "tag", "sub": "repo:acme/app:ref:refs/tags/v2"},
    ),
    "a pull request": (
        {"event_name": "pull_request"},
        {"ref": "refs/pull/7/merge", "sub": "repo:acme/app:pull_request", "base_ref": "main"},
    ),
    "its ref alone": (
        {"ref": "refs/pull/3/merge"},
        {"event_name": "pull_request", "sub": "repo:acme/app:pull_request"},
    ),
    "a subject alone": (
        {"sub": "repo:x/y:ref:refs/tags/v1"},
        {"repository": "x/y", "repository_owner": "x", "ref": "refs/tags/v1", "ref_type": "tag"},
    ),
    "an environment": (
        {"environment": "a:b"},
        {"sub": "repo:acme/app:environment:a%3Ab"},
    ),
    "another event for strangers": (
        {"event_name": "pull_request_target"},
        {"ref": "refs/heads/main", "sub": "repo:acme/app:ref:refs/heads/main"},
    ),
}


@pytest.mark.parametrize(("given", "wanted"), GITHUB.values(), ids=GITHUB)
def test_what_follows_from_the_given_claims_is_put_beside_them(
    given: dict[str, object], wanted: dict[str, object]
) -> None:
    made = coherent(known_schema("github-actions"), given)
    assert {name: made[name] for name in wanted} == wanted


def test_a_namespace_is_all_but_the_last_part_of_a_path() -> None:
    made = coherent(known_schema("gitlab-ci"), {"project_path": "acme/team/app"})
    assert made["namespace_path"] == "acme/team"
    assert made["job_project_path"] == "acme/team/app"


def test_what_is_given_stays_even_where_it_contradicts_itself() -> None:
    given = {"ref": "refs/tags/v1", "ref_type": "branch"}
    schema = known_schema("github-actions")
    made = coherent(schema, given)
    assert {name: made[name] for name in given} == given
    broken = {one.path for one in check_token(schema, made)}
    assert broken == {("ref_type",)}


def test_an_id_follows_a_name_and_has_its_form() -> None:
    schema = known_schema("github-actions")
    one, other = (coherent(schema, {"repository": name}) for name in ("acme/a", "acme/b"))
    assert one["repository_id"] != other["repository_id"]
    assert one["repository_owner_id"] == other["repository_owner_id"]
    assert coherent(schema, {"repository": "acme/a"}) == one
    uuid = known_schema("kubernetes").claims[("kubernetes.io", "serviceaccount", "uid")].values
    assert uuid.can_equal(stand_in(uuid, "x"))


def test_an_id_begins_as_all_ids_of_its_kind_do() -> None:
    values = known_schema("hcp-terraform").claims[("terraform_workspace_id",)].values
    one, other = (stand_in(values, name) for name in ("a", "b"))
    assert one != other
    assert all(values.can_equal(made) and made.startswith("ws-") for made in (one, other))


def test_a_given_object_is_not_changed() -> None:
    given: dict[str, Any] = {"kubernetes.io": {"namespace": "team-a"}}
    coherent(known_schema("kubernetes"), given)
    assert given == {"kubernetes.io": {"namespace": "team-a"}}


def test_what_is_only_usual_leads_one_way() -> None:
    """A job of a fork names another project, which says nothing of the project it wants to merge into."""
    schema = known_schema("gitlab-ci")
    wanted = {"project_path": "acme/app", "pipeline_source": "merge_request_event"}
    own = coherent(schema, wanted)
    fork = coherent(schema, {**wanted, "job_project_path": "stranger/app", "job_project_id": "9"})

    assert own["job_project_id"] == own["project_id"] == fork["project_id"]
    assert fork["project_id"] != "9"
