"""
Ids that stand in for real ones.

What lives here: an id for a name, in the form that the issuer gives its ids.  Not here: when a
token needs one (`examples`).
"""

import hashlib

from .nearest import nearest
from .values import Values


def stand_in(values: Values, name: str) -> str:
    """
    Return an id for a name: always the same one, and another for another name.

    It has the form of the values: a number, a UUID, a commit, letters and digits, perhaps behind
    what all values begin with; where none of these is a value, letters and digits.
    """
    digest = hashlib.sha256(name.encode()).hexdigest()
    uuid = f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"
    number = str(1_000_000 + int(digest[:8], 16) % 900_000_000)
    forms = (number, uuid, f"{{{uuid}}}", digest[:40], digest[:12])
    found = next((one for one in forms if values.can_equal(one)), None)
    if found is None and not values.enum:
        found = nearest(values, digest[:12])
        found = found if found is not None and digest[:12] in found else None
    return digest[:12] if found is None else found
