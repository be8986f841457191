"""
The forgeries there are, by name.

What lives here: the table of all groups.  What must not: how one is made (`forgeries_*`).
"""

from collections.abc import Mapping
from typing import Final

from . import algorithm as forgeries_algorithm
from . import claims as forgeries_claims
from . import form as forgeries_form
from . import keys as forgeries_keys
from .forgery import Forgery, Material, registered

__all__ = ["FORGERIES", "GROUPS", "Forgery", "Material"]

GROUPS: Final = {
    module.__name__.rpartition("_")[2]: module
    for module in (forgeries_algorithm, forgeries_keys, forgeries_claims, forgeries_form)
}
"""The modules the forgeries are in."""

FORGERIES: Final[Mapping[str, Forgery]] = registered()
"""Every forgery by name."""
