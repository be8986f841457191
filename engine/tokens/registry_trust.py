"""
Registry tokens as a registry verifies them: signature, issuer, audience, times, access.

What lives here: what Distribution's `token` access controller checks
(`registry/auth/token/token.go`), for tokens of any server that speaks its protocol.
Not here: making such tokens (`regauth.engine.tokens.registry_token`), and what a request needs
(`regauth.servers.proxy.gate`).
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from msgspec.structs import replace

from regauth.engine.access.outcomes import Reason
from regauth.engine.access.scope import Access, Resource
from regauth.engine.source import strictjson

from . import jwt
from .algorithms import ALGORITHMS, KeysError
from .jwt import Claims, MalformedTokenError, UnverifiedToken
from .key_ids import known_ids
from .keys import Key, KeySet, PublicKey, algorithms_of
from .pem import load_certificates
from .workload_claim import DEFERRED, WORKLOAD, Workload, read_workload

LEEWAY: Final = timedelta(seconds=60)
"""How far a clock may be wrong, as in Distribution."""

MAX_TOKEN_LENGTH: Final = 64 * 1024
"""Characters; a token may carry the claims of another, and a registry's headers have no more."""

MAX_DEPTH: Final = strictjson.MAX_DEPTH + 2
"""How deep its claims may nest: those of another token stand in `workload.claims`."""

MAX_CHAIN: Final = 8
"""Certificates in a token's `x5c`."""

_LATEST: Final = 253_402_300_800  # the year 10000, where datetime ends
_UNREADABLE: Final = (
    *(ValueError, UnsupportedAlgorithm, x509.InvalidVersion),  # a KeysError is a ValueError
    *(x509.DuplicateExtension, x509.UnsupportedGeneralNameType),
)
"""What cryptography raises for a malformed certificate, at once or when a part is read."""

_KNOWN_CRITICAL: Final = (
    x509.BasicConstraints,
    x509.KeyUsage,
    x509.ExtendedKeyUsage,
    x509.SubjectAlternativeName,
)
"""
Critical extensions that are understood.  A certificate with another one must be refused, because
what it forbids is not known (RFC 5280, section 4.2).
"""


@dataclass(frozen=True, slots=True)
class RegistryTrust:
    """
    Whose tokens are accepted.

    `issuer` and `service` are compared byte by byte.  With roots, a token that brings
    certificates is verified by them and by nothing else.
    """

    issuer: str
    service: str
    roots: tuple[x509.Certificate, ...] = ()
    keys: KeySet = field(default_factory=KeySet)
    algorithms: tuple[str, ...] = ALGORITHMS

    def __post_init__(self) -> None:
        if not self.issuer or not self.service:
            raise ValueError("tokens need an issuer and a service to be compared with")


@dataclass(frozen=True, slots=True)
class RegistryToken:
    """A verified token: whose it is, until when, and what it gives."""

    subject: str
    expires: datetime
    access: Mapping[Resource, frozenset[str]]
    workload: Workload | None = None
    deferred: Mapping[Resource, frozenset[str]] = field(default_factory=dict)
    """What the workload may be given once the request shows its tag or digest, by class too."""
    id: str = ""

    def allows(self, access: Access) -> bool:
        """Tell whether the token gives an access; `*` among its actions is every action."""
        # Without a class, because registries ignore the class in a token's `access` (distribution
        # registry/auth/token/accesscontroller.go, `newAccessSet`).
        resource = Resource(access.resource.type, access.resource.name)
        actions = self.access.get(resource, frozenset())
        return access.action in actions or "*" in actions

    def open(self, access: Access) -> tuple[Access, ...]:
        """
        Return the accesses that the token leaves open and of which each is enough for this one.

        A request names no class, and a registry takes a token for one class as one for the name.
        """
        return tuple(
            replace(access, resource=resource)
            for resource, actions in self.deferred.items()
            if (resource.type, resource.name) == (access.resource.type, access.resource.name)
            and access.action in actions
        )


