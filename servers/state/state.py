"""
The state: the policy and the signing keys that a request is decided and signed with.

What lives here: the one value that is replaced as a whole, so that no request sees half of a
change.
Not here: where it comes from (`reloading`), and requests (`token.service`).
"""

from dataclasses import dataclass

from regauth.engine import Policy
from regauth.servers.signing.signer import Signer

from .stamps import FileStamp


@dataclass(frozen=True, slots=True)
class State:
    """What a request is decided and signed with; replaced as a whole."""

    policy: Policy
    signer: Signer
    shadow: Policy | None = None
    """The shadow policy, whose answer only the logs get."""
    files: frozenset[FileStamp] = frozenset()
    """The stamps of the files that it was loaded from, taken just before."""
