"""
The policy that a server works by, from its folder.

What lives here: reading and compiling a policy folder, whole or not at all.
Not here: what a policy means (`regauth.engine.compiler`), and which files of a folder are read
(`regauth.engine.files`).
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from regauth.engine.compiler.compiler import compile_policy
from regauth.engine.files import PolicyFolderError, read_policy_folder
from regauth.engine.policy.policy import Policy, Statement
from regauth.engine.source.problems import Problem
from regauth.engine.source.startup import Fault, StartupError

__all__ = ["PolicyFolderError", "PolicyProblemsError", "load_policy"]


class PolicyProblemsError(StartupError):
    """A policy does not compile; `problems` say where and why, `sources` has its files."""

    fault = Fault.POLICY

    def __init__(self, problems: tuple[Problem, ...], sources: Mapping[str, str]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems
        self.sources = sources


def load_policy(
    folder: Path, *, sees_references: bool = False, creates_tags: bool = False
) -> Policy:
    """
    Read and compile a policy, and make it ready for requests.

    Args:
        folder: Where it is.
        sees_references: Whether the host sees tags and digests, as a proxy does.
        creates_tags: Whether the host sends pushes to the registry itself, and so can tell that a
            tag is new.

    Raises:
        PolicyFolderError: The folder cannot be read.
        PolicyProblemsError: The policy has errors, `tags` where the host sees none, or
            `newTagsOnly` where the host cannot tell.
    """
    compilation = compile_policy(read_policy_folder(folder))
    policy, problems = compilation.policy, compilation.problems
    if policy is not None:
        if not sees_references:
            problems = tuple(map(_unseen, policy.by_reference))
        elif not creates_tags:
            problems = tuple(map(_untold, policy.by_new_tag))
        else:
            problems = ()
    if policy is None or problems:
        # Compiled by names within the folder, so that the policy's hash is the same wherever the
        # folder stands; shown by paths that an editor can open.
        raise PolicyProblemsError(
            tuple(_placed(problem, folder) for problem in problems),
            {str(folder / name): text for name, text in compilation.sources.items()},
        )
    policy.prepare()
    return policy


def _unseen(statement: Statement) -> Problem:
    """Return the problem of a statement with `tags`, which the token protocol cannot show."""
    return Problem(
        statement.location,
        "tags-without-proxy",
        f"a token server cannot see tags, which `{statement.name}` is about",
        "serve this policy with registry-auth-proxy and `embedded: true`, or leave `tags` out",
    )


def _untold(statement: Statement) -> Problem:
    """Return the problem of a grant of new tags, for a host that sends no push itself."""
    return Problem(
        statement.location,
        "new-tags-without-upstream",
        f"a decision endpoint alone cannot tell that a tag is new, as `{statement.name}` asks",
        "give the proxy an `upstream` and let it send the pushes, or leave `newTagsOnly` out",
    )


def _placed(problem: Problem, folder: Path) -> Problem:
    where = replace(problem.location, file=str(folder / problem.location.file))
    return replace(problem, location=where)