def read_root_bundle(data: bytes) -> tuple[tuple[x509.Certificate, ...], KeySet]:
    """
    Read a `rootcertbundle`: its certificates, and their keys by every id that servers compute.

    Raises:
        KeysError: It holds no certificate, or one whose key cannot verify tokens.
    """
    certificates = load_certificates(data)
    keys: list[Key] = []
    for certificate in certificates:
        material = certificate.public_key()
        if not isinstance(material, PublicKey):
            raise KeysError("a certificate's key is of a kind that is not supported")
        algorithms = algorithms_of(material)
        keys += [Key(material, algorithms, one) for one in known_ids(material)]
    return certificates, KeySet(tuple(keys))


def verify_registry_token(text: str, trust: RegistryTrust, now: datetime) -> RegistryToken | Reason:
    """
    Verify a token and return what it gives, or why it is refused.

    Args:
        text: The token, as it came.
        trust: Whose tokens are good.
        now: The time, with its zone.
    """
    try:
        token = jwt.parse(text, max_length=MAX_TOKEN_LENGTH, max_depth=MAX_DEPTH)
    except MalformedTokenError as error:
        return error.reason
    claims = _signed(token, trust, now)
    if isinstance(claims, Reason):
        return claims
    reason = _claims(claims, trust, now)
    if reason is not None:
        return reason
    access = _access(claims.get("access"))
    if access is None:
        return Reason.MALFORMED_TOKEN
    expires = datetime.fromtimestamp(_number(claims.get("exp")) or 0, tz=now.tzinfo)
    return RegistryToken(
        _text(claims.get("sub")),
        expires,
        access,
        read_workload(claims.get(WORKLOAD)),
        _access(claims.get(DEFERRED), classes=True) or {},
        _text(claims.get("jti")),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def unknown_key_id(text: str, keys: KeySet) -> str | None:
    """Return the key id a token names if none of the keys has it: the keys may be old."""
    try:
        token = jwt.parse(text, max_length=MAX_TOKEN_LENGTH, max_depth=MAX_DEPTH)
    except MalformedTokenError:
        return None
    return token.key_id if token.key_id is not None and not keys.named(token.key_id) else None


def _signed(token: UnverifiedToken, trust: RegistryTrust, now: datetime) -> Claims | Reason:
    if token.certificates and trust.roots:
        leaf = _trusted_leaf(token.certificates, trust.roots, now)
        if leaf is None:
            return Reason.UNKNOWN_KEY
        keys = KeySet((leaf,))
    # Distribution refuses a token without `kid` and `x5c`.  To try all keys would accept more than
    # the registry does.
    elif token.key_id is None:
        return Reason.UNKNOWN_KEY
    else:
        keys = KeySet(tuple(key for key in trust.keys.named(token.key_id) if key.key_id))
    return jwt.verify(token, keys, trust.algorithms)


def _claims(claims: Claims, trust: RegistryTrust, now: datetime) -> Reason | None:
    if claims.get("iss") != trust.issuer:
        return Reason.WRONG_ISSUER
    audience = claims.get("aud")
    # `in` on a string would accept a part of the service's name, so the list is checked first.
    if audience != trust.service and not (isinstance(audience, list) and trust.service in audience):
        return Reason.WRONG_AUDIENCE
    expires, begins = _number(claims.get("exp")), _number(claims.get("nbf", 0))
    if expires is None or begins is None:
        return Reason.MALFORMED_TOKEN
    moment, leeway = now.timestamp(), LEEWAY.total_seconds()
    # A token without `exp` was refused above: it would be valid for ever.
    if moment >= expires + leeway:
        return Reason.EXPIRED
    return Reason.NOT_YET_VALID if moment < begins - leeway else None


def _number(value: object) -> float | None:
    """Read a NumericDate of the years 1970 to 9999."""
    # `type`, because a bool is an int to Python: `exp: true` would be the year 1970.
    if type(value) not in (int, float):
        return None
    return value if 0 <= value < _LATEST else None  # type: ignore[operator,return-value]  # mypy does not narrow by `type(...) not in`


def _access(value: object, *, classes: bool = False) -> Mapping[Resource, frozenset[str]] | None:
    """Read `access` (distribution docs/spec/auth/jwt.md); None when it is malformed."""
    if value is None:
        return {}
    if not isinstance(value, list):
        return None
    found: dict[Resource, frozenset[str]] = {}
    for entry in value:
        kind, name, actions = (
            (entry.get("type"), entry.get("name"), entry.get("actions"))
            if isinstance(entry, dict)
            else (None, None, None)
        )
        if not isinstance(kind, str) or not isinstance(name, str):
            return None
        if not isinstance(actions, list | None) or not all(
            isinstance(one, str) for one in actions or ()
        ):
            return None
        class_ = entry.get("class", "") if classes else ""
        if not isinstance(class_, str):
            return None
        resource = Resource(kind, name, class_)
        found[resource] = found.get(resource, frozenset()).union(actions or ())
    return found


def _trusted_leaf(
    texts: Sequence[str], roots: Sequence[x509.Certificate], now: datetime
) -> Key | None:
    """
    Return the key of the first certificate if a root leads to it (RFC 5280, section 6.1).

    The chain is taken in the order it came in; any extended key usage will do, as it does for
    Distribution.  A leaf that is a root itself is trusted.
    """
    if len(texts) > MAX_CHAIN:  # first: what is not parsed costs nothing
        return None
    try:
        # `validate`: without it Python skips characters outside the alphabet, and one chain has
        # many texts.
        chain = [
            x509.load_der_x509_certificate(base64.b64decode(one, validate=True)) for one in texts
        ]
        # The dates come before the signatures, which cost far more.
        if not all(_current(one, now) for one in chain):
            return None
        if not _root_leads_to_leaf(chain, roots, now):
            return None
        material = chain[0].public_key()
        if not isinstance(material, PublicKey):
            return None
        return Key(material, algorithms_of(material))
    except _UNREADABLE:
        return None


def _root_leads_to_leaf(
    chain: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], now: datetime
) -> bool:
    """
    Verify a chain from a root down to its leaf.

    The order is what keeps this cheap: anybody may send a chain, and a signature is verified by
    the key of a root or of a certificate that a root leads to, never by a stranger's key.
    """
    tops = (at for at, one in enumerate(chain) if _is_below_root(one, at, roots, now))
    top = next(tops, None)
    if top is None:
        return False
    return all(
        _may_issue(chain[at], at - 1) and _issued(chain[at - 1], chain[at])
        for at in range(top, 0, -1)
    )


