"""z3 and cvc5 agree with the prover wherever they answer."""

from itertools import islice
from pathlib import Path

import pytest

from regauth.engine.compiler.compiler import compile_policy
from regauth.policytests.analysis.mutants import mutants
from regauth.policytests.analysis.places import Places
from regauth.policytests.proofs import About, Question, more_access
from regauth.policytests.proofs.logic import formulas
from regauth.policytests.proofs.logic.formulas import Formula
from regauth.policytests.proofs.solving.search import Accept, Model, Search

oracles = pytest.importorskip("tests.policytests.proofs.oracles", reason="z3 and cvc5 are needed")

MOST = 8
POLICIES = ["kubernetes", "spiffe", "gitlab-ci", "github-actions"]


@pytest.mark.parametrize("name", POLICIES)
def test_other_solvers_agree(repository: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded: list[tuple[Search, Formula, bool]] = []
    find = Search.find

    def recording(self: Search, formula: Formula, accept: Accept) -> Model | None:
        found = find(self, formula, accept)
        if not self.blamed:
            recorded.append((self, formula, found is not None))
        return found

    monkeypatch.setattr(Search, "find", recording)
    text = (repository / "policy" / name / "policy.yaml").read_text()
    policy = compile_policy({"policy.yaml": text}).policy
    assert policy is not None
    for mutant in islice(mutants(policy, Places.of({"policy.yaml": text})), 0, None, 6):
        for new, bound in ((mutant.policy, policy), (policy, mutant.policy)):
            more_access(Question(new, bound, universes=(About.SCHEMA,), first=True))

    answered = 0
    seen: set[int] = set()
    for search, formula, has_model in recorded:
        if formula is formulas.FALSE or formula.number in seen or len(seen) >= MOST:
            continue
        seen.add(formula.number)
        for solver, said in oracles.asked(search.universe, formula).items():
            if said is not None:
                answered += 1
                assert said == has_model, (solver, formula)
    assert answered > 3
