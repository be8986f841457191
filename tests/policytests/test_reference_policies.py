"""The reference policies: useful, without a warning, and no part of them can be planted wrong."""

import copy
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from regauth.engine.cel import BOOL
from regauth.engine.compiler.compiler import compile_policy
from regauth.engine.files import read_policy_folder
from regauth.policytests.analysis.places import Places
from regauth.policytests.execution.cases import SnapshotCase
from regauth.policytests.execution.hostile import ForgeryCase
from regauth.policytests.execution.judging import CaseOutcome
from regauth.policytests.execution.run import Loaded, Run, SuiteError
from regauth.policytests.tokens.issuing import IssuerKeys
from tests.generated import some

ROOT = Path(__file__).parents[2]
NAMES = ("github-actions", "kubernetes", "proxy-tags")

# What changes nothing anybody could see, and why.
EQUIVALENT = {
    # Another grant allows the pull.
    "kubernetes: build without pull",
    # No grant lets anybody delete there.
    "kubernetes: shared-names without delete",
    # Nobody has anything but pull where the denial would reach then.
    "kubernetes: shared-names widens production/**",
    "kubernetes: shared-names widens library/**",
    # No grant lets anybody delete.
    "proxy-tags: what-is-out-stays without delete",
}


@pytest.fixture(scope="module")
def keys() -> IssuerKeys:
    """Keys that all copies of the policies share."""
    return IssuerKeys()


def load(root: Path, name: str, keys: IssuerKeys, policy: str | None = None) -> Loaded:
    """Load a reference policy's suite, with another text of the policy."""
    (root / ".git").mkdir(parents=True, exist_ok=True)
    folder = root / "policy" / name
    folder.mkdir(parents=True, exist_ok=True)
    text = (ROOT / "policy" / name / "policy.yaml").read_text()
    (folder / "policy.yaml").write_text(text if policy is None else policy)
    cases = root / "policytests" / "cases"
    cases.mkdir(parents=True, exist_ok=True)
    suite = cases / f"{name}.policytest.yaml"
    suite.write_text((ROOT / "policytests" / "cases" / suite.name).read_text())
    run = Run.at(root)
    run.keys = keys
    return run.load(suite)


@pytest.mark.parametrize("name", NAMES)
def test_a_reference_policy_has_no_problem_at_all(name: str) -> None:
    files = read_policy_folder(ROOT / "policy" / name)
    assert () == compile_policy(files).problems


def planted(name: str) -> Iterator[tuple[str, str]]:
    """Yield each mistake: what it is, and the policy's text with it."""
    text = (ROOT / "policy" / name / "policy.yaml").read_text()
    yield from _conditions(name, text)
    document = yaml.safe_load(text)
    for key in ("grants", "denials"):
        for number, statement in enumerate(document[key]):
            yield from _statements(name, document, key, number, statement["name"])
    for provider, body in document["providers"].items():
        for number, rule in enumerate(body["rules"]):
            less = copy.deepcopy(document)
            rules = less["providers"][provider]["rules"]
            del rules[number]
            if not rules:
                del less["providers"][provider]["rules"]
            yield f"{name}: without the rule {rule['name']}", yaml.safe_dump(less)
        other = copy.deepcopy(document)
        other["providers"][provider]["audience"] = "https://another.example.com"
        yield f"{name}: another audience", yaml.safe_dump(other)
        issuer = copy.deepcopy(document)
        issuer["providers"][provider]["issuer"] = "https://another.example.com"
        yield f"{name}: another issuer", yaml.safe_dump(issuer)
        longer = copy.deepcopy(document)
        del longer["providers"][provider]["maxTokenAge"]
        yield f"{name}: without an age", yaml.safe_dump(longer)


