"""
The decisions that the end-to-end tests see a registry enforce, as data.

The policy is the one that `token-server init` writes.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Job:
    """A workflow job: what its token claims."""

    repository: str = "acme/app"
    ref: str = "refs/heads/main"
    event: str = "push"


@dataclass(frozen=True)
class Decision:
    """What a job asks for, and what it is granted of it."""

    name: str
    job: Job
    repository: str
    asked: tuple[str, ...]
    granted: tuple[str, ...]


MAIN = Job()
PULL_REQUEST = Job(ref="refs/pull/7/merge", event="pull_request")

PUSH = Decision("main pushes its own image", MAIN, "acme/app", ("pull", "push"), ("pull", "push"))
PULL = Decision("a pull request pulls", PULL_REQUEST, "acme/app", ("pull",), ("pull",))
NO_PUSH = Decision(
    "a pull request does not push", PULL_REQUEST, "acme/app", ("pull", "push"), ("pull",)
)
OTHER = Decision(
    "main does not push to another repository", MAIN, "acme/other", ("pull", "push"), ("pull",)
)
ELSEWHERE = Decision(
    "nobody touches another organisation", MAIN, "globex/app", ("pull", "push"), ()
)

DECISIONS = (PUSH, PULL, NO_PUSH, OTHER, ELSEWHERE)
