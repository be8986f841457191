"""
The policy under test: found, kept inside the repository, compiled once.

What lives here: which folder a suite means, and the compilations of a run.  Not here: what a policy
means (`regauth.engine.compiler`), and which files of a folder are read (`regauth.engine.files`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from regauth.engine.compiler.compiler import Compilation, compile_policy
from regauth.engine.files import PolicyFolderError, read_policy_folder
from regauth.engine.source.problems import Location, Problem

FOLDER: Final = "policy"
"""The name of the folder that a suite without `policy` looks for."""


class OutsideError(ValueError):
    """A suite names a file outside the repository it is in."""


@dataclass(frozen=True, slots=True)
class CompiledFolder:
    """A policy folder and its compilation, whose `policy` is None after an error."""

    folder: Path
    shown: str
    compilation: Compilation


@dataclass(slots=True)
class Policies:
    """Every policy of a run, by its folder."""

    root: Path
    """pytest's root folder: the repository when there is no `.git`."""
    _compiled: dict[Path, CompiledFolder] = field(default_factory=dict)

    def find(self, suite: Path, written: str | None) -> Path:
        """
        Return the folder that a suite means.

        Raises:
            OutsideError: It lies outside the repository, or a symbolic link leads out.
            FileNotFoundError: There is none.
        """
        if written is not None:
            return self.inside(suite, written)
        top = repository(suite, self.root)
        for folder in suite.parents:
            candidate = folder / FOLDER
            if candidate.is_dir():
                return self.inside(suite, str(candidate))
            if folder == top:
                break
        raise FileNotFoundError(f"there is no folder called {FOLDER} from here up to {top.name}")

    def inside(self, suite: Path, written: str) -> Path:
        """
        Return the path that a suite writes, relative to itself.

        Raises:
            OutsideError: It lies outside the repository, or a symbolic link leads out.
            FileNotFoundError: There is none.
        """
        top = repository(suite, self.root)
        path = (suite.parent / written).resolve()
        if not path.is_relative_to(top.resolve()):
            raise OutsideError(f"{written} is outside the repository")
        if not path.exists():
            raise FileNotFoundError(f"there is no {written}")
        return path

    def put(self, folder: Path, compiled: CompiledFolder) -> None:
        """Take another policy for a folder's, for suites that are loaded after it."""
        self._compiled[folder] = compiled

    def compile(self, folder: Path) -> CompiledFolder:
        """Compile a folder, once."""
        known = self._compiled.get(folder)
        if known is None:
            known = self._compiled[folder] = compile_folder(folder, shown(folder, self.root))
        return known


def compile_folder(folder: Path, name: str) -> CompiledFolder:
    """Read and compile a policy folder; what cannot be read is a problem like any other."""
    try:
        files: Mapping[str, bytes] = read_policy_folder(folder)
    except PolicyFolderError as error:
        problems = tuple(Problem(Location(name), "policy-folder", one) for one in error.reasons)
        return CompiledFolder(folder, name, Compilation(None, problems, {}))
    return CompiledFolder(folder, name, compile_policy(files, folder="" if name == "." else name))


def repository(file: Path, root: Path) -> Path:
    """Return the nearest folder above a file with a `.git`; else `root`, or the file's folder."""
    for folder in file.absolute().parents:
        if (folder / ".git").exists():
            return folder
    return root if file.is_relative_to(root) else file.parent


def shown(path: Path, root: Path) -> str:
    """Return how messages call a path: from the root folder on, when it lies in it."""
    try:
        return path.relative_to(root).as_posix()
    except ValueError:
        pass
    try:
        return path.relative_to(root.resolve()).as_posix()
    except ValueError:
        return path.as_posix()
