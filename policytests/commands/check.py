"""
`policytest check`: the errors and warnings of policies.

What lives here: compiling folders and showing their problems.  Not here: finding problems,
which is the engine's.
"""

import gc
import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from regauth.engine.compiler.compiler import compile_policy
from regauth.engine.files import PolicyFolderError, read_policy_folder
from regauth.engine.source.problems import Location, Problem, Severity
from regauth.engine.source.rendering import render_text, wants_color
from regauth.policytests.exit_codes import POLICY_BROKEN
from regauth.policytests.wording import counted


def check_folders(folders: Sequence[Path], form: str, *, strict: bool) -> int:
    """Show the problems of policy folders; return the exit code."""
    # Garbage collection would take a quarter of the time, and would find nothing among the parts of
    # a large policy.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _check(folders, form, strict=strict)
    finally:
        if collecting:
            gc.enable()


def _check(folders: Sequence[Path], form: str, *, strict: bool) -> int:
    problems: list[Problem] = []
    sources: dict[str, str] = {}
    for folder in folders:
        try:
            files = read_policy_folder(folder)
        except PolicyFolderError as error:
            hint = _instead(folder)
            problems.append(Problem(Location(str(folder)), "policy-folder", str(error), hint))
            continue
        shown = "" if folder == Path() else folder.as_posix()
        compilation = compile_policy(files, now=datetime.now(UTC), folder=shown)
        problems.extend(compilation.problems)
        sources.update(compilation.sources)
    _show(problems, sources, form)
    if any(problem.severity is Severity.ERROR for problem in problems):
        return POLICY_BROKEN
    return int(strict and bool(problems))


def _instead(folder: Path) -> str:
    """Return the folders to check in place of one that holds no policy."""
    if not folder.exists():
        return "name the policy's folder; `policytest init` writes one to begin with"
    if not folder.is_dir():
        return f"policytest check {folder.parent}"
    from regauth.policytests.execution.policies import FOLDER  # noqa: PLC0415 - on demand

    return f"policytest check {folder / FOLDER}" if (folder / FOLDER).is_dir() else ""


def _show(problems: Sequence[Problem], sources: dict[str, str], form: str) -> None:
    if form == "json":
        from regauth.policytests.reports.json import problem_json  # noqa: PLC0415 - on demand

        text = json.dumps([problem_json(problem) for problem in problems], indent=2) + "\n"
    elif form == "github":
        from regauth.policytests.reports.github import problem_annotations  # noqa: PLC0415

        text = "".join(f"{line}\n" for line in problem_annotations(problems))
    elif form == "sarif":
        from regauth.policytests.reports.sarif import problem_sarif  # noqa: PLC0415

        text = problem_sarif(problems)
    else:
        color = wants_color(os.environ, terminal=sys.stdout.isatty())
        text = render_text(problems, sources, color=color)
        errors = sum(problem.severity is Severity.ERROR for problem in problems)
        counts = f"{counted(errors, 'error')}, {counted(len(problems) - errors, 'warning')}"
        text = f"{text}\n\n{counts}\n" if problems else "no problem found\n"
    sys.stdout.write(text)
