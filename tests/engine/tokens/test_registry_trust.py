"""Registry tokens are verified as Distribution verifies them, and everything odd is refused."""

import base64
import json
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from regauth.engine.access.outcomes import Reason
from regauth.engine.access.scope import Access, Resource
from regauth.engine.tokens import base64url, json_text, jwt
from regauth.engine.tokens.algorithms import KeysError
from regauth.engine.tokens.jwks import jwks, parse_jwks
from regauth.engine.tokens.key_ids import key_id, known_ids
from regauth.engine.tokens.keys import KeySet, PrivateKey, SigningKey, algorithms_of
from regauth.engine.tokens.registry_trust import (
    RegistryToken,
    RegistryTrust,
    read_root_bundle,
    unknown_key_id,
    verify_registry_token,
)
from regauth.servers.signing.certificates import (
    Authority,
    certificate_pem,
    make_authority,
    make_key,
    make_leaf,
)

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
ISSUER, SERVICE = "registry-token-issuer", "registry.example.com"
PULL_PUSH = [{"type": "repository", "name": "acme/app", "actions": ["pull", "push"]}]

KEY = make_key("ES256")
OTHER = make_key("ES256")
AUTHORITY = make_authority("authority", NOW, DAY)
LEAF = make_leaf(AUTHORITY, KEY.public_key(), "leaf", NOW, DAY)


def claims(**changes: object) -> dict[str, object]:
    issued = int(NOW.timestamp())
    given: dict[str, object] = {
        "iss": ISSUER,
        "aud": SERVICE,
        "sub": "someone",
        "exp": issued + 300,
        "nbf": issued,
        "access": PULL_PUSH,
        **changes,
    }
    return {name: value for name, value in given.items() if value is not None}


def by_roots(*authorities: x509.Certificate) -> RegistryTrust:
    roots, keys = read_root_bundle(certificate_pem(*(authorities or (AUTHORITY.certificate,))))
    return RegistryTrust(ISSUER, SERVICE, roots, keys)


def by_key(kid: str = "k1") -> RegistryTrust:
    return RegistryTrust(ISSUER, SERVICE, keys=parse_jwks(jwks([(KEY.public_key(), kid, "ES256")])))


def signed(key_id: str | None = None, *chain: x509.Certificate, **changes: object) -> str:
    return jwt.sign(claims(**changes), SigningKey(KEY, "ES256", key_id, chain))


def intermediate(name: str, path_length: int | None, above: Authority = AUTHORITY) -> Authority:
    """An authority below another one."""
    key = make_key("ES256")
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(above.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .sign(above.key, hashes.SHA256())
    )
    return Authority(key, certificate)


def open_root(key: PrivateKey | None = None) -> Authority:
    """A root that admits authorities below it."""
    key = key or make_key("ES256")
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "open root")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Authority(key, certificate)


def test_a_token_with_a_chain_to_a_root_gives_its_access() -> None:
    found = verify_registry_token(signed("unknown", LEAF), by_roots(), NOW)

    assert isinstance(found, RegistryToken)
    assert (found.subject, found.expires) == ("someone", NOW + timedelta(seconds=300))
    for action in ("pull", "push"):
        assert found.allows(Access(Resource("repository", "acme/app"), action))
    assert not found.allows(Access(Resource("repository", "acme/app"), "delete"))
    assert not found.allows(Access(Resource("repository", "acme/other"), "pull"))
    assert not found.allows(Access(Resource("registry", "acme/app"), "pull"))


@pytest.mark.parametrize("form", ["libtrust", "rfc7638"])
def test_a_key_of_the_bundle_is_known_by_both_ids(form: str) -> None:
    self_signed = intermediate("self", None)
    key = self_signed.key
    trust = by_roots(self_signed.certificate)
    kid = key_id(key.public_key(), form)
    token = jwt.sign(claims(), SigningKey(key, "ES256", kid))

    assert isinstance(verify_registry_token(token, trust, NOW), RegistryToken)


def test_a_leaf_that_is_in_the_bundle_itself_is_trusted() -> None:
    assert isinstance(verify_registry_token(signed(None, LEAF), by_roots(LEAF), NOW), RegistryToken)


