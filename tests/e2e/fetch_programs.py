"""
Gets the programs of `needed_programs` that are missing: `python -m tests.e2e.fetch_programs
FOLDER`.

Best effort: what cannot be had within the time is named, and the tests that need it skip.  The exit
code is 0 either way.  Programs end up in FOLDER/bin.
"""

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from .needed_programs import PROGRAMS, Debian, Go, GoSource, Source

SECONDS = float(os.environ.get("PROGRAMS_SECONDS", "600"))
"""How long all of it may take."""


class MissingError(Exception):
    """A program cannot be had; the message says why."""


class Fetcher:
    """
    Gets programs into a folder.

    Args:
        folder: Where they go.
        seconds: How long all of them may take.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        self.bin = folder / "bin"
        self._folder = folder
        self._until = time.monotonic() + seconds
        self._updated = False
        self.bin.mkdir(parents=True, exist_ok=True)

    def has(self, name: str, source: Source) -> bool:
        """Tell whether a program is there: of this very source, or the machine's own."""
        note = self._note(name)
        if note.exists():
            return note.read_text() == str(source) and (self.bin / name).exists()
        return not (self.bin / name).exists() and shutil.which(name) is not None

    def get(self, name: str, source: Source) -> None:
        """
        Get a program.

        Raises:
            MissingError: It cannot be had.
        """
        if isinstance(source, Go):
            self._build(name, source)
        elif isinstance(source, GoSource):
            self._build_in_module(name, source)
        elif source.unpacked:
            self._unpack(name, source)
        else:
            self._install(source)
            return
        self._note(name).write_text(str(source))

    def _note(self, name: str) -> Path:
        return self._folder / f"{name}.from"

    def _build(self, name: str, source: Go) -> None:
        if shutil.which("go") is None:
            raise MissingError("there is no Go")
        with tempfile.TemporaryDirectory(dir=self._folder) as built:
            self._run(
                ("go", "install", "-trimpath", "-ldflags=-s -w", source.module),
                GOBIN=built,
                CGO_ENABLED="0",
            )
            [program] = Path(built).iterdir()
            program.replace(self.bin / name)

    def _build_in_module(self, name: str, source: GoSource) -> None:
        if shutil.which("go") is None:
            raise MissingError("there is no Go")
        told = json.loads(self._run(("go", "mod", "download", "-json", source.module)))
        with tempfile.TemporaryDirectory(dir=self._folder) as built:
            tree = Path(built) / "module"
            shutil.copytree(told["Dir"], tree)
            for place in (tree, *tree.rglob("*")):
                place.chmod(place.stat().st_mode | stat.S_IWUSR)  # the module cache is read-only
            program = Path(built) / name
            options = ("-trimpath", "-ldflags=-s -w", "-tags", source.tags, "-o", program)
            self._run(("go", "build", *options, source.package), cwd=tree, CGO_ENABLED="0")
            program.replace(self.bin / name)

    def _install(self, source: Debian) -> None:
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            raise MissingError("root installs it with apt-get")
        self._update()
        if source.settings is not None:
            file, text = Path(source.settings[0]), source.settings[1]
            if not file.exists():
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
        self._run(
            ("apt-get", "install", "--yes", "--no-install-recommends", source.package),
            DEBIAN_FRONTEND="noninteractive",
        )

    def _unpack(self, name: str, source: Debian) -> None:
        if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
            raise MissingError("there is no apt-get")
        self._update()
        tree = self._folder / source.package
        if not tree.exists():
            with tempfile.TemporaryDirectory(dir=self._folder) as downloaded:
                self._run(("apt-get", "download", source.package), cwd=Path(downloaded))
                [package] = Path(downloaded).iterdir()
                self._run(("dpkg-deb", "--extract", str(package), str(tree)))
        found = [one for one in tree.rglob(name) if one.is_file() and os.access(one, os.X_OK)]
        if not found:
            raise MissingError(f"{source.package} has no {name}")
        (self.bin / name).unlink(missing_ok=True)
        (self.bin / name).symlink_to(os.path.relpath(found[0], self.bin))

    def _update(self) -> None:
        """Let apt-get know what there is, once; without root it knows what it knows."""
        if not self._updated and os.geteuid() == 0:
            self._run(("apt-get", "update"))
        self._updated = True

    def _run(
        self, command: Sequence[str | Path], cwd: Path | None = None, **environment: str
    ) -> str:
        """Run a command within the time that is left; return what it prints."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise MissingError("no time is left")
        try:
            done = subprocess.run(
                command,
                cwd=cwd,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=left,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise MissingError("no time is left") from error
        except OSError as error:
            raise MissingError(f"{command[0]}: {error.strerror}") from error
        if done.returncode:
            lines = (done.stderr or done.stdout).strip().splitlines()
            raise MissingError(f"{command[0]}: {lines[-1] if lines else 'failed'}")
        return done.stdout


def main(folder: Path) -> None:
    """Get what is missing, and say of each program how it went."""
    fetcher = Fetcher(folder.resolve(), SECONDS)
    for name, source in PROGRAMS.items():
        if fetcher.has(name, source):
            continue
        began = time.monotonic()
        try:
            fetcher.get(name, source)
        except MissingError as error:
            said = f"is missing: {error} ({source})"
        else:
            said = f"from {source}, {time.monotonic() - began:.0f} s"
        sys.stdout.write(f"{name}: {said}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
