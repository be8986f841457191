"""
A registry's configuration file, compared with this server's.

What lives here: `auth: token:` of Distribution (docs/about/configuration.md), the files it trusts,
and what the doctor finds.  What must not: asking a live registry (`regauth.servers.setup.doctor`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509 import Certificate

from regauth.engine import Problems, SigningKey
from regauth.engine.source.nodes import MappingNode, parse
from regauth.engine.tokens.jwks import parse_jwks
from regauth.engine.tokens.keys import KeysError
from regauth.engine.tokens.pem import load_certificates
from regauth.servers.configuration.settings import Settings, SigningSettings
from regauth.servers.signing.signer import certified
from regauth.servers.state.state import State


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: whether it is right, and what to do when it is not."""

    right: bool
    fact: str
    remedy: str = ""


def right(fact: str) -> Finding:
    """Say what is as it must be."""
    return Finding(right=True, fact=fact)


def wrong(fact: str, remedy: str) -> Finding:
    """Say what is not, and what to do about it."""
    return Finding(right=False, fact=fact, remedy=remedy)


def compare_file(file: Path, settings: Settings, state: State) -> Iterator[Finding]:
    """
    Compare a Distribution configuration file with ours, and yield what was found.

    Args:
        file: The registry's file.
        settings: This server's configuration.
        state: Its policy and keys.
    """
    token = _token_section(file)
    if token is None:
        yield wrong(f"{file} has no `auth: token:`", "configure it in the registry")
        return
    issuer = token.get("issuer")
    if issuer == settings.issuer:
        yield right(f"the registry's issuer is ours, {issuer!r}")
    else:
        yield wrong(
            f"the registry's `auth.token.issuer` is {issuer!r}, ours is {settings.issuer!r}",
            "make them the same, letter for letter",
        )
    bundle, key_set = token.get("rootcertbundle"), token.get("jwks")
    if isinstance(bundle, str) and bundle:
        yield _compare_bundle(Path(bundle), settings.signing, state.signer.key)
    if isinstance(key_set, str) and key_set:
        yield _compare_key_set(Path(key_set), state.signer.key)


def _token_section(file: Path) -> Mapping[str, object] | None:
    try:
        node = parse(file.read_text(encoding="utf-8"), str(file), Problems())
    except (OSError, UnicodeDecodeError):
        return None
    for name in ("auth", "token"):
        node = node.get(name) if isinstance(node, MappingNode) else None
    plain = node.plain() if node is not None else None
    return plain if isinstance(plain, dict) else None


def _compare_bundle(file: Path, signing: SigningSettings, key: SigningKey) -> Finding:
    try:
        trusted = load_certificates(file.read_bytes())
    except (OSError, KeysError) as error:
        return wrong(f"the registry's rootcertbundle cannot be read: {error}", "correct its path")
    if any(one.public_key() == key.public_key for one in trusted):
        return right(f"{file} holds our key's own certificate")
    full = certified(signing, key, datetime.now(UTC))
    if full is None:
        return wrong(
            f"{file} does not hold our key's certificate, and our tokens carry none",
            "put the key's own certificate there and restart the registry",
        )
    if not any(_issued(full.x5c[-1], authority) for authority in trusted):
        return wrong(
            f"{file} holds neither our key's certificate nor its authority's",
            "copy root.crt of the key folder there and restart the registry",
        )
    if not key.x5c:
        return wrong(
            f"{file} holds the authority of our certificates, but our tokens carry none",
            "say `signing: {x5c: true}` in server.yaml",
        )
    return right(f"{file} holds the authority of our certificates")


def _issued(certificate: Certificate, authority: Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, UnsupportedAlgorithm, TypeError, ValueError):
        return False
    return True


def _compare_key_set(file: Path, key: SigningKey) -> Finding:
    try:
        known = {one.key_id for one in parse_jwks(file.read_bytes()).keys}
    except (OSError, KeysError) as error:
        return wrong(f"the registry's jwks cannot be read: {error}", "correct its path")
    if key.key_id in known:
        return right(f"{file} holds our key")
    return wrong(
        f"{file} does not hold our key {key.key_id!r}",
        "copy jwks.json of the key folder there and restart the registry",
    )