def test_a_chain_through_an_intermediate_leads_to_the_root() -> None:
    root = open_root()
    middle = intermediate("middle", 0, root)
    leaf = make_leaf(middle, KEY.public_key(), "leaf", NOW, DAY)
    trust = by_roots(root.certificate)

    assert isinstance(
        verify_registry_token(signed(None, leaf, middle.certificate), trust, NOW), RegistryToken
    )
    assert verify_registry_token(signed(None, leaf), trust, NOW) == Reason.UNKNOWN_KEY


def test_an_authority_cannot_admit_more_authorities_than_it_may() -> None:
    middle = intermediate("below a root with path length 0", None)
    leaf = make_leaf(middle, KEY.public_key(), "leaf", NOW, DAY)
    token = signed(None, leaf, middle.certificate)

    assert verify_registry_token(token, by_roots(), NOW) == Reason.UNKNOWN_KEY


def test_a_leaf_cannot_issue_another_leaf() -> None:
    false_authority = Authority(KEY, LEAF)
    below = make_leaf(false_authority, OTHER.public_key(), "below", NOW, DAY)
    token = jwt.sign(claims(), SigningKey(OTHER, "ES256", None, (below, LEAF)))

    assert verify_registry_token(token, by_roots(), NOW) == Reason.UNKNOWN_KEY


def test_certificates_of_nobody_are_refused_even_with_a_key_id_that_is_known() -> None:
    stranger = make_authority("stranger", NOW, DAY)
    leaf = make_leaf(stranger, KEY.public_key(), "leaf", NOW, DAY)
    kid = key_id(AUTHORITY.key.public_key(), "libtrust")

    assert verify_registry_token(signed(kid, leaf), by_roots(), NOW) == Reason.UNKNOWN_KEY
    same_name = make_authority("authority", NOW, DAY)
    forged = make_leaf(same_name, KEY.public_key(), "leaf", NOW, DAY)
    assert verify_registry_token(signed(None, forged), by_roots(), NOW) == Reason.UNKNOWN_KEY


def test_a_certificate_of_another_time_is_refused() -> None:
    later = NOW + DAY + DAY
    token = signed(None, LEAF, exp=int((later + DAY).timestamp()))

    assert verify_registry_token(token, by_roots(), later) == Reason.UNKNOWN_KEY


def test_a_critical_extension_that_is_not_understood_is_refused() -> None:
    limits = x509.NameConstraints([x509.DNSName("example.org")], None)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "leaf")]))
        .issuer_name(AUTHORITY.certificate.subject)
        .public_key(KEY.public_key())
        .serial_number(7)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .add_extension(limits, critical=True)
        .sign(AUTHORITY.key, hashes.SHA256())
    )

    assert verify_registry_token(signed(None, certificate), by_roots(), NOW) == Reason.UNKNOWN_KEY


def test_without_roots_the_key_id_decides_whatever_certificates_come() -> None:
    assert isinstance(verify_registry_token(signed("k1", LEAF), by_key(), NOW), RegistryToken)
    assert verify_registry_token(signed("k2", LEAF), by_key(), NOW) == Reason.UNKNOWN_KEY
    assert verify_registry_token(signed(None, LEAF), by_key(), NOW) == Reason.UNKNOWN_KEY


def test_another_key_under_a_known_id_is_refused() -> None:
    token = jwt.sign(claims(), SigningKey(OTHER, "ES256", "k1"))

    assert verify_registry_token(token, by_key(), NOW) == Reason.BAD_SIGNATURE


