"""Witnesses of a change: possible tokens, written as a suite writes them."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from regauth.engine import Policy, compile_policy
from regauth.engine.files import read_policy_folder
from regauth.policytests.changes import comparison, formats
from regauth.policytests.changes.comparison import compare
from regauth.policytests.changes.view import AcceptedResults, ChangeView
from regauth.policytests.execution.examples import UNLIKELY
from regauth.policytests.proofs import Witness
from regauth.policytests.proofs.confirmation import Asked, ask
from regauth.policytests.tokens.coherence import contradictions

AT = datetime(2026, 11, 1, 12, tzinfo=UTC)
CHANGES = [
    ("github-actions", 'claims.ref == "refs/heads/main"', 'claims.ref.startsWith("refs/heads/")'),
    ("github-actions", 'claims.environment == "release"', "true"),
    ("github-actions", "repositories: [acme/**]", 'repositories: ["**"]'),
    ("gitlab-ci", "actions: [pull]", "actions: [pull, push]"),
]


def compiled(files: dict[str, bytes]) -> Policy:
    policy = compile_policy(files).policy
    assert policy is not None
    return policy


def change(repository: Path, folder: str, old: str, new: str) -> tuple[Policy, Policy]:
    before = read_policy_folder(repository / "policy" / folder)
    after = {name: text.replace(old.encode(), new.encode()) for name, text in before.items()}
    assert before != after
    return compiled(before), compiled(after)


def gained(base: Policy, head: Policy) -> tuple[Witness, ...]:
    return compare(base, head, ("base", "head"), 60_000_000, AT).gained.witnesses


@pytest.mark.parametrize(("folder", "old", "new"), CHANGES)
def test_each_witness_is_a_possible_token_and_shows_the_change(
    repository: Path, folder: str, old: str, new: str
) -> None:
    """A subject named another repository than the token, and repositories were called `0/0`."""
    base, head = change(repository, folder, old, new)
    found = gained(base, head)

    assert found
    assert len({(one.source, one.access.action) for one in found}) == len(found)
    for one in found:
        provider = head.providers[one.provider]
        asked = Asked(one.claims, one.service, one.access, one.now, one.at)
        assert list(contradictions(provider.claims, one.claims)) == []
        assert one.written is not None
        assert ask(head, asked, (one.provider,)).source == one.source
        assert not ask(base, asked, tuple(base.providers)).allowed
        assert "0/" not in one.access.resource.name
        assert not one.access.resource.name.endswith("/0")


def test_only_what_the_change_needs_is_written(repository: Path) -> None:
    base, head = change(repository, *CHANGES[0])
    written = {str(one.access): one.written for one in gained(base, head)}
    push, pull = written["repository:acme/app:push"], written["repository:other/app:pull"]

    assert push is not None
    assert push.claims == {"ref": "refs/heads/feature"}
    assert pull is not None
    assert "sub" not in pull.claims
    assert {"event_name", "repository_id", "actor"}.isdisjoint(pull.claims)


def test_only_the_first_witnesses_are_made_anew(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change of ten thousand grants has as many witnesses, and nobody reads them all."""
    base, head = change(repository, *CHANGES[0])
    whole = gained(base, head)
    monkeypatch.setattr(comparison, "MAX_MADE_ANEW", 1)
    first, *rest = gained(base, head)

    assert len(whole) == 1 + len(rest)
    assert first.written is not None
    assert [one.written for one in rest] == [None] * len(rest) != []


def test_a_witness_that_no_token_can_be_stays_the_provers(repository: Path) -> None:
    """A condition on an event that no workflow has is met by no possible token."""
    old = 'claims.ref == "refs/heads/main"'
    base, head = change(repository, "github-actions", old, 'claims.ref == "refs/remotes/x"')
    compared = compare(base, head, ("base", "head"), 20_000_000, AT)
    found = compared.gained.witnesses

    assert found
    assert all(one.written is None for one in found)
    view = ChangeView([compared], "base", "head", AcceptedResults())
    for write in (formats.text, formats.markdown, formats.html):
        assert UNLIKELY in write(view)
    documents = json.loads(formats.json_text(view))["policies"][0]["gained"]["witnesses"]
    assert [one["possible"] for one in documents] == [False] * len(found)
