"""What pull secrets are called: names that Kubernetes takes, and that nobody shares."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from regauth.controller.naming import MAX_NAME, is_secret_name, secret_name

LABEL = r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?"
INSTANCES = st.one_of(st.just("default"), st.from_regex(r"[a-z0-9]([a-z0-9-]{0,6}[a-z0-9])?", fullmatch=True))  # fmt: skip
PARTS = ("pull-secret", "pull-secret-long", "mirror", "web", "web-mirror", "default")
ACCOUNTS = st.lists(
    st.one_of(st.from_regex(LABEL, fullmatch=True), st.sampled_from(PARTS)), min_size=1, max_size=5
).map(".".join)
SUBDOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
LONG = "a" * 240 + "." + "b" * 12


def test_a_name_tells_whose_secret_it_is() -> None:
    assert secret_name("builder") == "builder-pull-secret"
    assert secret_name("builder", "second") == "builder.second.pull-secret"


@settings(max_examples=500, deadline=None)
@given(ACCOUNTS, INSTANCES, ACCOUNTS, INSTANCES)
@example("web", "mirror", "web-mirror", "default")
@example("web.mirror", "default", "web", "mirror")
def test_k5_no_two_accounts_or_instances_share_a_name(
    one: str, of_one: str, other: str, of_other: str
) -> None:
    """`web` of the instance `mirror` had the name of `web-mirror` of the instance `default`."""
    same = (one, of_one) == (other, of_other)

    assert (secret_name(one, of_one) == secret_name(other, of_other)) is same


@settings(max_examples=200, deadline=None)
@given(ACCOUNTS, INSTANCES)
@example(LONG, "default")
@example(LONG, "second")
def test_a_name_is_known_as_one_of_its_instance_s(account: str, instance: str) -> None:
    name = secret_name(account, instance)
    others = (f"{name}-copy", "copy", f"{'a' * 32}.pull-secret-long")

    assert is_secret_name(name, instance)
    assert not is_secret_name(name, f"{instance}x")
    assert [False] * 3 == [is_secret_name(one, instance) for one in others]


@pytest.mark.parametrize("instance", ["default", "second", "i" * 32])
def test_k5_a_name_too_long_is_cut_and_stays_the_name_of_one_account(instance: str) -> None:
    """Not even an account that is called as the cut name begins has it."""
    cut = secret_name(LONG, instance)
    names = {
        secret_name(one, instance)
        for one in (LONG, LONG[:-1] + "c", "a" * 200, cut.removesuffix("-long"))
    } | {secret_name(cut.removesuffix(".pull-secret-long"), "default")}

    assert len(names) == 5
    assert all(len(name) <= MAX_NAME and SUBDOMAIN.fullmatch(name) for name in names)