SECONDS = int(NOW.timestamp())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": "another"}, Reason.WRONG_ISSUER),
        ({"iss": None}, Reason.WRONG_ISSUER),
        ({"aud": "another"}, Reason.WRONG_AUDIENCE),
        ({"aud": ["another"]}, Reason.WRONG_AUDIENCE),
        ({"aud": None}, Reason.WRONG_AUDIENCE),
        ({"aud": SERVICE + ".evil.example.com"}, Reason.WRONG_AUDIENCE),
        ({"exp": None}, Reason.MALFORMED_TOKEN),
        ({"exp": "1"}, Reason.MALFORMED_TOKEN),
        ({"exp": True}, Reason.MALFORMED_TOKEN),
        ({"exp": SECONDS - 61}, Reason.EXPIRED),
        ({"exp": SECONDS - 60}, Reason.EXPIRED),
        ({"nbf": SECONDS + 61}, Reason.NOT_YET_VALID),
        ({"nbf": "soon"}, Reason.MALFORMED_TOKEN),
        ({"access": {"type": "repository"}}, Reason.MALFORMED_TOKEN),
        ({"access": ["repository:acme/app:pull"]}, Reason.MALFORMED_TOKEN),
        (
            {"access": [{"type": "repository", "name": "a", "actions": "pull"}]},
            Reason.MALFORMED_TOKEN,
        ),
        ({"access": [{"type": "repository", "name": 7, "actions": []}]}, Reason.MALFORMED_TOKEN),
        (
            {"access": [{"type": "repository", "name": "a", "actions": [["*"]]}]},
            Reason.MALFORMED_TOKEN,
        ),
    ],
)
def test_claims_that_do_not_fit_are_refused(changes: dict[str, object], reason: Reason) -> None:
    assert reason == verify_registry_token(signed("k1", **changes), by_key(), NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ["another", SERVICE]},
        {"exp": SECONDS - 59},
        {"nbf": SECONDS + 60},
        {"nbf": None},
        {"sub": None},
        {"access": None},
        {"access": []},
        {"access": [{"type": "repository", "name": "a", "actions": None}]},
    ],
)
def test_claims_within_the_leeway_or_left_out_are_accepted(changes: dict[str, object]) -> None:
    assert isinstance(verify_registry_token(signed("k1", **changes), by_key(), NOW), RegistryToken)


def test_a_star_among_the_actions_is_every_action_on_that_name_alone() -> None:
    access = [{"type": "repository", "name": "acme/app", "actions": ["*"]}]
    found = verify_registry_token(signed("k1", access=access), by_key(), NOW)

    assert isinstance(found, RegistryToken)
    assert found.allows(Access(Resource("repository", "acme/app"), "delete"))
    assert not found.allows(Access(Resource("repository", "acme/app2"), "delete"))


def test_entries_of_one_repository_add_up() -> None:
    entries = [{"type": "repository", "name": "a", "actions": [one]} for one in ("pull", "push")]
    found = verify_registry_token(signed("k1", access=entries), by_key(), NOW)

    assert isinstance(found, RegistryToken)
    assert found.access == {Resource("repository", "a"): {"pull", "push"}}


def _header(change: Callable[[dict[str, object]], object]) -> str:
    header: dict[str, object] = {"typ": "JWT", "alg": "ES256", "kid": "k1"}
    change(header)
    parts = [base64url.encode(json_text.write(one)) for one in (header, claims())]
    made = jwt.signature(b".".join(parts), SigningKey(KEY, "ES256"))
    return b".".join([*parts, base64url.encode(made)]).decode()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda header: header.update(alg="none"), Reason.ALGORITHM_NOT_ALLOWED),
        (lambda header: header.update(alg="HS256"), Reason.ALGORITHM_NOT_ALLOWED),
        (lambda header: header.update(x5c=[]), Reason.MALFORMED_TOKEN),
        (lambda header: header.update(x5c="text"), Reason.MALFORMED_TOKEN),
        (lambda header: header.update(x5c=[7]), Reason.MALFORMED_TOKEN),
        (lambda header: header.update(x5c=["!"]), Reason.UNKNOWN_KEY),
        (lambda header: header.update(x5c=["AAAA"]), Reason.UNKNOWN_KEY),
        (lambda header: header.update(x5c=[_der(LEAF)] * 9), Reason.UNKNOWN_KEY),
        (lambda header: header.update(x5c=[_der_of_version(1)]), Reason.UNKNOWN_KEY),
        (lambda header: header.update(x5c=[_der_of_version(9)]), Reason.UNKNOWN_KEY),
        (lambda header: header.update(x5c=[_der_with_a_name_of_x400()]), Reason.UNKNOWN_KEY),
        (lambda header: header.update(crit=["exp"]), Reason.MALFORMED_TOKEN),
    ],
)
def test_odd_headers_are_refused(
    change: Callable[[dict[str, object]], object], reason: Reason
) -> None:
    trust = by_roots(AUTHORITY.certificate)

    assert reason == verify_registry_token(_header(change), trust, NOW)


