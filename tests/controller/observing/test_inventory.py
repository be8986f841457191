"""What the inventory takes for the newest state of an object."""

import pytest

from regauth.controller.observing.inventory import ACCOUNTS, Inventory, entry
from regauth.controller.observing.observed import Account, AccountKey

KEY = AccountKey("team-a", "builder")


def account(version: int, uid: str = "uid") -> dict[str, object]:
    return {
        "metadata": {
            "namespace": "team-a", "name": "builder", "uid": uid, "resourceVersion": str(version),
        },
    }  # fmt: skip


def known(inventory: Inventory) -> Account | None:
    return inventory.observed(KEY, None).account


def test_a_list_does_not_take_back_a_later_write_of_ours() -> None:
    inventory = Inventory("default")
    inventory.put(ACCOUNTS, account(20, "new"))
    inventory.replace(ACCOUNTS, [entry(ACCOUNTS, account(10, "old"))], "10")

    assert (found := known(inventory)) is not None
    assert found.uid == "new"


@pytest.mark.parametrize("there", [True, False])
def test_k12_after_a_restore_the_older_state_counts(there: bool) -> None:
    """Otherwise the controller would plan for a cluster that is no more."""
    inventory = Inventory("default")
    inventory.put(ACCOUNTS, account(20, "new"))
    concerned = inventory.replace(
        ACCOUNTS, [entry(ACCOUNTS, account(10, "old"))] if there else [], "10", restored=True
    )
    found = known(inventory)

    assert concerned == {KEY}
    assert (found.uid if found else None) == ("old" if there else None)
