"""
Counting what a decision log used, and tightening a policy by it, against replaying the same log.

The log is that of `bench_replay`.  All three read it in the same run, in time of the processor.
The bounds are ratios: 1.2 for `usage`, 2 for `tighten`.  What tightening does beside reading, which
does not grow with the log (the proof, the suites), is not in it.

Then both read logs of 10,000, 100,000 and 1,000,000 decisions from a pipe, each in a process of its
own: logs with few kinds of requests, and logs in which no two requests are of one kind.  The bound
is a ratio of 1.1 between the peaks of resident memory of the longest log and of the one before.
That takes about half an hour of the processor; `bench_usage.py NUMBER...` takes other lengths.

Run by `make bench`; exits with 1 when a bound is missed.
"""

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path

from bench_replay import POLICY, REQUESTS, log_lines, replay

from regauth.engine import Policy
from regauth.policytests.execution.policies import compile_folder
from regauth.policytests.usage.counting import UsageCounter
from regauth.policytests.usage.reading import read_logs
from regauth.policytests.usage.tightening.cases import CaseFile
from regauth.policytests.usage.tightening.checking import tighten
from regauth.policytests.usage.tightening.plans import TighteningBounds, plan

USAGE_RATIO = 1.2
TIGHTEN_RATIO = 2.0
MEMORY_RATIO = 1.1
ROUNDS = 3
DECISIONS = (10_000, 100_000, 1_000_000)
FEW = 500
KINDS = ("few", "all different")
COMMANDS = ("usage", "tighten")
READER = "--read"
"""The first word of the command line of the process that reads a log."""


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


def tightened(policy: Policy, log: str, files: dict[str, str]) -> float:
    """Tighten the policy by the log; return the seconds of the processor."""
    began = time.process_time()
    with CaseFile() as cases:
        counter = UsageCounter(policy, cases)
        read_logs([log], None, counter.add)
        planned = plan(counter.result(), TighteningBounds(), lambda _: "")
        tighten(files, cases, planned, datetime.now(UTC))
    return time.process_time() - began


def compiled() -> tuple[Policy, dict[str, str]]:
    """Return the reference policy and its files."""
    policy = compile_folder(POLICY, "policy").compilation.policy
    if policy is None:
        raise SystemExit("the reference policy does not compile")
    return policy, {one.name: one.read_text() for one in POLICY.iterdir()}


def lines_of(policy: Policy, kinds: str) -> Iterator[bytes]:
    """Yield the lines of a log without end, with few kinds of requests or without equal ones."""
    some = [line.encode() for line in islice(log_lines(policy), FEW)]
    if kinds == KINDS[0]:
        yield from cycle(some)
    for number, line in enumerate(cycle(some)):
        yield re.sub(rb"acme/app-\d+", b"acme/app-%d" % number, line)


def read(command: str) -> int:
    """Read the log on standard input as a command does."""
    policy, files = compiled()
    if command == "tighten":
        tightened(policy, "-", files)
    else:
        counter = UsageCounter(policy)
        read_logs(["-"], None, counter.add)
        counter.result()
    # Of this program alone: what getrusage(2) says begins with the memory of the parent at fork(2).
    status = Path("/proc/self/status").read_text()
    [kilobytes] = re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    print(int(kilobytes) / 1024, time.process_time())
    return 0


def peak(policy: Policy, command: str, kinds: str, count: int) -> tuple[float, float]:
    """Return the peak of memory in MB, and the seconds of the processor, of one reader."""
    words = [sys.executable, __file__, READER, command]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        reader.stdin.writelines(islice(lines_of(policy, kinds), count))
        reader.stdin.close()
        told = reader.stdout.read().split()
    if reader.returncode:
        raise SystemExit(f"the reader of {command} failed")
    megabytes, seconds = map(float, told)
    return megabytes, seconds


def memory(policy: Policy, lengths: Sequence[int]) -> bool:
    """Measure the memory of both commands; return whether it is flat."""
    flat = True
    for command in COMMANDS:
        for kinds in KINDS:
            found = [peak(policy, command, kinds, count) for count in lengths]
            told = ", ".join(
                f"{count:,}: {megabytes:.0f} MB ({1e6 * seconds / count:.0f} µs each)"
                for count, (megabytes, seconds) in zip(lengths, found, strict=True)
            )
            ratio = found[-1][0] / found[-2][0]
            print(
                f"{command}, kinds of requests {kinds}: {told}; the last is {ratio:.2f} times the "
                f"one before (at most {MEMORY_RATIO})",
                flush=True,
            )
            flat = flat and ratio <= MEMORY_RATIO
    return flat


def speed(policy: Policy, files: dict[str, str]) -> bool:
    """Measure the time of both commands against a replay; return whether the bounds hold."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "decisions.jsonl"
        with log.open("w") as stream:
            stream.writelines(islice(log_lines(policy), REQUESTS))
        rounds = [
            (replay(policy, log), usage(policy, log), tightened(policy, str(log), files))
            for _ in range(ROUNDS)
        ]
    base, counting, tightening = (min(one[number] for one in rounds) for number in range(3))
    print(
        f"{REQUESTS} records: replay {base:.2f} s, usage {counting / base:.2f} times that "
        f"(at most {USAGE_RATIO}), tighten {tightening / base:.2f} times (at most {TIGHTEN_RATIO})",
        flush=True,
    )
    return counting / base <= USAGE_RATIO and tightening / base <= TIGHTEN_RATIO


def main(words: Sequence[str]) -> int:
    """Measure; return whether a bound is missed."""
    if words[:1] == [READER]:
        return read(words[1])
    policy, files = compiled()
    fast = speed(policy, files)
    return int(not (memory(policy, [*map(int, words)] or DECISIONS) and fast))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