def _der(certificate: x509.Certificate) -> str:
    return base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()


def _der_of_version(number: int) -> str:
    """Return a certificate that says it is of another version of X.509 than the third."""
    der = LEAF.public_bytes(Encoding.DER)
    third = b"\xa0\x03\x02\x01\x02"
    assert der.count(third) == 1
    return base64.b64encode(der.replace(third, third[:-1] + bytes([number]))).decode()


def _der_with_a_name_of_x400() -> str:
    """Return a certificate whose alternative name is of a kind that cryptography does not read."""
    name = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), b"\x30\x02\xa3\x00")
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stranger")])
    builder = x509.CertificateBuilder(subject, subject, OTHER.public_key(), 1, NOW, NOW + DAY)
    return _der(builder.add_extension(name, critical=False).sign(OTHER, hashes.SHA256()))


@pytest.mark.parametrize("text", ["", "a.b", "not a token", "x" * 20_000])
def test_what_is_no_token_is_refused(text: str) -> None:
    found = verify_registry_token(text, by_key(), NOW)

    assert found in (Reason.MALFORMED_TOKEN, Reason.TOKEN_TOO_LARGE)
    assert unknown_key_id(text, KeySet()) is None


def test_an_unknown_key_id_is_told_so_that_keys_can_be_fetched_again() -> None:
    assert unknown_key_id(signed("new"), by_key().keys) == "new"
    assert unknown_key_id(signed("k1"), by_key().keys) is None


def test_a_trust_without_issuer_or_service_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="issuer"):
        RegistryTrust("", SERVICE)
    with pytest.raises(KeysError):
        read_root_bundle(b"")


GENERATOR = "xx0BcA-wMohw8atYDJOe6peGModklG2wRHBlXHMvl0M"
"""What Distribution 3.0 and docker_auth (`disable_legacy_key_id`) call every key of P-256."""


def stripped() -> Authority:
    """A root whose point has a coordinate with a leading zero, which Distribution 3.1 leaves out."""
    while True:
        key = ec.generate_private_key(ec.SECP256R1())
        point = key.public_key().public_numbers()
        if min(point.x.bit_length(), point.y.bit_length()) <= 248:
            return open_root(key)


def test_a_key_is_found_by_the_ids_that_servers_compute_wrongly() -> None:
    authority = stripped()
    _, *ids = known_ids(authority.key.public_key())
    trust = by_roots(AUTHORITY.certificate, authority.certificate)

    assert len(ids) == 3
    assert GENERATOR in ids
    for kid in ids:
        token = jwt.sign(claims(), SigningKey(authority.key, "ES256", kid))
        assert isinstance(verify_registry_token(token, trust, NOW), RegistryToken)


