"""
The reference policies, tightened by logs of what their suites ask for.

A record of each request is what the policy's own server would have written.
"""

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest

from regauth.engine.access.references import UNKNOWN
from regauth.engine.decisions.authentication import Authenticated
from regauth.policytests.cli import main
from regauth.policytests.execution.run import Loaded, Run
from regauth.policytests.proofs import Question, more_access
from regauth.policytests.replay.deciding import Replay
from regauth.policytests.replay.records import read_record
from regauth.policytests.usage.counting import UsageCounter
from regauth.policytests.usage.formats import FORMATS
from regauth.policytests.usage.tightening.cases import CaseFile
from regauth.policytests.usage.tightening.checking import tighten
from regauth.policytests.usage.tightening.plans import TighteningBounds, plan
from tests.conftest import REPOSITORY

from .test_tighten import line_of, record_of

SUITES = sorted((REPOSITORY / "policytests" / "cases").glob("*.policytest.yaml"))


def recorded(loaded: Loaded, share: float) -> list[dict[str, Any]]:
    """Return records of a part of what a suite asks for."""
    draw = random.Random(f"{loaded.suite.file} {share}")
    policy, evaluation = loaded.evaluation.linked.policy, loaded.evaluation
    service = min(policy.services)
    found = []
    asked = dict.fromkeys(
        (token, access)
        for case in loaded.cases
        for token, access in case.accesses()
        if access.reference == UNKNOWN and token in evaluation.linked.samples
    )
    for number, (token, access) in enumerate(asked):
        session = evaluation.session(token, service)
        if isinstance(session.outcome, Authenticated) and draw.random() < share:
            login, now = session.outcome, session.sample.now
            found.append(record_of(policy, login, service, [str(access)], now, number))
    return found


@pytest.mark.parametrize("share", [0.15, 0.6])
@pytest.mark.parametrize("suite", SUITES, ids=lambda one: one.name.partition(".")[0])
def test_a_tightened_reference_policy_is_narrower_and_decides_the_log_alike(
    suite: Path, share: float
) -> None:
    loaded = Run.at(REPOSITORY).load(suite)
    policy = loaded.evaluation.linked.policy
    lines = [line_of(one) for one in recorded(loaded, share)]
    files = {one.name: one.read_text() for one in loaded.compiled.folder.glob("*.yaml")}
    with CaseFile() as cases:
        counter = UsageCounter(policy, cases)
        for line in lines:
            counter.add(read_record(line))
        usage = counter.result()
        planned = plan(usage, TighteningBounds(), lambda _: "")
        done = tighten(files, cases, planned)

    assert usage.requests == len(lines) > 0
    assert planned
    replay = Replay(done.policy)
    assert [replay.differences(read_record(line)) for line in lines] == [[]] * len(lines)
    assert more_access(Question(new=done.policy, bound=policy)).proved
    for form in FORMATS.values():
        assert all(grant.name in form(usage).replace("\\", "") for grant in policy.grants)


def test_tighten_and_usage_read_logs_of_several_servers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = Run.at(REPOSITORY).load(SUITES[2])
    lines = [line_of(one) for one in recorded(loaded, 1)]
    (tmp_path / "a.jsonl").write_bytes(b"".join(lines[::2]) + b'{"torn": ')
    (tmp_path / "b.1").write_bytes(gzip.compress(b"".join(lines[1::2])))
    words = ["a.jsonl", "b.1", "--policy", str(loaded.compiled.folder)]
    codes = [main(["usage", *words, "-f", "json"])]
    report = json.loads(capsys.readouterr().out)
    codes.append(main(["usage", *words, "--since", "1s"]))
    late = capsys.readouterr().out
    codes.append(main(["usage", *words, "--since", "soon"]))
    wrong = capsys.readouterr().err
    codes.append(main(["usage", "missing.jsonl"]))

    assert codes == [0, 5, 4, 10]
    assert report["requests"] == len(lines)
    assert report["undecided"] == {"torn": 1}
    assert sum(one["uses"] for one in report["grants"].values()) == sum(
        one["allowed"] for line in lines for one in json.loads(line)["accesses"]
    )
    assert "no request of the log could be decided" in late
    assert "--since" in wrong
