"""
The two sides of a change: where each comes from, and the policies on both.

What lives here: folders and commits to compilations.  Not here: git (`git`), and the comparison
(`comparison`).
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from regauth.engine.compiler.compiler import Compilation, compile_policy
from regauth.engine.files import PolicyFolderError, read_policy_folder
from regauth.engine.source.problems import Location, Problem
from regauth.policytests.suites.suite import SUFFIX

from .git import GitError, Repository


class ChangeSide(Protocol):
    """One state of some policies."""

    @property
    def name(self) -> str:
        """What messages call it."""

    def folders(self, within: str) -> set[str]:
        """Return the policies in a folder: itself, or the folders in it that hold YAML files."""

    def compile(self, folder: str) -> Compilation | None:
        """Compile a policy; None where this side has none of that name."""

    def suites(self, folder: str) -> Mapping[str, bytes]:
        """Return the suites that can be about the policy in a folder, by their paths."""


@dataclass(frozen=True, slots=True)
class WorkTree:
    """The files as they are now; `root` is what folders are relative to."""

    root: Path
    name: str = "the working tree"
    repository: bool = True
    """Whether it is a repository's; else it is a folder of which nothing says what tests it."""

    def folders(self, within: str) -> set[str]:
        """Return the policies in a folder."""
        top = self.root / within
        if not top.is_dir():
            return set()
        names = (
            f"{Path(folder).relative_to(top).as_posix()}/{file}".removeprefix("./")
            for folder, _, files in os.walk(top)
            for file in files
        )
        links = (one.name for one in top.iterdir() if one.is_symlink() and one.is_dir())
        return _policies(names, links, within)

    def compile(self, folder: str) -> Compilation | None:
        """Compile a policy."""
        path = self.root / folder
        if not path.is_dir():
            return None
        try:
            return _compiled(read_policy_folder(path), folder)
        except PolicyFolderError as error:
            return _unreadable(folder, error)

    def suites(self, folder: str) -> Mapping[str, bytes]:
        """Return the suites; links are not followed."""
        del folder
        found: dict[str, bytes] = {}
        for top, folders, files in os.walk(self.root) if self.repository else ():
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in files:
                path = Path(top) / name
                if name.endswith(SUFFIX) and path.is_file() and not path.is_symlink():
                    with suppress(OSError):
                        found[path.relative_to(self.root).as_posix()] = path.read_bytes()
        return found


@dataclass(frozen=True, slots=True)
class Commit:
    """The files of a commit."""

    repository: Repository
    commit: str
    asked: str

    @property
    def name(self) -> str:
        """What messages call it."""
        short = self.commit[:12]
        return short if self.asked in ("", self.commit) else f"{self.asked} ({short})"

    def folders(self, within: str) -> set[str]:
        """Return the policies in a folder."""
        names = self.repository.files(self.commit, within)
        return _policies(names, self.repository.links(self.commit, within, names), within)

    def compile(self, folder: str) -> Compilation | None:
        """
        Compile a policy.

        Raises:
            GitError: git failed.
        """
        try:
            files = self.repository.policy(self.commit, folder)
        except PolicyFolderError as error:
            return _unreadable(folder, error)
        return None if files is None else _compiled(files, folder)

    def suites(self, folder: str) -> Mapping[str, bytes]:
        """
        Return the suites.

        Raises:
            GitError: git failed.
        """
        del folder
        return self.repository.matching(self.commit, SUFFIX)


@dataclass(frozen=True, slots=True)
class Sides:
    """What is compared: two states, and the folders of the policies."""

    base: ChangeSide
    head: ChangeSide
    pairs: tuple[tuple[str, str], ...]
    """Each policy's folder on the base and on the head."""


def find_sides(base: str | None, head: str | None, policies: Sequence[str], here: Path) -> Sides:
    """
    Return what the command line names.

    Args:
        base: A folder or a commit; None is the merge base with the main branch.
        head: A folder or a commit; None is the working tree.
        policies: Folders of policies, from `here`.
        here: The current folder.

    Raises:
        GitError: A commit is not known, or a name is neither a folder nor a commit.
    """
    if base is not None and (here / base).is_dir():
        return _folders(base, head, policies, here)
    if head is not None and (here / head).is_dir():
        raise GitError(f"{head} is a folder, {base} is not; compare two folders or two commits")
    repository = Repository.around(here)
    commit = repository.merge_base() if base is None else repository.commit(base)
    old = Commit(repository, commit, base or "merge base")
    new: ChangeSide = WorkTree(repository.root)
    if head is not None:
        new = Commit(repository, repository.commit(head), head)
    inside = [_from_root(here, one, repository.root) for one in policies]
    found = sorted({one for folder in inside for one in old.folders(folder) | new.folders(folder)})
    if not found:
        raise GitError(
            f"neither {old.name} nor {new.name} has a policy in {', '.join(policies)}; "
            "say where it is with --policy"
        )
    return Sides(old, new, tuple((one, one) for one in found))


def _folders(base: str, head: str | None, policies: Sequence[str], here: Path) -> Sides:
    """Return two folders as sides; each may hold one policy or several, by the same names."""
    other = policies[0] if head is None else head
    if not (here / other).is_dir():
        raise GitError(f"there is no folder {other} to compare {base} with")
    side = WorkTree(here)
    names = {
        found.removeprefix(one).strip("/") for one in (base, other) for found in side.folders(one)
    }
    if not names:
        raise GitError(f"neither {base} nor {other} holds a policy")
    pairs = tuple((_joined(base, name), _joined(other, name)) for name in sorted(names))
    old, new = (WorkTree(here, name, repository=False) for name in (base, other))
    return Sides(old, new, pairs)


def _joined(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}" if name else folder


def _from_root(here: Path, policy: str, root: Path) -> str:
    path = Path(os.path.normpath(here / policy))
    if not path.is_relative_to(root):
        # The root is git's own spelling, without symbolic links.
        path = Path(os.path.normpath(here.resolve() / policy))
    if not path.is_relative_to(root):
        raise GitError(f"{policy} is outside the repository")
    found = path.relative_to(root).as_posix()
    return "" if found == "." else found


def _policies(names: Iterable[str], links: Iterable[str], within: str) -> set[str]:
    """
    Return which folder is a policy: the one itself, or else those directly in it.

    A link to a folder, and a folder whose YAML files lie deeper, count too: they are no policy that
    can be read, which must be said.
    """
    found = {name for name in links if not name.startswith(".")}
    for name in names:
        steps = name.split("/")
        if not _is_policy_file(name) or any(step.startswith(".") for step in steps):
            continue
        if len(steps) == 1:
            return {within}
        found.add(steps[0])
    return {_joined(within, name) if within else name for name in found}


def _is_policy_file(name: str) -> bool:
    name = name.lower()
    return name.endswith((".yaml", ".yml")) and not name.endswith(
        (".policytest.yaml", ".policytest.yml")
    )


def _compiled(files: Mapping[str, bytes], folder: str) -> Compilation:
    return compile_policy(files, folder="" if folder == "." else folder)


def _unreadable(folder: str, error: PolicyFolderError) -> Compilation:
    problems = (Problem(Location(folder), "policy-folder", one) for one in error.reasons)
    return Compilation(None, tuple(problems), {})
