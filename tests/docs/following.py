"""
Following a page word for word: its files are written, its commands run, its output compared.

Everything happens in one empty folder, in the order of the page.  Only the ports are other ones:
those of the page may be taken.
"""

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.e2e.programs import running
from tests.forkserver.programs import commands
from tests.ports import free_ports

from .pages import SHELL, Block

PATIENCE = 60.0
PORTS = ("5000", "5001", "5002", "5003")
"""The ports that pages use."""


class Follower:
    """
    Somebody who does what a page says, in an empty folder.

    `ports` stand for `PORTS`; those who follow pages at the same time have different ones.
    """

    def __init__(self, folder: Path, stack: ExitStack, ports: Sequence[int] = ()) -> None:
        self.folder = folder
        self._stack = stack
        chosen = ports or free_ports(len(PORTS))
        self._ports: Mapping[str, str] = dict(zip(PORTS, map(str, chosen), strict=True))
        self._shown: str | None = None
        self.environment = {
            **os.environ,
            "PATH": f"{commands(folder.with_name('programs'))}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "COLUMNS": "100",
            "NO_COLOR": "1",
        }

    def follow(self, steps: Sequence[Block]) -> int:
        """Do everything; return how many commands were run."""
        ran = 0
        for block in steps:
            if block.title:
                self._write(block)
            elif block.language in SHELL:
                self._shown = None
                if block.noted("not run") is None:
                    self._shown = self._run(block)
                    ran += 1
            elif block.language == "text" and block.noted("not checked") is None:
                self._compare(block)
        return ran

    def _here(self, text: str) -> str:
        return re.sub(r"\b\d{4}\b", lambda found: self._ports.get(found[0], found[0]), text)

    def _write(self, block: Block) -> None:
        path = (self.folder / block.title).resolve()
        assert path.is_relative_to(self.folder.resolve()), block.place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self._here(block.text), encoding="utf-8")

    def _run(self, block: Block) -> str | None:
        port = block.noted("serves")
        if port is not None:
            self._serve(block, int(self._ports[port]))
            return None
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self._here(block.text)],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        wanted = int(block.noted("ends with") or 0)

        assert wanted == done.returncode, f"{block.place}:\n{block.text}\n{done.stdout}"
        return done.stdout

    def _serve(self, block: Block, port: int) -> None:
        log = self.folder / f"serves-{port}.log"
        command = ["bash", "-euo", "pipefail", "-c", f"exec {self._here(block.text)}"]
        self._stack.enter_context(
            running(command, port, log, cwd=self.folder, env=self.environment)
        )

    def _compare(self, block: Block) -> None:
        """Compare with what the commands before it wrote; `...` stands for anything."""
        assert self._shown is not None, f"{block.place}: no command's output stands before it"
        expected = self._here(block.text)

        assert shows(expected, self._shown), (
            f"{block.place} shows\n{expected}\nand it was\n{self._shown}"
        )


def shows(expected: str, shown: str) -> bool:
    """Tell whether output is as expected, where `...` stands for anything, or for any lines."""
    pattern = re.escape(_without_blanks(expected))
    pattern = re.sub(r"^\\\.\\\.\\\.\\?\n", r"(?:.*\\n)?", pattern, flags=re.MULTILINE)
    pattern = pattern.replace(r"\.\.\.", ".*?")
    return re.fullmatch(pattern, _without_blanks(shown), re.DOTALL) is not None


def _without_blanks(text: str) -> str:
    """Leave out blank lines at both ends and blanks at the ends of lines."""
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines()) + "\n"
