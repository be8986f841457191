"""The claim schemas of the known issuers."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from regauth import schemas

KNOWN = (
    "aws-sts-web-identity",
    "azure",
    "azure-devops",
    "bitbucket-pipelines",
    "buildkite",
    "circleci",
    "generic",
    "github-actions",
    "gitlab-ci",
    "google",
    "hcp-terraform",
    "jenkins-oidc",
    "keycloak",
    "kubernetes",
    "openbao",
    "semaphore",
    "spiffe",
    "vault",
)

Claims = Mapping[str, Any]


def objects(claims: Claims, path: str = "") -> Iterator[tuple[str, Claims]]:
    """Yield the claims, and the members of each object in them, each set with its path."""
    yield path, claims
    for name, about in claims.items():
        for inner in (about, about.get("items", {}), about.get("values", {})):
            if "claims" in inner:
                yield from objects(inner["claims"], f"{path}/{name}")


def every_claim(name: str) -> Iterator[tuple[str, Claims, Mapping[str, Any]]]:
    document = schemas.load_claims(name)
    for path, claims in objects(document["claims"]):
        for claim, about in claims.items():
            yield f"{path}/{claim}", claims, about
    for family, about in document.get("families", {}).items():
        yield f"/{family}*", {}, about


def _is_list(value: object, about: Mapping[str, Any]) -> bool:
    inner = about.get("items", {"type": "dyn"})
    return isinstance(value, list) and all(fits(item, inner) for item in value)


def _is_object(value: object, about: Mapping[str, Any]) -> bool:
    return isinstance(value, dict) and all(
        name in about["claims"] and fits(item, about["claims"][name])
        for name, item in value.items()
    )


_FITS: Mapping[str, Callable[[object, Mapping[str, Any]], bool]] = {
    "string": lambda value, _: isinstance(value, str),
    "int": lambda value, _: isinstance(value, int) and not isinstance(value, bool),
    "double": lambda value, _: isinstance(value, float) and math.isfinite(value),
    "bool": lambda value, _: isinstance(value, bool),
    "list": _is_list,
    "object": _is_object,
    "map": lambda value, _: isinstance(value, dict),
    "dyn": lambda _value, _: True,
}


def fits(value: object, about: Mapping[str, Any]) -> bool:
    return _FITS[about["type"]](value, about)


def test_every_known_issuer_is_there() -> None:
    assert schemas.claims_names() == KNOWN


@pytest.mark.parametrize("name", KNOWN)
def test_it_is_valid(name: str) -> None:
    document = schemas.load_claims(name)
    errors = Draft202012Validator(schemas.load("claim-schema")).iter_errors(document)
    assert [f"{error.json_path}: {error.message}" for error in errors] == []


@pytest.mark.parametrize("name", KNOWN)
def test_it_is_called_as_its_file_and_points_at_its_own_schema(name: str) -> None:
    document = schemas.load_claims(name)
    assert name == document["name"]
    assert document["$schema"] == "../claim-schema.schema.json"
    assert document["documentation"].startswith("https://")


@pytest.mark.parametrize("name", KNOWN)
def test_the_policy_schema_tells_editors_about_it(name: str) -> None:
    claims = schemas.load("policy")["$defs"]["provider"]["properties"]["claims"]
    assert name in claims["examples"]
    assert name in claims["x-hint"]


@pytest.mark.parametrize("name", KNOWN)
def test_the_registered_claims_have_the_types_that_the_engine_gives_them(name: str) -> None:
    claims = schemas.load_claims(name)["claims"]
    assert claims["aud"]["type"] == "list"
    assert claims["aud"]["items"] == {"type": "string"}
    assert [claims[claim]["type"] for claim in ("iss", "sub")] == ["string", "string"]
    assert [claims[claim]["presence"] for claim in ("sub", "aud", "exp")] == ["always"] * 3
    for claim in {"exp", "iat", "nbf", "auth_time"} & set(claims):
        assert claims[claim]["type"] == "int", claim


@pytest.mark.parametrize("name", KNOWN)
def test_every_example_has_the_type_of_its_claim(name: str) -> None:
    wrong = [
        f"{path}: {example!r}"
        for path, _, about in every_claim(name)
        for example in about.get("examples", [])
        if not fits(example, about)
    ]
    assert wrong == []


@pytest.mark.parametrize("name", KNOWN)
def test_every_claim_with_a_single_value_has_an_example(name: str) -> None:
    silent = [
        path
        for path, _, about in every_claim(name)
        if about["type"] != "object" and not about.get("examples")
    ]
    assert silent == []


@pytest.mark.parametrize("name", KNOWN)
def test_a_twin_stands_beside_its_claim_and_never_changes_hands(name: str) -> None:
    wrong = [
        path
        for path, beside, about in every_claim(name)
        if "twin" in about
        if about["twin"] not in beside or beside[about["twin"]].get("mutable")
    ]
    assert wrong == []


@pytest.mark.parametrize("name", KNOWN)
def test_a_name_with_an_id_beside_it_has_that_twin(name: str) -> None:
    """A pair such as `repository` and `repository_id` must not be forgotten."""
    forgotten = [
        path
        for path, beside, about in every_claim(name)
        if f"{path.rpartition('/')[2]}_id" in beside
        if about.get("twin") != f"{path.rpartition('/')[2]}_id"
    ]
    assert forgotten == []


def test_only_schemas_of_issuers_with_claims_of_their_users_are_open() -> None:
    """
    In an open schema a misspelt claim is not noticed.

    These have templates or mappers; the standard of JWT-SVIDs allows private claims of any name.
    """
    assert [name for name in KNOWN if schemas.load_claims(name)["open"]] == [
        "generic",
        "jenkins-oidc",
        "keycloak",
        "openbao",
        "spiffe",
        "vault",
    ]


def test_github_has_every_documented_claim() -> None:
    documented = """
        repository repository_id repository_owner repository_owner_id repository_visibility
        ref ref_type ref_protected sha workflow workflow_ref workflow_sha job_workflow_ref
        job_workflow_sha event_name environment environment_node_id head_ref base_ref run_id
        run_number run_attempt runner_environment actor actor_id enterprise enterprise_id
        check_run_id iss sub aud exp iat nbf jti
    """
    document = schemas.load_claims("github-actions")
    assert set(documented.split()) == set(document["claims"])
    assert ["repo_property_"] == list(document["families"])


def test_github_describes_both_forms_of_the_subject() -> None:
    sub = schemas.load_claims("github-actions")["claims"]["sub"]
    assert sub["mutable"]
    assert "repo:acme/app:ref:refs/heads/main" in sub["examples"]
    assert "repo:acme@1342004/app@456789:ref:refs/heads/main" in sub["examples"]


def test_github_leaves_out_the_environment_of_a_job_that_has_none() -> None:
    claims = schemas.load_claims("github-actions")["claims"]
    sometimes = {name for name, about in claims.items() if about["presence"] == "sometimes"}
    assert {
        "environment",
        "environment_node_id",
        "job_workflow_ref",
        "job_workflow_sha",
        "enterprise",
        "enterprise_id",
        "check_run_id",
    } == sometimes


def test_kubernetes_nests_what_a_token_is_bound_to() -> None:
    bound = schemas.load_claims("kubernetes")["claims"]["kubernetes.io"]
    presence = {name: about["presence"] for name, about in bound["claims"].items()}
    assert presence == {
        "namespace": "always",
        "serviceaccount": "always",
        "pod": "sometimes",
        "node": "sometimes",
        "secret": "sometimes",
        "warnafter": "sometimes",
    }
    assert {"name", "uid"} == set(bound["claims"]["serviceaccount"]["claims"])


WRONG = {
    "no presence": {"type": "string", "description": "x"},
    "no description": {"type": "string", "presence": "always"},
    "unknown type": {"type": "str", "presence": "always", "description": "x"},
    "timestamp is no JSON type": {"type": "timestamp", "presence": "always", "description": "x"},
    "misspelt presence": {"type": "string", "presence": "allways", "description": "x"},
    "items of a string": {
        "type": "string",
        "items": {"type": "string"},
        "presence": "always",
        "description": "x",
    },
    "object without members": {"type": "object", "presence": "always", "description": "x"},
    "twin of what never changes": {
        "type": "string",
        "presence": "always",
        "twin": "id",
        "description": "x",
    },
    "unknown key": {"type": "string", "presence": "always", "description": "x", "twim": "id"},
}


@pytest.mark.parametrize("claim", WRONG.values(), ids=WRONG)
def test_a_wrong_claim_is_refused(claim: dict[str, Any]) -> None:
    document = {"name": "ours", "title": "Ours", "claims": {"it": claim}}
    assert not Draft202012Validator(schemas.load("claim-schema")).is_valid(document)


def test_a_schema_of_ones_own_can_be_short() -> None:
    claim = {"type": "string", "presence": "always", "description": "The team."}
    document = {"name": "ours", "title": "Ours", "claims": {"team": claim}}
    assert Draft202012Validator(schemas.load("claim-schema")).is_valid(document)
