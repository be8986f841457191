"""
The wheel, installed as a user installs it: in a new environment, with one extra and no more.

No package index is asked.  What the wheel's metadata says that it needs is linked from the
environment that runs the tests, with its bytecode; what it does not say is missing, as it would be
for a user.
"""

import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PATIENCE: Final = 600
"""Seconds that a program may take; pip builds for minutes where other work shares the machine."""


@dataclass(frozen=True)
class Installation:
    """An environment with the wheel, and what was installed beside it."""

    folder: Path
    needed: tuple[importlib.metadata.Distribution, ...]

    @property
    def bin(self) -> Path:
        """Where its programs are."""
        return self.folder / "bin"

    @property
    def packages(self) -> Path:
        """Where its packages are."""
        (found,) = self.folder.glob("lib/python*/site-packages")
        return found

    @property
    def names(self) -> set[str]:
        """The names of what was installed beside the wheel."""
        return {canonicalize_name(one.name) for one in self.needed}

    @property
    def size(self) -> int:
        """How many bytes their files have together, without bytecode."""
        return sum(map(_bytes_of, (one.name for one in self.needed)))

    @property
    def wheel(self) -> importlib.metadata.Distribution:
        """What was installed from the wheel itself."""
        (about,) = self.packages.glob("jwt_registry_auth-*.dist-info")
        return importlib.metadata.Distribution.at(about)

    def add(self, distribution: importlib.metadata.Distribution) -> None:
        """Install a distribution, by links to its packages and files; no other's come with it."""
        for name, path in _links(distribution):
            (self.packages / name).parent.mkdir(parents=True, exist_ok=True)
            if not (self.packages / name).exists():
                (self.packages / name).symlink_to(path)


def copy_sources(repository: Path, folder: Path) -> None:
    """Copy what git would give somebody else; skip where there is no git checkout."""
    listed = run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=repository
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in filter(None, listed.stdout.split("\0")):
        if (repository / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(repository / name, folder / name)


def install(wheel: Path, folder: Path) -> Installation:
    """Install a wheel with pip into a new environment, without an extra."""
    made = _environment(folder)
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install"]
    done = run([*pip, "--quiet", "--no-deps", "--no-index", wheel])
    assert done.returncode == 0, done.stderr
    return _completed(made)


def install_again(base: Installation, folder: Path, extras: Sequence[str] = ()) -> Installation:
    """Install what another environment has of the wheel, with extras, as pip would once more."""
    made = _environment(folder)
    made.add(base.wheel)
    for script in base.bin.iterdir():
        copy = made.bin / script.name
        if not copy.exists():
            text = script.read_text(encoding="utf-8")
            copy.write_text(text.replace(str(base.bin), str(made.bin)), encoding="utf-8")
            copy.chmod(0o755)
    return _completed(made, extras)


def _environment(folder: Path) -> Installation:
    done = run([sys.executable, "-m", "venv", "--without-pip", folder])
    assert done.returncode == 0, done.stderr
    return Installation(folder, ())


def _completed(made: Installation, extras: Sequence[str] = ()) -> Installation:
    """Add what the wheel with extras needs."""
    found = needed(made.wheel, extras)
    for distribution in found:
        made.add(distribution)
    return replace(made, needed=tuple(found))


def needed(
    distribution: importlib.metadata.Distribution,
    extras: Sequence[str] = (),
    environment: Mapping[str, str] = MappingProxyType({}),
) -> list[importlib.metadata.Distribution]:
    """
    Return what a distribution with extras needs, and what that needs, of what is installed here.

    Args:
        environment: What markers say otherwise elsewhere, such as `python_version`.
    """
    found = {canonicalize_name(distribution.name): distribution}
    seen: set[tuple[str, str]] = set()
    asked = [(distribution, extra) for extra in ("", *extras)]
    while asked:
        one, extra = asked.pop()
        if (one.name, extra) in seen:
            continue
        seen.add((one.name, extra))
        for requirement in map(Requirement, one.requires or []):
            if requirement.marker and not requirement.marker.evaluate(
                {**environment, "extra": extra}
            ):
                continue
            name = canonicalize_name(requirement.name)
            if name not in found:
                found[name] = importlib.metadata.distribution(name)
            asked += [(found[name], each) for each in ("", *requirement.extras)]
    del found[canonicalize_name(distribution.name)]
    return list(found.values())


def _links(distribution: importlib.metadata.Distribution) -> Iterator[tuple[Path, Path]]:
    """
    Return what makes a distribution importable: where each link belongs, and what it is to.

    A regular package belongs to one distribution, so its folder is linked as a whole.  A namespace
    package may hold parts of others, so it is a folder here, and its parts are linked.
    """
    listed = {
        Path(*file.parts)
        for file in distribution.files or []
        if ".." not in file.parts and file.suffix != ".pth"
    }
    packages = {path.parent for path in listed if path.name == "__init__.py"}
    about = {path.parent for path in listed if path.parent.suffix == ".dist-info"}
    linked = set()
    for path in listed:
        folders = reversed(path.parents[:-1])
        linked.add(next((one for one in folders if one in packages | about), path))
    for path in linked:
        here = Path(str(distribution.locate_file(path))).resolve()
        if here.exists():
            yield path, here


@cache
def _bytes_of(name: str) -> int:
    """How many bytes a distribution's files have here, without bytecode."""
    distribution = importlib.metadata.distribution(name)
    found = 0
    for file in distribution.files or []:
        path = Path(str(distribution.locate_file(file)))
        if ".." not in file.parts and file.suffix not in {".pth", ".pyc"} and path.is_file():
            found += path.stat().st_size
    return found


def run(
    command: Sequence[str | Path], cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a program without the checkout on its path."""
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        command,
        cwd=cwd,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