def _conditions(name: str, text: str) -> Iterator[tuple[str, str]]:
    """Make each part of each condition true, false and its opposite, in the policy's text."""
    compilation = compile_policy({"policy.yaml": text})
    policy = compilation.policy
    assert policy is not None
    places = Places.of(compilation.sources)
    programs = [("definition", key, one) for key, one in policy.definitions.items()]
    programs += [("grant", g.name, g.when) for g in policy.grants if g.when]
    programs += [("denial", d.name, d.when) for d in policy.denials if d.when]
    for provider in policy.providers.values():
        programs += [("rule", rule.name, rule.check) for rule in provider.rules]
    lines = text.split("\n")
    for kind, owner, program in programs:
        if program.type != BOOL:
            continue
        for part in program.parts:
            place = places.part(kind, owner, part.start, part.end)
            assert place is not None
            assert place.line == place.end_line
            line = lines[place.line - 1]
            old = line[place.column - 1 : place.end_column - 1]
            for new in ("(1 == 1)", "(1 == 2)", f"(!({old}))"):
                changed = line[: place.column - 1] + new + line[place.end_column - 1 :]
                whole = [*lines[: place.line - 1], changed, *lines[place.line :]]
                yield f"{name}: {owner}: {old} is {new}", "\n".join(whole)


def _statements(
    name: str, document: dict[str, object], key: str, number: int, owner: str
) -> Iterator[tuple[str, str]]:
    def changed(**keys: object) -> str:
        made = copy.deepcopy(document)
        made[key][number].update(keys)
        return yaml.safe_dump(made)

    less = copy.deepcopy(document)
    del less[key][number]
    if less[key]:
        yield f"{name}: without {owner}", yaml.safe_dump(less)
    statement = document[key][number]
    patterns, actions = statement["repositories"], statement["actions"]
    for place, pattern in enumerate(patterns):
        wide = [*patterns[:place], "**", *patterns[place + 1 :]]
        yield f"{name}: {owner} widens {pattern}", changed(repositories=wide)
        if len(patterns) > 1:
            rest = patterns[:place] + patterns[place + 1 :]
            yield f"{name}: {owner} without {pattern}", changed(repositories=rest)
    for what, tags in _other_tags(statement.get("tags", [])):
        yield f"{name}: {owner} {what}", changed(tags=tags)
    for action in ("pull", "push", "delete"):
        if action == "delete" and statement.get("newTagsOnly"):
            continue  # the compiler refuses it: `new-tags-only`
        if action not in actions:
            yield f"{name}: {owner} with {action}", changed(actions=[*actions, action])
        elif len(actions) > 1:
            rest = [one for one in actions if one != action]
            yield f"{name}: {owner} without {action}", changed(actions=rest)


def _other_tags(tags: list[str]) -> Iterator[tuple[str, list[str]]]:
    for place, tag in enumerate(tags):
        before, after = tags[:place], tags[place + 1 :]
        wider = f"{tag[:-2]}*" if tag.endswith("*") else f"{tag}*"
        yield f"widens the tag {tag}", [*before, wider, *after]
        if len(tags) > 1:
            yield f"without the tag {tag}", before + after
    if tags:
        yield "with every tag", ["*"]


@pytest.mark.fuzz
@pytest.mark.parametrize("name", NAMES)
def test_every_planted_mistake_turns_a_suite_red(
    name: str, tmp_path: Path, keys: IssuerKeys
) -> None:
    right = load(tmp_path / "right", name, keys)
    # That all of them pass is seen by `policytest policytests/cases`, which `make test` runs.
    assert sum(isinstance(case, ForgeryCase) for case in right.cases) > 300
    tables = _tables(right)
    mistakes = list(planted(name))
    assert len(mistakes) > 40
    tried = some(mistakes)
    unseen = {
        mistake
        for number, (mistake, text) in enumerate(tried)
        if not _is_red(tmp_path / str(number), name, keys, text, tables)
    }
    assert {mistake for mistake, _ in tried if mistake in EQUIVALENT} == unseen


def _tables(loaded: Loaded) -> dict[str, str]:
    return {
        case.id: str(case.table(loaded.evaluation))
        for case in loaded.cases
        if isinstance(case, SnapshotCase)
    }


def _is_red(root: Path, name: str, keys: IssuerKeys, text: str, tables: dict[str, str]) -> bool:
    """Tell whether any case but a forgery, which asks the verifier, notices."""
    try:
        loaded = load(root, name, keys, text)
    except SuiteError as error:
        # A name that is gone is an error of the suite; a policy that is broken is this test's.
        assert not error.policy, error.render()
        return True
    for case in loaded.cases:
        if isinstance(case, ForgeryCase):
            continue
        if case.judge(loaded.evaluation).outcome is not CaseOutcome.PASSED:
            return True
    return tables != _tables(loaded)
