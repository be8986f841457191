"""
The key folder: a token server's signing keys on disk.

What lives here: the folder's layout, and making, changing and reading what is in it.
Not here: which of a key's forms a token carries (`regauth.servers.signing.signer`).

    root.key  root.crt    the private authority; `root.crt` is the registry's `rootcertbundle`
    NAME.key  NAME.crt    a signing key and its certificate; names are times and sort by age
    current               the name of the key that signs
    jwks.json             all signing keys' public halves, for registries that take a JWK set

Files are written beside their place and moved into it, a certificate before its key and all before
`current`, so that a server which reads the folder at any moment finds it whole.
"""

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509

from regauth.engine.source.startup import StartupError
from regauth.engine.tokens.algorithms import KeysError
from regauth.engine.tokens.jwks import jwks
from regauth.engine.tokens.key_ids import key_id
from regauth.engine.tokens.keys import PrivateKey, algorithms_of
from regauth.engine.tokens.pem import load_certificates, load_private_key

from .certificates import (
    Authority,
    certificate_pem,
    make_authority,
    make_key,
    make_leaf,
    private_pem,
)

ROOT_LIFE: Final = timedelta(days=3650)
LEAF_LIFE: Final = timedelta(days=397)
_NAME: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z(?:-[0-9]+)?", re.ASCII)


class KeyFolderError(StartupError):
    """A key folder cannot be used or changed; the message says which file and why."""


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A signing key of the folder with its certificate chain, its own first, without the root."""

    name: str
    key: PrivateKey
    chain: tuple[x509.Certificate, ...]


@dataclass(frozen=True, slots=True)
class StoredKeys:
    """All signing keys of a folder: the current one, and the others from young to old."""

    current: StoredKey
    others: tuple[StoredKey, ...]

    @property
    def all(self) -> tuple[StoredKey, ...]:
        """Every key, the current one first."""
        return (self.current, *self.others)


def create(folder: Path, algorithm: str, now: datetime, life: timedelta = LEAF_LIFE) -> StoredKeys:
    """
    Make a key folder with an authority and a first signing key.

    Raises:
        KeyFolderError: There is one already, or it cannot be written.
    """
    if (folder / "root.crt").exists() or (folder / "current").exists():
        raise KeyFolderError(
            f"{folder} has keys already; `token-server keys rotate` replaces the signing key"
        )
    authority = make_authority("token-server root", now, ROOT_LIFE)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_file(folder / "root.key", private_pem(authority.key), secret=True)
        write_file(folder / "root.crt", certificate_pem(authority.certificate))
    except OSError as error:
        raise _unwritable(folder, error) from error
    return rotate(folder, algorithm, now, life)


def rotate(folder: Path, algorithm: str, now: datetime, life: timedelta = LEAF_LIFE) -> StoredKeys:
    """
    Add a signing key, signed by the folder's authority, and make it the current one.

    The keys before it stay, so that tokens they signed are still known.

    Raises:
        KeyFolderError: The folder has no authority, or cannot be written.
    """
    authority = _authority(folder)
    key = make_key(algorithm)
    name = _free_name(folder, now)
    leaf = make_leaf(authority, key.public_key(), "token-server signing key", now, life)
    try:
        # The order lets a server read at any moment: certificate, key, published set, and last the
        # name that makes the key current.  A registry thus knows a key before a token is signed
        # with it.
        write_file(folder / f"{name}.crt", certificate_pem(leaf))
        write_file(folder / f"{name}.key", private_pem(key), secret=True)
        write_file(folder / "jwks.json", _jwks_text(_stored(folder)))
        write_file(folder / "current", f"{name}\n".encode())
    except OSError as error:
        raise _unwritable(folder, error) from error
    return read(folder)


def retire(folder: Path, before: datetime) -> tuple[str, ...]:
    """
    Remove the keys made before a moment, but never the current one; return their names.

    Raises:
        KeyFolderError: The folder cannot be read or written.
    """
    stored = read(folder)
    old = tuple(one for one in stored.others if _made(one.name) < before)
    kept = tuple(one for one in stored.all if one not in old)
    try:
        # The set comes first: a key must not be published whose file is gone.
        write_file(folder / "jwks.json", _jwks_text(kept))
        for one in old:
            (folder / f"{one.name}.key").unlink()
            (folder / f"{one.name}.crt").unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error
    return tuple(one.name for one in old)


def read(folder: Path) -> StoredKeys:
    """
    Read a folder's signing keys.

    Raises:
        KeyFolderError: One of them cannot be used, or none is the current one.
    """
    try:
        current = (folder / "current").read_text(encoding="ascii").strip()
        stored = _stored(folder)
    except (OSError, UnicodeDecodeError) as error:
        raise KeyFolderError(
            f"{folder} is not a key folder; `token-server keys new {folder}` makes one"
        ) from error
    for one in stored:
        # Only a name of the list is compared, so `current` can never lead to another path.
        if one.name == current:
            return StoredKeys(one, tuple(other for other in stored if other is not one))
    raise KeyFolderError(
        f"{folder / 'current'} names the key {current[:100]!r}, which is not there"
    )


def _stored(folder: Path) -> list[StoredKey]:
    """Read all signing keys, from young to old."""
    names = sorted((path.stem for path in folder.glob("*.key")), reverse=True)
    return [_read_key(folder, name) for name in names if _NAME.fullmatch(name)]


def _read_key(folder: Path, name: str) -> StoredKey:
    try:
        key = load_private_key((folder / f"{name}.key").read_bytes())
        chain = load_certificates((folder / f"{name}.crt").read_bytes())
    except (OSError, KeysError) as error:
        raise KeyFolderError(f"{folder / name} cannot be used: {_why(error)}") from error
    return StoredKey(name, key, chain)


def _authority(folder: Path) -> Authority:
    try:
        key = load_private_key((folder / "root.key").read_bytes())
        certificate = load_certificates((folder / "root.crt").read_bytes())[0]
    except (OSError, KeysError) as error:
        raise KeyFolderError(
            f"{folder} has no usable root.key and root.crt: {_why(error)}"
        ) from error
    return Authority(key, certificate)


def _free_name(folder: Path, now: datetime) -> str:
    base = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    name, number = base, 1
    while (folder / f"{name}.key").exists():
        number += 1
        name = f"{base}-{number}"
    return name


def _made(name: str) -> datetime:
    return datetime.strptime(name[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def _jwks_text(keys: Sequence[StoredKey]) -> bytes:
    """Publish each key under both of the ids that registries know keys by."""
    entries = []
    for one in keys:
        public = one.key.public_key()
        algorithm = algorithms_of(public)[0]
        entries += [
            (public, key_id(public, "libtrust"), algorithm),
            (public, key_id(public, "rfc7638"), algorithm),
        ]
    return json.dumps(jwks(entries), indent=2).encode() + b"\n"


def write_file(path: Path, data: bytes, *, secret: bool = False) -> None:
    """
    Write a file as a whole or not at all; only the owner may read a secret one.

    Raises:
        OSError: It cannot be written; the earlier file is then unchanged.
    """
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    # `O_EXCL` does not follow a link that somebody put there.  The mode is set at creation, so the
    # key is never readable by others.
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if secret else 0o644)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            # Without this, a power failure after the rename could leave an empty file.
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def _unwritable(folder: Path, error: OSError) -> KeyFolderError:
    return KeyFolderError(f"{folder} cannot be written: {_why(error)}")


def _why(error: OSError | KeysError) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)
