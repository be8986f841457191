"""
Near misses: genuine tokens of a workload that is similar to the intended one.

What lives here: the moves of the large CI systems, of clusters and of Google.  Not here: those of
other issuers and of schemas of one's own (`more_moves`), forged tokens (`forgeries`), and the
judgement (`execution.hostile`).

A move is coherent: everything that its issuer would change with it changes too.  A token that no
issuer can send would test nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from regauth.engine.issuers import ClaimSchema
from regauth.policytests.tokens.profiles.profile import Claims, merge, number_of, uuid_of

from .more_moves import MOVES, Move, moves_by_schema, others
from .spec import TokenSpec


@dataclass(frozen=True, slots=True)
class NearMiss:
    """
    One move of a token.

    An `outsider` belongs to other owners and must get nothing that the token gets.  Any other may
    read what the token may read, and must not push or delete.
    """

    name: str
    about: str
    outsider: bool
    spec: TokenSpec


def near_misses(
    spec: TokenSpec, claims: Mapping[str, object], schema: ClaimSchema | None = None
) -> Iterator[NearMiss]:
    """
    Yield the near misses of a token.

    Args:
        spec: What the suite says of it.
        claims: All its claims.
        schema: The claim schema of its profile, for issuers without moves of their own.
    """
    profile = (spec.profile or "").partition("/")[0]
    moves = _MOVES.get(profile)
    if moves is not None:
        found = moves(claims)
    else:
        found = iter(()) if schema is None else moves_by_schema(schema, claims)
    for name, about, outsider, changed, following in found:
        kept = {key: value for key, value in spec.claims.items() if key not in following}
        moved = replace(spec, name=f"{spec.name}~{name}", claims=merge(kept, changed))
        yield NearMiss(name, about, outsider, moved)


# --- GitHub Actions ------------------------------------------------------------------------------

_GITHUB_OWNER: Final = (
    *("sub", "repository_owner", "repository_owner_id", "repository_id"),
    *("workflow_ref", "job_workflow_ref", "sha", "workflow_sha", "job_workflow_sha", "jti"),
)
_GITHUB_REF: Final = (
    *("sub", "ref_type", "ref_protected", "sha", "base_ref", "head_ref"),
    *("workflow_ref", "workflow_sha", "jti"),
)


def _github(claims: Mapping[str, object]) -> Iterator[Move]:
    owner, _, name = str(claims.get("repository")).partition("/")
    for move, other in others(owner):
        about = f"the repository {other}/{name} of another account"
        yield f"organisation-{move}", about, True, {"repository": f"{other}/{name}"}, _GITHUB_OWNER
    reused: Claims = {
        "repository_owner_id": number_of(f"new {owner}"),
        "repository_id": number_of(f"new {owner}/{name}"),
    }
    about = f"somebody else who has come to own the name {owner}"
    yield "organisation-reused", about, True, reused, ("sub", "jti")
    recreated: Claims = {"repository_id": number_of(f"newer {owner}/{name}")}
    about = f"another repository that has come to have the name {owner}/{name}"
    yield "repository-reused", about, False, recreated, ("sub", "jti")
    following = tuple(one for one in _GITHUB_OWNER if one != "repository_owner_id")
    for move, other in others(name):
        if move != "other":
            changed: Claims = {"repository": f"{owner}/{other}"}
            about = f"the repository {owner}/{other} of the same account"
            yield f"repository-{move}", about, False, changed, following
    yield from _github_refs(claims)
    yield from _github_environments(claims)


_OF_BRANCHES: Final = frozenset({"schedule", "pull_request_target", "workflow_run", "merge_group"})
"""Events that never run for a tag."""


def _github_refs(claims: Mapping[str, object]) -> Iterator[Move]:
    ref, event = str(claims.get("ref")), str(claims.get("event_name"))
    head, _, short = ref.removeprefix("refs/").partition("/")
    if head == "heads":
        changed: Claims = {"ref": f"refs/tags/{short}"}
        if event in _OF_BRANCHES:
            changed["event_name"] = "push"
        yield "tag-for-branch", f"a tag called {short}", False, changed, _GITHUB_REF
        for move, other in (*others(short), ("case", short.swapcase()), ("folder", f"x/{short}")):
            if move != "other":
                changed = {"ref": f"refs/heads/{other}"}
                yield f"branch-{move}", f"the branch {other}", False, changed, _GITHUB_REF
    elif head == "tags":
        changed = {"ref": f"refs/heads/{short}"}
        yield "branch-for-tag", f"a branch called {short}", False, changed, _GITHUB_REF
    if event != "pull_request":
        for move, head_ref in (("", "feature"), ("-named-so", short)):
            changed = {
                "event_name": "pull_request",
                "ref": "refs/pull/7/merge",
                "head_ref": head_ref,
            }
            about = f"a pull request from the branch {head_ref}"
            yield f"pull-request{move}", about, False, changed, _GITHUB_REF
    if event != "pull_request_target":
        changed = {"event_name": "pull_request_target", "actor": "stranger"}
        if head != "heads":
            changed["ref"] = "refs/heads/main"
        yield "pull-request-target", "a stranger's pull request", False, changed, _GITHUB_REF


def _github_environments(claims: Mapping[str, object]) -> Iterator[Move]:
    name = claims.get("environment")
    if not isinstance(name, str):
        return
    following = ("sub", "jti", "environment_node_id")
    for move, other in (
        *others(name),
        ("case", name.swapcase()),
        ("escape", f"{name}%3Ax"),
        ("colon", f"{name}:x"),
        ("space", f"{name} "),
    ):
        about = f"the environment {other!r}"
        yield f"environment-{move}", about, False, {"environment": other}, following


# --- GitLab --------------------------------------------------------------------------------------

_GITLAB_OWNER: Final = (
    *("sub", "project_id", "namespace_id", "namespace_path", "ci_config_ref_uri"),
    *("job_project_path", "job_project_id", "job_namespace_path", "job_namespace_id", "jti"),
)
_GITLAB_REF: Final = ("sub", "ref_path", "ref_protected", "ref_type", "ci_config_ref_uri", "jti")


def _gitlab(claims: Mapping[str, object]) -> Iterator[Move]:
    group, _, name = str(claims.get("project_path")).rpartition("/")
    for move, other in others(group):
        about = f"the project {other}/{name} of another group"
        yield f"group-{move}", about, True, {"project_path": f"{other}/{name}"}, _GITLAB_OWNER
    reused: Claims = {
        "namespace_id": number_of(f"new {group}"),
        "project_id": number_of(f"new {group}/{name}"),
    }
    about = f"somebody else who has come to own the name {group}"
    yield "group-reused", about, True, reused, ("job_namespace_id", "job_project_id", "jti")
    for move, other in others(name):
        if move != "other":
            changed: Claims = {"project_path": f"{group}/{other}"}
            about = f"the project {group}/{other} of the same group"
            yield f"project-{move}", about, False, changed, _GITLAB_OWNER
    ref, kind = str(claims.get("ref")), str(claims.get("ref_type"))
    twin = "branch" if kind == "tag" else "tag"
    changed = {"ref_type": twin, "ref": ref}
    if claims.get("pipeline_source") == "merge_request_event":
        changed["pipeline_source"] = "push"  # a merge request is about a branch
    yield f"{twin}-for-{kind}", f"a {twin} called {ref}", False, changed, _GITLAB_REF
    for move, other in others(ref):
        if move != "other":
            yield f"ref-{move}", f"the ref {other}", False, {"ref": other}, _GITLAB_REF[:3]
    if claims.get("pipeline_source") != "merge_request_event":
        changed = {
            "pipeline_source": "merge_request_event",
            "ref": "feature",
            "ref_type": "branch",
        }
        yield "merge-request", "a merge request", False, changed, (*_GITLAB_REF, "job_source")
    environment = claims.get("environment")
    if isinstance(environment, str):
        for move, other in others(environment):
            about = f"the environment {other!r}"
            yield f"environment-{move}", about, False, {"environment": other}, ("jti",)


# --- Kubernetes ----------------------------------------------------------------------------------


def _kubernetes(claims: Mapping[str, object]) -> Iterator[Move]:
    private = claims.get("kubernetes.io")
    if not isinstance(private, Mapping):
        return
    namespace = str(private.get("namespace"))
    account = private.get("serviceaccount")
    name = str(account.get("name")) if isinstance(account, Mapping) else "default"
    following = ("sub", "jti")
    for move, other in others(namespace):
        changed: Claims = {"kubernetes.io": {"namespace": other}}
        about = f"the same account in the namespace {other}"
        yield f"namespace-{move}", about, True, changed, following
    changed = {"kubernetes.io": {"namespace": name, "serviceaccount": {"name": namespace}}}
    if name != namespace:
        about = "the names of namespace and account the other way round"
        yield "namespace-swapped", about, True, changed, following
    for move, other in (*others(name), ("default", "default")):
        if other != name:
            changed = {"kubernetes.io": {"serviceaccount": {"name": other}}}
            about = f"the account {other} of the same namespace"
            yield f"account-{move}", about, False, changed, following


# --- others --------------------------------------------------------------------------------------


def _buildkite(claims: Mapping[str, object]) -> Iterator[Move]:
    following = ("sub", "organization_id", "pipeline_id", "job_id", "agent_id", "build_commit")
    for move, other in others(str(claims.get("organization_slug"))):
        about = f"the organisation {other}"
        yield f"organisation-{move}", about, True, {"organization_slug": other}, following
    for move, other in others(str(claims.get("pipeline_slug"))):
        about = f"the pipeline {other}"
        yield f"pipeline-{move}", about, False, {"pipeline_slug": other}, following[:1]
    for move, other in others(str(claims.get("build_branch"))):
        yield f"branch-{move}", f"the branch {other}", False, {"build_branch": other}, ("sub",)


def _circleci(claims: Mapping[str, object]) -> Iterator[Move]:
    project = uuid_of("another", claims.get("oidc.circleci.com/project-id"))
    changed: Claims = {"oidc.circleci.com/project-id": project}
    yield "project-other", "another project", True, changed, ("sub",)
    ref = str(claims.get("oidc.circleci.com/vcs-ref"))
    for move, other in others(ref):
        if move not in ("other", "prefix"):  # every ref begins with refs/
            changed = {"oidc.circleci.com/vcs-ref": other}
            yield f"ref-{move}", f"the ref {other}", False, changed, ()


def _google(claims: Mapping[str, object]) -> Iterator[Move]:
    account, sign, domain = str(claims.get("email")).partition("@")
    for move, other in others(account) if sign else ():
        changed: Claims = {"email": f"{other}@{domain}"}
        yield f"account-{move}", f"the account {other}", True, changed, ("sub", "azp")
    if sign:
        changed = {"email": f"{account}@evil-{domain}"}
        yield "project-prefix", "an account of another project", True, changed, ("sub", "azp")
    reused: Claims = {"sub": number_of("new") * 2}
    yield "account-reused", "a new account of the same name", True, reused, ("azp",)


def _spiffe(claims: Mapping[str, object]) -> Iterator[Move]:
    subject = str(claims.get("sub"))
    for move, other in (
        ("suffix", f"{subject}-evil"),
        ("below", f"{subject}/x"),
    ):
        yield f"workload-{move}", f"the workload {other}", True, {"sub": other}, ()
    domain, slash, path = subject.removeprefix("spiffe://").partition("/")
    changed: Claims = {"sub": f"spiffe://{domain}.example.net{slash}{path}"}
    yield "domain-suffix", "another trust domain", True, changed, ()


_MOVES: Final[Mapping[str, Callable[[Mapping[str, object]], Iterator[Move]]]] = {
    "github-actions": _github,
    "gitlab-ci": _gitlab,
    "kubernetes": _kubernetes,
    "buildkite": _buildkite,
    "circleci": _circleci,
    "google": _google,
    "spiffe": _spiffe,
    **MOVES,
}
