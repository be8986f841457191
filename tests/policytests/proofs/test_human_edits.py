"""Edits as people make them: what means the same is proved, what gives more gets a witness."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from regauth.engine.compiler.compiler import compile_policy
from regauth.engine.policy.policy import Policy
from regauth.policytests.proofs import Question, Status, more_access
from tests.policytests.proofs.human_edits import NARROWER, SAME, WIDER, Document, edits

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
POLICIES = sorted(
    path.parent.name for path in (Path(__file__).parents[3] / "policy").glob("*/policy.yaml")
)


def compiled(document: Document) -> Policy | None:
    return compile_policy({"policy.yaml": json.dumps(document, default=str)}).policy


def test_there_are_many_edits(repository: Path) -> None:
    documents = {
        name: yaml.safe_load((repository / "policy" / name / "policy.yaml").read_text())
        for name in POLICIES
    }
    found = [edit for name, document in documents.items() for edit in edits(name, document)]

    assert len(found) >= 200
    assert {edit.meaning for edit in found} == {SAME, WIDER, NARROWER}


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_in_two_files_is_the_same(repository: Path, name: str) -> None:
    document = yaml.safe_load((repository / "policy" / name / "policy.yaml").read_text())
    files = {
        "grants.yaml": json.dumps({"version": 1, "grants": document["grants"]}, default=str),
        "policy.yaml": json.dumps(
            {key: value for key, value in document.items() if key != "grants"}, default=str
        ),
    }
    before, after = compiled(document), compile_policy(files).policy
    assert before is not None
    assert after is not None

    for new, bound in ((after, before), (before, after)):
        answer = more_access(Question(new, bound, at=NOW))
        assert answer.status is Status.PROVED
        assert answer.identical


@pytest.mark.parametrize("name", POLICIES)
def test_each_edit_has_its_answer(repository: Path, name: str) -> None:
    document = yaml.safe_load((repository / "policy" / name / "policy.yaml").read_text())
    known: dict[int, Policy | None] = {}
    counted = 0
    # All are kept, so that no two documents have one identity.
    for edit in list(edits(name, document)):
        for one in (edit.before, edit.after):
            if id(one) not in known:
                known[id(one)] = compiled(one)
        before, after = known[id(edit.before)], known[id(edit.after)]
        if before is None or after is None:  # such as a template that a denial may not have
            continue
        counted += 1
        gained = more_access(Question(after, before, at=NOW, first=True))
        wanted = {SAME: Status.PROVED, WIDER: Status.WITNESS, NARROWER: Status.PROVED}
        assert gained.status is wanted[edit.meaning], (edit.name, gained)
    assert counted >= 20
