"""
The prover against the compiler, in one run.

1. Every mutant of the reference policies, both ways, for any token and for tokens of the schema:
   all decided, together at most 25 times what compiling 1,000 grants takes, the worst at most once.
2. 1,000 and 10,000 grants of which five change, and of which all are written otherwise: proved or
   with a witness, in at most so many times what compiling one of the two policies took when the
   bounds were set.  The compiler has become several times faster since (`bench_author.py`), and a
   faster compiler makes no proof slower: so the compiler of that commit (`BASE`), taken from git,
   compiles the policy in the same run.  The ratio to today's stands beside.
3. 1,000 grants whose conditions are all written by De Morgan's laws: at most 60 times compiling one
   policy, or ended by the budget, with each grant named that was left.
4. Memory of each of these: at most 200 MiB beyond the policies.  A process of its own loads the
   policies and asks; its peak, by the kernel's count, is compared with what it held before that.

CPU time counts.  Run by `make bench`; exits with 1 when a bound is missed.  `bench_proofs.py 1000`
leaves 10,000 grants out, `bench_proofs.py memory` all but the memory.
"""

import gc
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench_author import BASE, unpack

from regauth.engine.compiler.compiler import compile_policy
from regauth.engine.policy.policy import Policy
from regauth.policytests.analysis.mutants import mutants
from regauth.policytests.analysis.places import Places
from regauth.policytests.proofs import About, Answer, Question, Status, more_access

ROOT = Path(__file__).parent.parent
MUTANTS_TOGETHER, MUTANTS_WORST = 25, 1
BOUNDS = {1_000: (1.0, 1.0), 10_000: (0.5, 1.0)}
"""By the number of grants: five changed, all written otherwise; times compiling by `BASE`."""
DE_MORGAN = 60
MEBIBYTES = 200

HEAD = """\
version: 1
services: [registry.example.com]
providers:
  github:
    issuer: https://token.actions.githubusercontent.com
    audience: https://registry.example.com
    algorithms: [RS256]
    claims: github-actions
    maxTokenAge: 10m
    rules:
      - {name: our-organisation, check: 'claims.repository_owner_id == "1342004"'}
      - {name: no-target, check: 'claims.event_name != "pull_request_target"'}
grants:
"""

Row = tuple[str, str, list[str], str]
Asking = Callable[[], object]


def row(number: int) -> Row:
    """Return a grant as people write them: one of five kinds."""
    repository = f'claims.repository_id == "{number}"'
    team = f"team{number // 7 % 500}"
    name = f"g{number}"
    match number % 5:
        case 0:
            when = f'{repository} && claims.ref == "refs/heads/main"'
            return name, when, [f"acme/p{number}", f"acme/p{number}/**"], "[pull, push]"
        case 1:
            pushed = 'claims.event_name == "push" && claims.ref.startsWith("refs/tags/v")'
            when = f"{repository} && {pushed}"
            return name, when, [f"release/p{number}/**"], "[pull, push]"
        case 2:
            when = f'claims.repository_id in ["{number}", "{number + 1}", "{number + 2}"]'
            return name, when, [f"shared/{team}/*"], "[pull]"
        case 3:
            when = f'{repository} && claims.event_name == "schedule"'
            return name, when, ["${claims.repository.lowerAscii()}/**"], "[delete]"
    when = f'has(claims.environment) && claims.environment == "env{number}"'
    return name, when, [f"deploy/{team}/e{number}", "tools/**"], "[pull, push]"


def text(rows: list[Row]) -> str:
    return HEAD + "".join(
        f"  - name: {name}\n    when: '{when}'\n"
        f"    repositories: {names!r}\n    actions: {actions}\n"
        for name, when, names, actions in rows
    )


def changed(rows: list[Row]) -> list[Row]:
    """Return the rows with five of them changed."""
    found = list(rows)
    for number, at in enumerate(random.Random(5).sample(range(len(rows)), 5)):
        name, when, names, actions = found[at]
        found[at] = [
            (name, f'{when} && claims.runner_environment == "github-hosted"', names, actions),
            (name, when.replace("==", "!=", 1), names, actions),
            (name, when, [*names[:1], "extra/**"], actions),
            (name, when, names, "[pull, push, delete]"),
            (name, when.replace(" && ", " || ", 1), names, actions),
        ][number]
    return found


