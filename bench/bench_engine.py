"""
How the engine scales: deciding and compiling from ten grants to ten thousand.

What lives here: one policy shape in four sizes and its measurement.  Not here: claims about
other machines; times are compared with others of the same run, taken in turns.
"""

import json
import statistics
import subprocess
import sys
import time
import timeit
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from regauth.engine import Claims, Identity, Policy, accesses, compile_policy, decide, parse_scopes

SIZES = (10, 100, 1_000, 10_000)
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
ROUNDS = 9
LOOPS = 2_000

HEAD = """version: 1
services: [registry.example.com]
providers:
  ci:
    issuer: https://ci.example.com
    audience: https://registry.example.com
    claims: github-actions
grants:
"""
GRANT = """  - name: team-{n}
    when: claims.repository_owner_id == "{n}" && claims.ref == "refs/heads/main"
    repositories: ["team-{n}/**", "shared/team-{n}"]
    actions: [pull, push]
"""
CLAIMS = Claims({"sub": "s", "repository_owner_id": "7", "ref": "refs/heads/main"})
ASKED = accesses(parse_scopes(["repository:team-7/app:push"]))


def policy_text(grants: int) -> str:
    return HEAD + "".join(GRANT.format(n=n) for n in range(grants))


def compiled(grants: int) -> Policy:
    policy = compile_policy({"policy.yaml": policy_text(grants)}, now=NOW).policy
    assert policy is not None
    return policy


def microseconds(call: Callable[[], object]) -> float:
    return min(timeit.repeat(call, number=LOOPS, repeat=3)) / LOOPS * 1e6


def decisions(policies: dict[int, Policy]) -> None:
    key = rsa.generate_private_key(65537, 2048)
    signature = key.sign(b"token", padding.PKCS1v15(), SHA256())
    public = key.public_key()
    identity = Identity("ci", "s")

    def verify() -> None:
        public.verify(signature, b"token", padding.PKCS1v15(), SHA256())

    def decide_in(size: int) -> Callable[[], object]:
        policy = policies[size]
        return lambda: decide(policy, identity, CLAIMS, "registry.example.com", ASKED, NOW)

    for size in SIZES:
        assert decide_in(size)().verdicts[0].source == "team-7"
    times: dict[object, list[float]] = {size: [] for size in (*SIZES, "verify")}
    for _ in range(ROUNDS):
        for size in SIZES:
            times[size].append(microseconds(decide_in(size)))
        times["verify"].append(microseconds(verify))
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    print("decide, one access; times as long as with ten grants, and as one RSA-2048 verification")
    for size in SIZES:
        print(
            f"  {size:>6} grants: {medians[size] / medians[10]:5.2f} x ten,"
            f" {medians[size] / medians['verify']:5.2f} x RSA verify   ({medians[size]:.1f} us)"
        )


def compile_one(grants: int) -> None:
    """Compile in this process, of its own, and print the time and the memory that it took."""
    compiled(1)  # what the first expression costs is not the policy's
    before = peak_memory()
    begin = time.perf_counter()
    compiled(grants)
    seconds = time.perf_counter() - begin
    peak = peak_memory()
    print(json.dumps({"seconds": seconds, "growth": peak - before, "peak": peak}))


def peak_memory() -> float:
    """The most memory this process has had, in MiB; that of getrusage counts its parent's too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return int(kib) / 1024


def compiling() -> None:
    print("compile; each size in a process of its own, median of three")
    per_thousand = {}
    for size in (1_000, 10_000):
        runs = [
            json.loads(subprocess.check_output([sys.executable, __file__, "--compile", str(size)]))
            for _ in range(3)
        ]
        seconds = statistics.median(run["seconds"] for run in runs)
        per_thousand[size] = seconds / size * 1_000
        peak = max(run["peak"] for run in runs)
        growth = max(run["growth"] for run in runs)
        memory = f"peak {peak:.0f} MiB, of it the policy {growth:.0f}"
        print(f"  {size:>6} grants: {seconds:6.2f} s, {memory}")
    ratio = per_thousand[10_000] / per_thousand[1_000]
    print(f"  a thousand grants among ten thousand take {ratio:.2f} x a thousand alone")


def main() -> int:
    if sys.argv[1:2] == ["--compile"]:
        compile_one(int(sys.argv[2]))
        return 0
    decisions({size: compiled(size) for size in SIZES})
    compiling()
    return 0


if __name__ == "__main__":
    sys.exit(main())
