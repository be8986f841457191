"""
Counting what a decision log used, and tightening a policy by it, against replaying the same log.

The log is that of `bench_replay`.  All three read it in the same run, in time of the processor.
The bounds are ratios: 1.2 for `usage`, 2 for `tighten`.  What tightening does beside reading, which
does not grow with the log (the proof, the suites), is not in it.

Run by `make bench`; exits with 1 when a bound is missed.
"""

import resource
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from bench_replay import POLICY, REQUESTS, log_lines, replay

from regauth.engine import Policy
from regauth.policytests.commands.usage import Tightening
from regauth.policytests.execution.policies import compile_folder
from regauth.policytests.usage.counting import UsageCounter
from regauth.policytests.usage.reading import read_logs
from regauth.policytests.usage.tightening import plan, tighten

USAGE_RATIO = 1.2
TIGHTEN_RATIO = 2.0
ROUNDS = 3


def usage(policy: Policy, log: Path) -> float:
    """Count what the log used; return the seconds of the processor."""
    began = time.process_time()
    counter = UsageCounter(policy)
    read_logs([str(log)], None, counter.add)
    found = counter.result()
    seconds = time.process_time() - began
    if found.requests != REQUESTS:
        raise SystemExit("not every request was counted")
    return seconds


def tightened(policy: Policy, log: Path, files: dict[str, str]) -> float:
    """Tighten the policy by the log; return the seconds of the processor."""
    began = time.process_time()
    counter = UsageCounter(policy, keep=True)
    read_logs([str(log)], None, counter.add)
    planned = plan(counter.result(), names=5, reason_to_keep=lambda _: "")
    done = tighten(files, counter.cases(), planned, datetime.now(UTC))
    if not counter.complete:
        options = {"since": None, "names": 5, "any_age": True, "write": False}
        Tightening(POLICY, **options).check([str(log)], policy, done.policy)  # type: ignore[arg-type]
    return time.process_time() - began


def main() -> int:
    """Measure; return whether a bound is missed."""
    policy = compile_folder(POLICY, "policy").compilation.policy
    if policy is None:
        raise SystemExit("the reference policy does not compile")
    files = {one.name: one.read_text() for one in POLICY.iterdir()}
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "decisions.jsonl"
        lines = log_lines(policy)
        with log.open("w") as stream:
            stream.writelines(next(lines) for _ in range(REQUESTS))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        rounds = [
            (replay(policy, log), usage(policy, log), tightened(policy, log, files))
            for _ in range(ROUNDS)
        ]
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    base, counting, tightening = (min(one[number] for one in rounds) for number in range(3))
    print(
        f"{REQUESTS} records: replay {base:.2f} s, usage {counting / base:.2f} times that "
        f"(at most {USAGE_RATIO}), tighten {tightening / base:.2f} times (at most "
        f"{TIGHTEN_RATIO}); memory grew by {grown:.0f} MB"
    )
    return int(counting / base > USAGE_RATIO or tightening / base > TIGHTEN_RATIO)


if __name__ == "__main__":
    raise SystemExit(main())
