"""
GitHub Actions' ID tokens.

What lives here: their claims, as documented in "OpenID Connect reference" of GitHub's
documentation.  Not here: any other issuer.

Repositories created, renamed or transferred after 2026-07-15 have ids in their `sub`
(`repo:OWNER@OWNER-ID/REPO@REPO-ID:...`); a token's `sub: immutable` asks for that form.
"""

from datetime import timedelta
from typing import Final

from .profile import Claims, Issue, Profile, number_of, sha_of, text, uuid_of

_BRANCH: Final = "refs/heads/"
_TAG: Final = "refs/tags/"
_PULL: Final = "refs/pull/"


def _complete(claims: Claims, issue: Issue) -> None:
    repository = text(claims, "repository", "acme/app")
    owner = text(claims, "repository_owner", repository.partition("/")[0])
    owner_id = text(claims, "repository_owner_id", number_of(owner))
    repository_id = text(claims, "repository_id", number_of(repository))
    event = text(claims, "event_name", "push")
    ref = text(claims, "ref", _default_ref(event))
    sha = text(claims, "sha", sha_of(repository, ref))
    _complete_ref(claims, event, ref)
    _complete_workflow(claims, repository, ref, sha)
    _complete_run(claims, repository)
    claims.setdefault("repository_visibility", "private")
    _complete_subject(
        claims,
        f"{owner}@{owner_id}/{repository.partition('/')[2]}@{repository_id}"
        if issue.immutable_subject
        else repository,
    )


def _default_ref(event: str) -> str:
    # The other events, `pull_request_target` among them, run on a branch of the base repository.
    return f"{_PULL}7/merge" if event == "pull_request" else f"{_BRANCH}main"


def _complete_ref(claims: Claims, event: str, ref: str) -> None:
    pull = event.startswith("pull_request")
    claims.setdefault("base_ref", "main" if pull else "")
    claims.setdefault("head_ref", "feature" if pull else "")
    # A pull request's merge commit counts as a branch.
    claims.setdefault("ref_type", "tag" if ref.startswith(_TAG) else "branch")
    claims.setdefault("ref_protected", "true" if ref == f"{_BRANCH}main" else "false")


def _complete_workflow(claims: Claims, repository: str, ref: str, sha: str) -> None:
    text(claims, "workflow", "build")
    workflow = text(claims, "workflow_ref", f"{repository}/.github/workflows/build.yml@{ref}")
    text(claims, "workflow_sha", sha)
    called = text(claims, "job_workflow_ref", workflow)
    text(claims, "job_workflow_sha", sha if called == workflow else sha_of(called))


def _complete_run(claims: Claims, repository: str) -> None:
    run = text(claims, "run_id", number_of(f"{repository} run"))
    text(claims, "run_number", "42")
    text(claims, "run_attempt", "1")
    actor = text(claims, "actor", "octocat")
    text(claims, "actor_id", number_of(f"user {actor}"))
    text(claims, "runner_environment", "github-hosted")
    text(claims, "jti", uuid_of(run, claims.get("ref"), claims.get("event_name")))
    environment = claims.get("environment")
    if environment is not None:
        text(claims, "environment_node_id", f"EN_{number_of(environment)}")


def _complete_subject(claims: Claims, repository: str) -> None:
    """Set `sub` as the documentation's "Example subject claims" have it."""
    environment = claims.get("environment")
    if environment is not None:
        context = f"environment:{str(environment).replace(':', '%3A')}"
    elif claims["event_name"] == "pull_request":
        context = "pull_request"
    else:
        context = f"ref:{claims['ref']}"
    claims.setdefault("sub", f"repo:{repository}:{context}")


GITHUB: Final = Profile(
    name="github-actions",
    about="a job of a GitHub Actions workflow",
    variants={
        "": {},
        "push": {"event_name": "push", "ref": f"{_BRANCH}main"},
        "tag": {"event_name": "push", "ref": f"{_TAG}v1.0.0"},
        "pull-request": {"event_name": "pull_request"},
        "fork": {
            "event_name": "pull_request",
            "head_ref": "patch-1",
            "actor": "stranger",
        },
        "pull-request-target": {"event_name": "pull_request_target", "actor": "stranger"},
        "environment": {"environment": "production"},
        "reusable-workflow": {
            "job_workflow_ref": "acme/workflows/.github/workflows/release.yml@refs/heads/main"
        },
        "schedule": {"event_name": "schedule", "ref": f"{_BRANCH}main"},
        "dispatch": {"event_name": "workflow_dispatch", "ref": f"{_BRANCH}main"},
    },
    complete=_complete,
    lifetime=timedelta(minutes=5),
    backdated=timedelta(minutes=10),
)
