"""
`policytest init` and `policytest schema`.

What lives here: writing a starter, and the published schemas.  What must not: their texts.
"""

import contextlib
import sys
from pathlib import Path
from typing import Final

from regauth import schemas
from regauth.engine.source.nearest import did_you_mean
from regauth.policytests.exit_codes import USAGE

from .templates import STARTERS

_NEXT: Final = """
Now:
  policytest                    all is green
  remove `&& claims.ref == "refs/heads/main"`, or an action, from policy/policy.yaml
  policytest                    red: which case, which grant, and the value of each claim
  policytest --mutate           would every such mistake be noticed?
  write in .github/workflows/policy.yml who OWNER is
"""
_NEXT_KUBERNETES: Final = _NEXT.replace(
    '`&& claims.ref == "refs/heads/main"`, or an action,', "the line `when: ...`"
)


def initialise(folder: Path, profile: str) -> int:
    """Write a starter; files that are there stay as they are, and are an error."""
    starter = STARTERS[profile]
    places = {name: folder / name for name in starter}
    there = [name for name, one in places.items() if one.exists() or one.is_symlink()]
    if there:
        sys.stderr.write(f"policytest: there already: {', '.join(there)}; nothing was written\n")
        return USAGE
    made: list[Path] = []
    try:
        for name, text in starter.items():
            _make_folder(places[name].parent, made)
            with places[name].open("x", encoding="utf-8") as file:
                made.append(places[name])
                file.write(text)
    except OSError as error:
        for place in reversed(made):
            with contextlib.suppress(OSError):
                place.rmdir() if place.is_dir() else place.unlink()
        sys.stderr.write(f"policytest: {folder} cannot be written: {error.strerror}\n")
        return USAGE
    for name in starter:
        sys.stdout.write(f"wrote {folder / name}\n")
    sys.stdout.write(_NEXT_KUBERNETES if profile == "kubernetes" else _NEXT)
    return 0


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
