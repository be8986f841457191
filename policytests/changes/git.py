"""
Reading commits of a repository whose tree is not trusted.

What lives here: which commit a name means, the merge base with the main branch, and the contents of
a folder in a commit.  Not here: what the contents mean (`sides`).

The tree may be hostile, because it holds the change that is judged.  So this module uses only
commands that read objects, without a work tree: no hook, filter, textconv or fsmonitor runs.
Variables that could change this are removed.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, TypeAlias

from regauth.engine.files import MAX_FILE_BYTES, PolicyFolderError, policy_names
from regauth.engine.source.foreign_text import quoted

SECONDS: Final = 120
"""Seconds that one git command may take."""

MAIN: Final = ("origin/HEAD", "origin/main", "origin/master", "main", "master")
"""Names of the main branch, in the order in which they are tried."""

_SETTINGS: Final = (
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "protocol.allow=never"),
    "--literal-pathspecs",
    "--no-pager",
    "--no-replace-objects",
)
_ENVIRONMENT: Final = {
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
_REDIRECTING: Final = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_EXTERNAL_DIFF")
_REGULAR: Final = (b"100644", b"100755")

Listed: TypeAlias = tuple[bytes, str, int]
"""The mode, the object's id and the size of a file in a commit."""


class GitError(Exception):
    """git cannot answer; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Repository:
    """
    A repository with a work tree.

    Attributes:
        root: The top folder of the work tree.
        program: git, by its absolute path.
    """

    root: Path
    program: str

    @classmethod
    def around(cls, folder: Path) -> "Repository":
        """
        Return the repository that a folder lies in.

        Raises:
            GitError: There is none, or no git.
        """
        # A relative entry of PATH could be a program of the tree.
        entries = os.environ.get("PATH", os.defpath).split(os.pathsep)
        path = os.pathsep.join(entry for entry in entries if Path(entry).is_absolute())
        program = shutil.which("git", path=path)
        if program is None:
            raise GitError("git is not installed; compare two folders instead")
        done = _start(program, folder, ("rev-parse", "--show-toplevel"))
        if done.returncode:
            why = quoted(os.fsdecode(done.stderr).partition("\n")[0])
            raise GitError(
                f"{folder.as_posix()} is in no git repository that can be read ({why}); "
                "compare two folders instead"
            )
        return cls(Path(os.fsdecode(done.stdout.rstrip(b"\n"))), program)

    def commit(self, name: str) -> str:
        """
        Return the id of the commit that a name means.

        Raises:
            GitError: None has the name.
        """
        found = self._find(name)
        if found is None:
            raise GitError(f"there is no commit {name!r}{self._shallow_hint()}")
        return found

    def blame(self, file: Path) -> bytes | None:
        """Return `git blame --line-porcelain` of a file; None when git does not know it."""
        words = ("blame", "--line-porcelain", "--", file.absolute().as_posix())
        done = _start(self.program, self.root, words)
        return None if done.returncode else done.stdout

    def merge_base(self) -> str:
        """
        Return the last commit that the main branch and HEAD share.

        Raises:
            GitError: There is no main branch, or no such commit.
        """
        target = os.environ.get("GITHUB_BASE_REF", "")
        names = (f"origin/{target}", target) if target else MAIN
        main = next((one for one in names if self._find(one)), None)
        if main is None:
            raise GitError(
                f"no main branch is known here ({', '.join(names)}); name the commit to compare "
                f"with{self._shallow_hint()}"
            )
        found = _run(self.program, self.root, ("merge-base", self.commit(main), "HEAD"))
        if found is None:
            raise GitError(f"HEAD shares no commit with {main}{self._shallow_hint()}")
        return found.decode("ascii").strip()

    def _find(self, name: str) -> str | None:
        words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        found = _run(self.program, self.root, words)
        return None if found is None else found.decode("ascii").strip()

    def _shallow_hint(self) -> str:
        said = _run(self.program, self.root, ("rev-parse", "--is-shallow-repository"))
        if said is None or said.strip() != b"true":
            return ""
        return (
            ": this clone is shallow; fetch the whole history (`fetch-depth: 0` of "
            "actions/checkout, `git fetch --unshallow`)"
        )

    def files(self, commit: str, folder: str) -> dict[str, Listed]:
        """
        Return what lies in and below a folder in a commit.

        Args:
            commit: The commit's id.
            folder: The folder's path from the root; empty for the root.

        Returns:
            The mode, the object's id and the size by the path from the folder; nothing where the
            commit has no such folder.

        Raises:
            GitError: git failed.
        """
        within = ("--", f"{folder}/") if folder else ()
        words = ("ls-tree", "-r", "-l", "-z", "--full-tree", commit, *within)
        listed = _run(self.program, self.root, words)
        if listed is None:
            raise GitError(f"git cannot list {folder or 'the tree'} in {commit[:12]}")
        found = {}
        for line in listed.split(b"\0")[:-1]:
            about, _, path = line.partition(b"\t")
            mode, _, oid, size = about.split()
            name = os.fsdecode(path).removeprefix(f"{folder}/" if folder else "")
            found[name] = (mode, oid.decode("ascii"), int(size) if size.isdigit() else 0)
        return found

    def links(self, commit: str, folder: str, names: Mapping[str, Listed]) -> Iterator[str]:
        """
        Yield the links and submodules directly in a folder, but for links to files.

        Args:
            commit: The commit's id.
            folder: The folder's path from the root.
            names: What lies in the folder, as `files` returns it.

        Raises:
            GitError: git failed.
        """
        for name, (mode, oid, _) in names.items():
            if "/" in name or mode not in (b"120000", b"160000"):
                continue
            if mode == b"120000":
                target = os.fsdecode(self._contents([oid])[0])
                place = os.path.normpath(f"{folder or '.'}/{target}")
                outside = target.startswith("/") or place.startswith("..")
                if not outside and place != "." and not self.files(commit, place):
                    continue
            yield name

    def _refuse_link(self, commit: str, folder: str) -> None:
        """Refuse a link or a submodule in a folder's place: a server would read what is behind."""
        path = PurePosixPath(folder)
        places = [str(one) for one in (path, *path.parents) if str(one) != "."]
        if not places:
            return
        words = ("ls-tree", "-z", "--full-tree", commit, "--", *places)
        listed = _run(self.program, self.root, words)
        if listed is None:
            raise GitError(f"git cannot list {folder} in {commit[:12]}")
        for line in listed.split(b"\0")[:-1]:
            place = os.fsdecode(line.partition(b"\t")[2])
            if place in places and line.startswith((b"120000", b"160000")):
                raise PolicyFolderError(
                    f"{place} is a link or a submodule in "
                    f"{commit[:12]}, not a folder; it is not followed"
                )

    def policy(self, commit: str, folder: str) -> Mapping[str, bytes] | None:
        """
        Return the files of a policy in a commit, as `read_policy_folder` does of a folder.

        Returns:
            The contents by name; None where the commit has no such folder.

        Raises:
            GitError: git failed.
            PolicyFolderError: The folder is no policy.
        """
        listed = self.files(commit, folder)
        if not listed:
            self._refuse_link(commit, folder)
            return None
        shown = Path(folder or ".")
        names = policy_names(listed, shown)
        for name in names:
            mode, _, size = listed[name]
            if mode not in _REGULAR:
                raise PolicyFolderError(
                    f"{shown / name} is no regular file in {commit[:12]}; links are followed in "
                    "folders alone"
                )
            if size > MAX_FILE_BYTES:
                raise PolicyFolderError(
                    f"{shown / name} is larger than {MAX_FILE_BYTES // 1024 // 1024} MiB"
                )
        contents = self._contents([listed[name][1] for name in names])
        return dict(zip(names, contents, strict=True))

    def matching(self, commit: str, ending: str) -> Mapping[str, bytes]:
        """
        Return the regular files of a commit whose names end in some way, by their paths.

        Files that are larger than a policy's may be are left out.

        Raises:
            GitError: git failed.
        """
        objects = {
            name: oid
            for name, (mode, oid, size) in self.files(commit, "").items()
            if name.endswith(ending) and mode in _REGULAR and size <= MAX_FILE_BYTES
        }
        contents = self._contents(list(objects.values())) if objects else []
        return dict(zip(objects, contents, strict=True))

    def _contents(self, objects: Sequence[str]) -> list[bytes]:
        asked = "".join(f"{one}\n" for one in objects).encode("ascii")
        said = _run(self.program, self.root, ("cat-file", "--batch"), asked)
        found, position = [], 0
        for one in objects:
            end = -1 if said is None else said.find(b"\n", position)
            head = b"" if said is None or end < 0 else said[position:end]
            if said is None or head.split()[1:2] != [b"blob"]:
                raise GitError(f"git cannot read the object {one}")
            size = int(head.split()[2])
            found.append(said[end + 1 : end + 1 + size])
            position = end + 1 + size + 1
        return found


def _run(program: str, folder: Path, words: Sequence[str], given: bytes = b"") -> bytes | None:
    """Run git; return what it prints, or None when it fails."""
    done = _start(program, folder, words, given)
    return done.stdout if done.returncode == 0 else None


def _start(
    program: str, folder: Path, words: Sequence[str], given: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    # git sets these variables for its hooks, and then they name another repository.
    environment = {name: value for name, value in os.environ.items() if name not in _REDIRECTING}
    try:
        return subprocess.run(  # noqa: S603 - a fixed program, and no shell
            [program, *_SETTINGS, *words],
            cwd=folder,
            input=given,
            capture_output=True,
            timeout=SECONDS,
            check=False,
            env={**environment, **_ENVIRONMENT},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GitError(f"git cannot be run: {type(error).__name__}") from error
