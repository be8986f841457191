"""Keys are read strictly, and know which algorithms fit them."""

import json
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa

from regauth.engine.tokens.algorithms import KeysError
from regauth.engine.tokens.jwks import MAX_KEYS, parse_jwks, public_jwk
from regauth.engine.tokens.key_ids import key_id
from regauth.engine.tokens.keys import MAX_WHY_LENGTH, PrivateKey, SigningKey, require_keys
from regauth.engine.tokens.pem import load_certificates, load_private_key, parse_pem

Keys = dict[str, PrivateKey]


def jwk(key: PrivateKey, **members: object) -> dict[str, object]:
    return {**public_jwk(key.public_key()), **members}


def pem(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


class TestJwks:
    @pytest.mark.parametrize(
        ("kind", "algorithms"),
        [
            ("rsa", ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")),
            ("p256", ("ES256",)),
            ("p384", ("ES384",)),
            ("p521", ("ES512",)),
            ("ed25519", ("EdDSA",)),
        ],
    )
    def test_a_key_verifies_with_the_algorithms_that_fit_it(
        self, private_keys: Keys, kind: str, algorithms: tuple[str, ...]
    ) -> None:
        (key,) = parse_jwks({"keys": [jwk(private_keys[kind], kid="one")]}).keys

        assert (key.key_id, key.algorithms) == ("one", algorithms)
        assert key.material == private_keys[kind].public_key()

    def test_alg_narrows_a_key(self, private_keys: Keys) -> None:
        (key,) = parse_jwks({"keys": [jwk(private_keys["rsa"], alg="RS384")]}).keys

        assert key.algorithms == ("RS384",)

    def test_text_and_bytes_are_read(self, private_keys: Keys) -> None:
        text = json.dumps({"keys": [jwk(private_keys["p256"])]})

        assert parse_jwks(text) == parse_jwks(text.encode())

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ({"use": "enc"}, "for the use 'enc'"),
            ({"alg": "HS256"}, "for the algorithm 'HS256'"),
            ({"alg": "none"}, "for the algorithm 'none'"),
            ({"kty": "oct", "k": "AAAA"}, "private part"),
            ({"kty": "oct"}, "of type 'oct'"),
            ({"kty": ["RSA"]}, "of type"),
            ({"d": "AAAA"}, "private part"),
            ({"key_ops": ["sign"]}, "operations"),
            ({"n": "!!"}, "broken RSA key"),
            ({"n": None}, "broken RSA key"),
            ({"e": 3}, "broken RSA key"),
        ],
    )
    def test_a_key_that_must_not_verify_is_left_out(
        self, private_keys: Keys, change: dict[str, object], why: str
    ) -> None:
        bad = jwk(private_keys["rsa"], **change)
        good = jwk(private_keys["p256"], kid="good")

        assert [key.key_id for key in parse_jwks({"keys": [bad, good]}).keys] == ["good"]
        nobody = parse_jwks({"keys": [bad]})
        assert not nobody
        assert why in nobody.why_empty
        with pytest.raises(KeysError, match=why):
            require_keys(nobody)

    @pytest.mark.parametrize(
        ("odd", "why"),
        [
            ('{"kty": "oct", "kty": "RSA"}', "a name stands twice"),
            ('{"kty": "oct", "x": NaN}', "NaN is not JSON"),
            ('{"kty": "oct", "x": 1e999}', "beyond a double"),
            ('{"kty": "oct", "x": 99999999999999999999999}', "beyond 64 bits"),
            (r'{"kty": "oct", "kid": "\ud800"}', "surrogate"),
            ('{"kty": "oct", "x": [{"a": 1, "a": 2}]}', "a name stands twice"),
            ('{"kty": "oct", "x": ' + "[" * 9 + "]" * 9 + "}", "deep"),
            ("NaN", "NaN is not JSON"),
            ("-Infinity", "not JSON"),
        ],
    )
    def test_an_odd_member_takes_no_other_key_away(
        self, private_keys: Keys, odd: str, why: str
    ) -> None:
        good = json.dumps(jwk(private_keys["p256"], kid="good"))
        read = parse_jwks(f'{{"keys": [{odd}, {good}], "more": NaN}}'.encode())

        assert [key.key_id for key in read.keys] == ["good"]
        [left_out] = read.left_out
        assert "a key that is no strict JSON: " in left_out
        assert why in left_out

    @pytest.mark.parametrize(
        "key",
        [
            lambda: rsa.generate_private_key(65537, 1024),
            lambda: ec.generate_private_key(ec.SECP224R1()),
            lambda: ed448.Ed448PrivateKey.generate(),
            lambda: dsa.generate_private_key(2048),
        ],
        ids=["rsa-1024", "p-224", "ed448", "dsa"],
    )
    def test_weak_and_unknown_kinds_are_refused(self, key: Callable[[], PrivateKey]) -> None:
        with pytest.raises(KeysError):
            parse_pem(pem(key()))

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "[]",
            "{}",
            '{"keys": {}}',
            "<html>",
            '{"keys": 1, "keys": []}',
        ],
    )
    def test_what_is_no_key_set_is_an_error(self, text: str) -> None:
        with pytest.raises(KeysError):
            parse_jwks(text)

    @pytest.mark.parametrize("members", [[], [1], [{}], [None, "x"], [{"kty": "unheard-of"}]])
    def test_s1_a_set_without_usable_keys_is_an_answer_and_verifies_nothing(
        self, members: list[object]
    ) -> None:
        keys = parse_jwks({"keys": members})

        assert not keys
        assert keys.named(None) == keys.named("any") == ()
        assert "no key that can verify a signature" in keys.why_empty

    def test_why_a_member_is_left_out_names_it_and_is_one_short_printable_line(
        self, private_keys: Keys
    ) -> None:
        good = jwk(private_keys["p256"], kid="good")
        named = parse_jwks({"keys": [good, {"kty": "a\x1b[2J\n", "kid": "odd"}]})
        long = parse_jwks({"keys": [{"kty": "x" * 9000, "kid": str(one)} for one in range(99)]})

        assert named.why_empty == ""
        assert named.why_left_out.startswith("'odd' is a key of type")
        assert named.why_left_out.isprintable()
        assert len(long.why_left_out) <= MAX_WHY_LENGTH + len("...")

    def test_a_set_of_too_many_keys_is_refused(self, private_keys: Keys) -> None:
        one = jwk(private_keys["p256"])
        with pytest.raises(KeysError, match="101 keys"):
            parse_jwks({"keys": [one] * (MAX_KEYS + 1)})

    def test_a_key_without_an_id_fits_every_token(self, private_keys: Keys) -> None:
        keys = parse_jwks({"keys": [jwk(private_keys["p256"]), jwk(private_keys["rsa"], kid="a")]})

        assert [len(keys.named(name)) for name in (None, "a", "b")] == [2, 2, 1]


