"""
What the prover says of every change of a policy in this repository's history.

    .venv/bin/python bench/history_of_policies.py [REVISION]

Every commit up to the revision (HEAD) that changed a YAML file with providers and grants is asked
about in both directions: does the change give access, does it take some.  It prints how many are
proved, how many have a witness, and each that is not excluded, with the reason.  A version that the
compiler of today refuses is counted and skipped.  It ends with 1 if one is not excluded that is not
among those that `EXPLAINED` knows.
"""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath

from regauth.engine.compiler.compiler import compile_policy
from regauth.engine.policy.policy import Policy
from regauth.policytests.proofs import Question, Status, more_access

EXPLAINED = {
    # `replace` of a claim and `replace` of its lower case are two texts made of one claim.  That
    # they are equal where neither changes anything is no question about one text.
    ("7afd8c815", "tests/engine/compiler/cases/pattern-brace-in-string.yaml", "lost"),
}
"""Changes that are not excluded, and why: commit, file and direction."""

MARKS = ("\nproviders:", "\ngrants:")


def git(*arguments: str) -> str:
    """Return what git says; an empty text where it fails, as for a file that was not there."""
    done = subprocess.run(
        ["git", *arguments], capture_output=True, text=True, errors="replace", check=False
    )
    return done.stdout if done.returncode == 0 else ""


def changed(revision: str) -> Iterator[tuple[str, str]]:
    """Yield each commit, oldest first, with each YAML file that it changed."""
    log = git("log", "--reverse", "--no-renames", "--format=%x00%H", "--name-only", revision)
    for entry in log.split("\0")[1:]:
        commit, *names = entry.split()
        for name in names:
            if name.endswith((".yaml", ".yml")):
                yield commit, name


def text_of(commit: str, name: str) -> str:
    """Return a policy's text in a commit, or an empty text where the file is no policy."""
    text = git("show", f"{commit}:{name}")
    return text if all(mark in f"\n{text}" for mark in MARKS) else ""


def policy_of(commit: str, name: str) -> Policy | None:
    """Return a policy of a commit with the claim schemas beside it; None: it is refused today."""
    folder = str(PurePosixPath(name).parent)
    files: dict[str, str | bytes] = {"policy.yaml": text_of(commit, name)}
    for other in git("ls-tree", "--name-only", commit, f"{folder}/").split():
        if other.endswith(".json"):
            files[PurePosixPath(other).name] = git("show", f"{commit}:{other}")
    return compile_policy(files).policy


def main() -> None:
    """Ask about every change."""
    counted: Counter[str] = Counter()
    unexplained = 0
    for commit, name in changed(sys.argv[1] if len(sys.argv) > 1 else "HEAD"):
        if not (text_of(commit, name) and text_of(f"{commit}^", name)):
            continue
        new, old = policy_of(commit, name), policy_of(f"{commit}^", name)
        if new is None or old is None:
            counted["refused by the compiler of today"] += 1
            continue
        for one, bound, what in ((new, old, "gained"), (old, new, "lost")):
            answer = more_access(Question(one, bound, first=True))
            counted[answer.status.value] += 1
            print(f"{commit[:9]} {name}: {what}: {answer.status.value}, {answer.about.value}")
            if answer.status is Status.UNKNOWN:
                is_explained = (commit[:9], name, what) in EXPLAINED
                unexplained += not is_explained
                for unknown in answer.unknown:
                    print(f"    {unknown}{' (explained)' if is_explained else ''}")
    print(", ".join(f"{count} {what}" for what, count in sorted(counted.items())))
    sys.exit(1 if unexplained else 0)


if __name__ == "__main__":
    main()
