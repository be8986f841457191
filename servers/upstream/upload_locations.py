"""
Upload sessions whose addresses are not of the specification's form.

What lives here: such an address of the upstream, sealed into a session's name in that form, and
back.  Not here: which requests may be sent there, and what becomes of any other address in an
answer (`registry`).

An upload's Location is the registry's own affair (OCI Distribution Spec 1.1, "Pushing blobs"):
GitHub's is `/v2/NAME/blobs/upload/ID`, Google's `/artifacts-uploads/.../uploads/ID`.  A client gets
`/v2/NAME/blobs/uploads/SEALED`, which is decided like any other upload to NAME.  The seal keeps
clients from naming an address of their own, and one repository's session from being another's.
"""

import base64
import hashlib
import hmac
import os
import re
from pathlib import Path
from typing import Final

from regauth.engine.source.startup import StartupError

MIN_KEY: Final = 32
"""The fewest bytes in a key's file."""

MAX_KEY: Final = 4096
"""The most bytes in a key's file.  No secret is longer, and a wrong file often is."""

MAX_SEALED: Final = 1000
"""Characters in a sealed session, within those of a session's name."""

_PATH: Final = re.compile(r"(?:/(?!\.{1,2}/)[A-Za-z0-9._~:=+-]+)+/uploads?/[A-Za-z0-9._~:=+-]+")
_QUERY: Final = re.compile(r"[!$&-:=?@A-Z_a-z~%]*")
_MAC: Final = 16


class UploadKeyError(StartupError):
    """The key for sealing cannot be used; the operator's fault."""


def read_key(file: Path) -> bytes:
    """
    Read the key that several proxies share.

    Raises:
        UploadKeyError: The file cannot be read, or is too short or too long to be a key.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_KEY + 1).strip()
    except OSError as error:
        raise UploadKeyError(f"the upload key {file} cannot be read: {error.strerror}") from error
    if not MIN_KEY <= len(content) <= MAX_KEY:
        raise UploadKeyError(
            f"the upload key {file} has not {MIN_KEY} to {MAX_KEY} bytes; "
            "make one with `openssl rand -base64 48`"
        )
    return hashlib.sha256(b"upload sessions\n" + content).digest()


class SealedLocations:
    """
    Seals addresses.  Safe to use from many threads.

    Args:
        upstream: The only registry whose addresses are sealed.
        key: What it seals with; by default one that lives as long as the process.
    """

    def __init__(self, upstream: str, key: bytes | None = None) -> None:
        self._upstream = upstream
        self._key = key or os.urandom(32)

    def seal(self, name: str, path: str, query: str) -> str | None:
        """Return the session in a repository that stands for an address, if it is an upload's."""
        last = path.rpartition("/")[2]
        if _PATH.fullmatch(path) is None or _QUERY.fullmatch(query) is None or last in (".", ".."):
            return None
        target = f"{path}?{query}" if query else path
        sealed = f"{_encode(target.encode())}.{_encode(self._mac(name, target))}"
        return sealed if len(sealed) <= MAX_SEALED else None

    def open(self, name: str, session: str) -> str | None:
        """Return the address that a session stands for; None for one that is not sealed."""
        content, dot, mac = session.partition(".")
        if not dot:
            return None
        try:
            target = _decode(content).decode()
            # In constant time: a comparison that stops early tells a client how many bytes it has
            # guessed.
            good = hmac.compare_digest(_decode(mac), self._mac(name, target))
        except ValueError:
            return None
        return target if good else None

    def _mac(self, name: str, target: str) -> bytes:
        return hmac.digest(
            # The repository is a part: a session of one repository must not serve in another.
            self._key,
            f"{self._upstream}\n{name}\n{target}".encode(),
            hashlib.sha256,
        )[:_MAC]


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
