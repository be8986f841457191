"""
The author's clock: what `policytest check` costs, as ratios within one run.

A small policy is compared with a bare import of what any run of policytests needs; large ones, and
a large grid, with a commit of before expressions of one shape shared a parse (`BASE`), which is
taken from git.  Medians of interleaved rounds of CPU seconds, all modules with bytecode, as an
installation has it.

The last row is by the clock: how much sooner two processes of xdist are done with the large grid.
Beside it stands what xdist makes of as many empty functions of pytest's own.
"""

import os
import resource
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

BASE = "f1d162c"
BARE = "import pytest, yaml, click"
CHECK = (
    # jsonschema's formats, which a development installation has and nobody's else: two seconds.
    "import sys; sys.modules['rfc3987_syntax'] = None;"
    "from regauth.policytests.cli import main; sys.exit(main(sys.argv[1:]))"
)
HEAD = """\
version: 1
services: [registry.example.com]
providers:
  github:
    issuer: https://token.actions.githubusercontent.com
    audience: https://registry.example.com
    claims: github-actions
    rules:
      - name: our-organisation
        check: claims.repository_owner_id == "1342004"
        message: only workflows of our organisation may log in
grants:
"""
GRANT = """\
  - name: push-{0}
    providers: [github]
    when: >-
      claims.repository == "acme/app-{0}" && claims.ref == "refs/heads/main"
      && claims.event_name in ["push", "release"]
    repositories: [acme/app-{0}, acme/app-{0}/**]
    actions: [pull, push]
"""
GRID = """\
at: 2026-11-01T12:00:00Z
tokens:
  main:
    profile: github-actions
    claims: {repository: acme/app-0, repository_owner_id: "1342004", ref: refs/heads/main}
  branch: {from: main, claims: {ref: refs/heads/x}}
tests:
  - name: grid
    grid: |
      token repository pull push
"""
CELLS = 20_000
PYTEST = "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"
EMPTY = f"""\
import pytest

@pytest.mark.parametrize("number", range({CELLS}))
def test_nothing(number):
    pass
"""


def policy(folder: Path, grants: int) -> Path:
    folder.mkdir()
    text = HEAD + "".join(GRANT.format(number) for number in range(grants))
    (folder / "policy.yaml").write_text(text, encoding="utf-8")
    return folder


def grid(root: Path, cells: int) -> Path:
    """Write a repository with a policy of five grants and a grid of so many cells, all green."""
    (root / ".git").mkdir(parents=True)
    policy(root / "policy", 5)
    rows = "".join(
        f"      {token} acme/app-0/image-{number} {marks}\n"
        for token, marks in (("main", "A A"), ("branch", ". ."))
        for number in range(cells // 4)
    )
    (root / "grid.policytest.yaml").write_text(GRID + rows, encoding="utf-8")
    return root


def seconds(environment: dict[str, str], code: str, *arguments: str) -> float:
    """Return the CPU seconds of a Python process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def speedup(environment: dict[str, str], code: str, *arguments: str) -> float:
    """Return how often one process takes as long as two do, by medians of interleaved rounds."""
    taken: dict[str, list[float]] = {"0": [], "2": []}
    for _ in range(3):
        for processes, found in taken.items():
            began = time.perf_counter()
            seconds(environment, code, "-q", "-n", processes, *arguments)
            found.append(time.perf_counter() - began)
    one, two = (statistics.median(found) for found in taken.values())
    print(f"    {one:.2f} s to {two:.2f} s")
    return one / two


def ratio(rounds: int, ours: Sequence[object], theirs: Sequence[object]) -> float:
    """Return the median cost of one process to another's, in interleaved rounds."""
    for each in (ours, theirs):
        seconds(*each)  # writes bytecode
    pairs = [(seconds(*ours), seconds(*theirs)) for _ in range(rounds)]
    mine, other = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"    {mine:.2f} s to {other:.2f} s of CPU")
    return mine / other


def unpack(commit: str, folder: Path) -> None:
    archive = subprocess.run(["git", "archive", commit], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=BytesIO(archive)) as tar:
        tar.extractall(folder / "regauth", filter="data")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = {
            **{
                name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
            },
            "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
        }
        base = {**environment, "PYTHONPATH": str(folder / "base")}
        unpack(BASE, folder / "base")
        small = policy(folder / "small", 2)
        print("policytest check of 2 grants to", BARE)
        found = ratio(9, (environment, CHECK, "check", str(small)), (environment, BARE))
        print(f"  {found:.2f} (at most 1.7)")
        for grants, rounds, bound in ((1000, 5, 0.6), (10_000, 3, 0.45)):
            large = str(policy(folder / str(grants), grants))
            print(f"policytest check of {grants} grants to the same of {BASE}")
            found = ratio(
                rounds, (environment, CHECK, "check", large), (base, CHECK, "check", large)
            )
            print(f"  {found:.2f} (at most {bound})")
        cells = ("-p", "no:cacheprovider", str(grid(folder / "grid", CELLS)))
        print(f"policytest of {CELLS} green cells to the same of {BASE}")
        found = ratio(3, (environment, CHECK, *cells), (base, CHECK, *cells))
        print(f"  {found:.2f} (at most 0.6)")
        if len(os.sched_getaffinity(0)) > 1 and find_spec("xdist"):
            print(f"policytest -n 2 of {CELLS} green cells, and pytest -n 2 of empty functions")
            found = speedup(environment, CHECK, *cells)
            file = folder / "test_empty.py"
            file.write_text(EMPTY)
            floor = speedup(environment, PYTEST, "-p", "no:cacheprovider", str(file))
            print(f"  {found:.2f} times as fast (at least 1.6; the empty ones {floor:.2f})")


if __name__ == "__main__":
    main()
