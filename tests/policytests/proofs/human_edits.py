"""
Edits of the reference policies as people make them, each with the answer that is right.

An edit rewrites a policy's document.  What it means is known by how it is made: the same, wider or
narrower.  A wider and a narrower one are each other's reverse, so half of them are made once.
"""

import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]
Edit = Callable[[Document, random.Random], bool]
"""Changes a document; False where there is nothing of its kind to change."""

SAME, WIDER, NARROWER = "same", "wider", "narrower"


def _statements(document: Document) -> list[Document]:
    return [*document["grants"], *document.get("denials", [])]


def _conditional(document: Document, choose: random.Random) -> Document | None:
    found = [one for one in _statements(document) if "when" in one and "tags" not in one]
    return choose.choice(found) if found else None


def _grant(document: Document, choose: random.Random) -> Document | None:
    found = [one for one in document["grants"] if "repositories" in one and "tags" not in one]
    return choose.choice(found) if found else None


# -- edits that change nothing


def rename(document: Document, choose: random.Random) -> bool:
    choose.choice(_statements(document))["name"] = "renamed-for-clarity"
    return True


def reorder(document: Document, choose: random.Random) -> bool:
    choose.shuffle(document["grants"])
    return len(document["grants"]) > 1


def reorder_lists(document: Document, choose: random.Random) -> bool:
    for one in _statements(document):
        for name in ("repositories", "actions"):
            one.get(name, []).reverse()
    return True


def double_negation(document: Document, choose: random.Random) -> bool:
    one = _conditional(document, choose)
    if one is not None:
        one["when"] = f"!(!({one['when']}))"
    return one is not None


def de_morgan(document: Document, choose: random.Random) -> bool:
    one = _conditional(document, choose)
    if one is None or " && " not in one["when"] or "||" in one["when"]:
        return False
    parts = [part.strip() for part in one["when"].split(" && ")]
    if any(part.count("(") != part.count(")") for part in parts):
        return False
    one["when"] = f"!({' || '.join(f'!({part})' for part in parts)})"
    return True


def turn_around(document: Document, choose: random.Random) -> bool:
    one = _conditional(document, choose)
    if one is None or " && " not in one["when"] or "||" in one["when"]:
        return False
    parts = [part.strip() for part in one["when"].split(" && ")]
    if any(part.count("(") != part.count(")") for part in parts):
        return False
    one["when"] = " && ".join(reversed(parts))
    return True


def into_a_definition(document: Document, choose: random.Random) -> bool:
    one = _conditional(document, choose)
    if one is None or "scope" in one["when"]:
        return False
    document.setdefault("definitions", {})["extracted"] = one["when"]
    one["when"] = "defs.extracted"
    return True


def split_in_two(document: Document, choose: random.Random) -> bool:
    one = _grant(document, choose)
    if one is None or len(one["repositories"]) + len(one["actions"]) < 3:
        return False
    other = deepcopy(one)
    other["name"] = f"{one['name']}-second"
    name = "repositories" if len(one["repositories"]) > 1 else "actions"
    one[name], other[name] = one[name][:1], other[name][1:]
    document["grants"].append(other)
    return True


def write_twice(document: Document, choose: random.Random) -> bool:
    one = deepcopy(choose.choice(_statements(document)))
    one["name"] = "copied"
    kind = "grants" if one in document["grants"] or "copied" not in document else "denials"
    original = next(
        kind
        for kind in ("grants", "denials")
        if any({**each, "name": ""} == {**one, "name": ""} for each in document.get(kind, []))
    )
    document[original].append(one)
    return bool(kind)


def swallowed_name(document: Document, choose: random.Random) -> bool:
    one = _grant(document, choose)
    wild = [
        name
        for name in (one or {}).get("repositories", [])
        if name.endswith("/**") and "$" not in name
    ]
    if one is None or not wild:
        return False
    one["repositories"].append(f"{wild[0].removesuffix('**')}special")
    return True


