"""
The known name that is most like a wrong one.

What lives here: the comparison, and the hint that messages show.  Not here: which names are known
(callers say so), and the likely value of a claim (`regauth.engine.issuers.nearest`).
"""

from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches
from typing import Final

MAX_LISTED: Final = 12
"""Known names that a hint lists when none of them is near."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like `name`, or None when none is near."""
    names = list(known)
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    # `get_close_matches` is case-sensitive: for it MAIN and main have no letter in common.
    close = close or [other for other in names if other.lower() == name.lower()]
    return close[0] if close else None


def likeness(one: str, other: str) -> float:
    """Return how alike two texts are, from 0 to 1; 1 is equal."""
    return SequenceMatcher(None, one, other).ratio()


def did_you_mean(name: str, known: Iterable[str], otherwise: str | None = None) -> str:
    """
    Return the hint for a name that is not known.

    Args:
        name: The name as it was written.
        known: The names there are.
        otherwise: The hint when none of them is near; without it, that lists the known names.
    """
    names = sorted(known)
    close = nearest(name, names)
    if close is not None:
        return f"did you mean `{close}`?"
    if otherwise is not None or not names:
        return otherwise or ""
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return "known here: " + ", ".join(f"`{one}`" for one in names[:MAX_LISTED]) + more