def rewritten(rows: list[Row]) -> list[Row]:
    """Return rows that mean the same, in another order, under other names, written otherwise."""
    found = [
        (f"new-{name}", " && ".join(reversed(when.split(" && "))), list(reversed(names)), actions)
        for name, when, names, actions in rows
    ]
    random.Random(1).shuffle(found)
    return found


def de_morgan(rows: list[Row]) -> list[Row]:
    """Return rows that mean the same, with "or" for "and"."""
    return [
        (name, f"!({' || '.join(f'!({one})' for one in when.split(' && '))})", names, actions)
        for name, when, names, actions in rows
    ]


def load(source: str) -> tuple[Policy, float]:
    """Compile a policy; return it, and the CPU time it took."""
    start = time.process_time()
    policy = compile_policy({"policy.yaml": source}).policy
    assert policy is not None
    return policy, time.process_time() - start


def compiling_by_base(source: str) -> float:
    """Return the CPU time that the compiler of `BASE` takes."""
    code = (
        "import sys, time; from pathlib import Path; from regauth.engine import compile_policy;"
        "files = {'policy.yaml': Path(sys.argv[1]).read_text()}; start = time.process_time();"
        "assert compile_policy(files).policy is not None; print(time.process_time() - start)"
    )
    with tempfile.TemporaryDirectory() as name:
        unpack(BASE, Path(name))
        file = Path(name) / "policy.yaml"
        file.write_text(source)
        done = subprocess.run(
            [sys.executable, "-c", code, file],
            env={**os.environ, "PYTHONPATH": name},
            stdout=subprocess.PIPE,
            check=True,
        )
    return float(done.stdout)


def diff(new: Policy, old: Policy) -> tuple[Answer, Answer]:
    return more_access(Question(new, old)), more_access(Question(old, new))


