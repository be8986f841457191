"""What the controller knows of the cluster's keys, answer by answer."""

from typing import cast

import pytest

from regauth.controller.observing.api_errors import ApiError
from regauth.controller.observing.cluster import Cluster, Object
from regauth.controller.observing.signing_keys import SigningKeys
from tests.controller.clocks import Clock


class Publishing:
    """An API server that publishes a document, or fails."""

    def __init__(self) -> None:
        self.answer: Object | ApiError = {}

    def get(self, _path: str) -> Object:
        if isinstance(self.answer, ApiError):
            raise self.answer
        return self.answer


@pytest.fixture
def api() -> Publishing:
    return Publishing()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(api: Publishing, clock: Clock) -> SigningKeys:
    return SigningKeys(cast("Cluster", api), clock.monotonic)


def published(*ids: str) -> Object:
    return {"keys": [{"kty": "RSA", "kid": one} for one in ids]}


def refresh(keys: SigningKeys, api: Publishing, clock: Clock, answer: Object | ApiError) -> bool:
    api.answer = answer
    clock.forward(hours=1)
    return keys.refresh()


def test_s1_an_empty_key_set_is_an_answer(keys: SigningKeys, api: Publishing, clock: Clock) -> None:
    changed = [
        refresh(keys, api, clock, answer)
        for answer in (published("a"), published(), published(), published("b"))
    ]

    assert changed == [False, True, False, True]
    assert keys.known == {"b"}


def test_s1_keys_in_use_stay_known_while_none_is_published(
    keys: SigningKeys, api: Publishing, clock: Clock
) -> None:
    refresh(keys, api, clock, published("a"))
    refresh(keys, api, clock, published())
    keys.seen("c")

    assert not refresh(keys, api, clock, published())
    assert keys.known == {"c"}


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"keys": None},
        {"keys": {}},
        {"keys": "a"},
        {"keys": [{"kty": "RSA"}]},
        {"keys": [{"kty": "RSA", "kid": "a"}, {"kty": "RSA"}]},
        {"keys": [{"kid": 7}]},
        {"keys": ["a"]},
        ApiError(403, "forbidden"),
        ApiError(404, "not found"),
    ],
    ids=str,
)
def test_what_does_not_tell_whose_a_token_is_leaves_the_keys_unknown(
    keys: SigningKeys, api: Publishing, clock: Clock, answer: Object | ApiError
) -> None:
    refresh(keys, api, clock, published("a"))

    assert not refresh(keys, api, clock, answer)
    assert keys.known is None


@pytest.mark.parametrize("status", [0, 429, 500, 503])
def test_an_outage_changes_nothing(
    keys: SigningKeys, api: Publishing, clock: Clock, status: int
) -> None:
    refresh(keys, api, clock, published("a"))

    assert not refresh(keys, api, clock, ApiError(status, "away"))
    assert keys.known == {"a"}


@pytest.mark.parametrize(("then", "changed"), [("a", False), ("b", True)])
def test_keys_that_changed_while_they_were_unknown_have_changed(
    keys: SigningKeys, api: Publishing, clock: Clock, then: str, changed: bool
) -> None:
    refresh(keys, api, clock, published("a"))
    refresh(keys, api, clock, ApiError(403, "forbidden"))
    refresh(keys, api, clock, ApiError(403, "forbidden"))

    assert refresh(keys, api, clock, published(then)) is changed
