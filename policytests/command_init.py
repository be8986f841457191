"""
`policytest init` and `policytest schema`.

What lives here: writing a starter, and the published schemas.  What must not: their texts.
"""

import contextlib
import sys
from pathlib import Path

from .. import schemas
from .exit_codes import USAGE
from .grid import did_you_mean
from .starters import STARTERS

_NEXT = """
Now:
  policytest                    all is green
  remove `&& claims.ref == "refs/heads/main"`, or an action, from policy/policy.yaml
  policytest                    red: which case, which grant, and the value of each claim
  policytest --mutate           would every such mistake be noticed?
  write in .github/workflows/policy.yml who OWNER is
"""
_NEXT_KUBERNETES = _NEXT.replace(
    '`&& claims.ref == "refs/heads/main"`, or an action,', "the line `when: ...`"
)


def initialise(folder: Path, profile: str) -> int:
    """Write a starter; files that are there stay as they are, and are an error."""
    starter = STARTERS[profile]
    there = [name for name in starter if (folder / name).exists()]
    if there:
        sys.stderr.write(f"policytest: there already: {', '.join(there)}; nothing was written\n")
        return USAGE
    try:
        for name, text in starter.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        for name in starter:
            with contextlib.suppress(OSError):
                (folder / name).unlink()
        sys.stderr.write(f"policytest: {folder} cannot be written: {error.strerror}\n")
        return USAGE
    for name in starter:
        sys.stdout.write(f"wrote {folder / name}\n")
    sys.stdout.write(_NEXT_KUBERNETES if profile == "kubernetes" else _NEXT)
    return 0


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
