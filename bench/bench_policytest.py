"""
policytest against pytest alone, and mutants against the clock.

1. 10,000 cells of a grid, to 10,000 empty parametrized functions, in time and in memory.
   Coverage is measured as always.  The bound is 1.6 for each.
2. 300 mutants over 500 cases: at most 2 seconds.

Run by `make bench`; exits with 1 when a bound is missed.
"""

import os
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

from regauth.policytests.analysis.mutants import mutants
from regauth.policytests.analysis.mutation import mutate
from regauth.policytests.analysis.places import Places
from regauth.policytests.execution.run import Run

CASES = 10_000
RATIO = 1.6
MUTANTS, MUTATED_CASES, SECONDS = 300, 500, 2.0
ROUNDS = 3

POLICY = """\
version: 1
services: [registry.example.com]
providers:
  github:
    issuer: https://token.actions.githubusercontent.com
    audience: https://registry.example.com
    algorithms: [RS256]
    claims: github-actions
    rules:
      - {name: ours, check: claims.repository_owner_id == "1342004"}
grants:
"""
EMPTY = f"""\
import pytest

@pytest.mark.parametrize("number", range({CASES}))
def test_nothing(number):
    pass
"""


def suite(rows: str) -> str:
    """Return a suite of four tokens and a grid."""
    return f"""\
at: 2026-11-01T12:00:00Z
tokens:
  main:
    profile: github-actions
    claims: {{repository: acme/app, repository_owner_id: "1342004"}}
  branch: {{from: main, claims: {{ref: refs/heads/x}}}}
  pr: {{from: main, claims: {{event_name: pull_request, ref: refs/pull/7/merge}}}}
  other: {{from: main, claims: {{repository: acme/lib}}}}
tests:
  - name: grid
    grid: |
      token repository pull push
{rows}"""


def grants(number: int) -> str:
    """Return so many grants, each with a condition of three parts."""
    return "".join(
        f"""\
  - name: team-{index}
    when: >-
      claims.event_name == "push" && claims.ref == "refs/heads/main" &&
      claims.repository.startsWith("acme/")
    repositories: [team-{index}/**, "team-{index}-${{claims.repository_id}}/*"]
    actions: [pull, push]
"""
        for index in range(number)
    )


def measure(folder: Path, *arguments: str) -> tuple[float, float]:
    """Run pytest in a folder; return the seconds and the megabytes it took."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command} ended with {status}")
    return time.perf_counter() - began, usage.ru_maxrss / 1024


def prepare(root: Path, rows: str, number: int) -> Path:
    """Write a repository with a policy and a suite."""
    (root / ".git").mkdir(parents=True)
    (root / "policy").mkdir()
    (root / "policy" / "policy.yaml").write_text(POLICY + grants(number))
    path = root / "grid.policytest.yaml"
    path.write_text(suite(rows))
    return path


def bench_grid(root: Path) -> bool:
    """Compare a large grid with as many empty functions."""
    rows = "".join(
        f"      {token} team-{index % 5}/image-{index} {'A A' if token == 'main' else '. .'}\n"
        for token in ("main", "branch")
        for index in range(CASES // 4)
    )
    prepare(root / "grid", rows, 5)
    unused = (root / "grid" / "grid.policytest.yaml").read_text()
    kept = [line for line in unused.split("\n") if not line.startswith(("  pr:", "  other:"))]
    (root / "grid" / "grid.policytest.yaml").write_text("\n".join(kept))
    (root / "empty").mkdir()
    (root / "empty" / "test_empty.py").write_text(EMPTY)
    ours, theirs = [], []
    for _ in range(ROUNDS):
        theirs.append(measure(root / "empty"))
        ours.append(measure(root / "grid"))
    good = True
    for number, (what, unit) in enumerate((("time", "s"), ("memory", "MB"))):
        mine, base = min(one[number] for one in ours), min(one[number] for one in theirs)
        ratio = mine / base
        good &= ratio <= RATIO
        print(
            f"{CASES} grid cases, {what}: {mine:.2f} {unit}, empty functions {base:.2f} {unit}, "
            f"ratio {ratio:.2f} (at most {RATIO})"
        )
    return good


def bench_mutation(root: Path) -> bool:
    """Time 300 mutants over 500 cases."""
    tokens = ("main", "branch", "pr", "other")
    rows = ""
    for index in range(MUTATED_CASES // 2):
        token = tokens[index % 4]
        marks = "A A" if token in ("main", "other") else ". ."
        rows += f"      {token} team-{index % 16}/image-{index} {marks}\n"
    path = prepare(root / "mutants", rows, 16)
    loaded = Run.at(root / "mutants").load(path)
    policy = loaded.compiled.compilation.policy
    if policy is None or {c.judge(loaded.evaluation).outcome.value for c in loaded.cases} != {
        "passed"
    }:
        raise SystemExit("the suite of the benchmark does not pass")
    places = Places.of(loaded.compiled.compilation.sources)
    made = list(islice(mutants(policy, places), MUTANTS))
    passed = [(loaded, case) for case in loaded.cases]
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        result = mutate(policy, "policy", places, passed, MUTANTS)
        best = min(best, time.perf_counter() - began)
    print(
        f"{len(made)} mutants, {len(passed)} cases: {best:.2f} s (at most {SECONDS}); "
        f"{len(result.killed)} killed, {len(result.survivors)} survive, "
        f"{len(result.equivalent)} equivalent"
    )
    return best <= SECONDS and len(made) == MUTANTS and len(passed) == MUTATED_CASES


def main() -> int:
    """Run both; return whether a bound is missed."""
    with tempfile.TemporaryDirectory() as folder:
        good = [bench_grid(Path(folder)), bench_mutation(Path(folder))]
    return int(not all(good))


if __name__ == "__main__":
    raise SystemExit(main())