class TestPem:
    def test_keys_and_certificates_are_read_one_after_another(
        self, private_keys: Keys, certificate: Callable[[PrivateKey], x509.Certificate]
    ) -> None:
        chain = certificate(private_keys["p256"]).public_bytes(serialization.Encoding.PEM)
        keys = parse_pem(b"a comment\n" + pem(private_keys["ed25519"]) + chain).keys

        assert [key.algorithms for key in keys] == [("EdDSA",), ("ES256",)]

    def test_a_private_key_is_refused(self, private_keys: Keys) -> None:
        text = private_keys["p256"].private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        with pytest.raises(KeysError, match="private key"):
            parse_pem(text)

    @pytest.mark.parametrize(
        "text",
        [
            b"",
            b"nothing",
            b"-----BEGIN PUBLIC KEY-----\nAAAA",
            b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        ],
    )
    def test_what_is_no_key_is_an_error(self, text: bytes) -> None:
        with pytest.raises(KeysError):
            parse_pem(text)


class TestSigningKey:
    def test_the_algorithm_must_fit(self, private_keys: Keys) -> None:
        with pytest.raises(KeysError, match="ES256 does not fit"):
            SigningKey(private_keys["rsa"], "ES256")

    def test_the_chain_must_begin_with_the_keys_own_certificate(
        self, private_keys: Keys, certificate: Callable[[PrivateKey], x509.Certificate]
    ) -> None:
        with pytest.raises(KeysError, match="not this key's"):
            SigningKey(private_keys["p256"], "ES256", x5c=(certificate(private_keys["rsa"]),))

    def test_its_text_shows_no_key(self, private_keys: Keys) -> None:
        text = repr(SigningKey(private_keys["p256"], "ES256", "one"))

        assert text == "SigningKey(algorithm='ES256', key_id='one')"

    def test_private_keys_are_loaded(self, private_keys: Keys) -> None:
        text = private_keys["ed25519"].private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

        assert load_private_key(text).public_key() == private_keys["ed25519"].public_key()

    @pytest.mark.parametrize("load", [load_private_key, load_certificates])
    def test_what_cannot_be_loaded_is_an_error(self, load: Callable[[bytes], object]) -> None:
        with pytest.raises(KeysError, match="cannot be read"):
            load(b"-----BEGIN NOTHING-----")


class TestKeyId:
    def test_the_thumbprint_is_that_of_rfc_7638(self) -> None:
        """RFC 7638, section 3.1, has this key and this thumbprint."""
        (key,) = parse_jwks(
            {
                "keys": [
                    {
                        "kty": "RSA",
                        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAt"
                        "VT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W"
                        "-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQ"
                        "MicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdk"
                        "t-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-cs"
                        "FCur-kEgU8awapJzKnqDKgw",
                        "e": "AQAB",
                    }
                ]
            }
        ).keys

        assert key_id(key.material, "rfc7638") == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"

    def test_the_libtrust_id_is_twelve_groups_of_base32(self, private_keys: Keys) -> None:
        groups = key_id(private_keys["p256"].public_key(), "libtrust").split(":")

        assert [len(group) for group in groups] == [4] * 12