def test_such_an_id_only_chooses_the_keys_that_may_have_signed() -> None:
    """It is one for all keys of a curve, and known to everybody."""
    other = jwt.sign(claims(), SigningKey(OTHER, "ES256", GENERATOR))
    rsa = jwt.sign(claims(), SigningKey(make_key("RS256"), "RS256", GENERATOR))

    assert verify_registry_token(other, by_roots(), NOW) == Reason.BAD_SIGNATURE
    assert not isinstance(verify_registry_token(rsa, by_roots(), NOW), RegistryToken)


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_the_generators_ids_are_those_of_the_generators(curve: ec.EllipticCurve) -> None:
    point = ec.derive_private_key(1, curve).public_key().public_numbers()
    x, y = (
        base64.urlsafe_b64encode(one.to_bytes((one.bit_length() + 7) // 8)).decode().rstrip("=")
        for one in (point.x, point.y)
    )
    text = f'{{"crv":"P-{curve.key_size}","kty":"EC","x":"{x}","y":"{y}"}}'
    thumbprint = base64.urlsafe_b64encode(sha256(text.encode()).digest()).decode().rstrip("=")

    assert thumbprint in known_ids(ec.generate_private_key(curve).public_key())


def counted(work: Callable[[], object]) -> Counter[str]:
    """Count the calls into cryptography's compiled code, by name."""
    called: Counter[str] = Counter()

    def note(_frame: object, event: str, argument: object) -> None:
        if event == "c_call":
            called[getattr(argument, "__name__", "")] += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return called


def strangers_chain(length: int) -> tuple[x509.Certificate, ...]:
    """A chain that is whole in itself, and that no root of ours leads to."""
    authorities = [open_root()]
    for number in range(length - 2):
        authorities.append(intermediate(f"level {number}", None, authorities[-1]))
    leaf = make_leaf(authorities[-1], KEY.public_key(), "leaf", NOW, DAY)
    return (leaf, *(one.certificate for one in reversed(authorities)))


def test_s6_no_stranger_s_key_verifies_anything() -> None:
    token = signed(None, *strangers_chain(8))

    assert verify_registry_token(token, by_roots(), NOW) is Reason.UNKNOWN_KEY
    called = counted(lambda: verify_registry_token(token, by_roots(), NOW))
    assert called["load_der_x509_certificate"] == 8
    assert called["verify_directly_issued_by"] == 0


def test_s6_a_chain_that_only_names_a_root_costs_one_verification_by_the_root() -> None:
    false = Authority(make_key("ES256"), AUTHORITY.certificate)
    leaf = make_leaf(false, KEY.public_key(), "leaf", NOW, DAY)
    above = strangers_chain(5)[1:]
    token = signed(None, leaf, *above)

    assert verify_registry_token(token, by_roots(), NOW) is Reason.UNKNOWN_KEY
    called = counted(lambda: verify_registry_token(token, by_roots(), NOW))
    assert called["verify_directly_issued_by"] == 1


def test_s6_a_chain_that_breaks_below_a_root_is_refused_at_the_break() -> None:
    root = open_root()
    first = intermediate("first", None, root)
    second = intermediate("second", None)  # the authority of another root
    leaf = make_leaf(second, KEY.public_key(), "leaf", NOW, DAY)
    token = signed(None, leaf, second.certificate, first.certificate)

    assert verify_registry_token(token, by_roots(root.certificate), NOW) is Reason.UNKNOWN_KEY
    good = intermediate("second", None, first)
    leaf = make_leaf(good, KEY.public_key(), "leaf", NOW, DAY)
    token = signed(None, leaf, good.certificate, first.certificate, root.certificate)
    assert isinstance(verify_registry_token(token, by_roots(root.certificate), NOW), RegistryToken)


def test_s6_a_chain_that_is_too_long_is_not_read() -> None:
    token = signed(None, *strangers_chain(9))

    assert verify_registry_token(token, by_roots(), NOW) is Reason.UNKNOWN_KEY
    called = counted(lambda: verify_registry_token(token, by_roots(), NOW))
    assert called["load_der_x509_certificate"] == 0


def test_s6_an_rsa_key_with_a_long_exponent_verifies_nothing() -> None:
    """One verification with an exponent of 8192 bits takes 43 ms."""
    modulus = make_key("RS256").public_key().public_numbers().n
    for bits, fits in ((32, True), (33, False), (2040, False)):
        key = rsa.RSAPublicNumbers((1 << (bits - 1)) + 1, modulus).public_key()
        if fits:
            assert algorithms_of(key)
            continue
        with pytest.raises(KeysError, match="exponent of more than 32 bits"):
            algorithms_of(key)
        assert "exponent" in parse_jwks(jwks([(key, "k", "RS256")])).why_empty
        leaf = make_leaf(AUTHORITY, key, "leaf", NOW, DAY)
        token = signed(None, LEAF).split(".")
        header = json.loads(base64.urlsafe_b64decode(token[0] + "=="))
        header["x5c"] = [base64.b64encode(leaf.public_bytes(Encoding.DER)).decode()]
        header["alg"] = "RS256"
        token[0] = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
        assert verify_registry_token(".".join(token), by_roots(), NOW) is Reason.UNKNOWN_KEY