def memory(load_all: Callable[[], Asking]) -> float:
    """
    Return the most memory that asking takes beyond what is loaded, in MiB (Linux alone).

    The process that asks is a copy of this one, which has asked nothing yet, and ends with it.
    """
    reading, writing = os.pipe()
    if not os.fork():
        ask = load_all()
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        before = _resident("VmRSS")
        ask()
        os.write(writing, f"{_resident('VmHWM') - before}".encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        return int(pipe.read()) / 1024


def _resident(name: str) -> int:
    """Return a line of this process's status: kilobytes that are in memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])


def asked_about(count: int, other: Callable[[list[Row]], list[Row]]) -> Callable[[], Asking]:
    """Return what loads two policies of so many grants, and then asks about them both ways."""

    def load_all() -> Asking:
        rows = [row(number) for number in range(count)]
        (old, _), (new, _) = load(text(rows)), load(text(other(rows)))
        return lambda: diff(new, old)

    return load_all


def load_mutants() -> Asking:
    pairs = list(mutants_of_references())
    return lambda: [diff(mutant, policy) for mutant, policy in pairs]


def bench_memory(counts: list[int]) -> list[str]:
    rows: dict[str, Callable[[], Asking]] = {
        "all mutants, one after another": load_mutants,
        "1,000 grants by De Morgan's laws": asked_about(1_000, de_morgan),
    }
    for count in counts:
        rows[f"{count:,} grants, five changed"] = asked_about(count, changed)
        rows[f"{count:,} grants, all written otherwise"] = asked_about(count, rewritten)
    missed = []
    for what, load_all in rows.items():
        more = memory(load_all)
        print(f"{what}: {more:.0f} MiB beyond the policies (bound {MEBIBYTES})", flush=True)
        if more > MEBIBYTES:
            missed.append(f"memory of {what}")
    return missed


def bench_grants(count: int) -> list[str]:
    rows = [row(number) for number in range(count)]
    old, compiling = load(text(rows))
    before = compiling_by_base(text(rows))
    print(f"compiling {count:,} grants: {compiling:.1f} s, by {BASE} {before:.1f} s")
    missed = []
    for what, other, bound in (
        ("five changed", changed(rows), BOUNDS[count][0]),
        ("all written otherwise", rewritten(rows), BOUNDS[count][1]),
    ):
        new, _ = load(text(other))
        start = time.process_time()
        gained, lost = diff(new, old)
        taken = time.process_time() - start
        states = f"gained {gained.status}, lost {lost.status}"
        print(
            f"{count:,} grants, {what}: {taken:.1f} s, {taken / before:.2f} times compiling by "
            f"{BASE} (bound {bound}), {taken / compiling:.2f} times today's; {states}, "
            f"with {len(gained.witnesses)} and {len(lost.witnesses)}"
        )
        if taken > bound * before:
            missed.append(f"{count:,} grants, {what}")
        wanted = Status.WITNESS if what == "five changed" else Status.PROVED
        if gained.status is not wanted or lost.status is not wanted:
            missed.append(f"{what}: {states}")
    return missed


def bench_de_morgan(count: int = 1_000) -> list[str]:
    rows = [row(number) for number in range(count)]
    old, compiling = load(text(rows))
    new, _ = load(text(de_morgan(rows)))
    start = time.process_time()
    gained, lost = diff(new, old)
    taken = time.process_time() - start
    left = [one for answer in (gained, lost) for one in answer.unknown]
    print(
        f"{count:,} grants by De Morgan's laws: {taken:.1f} s, {taken / compiling:.2f} times "
        f"compiling (bound {DE_MORGAN}, or the budget); gained {gained.status}, "
        f"lost {lost.status}, {len(left)} left and named"
    )
    if gained.witnesses or lost.witnesses:
        return ["De Morgan: what is equal has a witness"]
    is_ended = bool(left) and all(one.statement for one in left)
    return [] if taken <= DE_MORGAN * compiling or is_ended else ["De Morgan"]


def mutants_of_references() -> Iterator[tuple[Policy, Policy]]:
    """Yield each mutant of each reference policy, with the policy."""
    for folder in sorted((ROOT / "policy").iterdir()):
        source = (folder / "policy.yaml").read_text()
        policy, _ = load(source)
        for mutant in mutants(policy, Places.of({"policy.yaml": source})):
            yield mutant.policy, policy


def bench_mutants(compiling: float) -> list[str]:
    together, worst, undecided, count = 0.0, 0.0, 0, 0
    for mutant, policy in mutants_of_references():
        for about in About:
            count += 1
            start = time.process_time()
            for new, bound in ((mutant, policy), (policy, mutant)):
                answer = more_access(Question(new, bound, universes=(about,), first=True))
                undecided += answer.status is Status.UNKNOWN
            taken = time.process_time() - start
            together, worst = together + taken, max(worst, taken)
    print(
        f"{count} mutants and universes: {undecided} undecided; {together:.1f} s together, "
        f"{together / compiling:.1f} times compiling 1,000 grants (bound {MUTANTS_TOGETHER}); the "
        f"worst {worst / compiling:.2f} times (bound {MUTANTS_WORST})"
    )
    missed = ["mutants undecided"] if undecided else []
    if together > MUTANTS_TOGETHER * compiling:
        missed.append("mutants together")
    return [*missed, "the worst mutant"] if worst > MUTANTS_WORST * compiling else missed


def main() -> int:
    most = int(sys.argv[1]) if sys.argv[1:] and sys.argv[1].isdigit() else max(BOUNDS)
    counts = [count for count in BOUNDS if count <= most]
    missed = bench_memory(counts)
    if sys.argv[1:] != ["memory"]:
        _, compiling = load(text([row(number) for number in range(1_000)]))
        print(f"compiling 1,000 grants: {compiling:.2f} s")
        missed += bench_mutants(compiling)
        missed += bench_de_morgan()
        for count in counts:
            missed += bench_grants(count)
    for what in missed:
        print(f"MISSED: {what}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
