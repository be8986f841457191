"""
The forgeries there are, by name.

What lives here: the table of all.  Not here: how one is made (`forgery`).
"""

from collections.abc import Mapping
from typing import Final

from . import algorithm, claims, form, keys
from .forgery import Forgery, Material

__all__ = ["FORGERIES", "TABLES", "Forgery", "Material"]

TABLES: Final = (algorithm.FORGERIES, keys.FORGERIES, claims.FORGERIES, form.FORGERIES)
"""The tables of the modules."""

FORGERIES: Final[Mapping[str, Forgery]] = {one.name: one for table in TABLES for one in table}
"""Every forgery by its name."""
