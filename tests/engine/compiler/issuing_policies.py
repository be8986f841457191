"""Policies of one provider of a known issuer, by short names, and what is said of them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypedDict, Unpack

from regauth.engine import Problem, compile_policy

OWNER = 'claims.repository_owner_id == "1342004"'
ORGANISATION = (
    "has(claims.organization_id) && "
    'claims.organization_id == "f892efa9-103e-4d28-97a1-3b8616a0994d"'
)
PROVIDERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "github": {"issuer": "https://token.actions.githubusercontent.com", "claims": "github-actions"},
    "gitlab": {"issuer": "https://gitlab.example.com", "claims": "gitlab-ci"},
    "buildkite": {"issuer": "https://agent.buildkite.com", "claims": "buildkite"},
    "circle": {
        "issuer": "https://oidc.circleci.com/org/bcb9e8d7-5a4c-4c1d-9c3c-3f3f6f2f7a10",
        "claims": "circleci",
    },
    "devops": {
        "issuer": "https://vstoken.dev.azure.com/bcb9e8d7-5a4c-4c1d-9c3c-3f3f6f2f7a10",
        "claims": "azure-devops",
    },
    "semaphore": {"issuer": "https://acme.semaphoreci.com", "claims": "semaphore"},
    "cluster": {"issuer": "https://kubernetes.default.svc", "claims": "kubernetes"},
    "google": {"issuer": "https://accounts.google.com", "claims": "google"},
    "keycloak": {"issuer": "https://sso.example.com/realms/acme", "claims": "keycloak"},
    "entra": {
        "issuer": "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0",
        "claims": "azure",
    },
}
RULES: Final[Mapping[str, str]] = {"github": OWNER, "buildkite": ORGANISATION}


class Given(TypedDict, total=False):
    """What a policy can have besides the condition of its grant."""

    repositories: Sequence[str]
    actions: Sequence[str]
    others: Sequence[str]
    rules: Mapping[str, str]
    audience: str
    issuer: str


def provider(name: str, given: Given) -> dict[str, Any]:
    made = {"audience": "https://registry.example.com", **PROVIDERS[name]}
    made |= {key: value for key, value in given.items() if key in ("audience", "issuer")}
    rule = given.get("rules", {}).get(name, RULES.get(name))
    return made if rule is None else {**made, "rules": [{"name": "ours", "check": rule}]}


def problems(
    names: str | Sequence[str], when: str = "", **given: Unpack[Given]
) -> Sequence[Problem]:
    """Return what is said of a policy of one grant, and one to pull from `others`."""
    named = [names] if isinstance(names, str) else names
    grant = {
        "name": "g",
        "repositories": list(given.get("repositories", ["acme/app"])),
        "actions": list(given.get("actions", ["pull", "push"])),
    }
    grants = [{**grant, "when": when} if when else grant]
    if given.get("others"):
        grants.append({"name": "o", "repositories": list(given["others"]), "actions": ["pull"]})
    policy = {
        "version": 1,
        "services": ["registry.example.com"],
        "providers": {name: provider(name, given) for name in named},
        "grants": grants,
    }
    return compile_policy({"policy.yaml": json.dumps(policy)}).problems


def codes(names: str | Sequence[str], when: str = "", **given: Unpack[Given]) -> list[str]:
    """Return the codes of it."""
    return [one.code for one in problems(names, when, **given)]
