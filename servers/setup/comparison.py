"""
A registry's configuration, compared with this server's.

What lives here: whether issuer, service, algorithm and trusted keys fit, and the exact remedy.
Not here: reading it (`regauth.servers.setup.registry_file`), and asking a live registry (`doctor`).
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509 import Certificate

from regauth.engine import SigningKey
from regauth.engine.source.foreign_text import quoted
from regauth.engine.tokens.algorithms import KeysError
from regauth.engine.tokens.jwks import parse_jwks
from regauth.engine.tokens.pem import load_certificates, parse_pem
from regauth.servers.configuration.settings import Settings, SigningSettings
from regauth.servers.signing.compat import FIRST_VERIFIERS
from regauth.servers.signing.signer import certified
from regauth.servers.state.state import State

from .findings import CheckResult, right, wrong
from .registry_file import RegistryConfiguration, RegistryKind


def compare(
    found: RegistryConfiguration, settings: Settings, state: State
) -> Iterator[CheckResult]:
    """
    Compare a registry's configuration with this server, and yield findings.

    Args:
        found: The registry's configuration.
        settings: This server's.
        state: Its policy and keys.
    """
    yield right(f"the configuration is {found.kind}'s")
    if found.issuer is not None:
        yield _compare_issuer(found, settings)
    if found.service and found.service not in state.policy.services:
        yield wrong(
            f"the registry's service is {quoted(found.service)}; the policy does not answer for it",
            f"add {quoted(found.service)} to `services` in the policy",
        )
    yield from _compare_algorithm(found, state.signer.key)
    if found.kind is RegistryKind.ZOT:
        yield from _compare_zot(found, state.signer.key)
        return
    if found.certificates is not None:
        yield _compare_bundle(found, found.certificates, settings.signing, state.signer.key)
    if found.key_set is not None:
        yield _compare_key_set(found, found.key_set, state.signer.key)


def _names(found: RegistryConfiguration) -> tuple[str, str, str]:
    """Return the registry's own names for the issuer, the certificates and the key set."""
    if found.kind is RegistryKind.PROXY:
        return "token.issuer", "rootCertBundle", "jwksFile"
    return "auth.token.issuer", "rootcertbundle", "jwks"


def _compare_issuer(found: RegistryConfiguration, settings: Settings) -> CheckResult:
    if found.issuer == settings.issuer:
        return right(f"the registry's issuer is ours, {quoted(settings.issuer)}")
    return wrong(
        f"the registry's `{_names(found)[0]}` is {quoted(found.issuer or '')}, ours is "
        f"{quoted(settings.issuer)}",
        "make them the same, letter for letter",
    )


def _compare_algorithm(found: RegistryConfiguration, key: SigningKey) -> Iterator[CheckResult]:
    if found.algorithms is None:
        return
    listed = ", ".join(map(quoted, found.algorithms))
    if key.algorithm in found.algorithms:
        yield right(f"the registry's `signingalgorithms` have our {key.algorithm}")
        return
    known = next((one for one in found.algorithms if one in (*FIRST_VERIFIERS, "EdDSA")), None)
    other = f", or make a key for {known}: `token-server keys rotate KEYS --algorithm {known}`"
    yield wrong(
        f"the registry's `signingalgorithms` are {listed}; our key signs with {key.algorithm}",
        f"add {key.algorithm} to `auth.token.signingalgorithms` and restart the registry"
        + (other if known else ""),
    )


def _compare_zot(found: RegistryConfiguration, key: SigningKey) -> Iterator[CheckResult]:
    yield wrong(
        "zot checks neither the `aud` of a token nor the source of a mount: whoever has a token "
        "for one repository reads the blobs of every other",
        "take `http.auth.bearer` out of zot, put registry-auth-proxy before it, and let nobody "
        "else reach zot",
    )
    file = found.certificates
    if file is None:
        yield wrong("zot's `http.auth.bearer` names no `cert`", "name our key's certificate there")
        return
    try:
        known = parse_pem(file.read_bytes()).keys
    except OSError as error:
        yield wrong(f"zot's `cert` {file} cannot be read: {error.strerror}", "correct its path")
        return
    except KeysError as error:
        yield wrong(f"zot's `cert` {file} holds no key: {error}", "put our key's certificate there")
        return
    if known and known[0].material == key.public_key:
        yield right(f"{file} holds our key's own certificate; each rotation needs another there")
        return
    yield wrong(
        f"{file} does not hold our key's own certificate, and zot follows no authority",
        "copy the current key's .crt of the key folder there and restart zot, now and after each "
        "`token-server keys rotate`",
    )


def _compare_bundle(
    found: RegistryConfiguration, file: Path, signing: SigningSettings, key: SigningKey
) -> CheckResult:
    try:
        trusted = load_certificates(file.read_bytes())
    except OSError as error:
        return wrong(
            f"the registry's {_names(found)[1]} {file} cannot be read: {error.strerror}",
            "correct its path, or run the doctor where the registry runs",
        )
    except KeysError as error:
        return wrong(
            f"the registry's {_names(found)[1]} cannot be read: {error}",
            "copy root.crt of the key folder there and restart the registry",
        )
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


def _compare_key_set(found: RegistryConfiguration, file: Path, key: SigningKey) -> CheckResult:
    try:
        known = {one.key_id for one in parse_jwks(file.read_bytes()).keys}
    except (OSError, KeysError) as error:
        return wrong(
            f"the registry's {_names(found)[2]} cannot be read: {error}", "correct its path"
        )
    if key.key_id in known:
        return right(f"{file} holds our key")
    return wrong(
        f"{file} does not hold our key {quoted(key.key_id or '')}",
        "copy jwks.json of the key folder there and restart the registry",
    )