# -- edits that give more


def more_actions(document: Document, choose: random.Random) -> bool:
    one = _grant(document, choose)
    missing = sorted({"pull", "push", "delete"} - set((one or {}).get("actions", [])))
    if one is None or not missing:
        return False
    one["actions"].append(choose.choice(missing))
    return True


def more_names(document: Document, choose: random.Random) -> bool:
    one = _grant(document, choose)
    if one is not None:
        one["repositories"].append("mistake/**")
    return one is not None


def no_condition(document: Document, choose: random.Random) -> bool:
    found = [one for one in document["grants"] if "when" in one and "tags" not in one]
    if not found:
        return False
    del choose.choice(found)["when"]
    return True


def no_denials(document: Document, choose: random.Random) -> bool:
    return bool(document.pop("denials", None))


def no_rules(document: Document, choose: random.Random) -> bool:
    found = [one for one in document["providers"].values() if one.get("rules")]
    if not found:
        return False
    del choose.choice(found)["rules"]
    return True


def older_tokens(document: Document, choose: random.Random) -> bool:
    found = [one for one in document["providers"].values() if "maxTokenAge" in one]
    if not found:
        return False
    del choose.choice(found)["maxTokenAge"]
    return True


def other_audience(document: Document, choose: random.Random) -> bool:
    one = choose.choice(list(document["providers"].values()))
    listed = one["audience"] if isinstance(one["audience"], list) else [one["audience"]]
    one["audience"] = [*listed, "https://staging.example.com"]
    return True


def public_pull(document: Document, choose: random.Random) -> bool:
    if "anonymous" in document:
        return False
    document["anonymous"] = {"repositories": ["mirror/**"]}
    return True


def new_grant(document: Document, choose: random.Random) -> bool:
    document["grants"].append(
        {"name": "breaking-glass", "repositories": ["tools/x"], "actions": ["delete"]}
    )
    return True


def equals_begins(document: Document, choose: random.Random) -> bool:
    found = [
        one
        for one in document["grants"]
        if "tags" not in one and ' == "refs/heads/main"' in one.get("when", "")
    ]
    if not found:
        return False
    one = choose.choice(found)
    one["when"] = one["when"].replace(' == "refs/heads/main"', '.startsWith("refs/heads/main")')
    return True


def expiry_gone(document: Document, choose: random.Random) -> bool:
    found = [one for one in document["grants"] if "expires" in one]
    if not found:
        return False
    del choose.choice(found)["expires"]
    return True


EDITS: dict[Edit, str] = {
    **dict.fromkeys((rename, reorder, reorder_lists, double_negation, de_morgan), SAME),
    **dict.fromkeys((turn_around, into_a_definition, split_in_two), SAME),
    **dict.fromkeys((write_twice, swallowed_name), SAME),
    **dict.fromkeys((more_actions, more_names, no_condition, no_denials, no_rules), WIDER),
    **dict.fromkeys((older_tokens, other_audience, public_pull, new_grant), WIDER),
    **dict.fromkeys((equals_begins, expiry_gone), WIDER),
}


@dataclass(frozen=True, slots=True)
class Edited:
    """A policy, the same one edited, and what the edit means."""

    name: str
    before: Document
    after: Document
    meaning: str


def edits(name: str, document: Document) -> Iterator[Edited]:
    """Yield the edits of one policy, twice each by other choices, and the reverse of each."""
    for edit, meaning in EDITS.items():
        seen: list[Document] = []
        for seed in (1, 2):
            after = deepcopy(document)
            if not edit(after, random.Random(seed)) or after == document or after in seen:
                continue
            seen.append(after)
            what = f"{name}-{edit.__name__}-{seed}"
            yield Edited(what, document, after, meaning)
            back = {SAME: SAME, WIDER: NARROWER}[meaning]
            yield Edited(f"{what}-reverse", after, document, back)
