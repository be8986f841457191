"""
Signature algorithms by name.

What lives here: the names, and the error of unusable keys, for modules that handle no key: the
cryptography library takes long to load.  Not here: which key fits which algorithm (`keys`).
"""

from typing import Final

ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512"),
    *("PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512"),
    "EdDSA",
)
"""The signature algorithms there are here: the asymmetric ones of RFC 7518 and RFC 8037."""


class KeysError(ValueError):
    """Text that should hold keys holds none that can be used; the message says why."""
