"""
Composite actions, run from their YAML as the GitHub Actions runner runs them.

Only what the project's actions use is understood; anything else fails, so that no step is passed
over.  Source: GitHub Docs, "Metadata syntax for GitHub Actions" and "Workflow commands".
"""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

BASH = (shutil.which("bash") or "bash", "--noprofile", "--norc", "-eo", "pipefail")
"""What `shell: bash` means, by its whole path as the runner starts it, of "Workflow syntax", `jobs.<job_id>.steps[*].shell`."""

SECONDS = 240
_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
_STEP_KEYS = {"id", "shell", "run", "env"}
_AFTER_INSTALL = "${{ !cancelled() && steps.install.outcome == 'success' }}"
"""The one condition of a step that is understood: it runs also when a step after `install` failed."""

Outputs = Mapping[str, dict[str, str]]
"""The outputs of steps, by the steps' ids."""


@dataclass
class Job:
    """The state that a runner keeps from step to step of one job."""

    folder: Path
    environment: dict[str, str]
    workspace: Path | None = None
    path: list[str] = field(default_factory=list)
    masked: list[str] = field(default_factory=list)
    summary: str = ""
    output: str = ""
    github: dict[str, str] = field(default_factory=dict)
    """The `github` context, by paths such as `event.pull_request.number`."""

    def run(
        self, action: Path, *, known: Outputs | None = None, **inputs: str
    ) -> tuple[int, dict[str, str]]:
        """Run an action; return its exit code and its outputs; `known` steps ran before."""
        document = _read(action)
        given = _inputs(document["inputs"], inputs)
        steps = dict(known or {})
        code = 0
        for step in document["runs"]["steps"]:
            runs = not code or ("if" in step and "install" in steps)
            if runs and step["id"] not in steps:
                ended, steps[step["id"]] = self._step(action.parent, step, given, steps)
                code = code or ended
        return code, {
            name: self._filled(output["value"], given, steps)
            for name, output in document["outputs"].items()
        }

    def step(self, action: Path, name: str, **inputs: str) -> tuple[int, dict[str, str]]:
        """Run one step of an action, which needs no other; return its exit code and outputs."""
        document = _read(action)
        given = _inputs(document["inputs"], inputs)
        (step,) = [one for one in document["runs"]["steps"] if one["id"] == name]
        return self._step(action.parent, step, given, {})

    def _step(
        self,
        place: Path,
        step: Mapping[str, Any],
        inputs: Mapping[str, str],
        steps: Outputs,
    ) -> tuple[int, dict[str, str]]:
        assert step["shell"] == "bash"
        assert "${{" not in step["run"], "an input in a script is code of whoever writes the input"
        files = {name: self.folder / name for name in ("output", "env", "path", "step_summary")}
        for file in files.values():
            file.write_text("")
        script = self.folder / "script.sh"
        script.write_text(step["run"])
        own = {name: self._filled(value, inputs, steps) for name, value in step["env"].items()}
        done = subprocess.run(
            [*BASH, script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            cwd=self.workspace,
            check=False,
            env=self.variables
            | {f"GITHUB_{name.upper()}": str(file) for name, file in files.items()}
            | {"GITHUB_ACTION_PATH": str(place)}
            | own,
        )
        self._heard(done.stdout)
        self.environment |= _pairs(files["env"])
        self.path = [*files["path"].read_text().split("\n")[:-1], *self.path]
        self.summary += files["step_summary"].read_text()
        return done.returncode, _pairs(files["output"])

    @property
    def variables(self) -> dict[str, str]:
        """What a later step of the job finds in its environment."""
        path = os.pathsep.join([*self.path, self.environment["PATH"]])
        return {**self.environment, "PATH": path, "RUNNER_TEMP": str(self.folder / "temp")}

    def _filled(self, text: str, inputs: Mapping[str, str], steps: Outputs) -> str:
        def value(match: re.Match[str]) -> str:
            match match[1].split("."):
                case ["inputs", name]:
                    return inputs[name]
                case ["steps", step, "outputs", name]:
                    return steps.get(step, {}).get(name, "")
                case ["github", *path]:
                    return self.github.get(".".join(path), "")
            raise AssertionError(f"an expression that is not understood: {match[0]}")

        return _EXPRESSION.sub(value, text)

    def _heard(self, output: str) -> None:
        """Keep what a reader of the log sees: masked, without the lines that do the masking."""
        for line in output.splitlines():
            if line.startswith("::add-mask::"):
                self.masked.append(line.removeprefix("::add-mask::"))
                continue
            self.output += f"{line}\n"


@cache
def _read(action: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(action.read_text(encoding="utf-8"))
    assert document["runs"]["using"] == "composite"
    for step in document["runs"]["steps"]:
        assert set(step) - {"if"} == _STEP_KEYS
        assert step.get("if", _AFTER_INSTALL) == _AFTER_INSTALL
    return document


def _inputs(declared: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    names = {name.replace("_", "-"): value for name, value in given.items()}
    assert set(names) <= set(declared), "an input that the action has not"
    return {
        name: names.get(name, str(about.get("default", ""))) for name, about in declared.items()
    }


def _pairs(file: Path) -> dict[str, str]:
    """Read NAME=VALUE lines, the one form that the actions write."""
    lines = file.read_text().splitlines()
    assert all("=" in line and "<<" not in line.partition("=")[0] for line in lines), lines
    return dict(line.split("=", 1) for line in lines)