def _is_below_root(
    certificate: x509.Certificate, below: int, roots: Sequence[x509.Certificate], now: datetime
) -> bool:
    """Whether a certificate with so many others below it is a root, or a root has issued it."""
    if certificate in roots:
        return True
    return any(
        certificate.issuer == root.subject
        and _current(root, now)
        and _may_issue(root, below)
        and _issued(certificate, root)
        for root in roots
    )


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Verify a certificate's signature; the issuer is trusted, and its key of a size we accept."""
    try:
        # The size of the issuer's key bounds the time of a verification.
        algorithms_of(issuer.public_key())  # type: ignore[arg-type]  # others are no RSA keys
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _current(certificate: x509.Certificate, now: datetime) -> bool:
    """Whether a certificate is valid now and has no critical extension that is not understood."""
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        return False
    return all(
        isinstance(extension.value, _KNOWN_CRITICAL)
        for extension in certificate.extensions
        if extension.critical
    )


def _may_issue(certificate: x509.Certificate, between: int) -> bool:
    """Whether a certificate may issue others, with so many authorities below it."""
    extensions = certificate.extensions
    try:
        constraints = extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return False
    if not constraints.ca or (
        constraints.path_length is not None and constraints.path_length < between
    ):
        return False
    try:
        return extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound:
        return True
