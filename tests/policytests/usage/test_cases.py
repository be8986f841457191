"""The kinds of requests of a log, in a temporary file: none is lost, in memory or on the disk."""

import io
import json
import random
from pathlib import Path
from types import SimpleNamespace

import pytest

from regauth.engine.access.outcomes import Identity
from regauth.engine.tokens.jwt import NO_CLAIMS
from regauth.policytests.cli import main
from regauth.policytests.replay.records import read_record
from regauth.policytests.usage import counting
from regauth.policytests.usage.counting import UsageCounter
from regauth.policytests.usage.tightening import cases as cases_module
from regauth.policytests.usage.tightening.cases import CaseFile, UsageCase
from regauth.policytests.usage.tightening.checking import TighteningError, tighten
from regauth.policytests.usage.tightening.plans import TighteningPlan
from tests.generated import seeds
from tests.servers.full_disk import no_file_larger_than

from .test_tighten import HEAD, SERVICE, Tool, compiled, line_of, policy, records, stand, tool

__all__ = ["tool"]

ONE_BY_ONE = (2, 1, 0)
AT_MOST_TWO_BLOCKS = (7, 3, 200)


def bound(monkeypatch: pytest.MonkeyPatch, remembered: int, block: int, in_memory: int) -> None:
    """Let so many kinds be remembered, written together, and so many bytes stay in memory."""
    monkeypatch.setattr(counting, "MAX_REMEMBERED", remembered)
    monkeypatch.setattr(cases_module, "BLOCK", block)
    # `tempfile.SpooledTemporaryFile` takes 0 for no bound at all.
    monkeypatch.setattr(cases_module, "MAX_IN_MEMORY", in_memory or 1)


@pytest.mark.fuzz
@pytest.mark.parametrize("bounds", [ONE_BY_ONE, AT_MOST_TWO_BLOCKS])
def test_random_logs_are_tightened_alike_whatever_stays_in_memory(
    tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bounds: tuple[int, int, int]
) -> None:
    changed = 0
    for seed in seeds(25):
        draw = random.Random(f"cases {seed}")
        text = policy(draw)
        stand(tmp_path, text, records(compiled(text), draw, draw.randint(1, 30)))
        whole = tool("tighten", "log.jsonl", "--any-age")
        with monkeypatch.context() as patched:
            bound(patched, *bounds)
            bounded = tool("tighten", "log.jsonl", "--any-age")

        assert bounded == whole, seed
        changed += bool(whole[1])
    assert changed > 0.4 * len(seeds(25))


@pytest.mark.parametrize("bounds", [(1_000, 256, 1_000_000), ONE_BY_ONE, AT_MOST_TWO_BLOCKS])
def test_every_case_alone_stops_a_plan_that_would_lose_it(
    monkeypatch: pytest.MonkeyPatch, bounds: tuple[int, int, int]
) -> None:
    bound(monkeypatch, *bounds)
    names = [f"acme/app-{number}" for number in range(20)]
    listed = "".join(
        f"  - {{name: g{number}, repositories: [{name}], actions: [pull]}}\n"
        for number, name in enumerate(names)
    )
    text = HEAD + listed
    given = compiled(text)
    asked = records(given, random.Random(1), len(names))
    for one, name in zip(asked, names, strict=True):
        one["asked"] = [f"repository:{name}:pull"]
    with CaseFile() as cases:
        counter = UsageCounter(given, cases)
        for one in asked:
            counter.add(read_record(line_of(one)))
        kept = tighten({"policy.yaml": text}, cases, TighteningPlan())

        assert kept.policy.hash == given.hash
        for number, name in enumerate(names):
            plan = TighteningPlan(removed=[f"g{number}"])
            with pytest.raises(TighteningError, match=f"would lose repository:{name}:pull"):
                tighten({"policy.yaml": text}, cases, plan)


def test_a_case_comes_back_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    bound(monkeypatch, *ONE_BY_ONE)
    text = f"{HEAD}  - {{name: all, repositories: ['**'], actions: [pull]}}\n"
    [line] = records(compiled(text), random.Random(1), 1)
    line["claims"] |= {"odd": [1, 1.0, True, None, {"\U0001f40b": "\x00"}, 2**53]}
    line["address"] = "192.0.2.7"
    record = read_record(json.dumps(line).encode())
    asked = (("repository:acme/app:pull",), False)
    granted = ((True, "granted"),)
    identity = Identity("ci", "job", client=record.address)
    case = UsageCase(identity, record.claims or NO_CLAIMS, SERVICE, *asked, record.time, granted)
    with CaseFile() as cases:
        cases.add(case)
        [back] = cases

    assert repr(back) == repr(case)
    assert str(back.identity.client) == "192.0.2.7"
    assert back.asked.names


def test_tighten_reads_standard_input(
    tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound(monkeypatch, *ONE_BY_ONE)
    draw = random.Random("input")
    text = policy(draw)
    stand(tmp_path, text, records(compiled(text), draw, 20))
    named = tool("tighten", "log.jsonl", "--any-age")
    piped = io.BufferedReader(io.BytesIO((tmp_path / "log.jsonl").read_bytes()))
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=piped))

    assert named[1]
    assert tool("tighten", "-", "--any-age") == named


def test_a_full_disk_is_told_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bound(monkeypatch, *ONE_BY_ONE)
    monkeypatch.chdir(tmp_path)
    draw = random.Random("full")
    text = policy(draw)
    stand(tmp_path, text, records(compiled(text), draw, 20))
    with no_file_larger_than(10):
        code = main(["tighten", "log.jsonl", "--any-age", "--write"])
    output = capsys.readouterr()

    assert (code, output.out) == (4, "")
    assert "the temporary file in " in output.err
    assert "set TMPDIR to a folder with more room" in output.err
    assert (tmp_path / "policy" / "policy.yaml").read_text() == text
