"""
`policytest check`: the errors and warnings of policies.

What lives here: compiling folders and showing their problems.  Not here: finding problems
(`regauth.engine.compiler`), and finding those that need a proof (`analysis.findings`).
"""

import gc
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from regauth.engine.compiler.compiler import Compilation, compile_policy
from regauth.engine.files import PolicyFolderError, read_policy_folder
from regauth.engine.source.problems import Location, Problem, Severity
from regauth.engine.source.rendering import render_text, wants_color
from regauth.policytests.exit_codes import POLICY_BROKEN
from regauth.policytests.wording import counted


def check_folders(
    folders: Sequence[Path], form: str, *, strict: bool, proving: int | None = None
) -> int:
    """
    Show the problems of policy folders; return the exit code.

    Args:
        folders: The folders of the policies.
        form: The format.
        strict: Whether a warning is a failure.
        proving: The steps of the solver for findings that need a proof; None for no such finding.
    """
    # Garbage collection would take a quarter of the time, and would find nothing among the parts of
    # a large policy.
    collecting = gc.isenabled()
    gc.disable()
    try:
        checked = _Checked()
        policies = list(_compiled(folders, checked))
        if proving is None:
            policies.clear()  # while they are there, the first collection looks at all of them
    finally:
        if collecting:
            gc.enable()
    if proving is not None:
        for compilation in policies:
            _prove(compilation, checked, proving)
    _show(checked, form)
    if any(problem.severity is Severity.ERROR for problem in checked.problems):
        return POLICY_BROKEN
    return int(strict and bool(checked.problems))


@dataclass(slots=True)
class _Checked:
    """What is wrong with all policies, and what is not known of them."""

    problems: list[Problem] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)


def _compiled(folders: Sequence[Path], checked: _Checked) -> Iterator[Compilation]:
    for folder in folders:
        whole = True
        try:
            files = read_policy_folder(folder)
        except PolicyFolderError as error:
            place, hint = Location(str(folder)), _instead(folder)
            checked.problems.extend(
                Problem(place, "policy-folder", one, hint) for one in error.reasons
            )
            files, whole = error.files, False
            if not files:
                continue
        shown = "" if folder == Path() else folder.as_posix()
        compilation = compile_policy(files, now=datetime.now(UTC), folder=shown, whole=whole)
        checked.problems.extend(compilation.problems)
        checked.sources.update(compilation.sources)
        yield compilation


def _prove(compilation: Compilation, checked: _Checked, steps: int) -> None:
    """Add the findings about a policy that need a proof."""
    from regauth.engine.compiler.silencing import silence
    from regauth.policytests.analysis.findings import find, unanswered
    from regauth.policytests.analysis.places import Places

    if compilation.policy is None:
        return
    found = find(compilation.policy, Places.of(compilation.sources), steps)
    # A lint of the compiler's that says the same is enough.
    shadowed = {one.location for one in compilation.problems if one.code == "shadowed-grant"}
    said = [
        one
        for one in found.problems
        if one.code != "swallowed-grant" or one.location not in shadowed
    ]
    checked.problems.extend(silence(compilation.sources, said, proved=True))
    checked.unknown.extend(unanswered(found))


def _instead(folder: Path) -> str:
    """Return the folders to check in place of one that holds no policy."""
    if not folder.exists():
        return "name the policy's folder; `policytest init` writes one to begin with"
    if not folder.is_dir():
        return f"policytest check {folder.parent}"
    from regauth.policytests.execution.policies import FOLDER

    return f"policytest check {folder / FOLDER}" if (folder / FOLDER).is_dir() else ""


def _show(checked: _Checked, form: str) -> None:
    problems, sources = sorted(checked.problems, key=_place), checked.sources
    if form == "json":
        from regauth.policytests.reports.json import problem_json

        text = json.dumps([problem_json(problem) for problem in problems], indent=2) + "\n"
    elif form == "github":
        from regauth.policytests.reports.github import problem_annotations

        text = "".join(f"{line}\n" for line in problem_annotations(problems))
    elif form == "sarif":
        from regauth.policytests.reports.sarif import problem_sarif

        text = problem_sarif(problems)
    else:
        color = wants_color(os.environ, terminal=sys.stdout.isatty())
        text = render_text(problems, sources, color=color)
        errors = sum(problem.severity is Severity.ERROR for problem in problems)
        counts = f"{counted(errors, 'error')}, {counted(len(problems) - errors, 'warning')}"
        text = f"{text}\n\n{counts}\n" if problems else "no problem found\n"
        text += "".join(f"{line}\n" for line in checked.unknown)
    sys.stdout.write(text)


def _place(problem: Problem) -> tuple[Location, str, str]:
    return problem.location, problem.code, problem.message
