"""
`policytest init` and `policytest schema`.

What lives here: writing a starter, and the published schemas.  Not here: the texts of the starter
(`commands.starters`) and the schemas (`regauth.schemas`).
"""

import contextlib
import os
import sys
from pathlib import Path
from typing import Final

from regauth import schemas
from regauth.engine.source.nearest import did_you_mean
from regauth.policytests.exit_codes import USAGE

from .starters.texts import in_folder, starter

_NEXT: Final = """
Now:
  policytest                    all is green
  remove {part} from policy/policy.yaml
  policytest                    red: which case, which grant, and the value of each claim
  policytest --mutate           would every such mistake be noticed?
  {ci}
"""
_PARTS: Final = {
    "github-actions": '`&& claims.ref == "refs/heads/main"`, or an action,',
    "kubernetes": "the line `when: ...`",
}
_PART: Final = "an action, or the condition of `push-app`,"
_WORKFLOW_CI: Final = "write in .github/workflows/policy.yml who OWNER is"
_OTHER_CI: Final = """run in your CI:
    policytest check --prove policy
    policytest --cov-fail-under 100 --min-mutation-score 100"""


def initialise(folder: Path, issuer: str) -> int:
    """Write a starter for an issuer; files that are there stay as they are, and are an error."""
    if issuer not in schemas.claims_names():
        hint = did_you_mean(issuer, schemas.claims_names())
        sys.stderr.write(f"policytest: no issuer is known as {issuer!r}; {hint}\n")
        return USAGE
    files = _files(folder, issuer)
    there = [str(place) for place in files if place.exists() or place.is_symlink()]
    if there:
        sys.stderr.write(f"policytest: there already: {', '.join(there)}; nothing was written\n")
        return USAGE
    made: list[Path] = []
    try:
        for place, text in files.items():
            _make_folder(place.parent, made)
            with place.open("x", encoding="utf-8") as file:
                made.append(place)
                file.write(text)
    except OSError as error:
        for one in reversed(made):
            with contextlib.suppress(OSError):
                one.rmdir() if one.is_dir() else one.unlink()
        sys.stderr.write(f"policytest: {folder} cannot be written: {error.strerror}\n")
        return USAGE
    for place in files:
        sys.stdout.write(f"wrote {place}\n")
    ci = _WORKFLOW_CI if any(place.suffix == ".yml" for place in files) else _OTHER_CI
    sys.stdout.write(_NEXT.format(part=_PARTS.get(issuer, _PART), ci=ci))
    return 0


def _files(folder: Path, issuer: str) -> dict[Path, str]:
    """Return the starter's files by where they are written."""
    top = _repository(folder)
    below = Path(os.path.relpath(folder.resolve(), top.resolve()))
    files: dict[Path, str] = {}
    for name, text in starter(issuer).items():
        if name.startswith(".github/"):
            # GitHub reads workflows at the top of a repository alone.
            own = "" if below == Path() else f"-{'-'.join(below.parts)}"
            place = top / name.replace("policy.yml", f"policy{own}.yml")
            files[place] = in_folder(text, below.as_posix())
        else:
            files[folder / name] = text
    return files


def _repository(folder: Path) -> Path:
    """Return the top of the repository that a folder is to lie in; the folder itself without."""
    for above in folder.absolute().parents:
        if (above / ".git").exists() and not (folder / ".git").exists():
            return Path(os.path.relpath(above)) if not folder.is_absolute() else above
    return folder


def _make_folder(folder: Path, made: list[Path]) -> None:
    """Make a folder and those above it, and note which were not there."""
    for missing in reversed([one for one in (folder, *folder.parents) if not one.exists()]):
        missing.mkdir()
        made.append(missing)


def print_schema(name: str | None, output: Path | None) -> int:
    """Print a schema, or the names of all."""
    if name is None:
        sys.stdout.write("".join(f"{one}\n" for one in schemas.names()))
        return 0
    try:
        text = schemas.text(name)
    except schemas.UnknownSchema as error:
        hint = did_you_mean(name, list(error.known))
        sys.stderr.write(f"policytest: there is no schema {name!r}; {hint}\n")
        return USAGE
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text, encoding="utf-8")
    return 0
