"""
ID tokens of CI services other than GitHub Actions: GitLab, Buildkite, CircleCI.

What lives here: their claims, as each service documents them.  Not here: any other issuer.
"""

from datetime import timedelta
from typing import Final

from .profile import Claims, Issue, Profile, number_of, sha_of, text, uuid_of


def _gitlab(claims: Claims, issue: Issue) -> None:
    """GitLab documentation, "ID token payload"."""
    path = text(claims, "project_path", "acme/app")
    namespace = text(claims, "namespace_path", path.rpartition("/")[0])
    text(claims, "project_id", number_of(path))
    text(claims, "namespace_id", number_of(namespace))
    text(claims, "job_project_path", path)
    text(claims, "job_project_id", str(claims["project_id"]))
    text(claims, "job_namespace_path", namespace)
    text(claims, "job_namespace_id", str(claims["namespace_id"]))
    user = text(claims, "user_login", "alex")
    text(claims, "user_id", number_of(f"user {user}"))
    text(claims, "user_email", f"{user}@example.com")
    text(claims, "user_access_level", "maintainer")
    kind = text(claims, "ref_type", "branch")
    ref = text(claims, "ref", "v1.0.0" if kind == "tag" else "main")
    text(claims, "ref_path", f"refs/{'tags' if kind == 'tag' else 'heads'}/{ref}")
    claims.setdefault("ref_protected", "true" if ref == "main" or kind == "tag" else "false")
    text(claims, "pipeline_source", "push")
    text(claims, "job_source", str(claims["pipeline_source"]))
    pipeline = text(claims, "pipeline_id", number_of(f"{path} pipeline"))
    text(claims, "job_id", number_of(f"{path} job"))
    sha = text(claims, "sha", sha_of(path, ref))
    text(claims, "runner_environment", "gitlab-hosted")
    claims.setdefault("runner_id", 1)
    text(claims, "project_visibility", "private")
    host = issue.issuer.removeprefix("https://").rstrip("/")
    text(claims, "ci_config_ref_uri", f"{host}/{path}//.gitlab-ci.yml@{claims['ref_path']}")
    text(claims, "ci_config_sha", sha)
    if "environment" in claims:
        text(claims, "environment_protected", "true")
        text(claims, "deployment_tier", "production")
    text(claims, "jti", uuid_of(pipeline, ref))
    text(claims, "sub", f"project_path:{path}:ref_type:{kind}:ref:{ref}")


GITLAB: Final = Profile(
    name="gitlab-ci",
    about="a job of a GitLab CI/CD pipeline (`id_tokens`)",
    variants={
        "": {},
        "push": {"pipeline_source": "push"},
        "tag": {"ref_type": "tag"},
        "merge-request": {"pipeline_source": "merge_request_event", "ref": "feature"},
        "environment": {"environment": "production"},
        "schedule": {"pipeline_source": "schedule"},
        "fork": {
            "project_path": "stranger/app",
            "pipeline_source": "merge_request_event",
            "ref": "feature",
        },
    },
    complete=_gitlab,
    lifetime=timedelta(hours=1),
    backdated=timedelta(seconds=5),
)


def _buildkite(claims: Claims, _issue: Issue) -> None:
    """Buildkite documentation, "Agent oidc": claims."""
    organisation = text(claims, "organization_slug", "acme")
    pipeline = text(claims, "pipeline_slug", "app")
    tag = claims.get("build_tag")
    branch = text(claims, "build_branch", "main")
    commit = text(claims, "build_commit", sha_of(organisation, pipeline, branch))
    claims.setdefault("build_number", 42)
    step = text(claims, "step_key", "build")
    text(claims, "build_source", "webhook")
    text(claims, "organization_id", uuid_of(organisation))
    text(claims, "pipeline_id", uuid_of(organisation, pipeline))
    text(claims, "job_id", uuid_of(organisation, pipeline, "job"))
    text(claims, "agent_id", uuid_of(organisation, "agent"))
    text(claims, "runner_environment", "self-hosted")
    ref = f"refs/tags/{tag}" if tag else f"refs/heads/{branch}"
    text(
        claims,
        "sub",
        f"organization:{organisation}:pipeline:{pipeline}:ref:{ref}:commit:{commit}:step:{step}",
    )


BUILDKITE: Final = Profile(
    name="buildkite",
    about="a Buildkite job (`buildkite-agent oidc request-token`)",
    variants={
        "": {},
        "push": {"build_source": "webhook"},
        "tag": {"build_tag": "v1.0.0", "build_branch": "v1.0.0"},
        "schedule": {"build_source": "schedule"},
        "fork": {"build_branch": "stranger:patch-1", "build_source": "webhook"},
    },
    complete=_buildkite,
    lifetime=timedelta(minutes=5),
)


def _circleci(claims: Claims, _issue: Issue) -> None:
    """CircleCI documentation, "OpenID Connect tokens in jobs": format."""
    organisation = str(claims["iss"]).rpartition("/org/")[2] or uuid_of("acme")
    project = text(claims, "oidc.circleci.com/project-id", uuid_of("acme", "app"))
    user = uuid_of("alex")
    claims.setdefault("oidc.circleci.com/context-ids", [uuid_of("acme", "context")])
    text(claims, "oidc.circleci.com/vcs-origin", "github.com/acme/app")
    text(claims, "oidc.circleci.com/vcs-ref", "refs/heads/main")
    claims.setdefault("oidc.circleci.com/ssh-rerun", False)
    text(claims, "oidc.circleci.com/pipeline-id", uuid_of(project, "pipeline"))
    text(claims, "oidc.circleci.com/workflow-id", uuid_of(project, "workflow"))
    text(claims, "oidc.circleci.com/job-id", uuid_of(project, "job"))
    text(claims, "sub", f"org/{organisation}/project/{project}/user/{user}")


CIRCLECI: Final = Profile(
    name="circleci",
    about="a CircleCI job (`CIRCLE_OIDC_TOKEN_V2`)",
    variants={
        "": {},
        "push": {"oidc.circleci.com/vcs-ref": "refs/heads/main"},
        "tag": {"oidc.circleci.com/vcs-ref": "refs/tags/v1.0.0"},
        "pull-request": {"oidc.circleci.com/vcs-ref": "refs/heads/feature"},
        "ssh-rerun": {"oidc.circleci.com/ssh-rerun": True},
    },
    complete=_circleci,
    lifetime=timedelta(hours=1),
    backdated=None,
)
