"""A token is read strictly and verified with the provider's keys only."""

import base64
import hashlib
import hmac
import json

import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given, settings
from hypothesis import strategies as st

from regauth.engine.access.outcomes import Reason
from regauth.engine.tokens import jwt
from regauth.engine.tokens.algorithms import ALGORITHMS
from regauth.engine.tokens.jwks import parse_jwks, public_jwk
from regauth.engine.tokens.jwt import MAX_TOKEN_LENGTH, MalformedTokenError
from regauth.engine.tokens.keys import KeySet, PrivateKey, SigningKey

Keys = dict[str, PrivateKey]
KINDS = {**dict.fromkeys(ALGORITHMS[:6], "rsa"), "ES256": "p256", "ES384": "p384", "ES512": "p521"}


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(key: PrivateKey, algorithm: str = "ES256", key_id: str | None = "one") -> str:
    return jwt.sign({"iss": "x"}, SigningKey(key, algorithm, key_id))


def key_set(*keys: tuple[PrivateKey, str]) -> KeySet:
    return parse_jwks({"keys": [{**public_jwk(key.public_key()), "kid": kid} for key, kid in keys]})


def token(header: object, payload: object = None, signature: str = "AAAA") -> str:
    def part(value: object) -> str:
        return encode(value if isinstance(value, bytes) else json.dumps(value).encode())

    return f"{part(header)}.{part({} if payload is None else payload)}.{signature}"


class TestVerify:
    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_what_is_signed_verifies(self, private_keys: Keys, algorithm: str) -> None:
        key = private_keys[KINDS.get(algorithm, "ed25519")]
        parsed = jwt.parse(signed(key, algorithm))

        assert parsed.claims == {"iss": "x"}
        assert not isinstance(jwt.verify(parsed, key_set((key, "one")), ALGORITHMS), Reason)

    def test_another_key_of_the_same_id_does_not(self, private_keys: Keys) -> None:
        keys = key_set((private_keys["rsa-other"], "one"))
        parsed = jwt.parse(signed(private_keys["rsa"], "RS256"))

        assert jwt.verify(parsed, keys, ALGORITHMS) is Reason.BAD_SIGNATURE

    def test_a_key_of_another_id_is_not_tried(self, private_keys: Keys) -> None:
        keys = key_set((private_keys["p256"], "two"))
        parsed = jwt.parse(signed(private_keys["p256"]))

        assert jwt.verify(parsed, keys, ALGORITHMS) is Reason.UNKNOWN_KEY

    def test_a_token_without_a_key_id_is_tried_with_every_fitting_key(
        self, private_keys: Keys
    ) -> None:
        keys = key_set(
            (private_keys["rsa"], "a"), (private_keys["p384"], "b"), (private_keys["p256"], "c")
        )
        parsed = jwt.parse(signed(private_keys["p256"], key_id=None))

        assert not isinstance(jwt.verify(parsed, keys, ALGORITHMS), Reason)

    @pytest.mark.parametrize("name", ["x5t", "x5t#S256"])
    def test_a_thumbprint_chooses_among_many_keys(self, private_keys: Keys, name: str) -> None:
        """Fault `jwks-17-keys-no-kid`: the key behind the first sixteen was never tried."""
        members = [
            {**public_jwk(private_keys["p256"].public_key()), "kid": f"k{one}", name: f"t{one}"}
            for one in range(20)
        ]
        good = private_keys["rsa-other"].public_key()
        others = {**public_jwk(private_keys["rsa"].public_key())}
        rsa = [{**others, "kid": f"r{one}", name: f"r{one}"} for one in range(19)]
        chosen = {**public_jwk(good), "kid": "last", name: "mine"}
        keys = parse_jwks({"keys": [*members, *rsa, chosen]})

        def verdict(header: dict[str, object]) -> Reason | None:
            text = token({"alg": "RS256", **header}, {"iss": "x"}, "").rstrip(".")
            key = SigningKey(private_keys["rsa-other"], "RS256")
            signature = encode(jwt.signature(text.encode(), key))
            found = jwt.verify(jwt.parse(f"{text}.{signature}"), keys, ALGORITHMS)
            return found if isinstance(found, Reason) else None

        assert verdict({name: "mine"}) is None
        assert verdict({"kid": "last", name: "of another certificate"}) is None
        assert verdict({name: "r3"}) is Reason.BAD_SIGNATURE
        assert verdict({name: ["mine"]}) is Reason.BAD_SIGNATURE, "no text, so nothing is chosen"
        assert verdict({"kid": "r3", name: "mine"}) is Reason.BAD_SIGNATURE
        assert verdict({}) is Reason.BAD_SIGNATURE, "sixteen keys are tried, and no more"

    def test_no_keys_verify_nothing(self, private_keys: Keys) -> None:
        parsed = jwt.parse(signed(private_keys["p256"], key_id=None))

        assert jwt.verify(parsed, KeySet(), ALGORITHMS) is Reason.UNKNOWN_KEY

    def test_an_algorithm_that_is_not_allowed_is_refused(self, private_keys: Keys) -> None:
        parsed = jwt.parse(signed(private_keys["p256"]))
        keys = key_set((private_keys["p256"], "one"))

        assert jwt.verify(parsed, keys, ("RS256",)) is Reason.ALGORITHM_NOT_ALLOWED
        assert jwt.verify(parsed, keys, ()) is Reason.ALGORITHM_NOT_ALLOWED

    def test_an_algorithm_must_fit_the_key_it_names(self, private_keys: Keys) -> None:
        parsed = jwt.parse(signed(private_keys["rsa"], "RS256"))
        keys = key_set((private_keys["p256"], "one"))

        assert jwt.verify(parsed, keys, ALGORITHMS) is Reason.ALGORITHM_NOT_ALLOWED

    @pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "HS256", "", "RS256 "])
    def test_what_is_not_asymmetric_is_refused_even_when_named(
        self, private_keys: Keys, algorithm: str
    ) -> None:
        secret = (
            private_keys["rsa"]
            .public_key()
            .public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        unsigned = token({"alg": algorithm, "kid": "one"}, signature="").removesuffix(".")
        mac = hmac.digest(secret, unsigned.encode(), hashlib.sha256)
        parsed = jwt.parse(f"{unsigned}.{encode(mac)}")
        keys = key_set((private_keys["rsa"], "one"))

        assert jwt.verify(parsed, keys, [algorithm, "RS256"]) is Reason.ALGORITHM_NOT_ALLOWED

    def test_a_changed_payload_does_not_verify(self, private_keys: Keys) -> None:
        header, _, signature = signed(private_keys["p256"]).split(".")
        changed = f"{header}.{encode(json.dumps({'iss': 'y'}).encode())}.{signature}"
        keys = key_set((private_keys["p256"], "one"))

        assert jwt.verify(jwt.parse(changed), keys, ALGORITHMS) is Reason.BAD_SIGNATURE

    def test_a_stripped_signature_does_not_verify(self, private_keys: Keys) -> None:
        stripped = signed(private_keys["p256"]).rpartition(".")[0] + "."
        keys = key_set((private_keys["p256"], "one"))

        assert jwt.verify(jwt.parse(stripped), keys, ALGORITHMS) is Reason.BAD_SIGNATURE

    def test_a_key_that_the_token_brings_is_not_looked_at(self, private_keys: Keys) -> None:
        evil = private_keys["p256"]
        header = {"alg": "ES256", "kid": "one", "jwk": public_jwk(evil.public_key())}
        unsigned = token(header).rpartition(".")[0]
        signature = signed(evil).rpartition(".")[2]
        keys = key_set((private_keys["p384"], "one"))
        parsed = jwt.parse(f"{unsigned}.{signature}")

        assert jwt.verify(parsed, keys, ALGORITHMS) is Reason.ALGORITHM_NOT_ALLOWED


class TestForm:
    GOOD = {"alg": "ES256", "typ": "JWT"}

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("", "three base64url parts"),
            ("a.b", "three base64url parts"),
            ("a.b.c.d", "three base64url parts"),
            (".AAAA.AAAA", "three base64url parts"),
            ("YQ==.AAAA.AAAA", "three base64url parts"),
            (" " + token(GOOD), "three base64url parts"),
            (token(GOOD) + "\n", "three base64url parts"),
            (token(GOOD).replace(".", "。"), "three base64url parts"),
            (token(GOOD, signature="A"), "signature is not base64url"),
            (token(GOOD, signature="AAB"), "signature is not base64url"),
            (token(b"not json"), "header is malformed"),
            (token(b'{"alg":"none","alg":"ES256"}'), "twice"),
            (token([]), "not a JSON object"),
            (token(GOOD, []), "not a JSON object"),
            (token(GOOD, b'{"iss":"a","iss":"b"}'), "twice"),
            (token(GOOD, b'{"exp":NaN}'), "not JSON"),
            (token(GOOD, b'{"a":' * 20 + b"1" + b"}" * 20), "deep"),
            (token({}), "no algorithm"),
            (token({"alg": ["ES256"]}), "no algorithm"),
            (token({**GOOD, "kid": 1}), "kid"),
            (token({**GOOD, "crit": ["exp"]}), "crit"),
            (token({**GOOD, "crit": []}), "crit"),
            (token({**GOOD, "b64": False}), "b64"),
            (token({**GOOD, "zip": "DEF"}), "zip"),
            (token({**GOOD, "typ": "secevent+jwt"}), "typ"),
            (token({**GOOD, "typ": 1}), "typ"),
        ],
    )
    def test_what_is_not_a_plain_signed_token_is_refused(self, text: str, why: str) -> None:
        with pytest.raises(MalformedTokenError, match=why) as caught:
            jwt.parse(text)

        assert caught.value.reason is Reason.MALFORMED_TOKEN

    def test_a_token_of_more_than_16_kib_is_refused_unread(self) -> None:
        assert MAX_TOKEN_LENGTH == 16 * 1024
        with pytest.raises(MalformedTokenError) as caught:
            jwt.parse("a" * (MAX_TOKEN_LENGTH + 1))

        assert caught.value.reason is Reason.TOKEN_TOO_LARGE

    @pytest.mark.parametrize("kind", ["JWT", "jwt", "JOSE", "at+jwt"])
    @pytest.mark.parametrize("prefix", ["", "application/", "Application/"])
    def test_the_types_of_real_issuers_are_read(self, kind: str, prefix: str) -> None:
        """typ-application-jwt: with and without the prefix it is one type (RFC 7515, 4.1.9)."""
        assert jwt.parse(token({"alg": "ES256", "typ": prefix + kind})).algorithm == "ES256"

    @pytest.mark.parametrize(
        "kind", ["application/", "application/application/jwt", "text/jwt", "/jwt", "application"]
    )
    def test_other_media_types_are_refused(self, kind: str) -> None:
        with pytest.raises(MalformedTokenError, match="typ"):
            jwt.parse(token({"alg": "ES256", "typ": kind}))

    @pytest.mark.slow
    @given(
        st.text() | st.from_regex(r"[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,9}")
    )
    def test_nothing_but_a_malformed_token_error_comes_out_of_any_text(self, text: str) -> None:
        try:
            jwt.parse(text)
        except MalformedTokenError as error:
            assert error.reason in Reason

    @given(st.binary(max_size=60), st.binary(max_size=60))
    def test_nothing_else_comes_out_of_any_header_and_payload(
        self, header: bytes, payload: bytes
    ) -> None:
        try:
            jwt.parse(token(header, payload))
        except MalformedTokenError as error:
            assert error.reason in Reason

    def test_its_text_shows_neither_signature_nor_payload(self, private_keys: Keys) -> None:
        text = signed(private_keys["p256"])
        shown = repr(jwt.parse(text))

        assert not any(part in shown for part in text.split("."))


class TestPyjwt:
    """What this module writes, PyJWT reads, and the other way round."""

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_pyjwt_verifies_what_is_signed(self, private_keys: Keys, algorithm: str) -> None:
        key = private_keys[KINDS.get(algorithm, "ed25519")]
        claims = {"sub": 'é\u2028 \\ "', "iat": 1, "nested": {"list": [1, "2", None, True]}}
        for _ in range(20):  # numbers of a signature may begin with zeros
            made = jwt.sign(claims, SigningKey(key, algorithm, "one"))

            assert pyjwt.decode(made, key.public_key(), algorithms=[algorithm]) == claims

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_what_pyjwt_signs_verifies(self, private_keys: Keys, algorithm: str) -> None:
        key = private_keys[KINDS.get(algorithm, "ed25519")]
        claims = {"sub": 'é \\ "', "iat": 1, "big": 2**60, "nested": {"list": [1, "2", 1.5]}}
        made = pyjwt.encode(claims, key, algorithm, headers={"kid": "one"})
        parsed = jwt.parse(made)

        assert parsed.claims == claims
        assert (parsed.algorithm, parsed.key_id) == (algorithm, "one")
        assert not isinstance(jwt.verify(parsed, key_set((key, "one")), ALGORITHMS), Reason)

    @settings(deadline=None)
    @given(data=st.data())
    def test_a_changed_token_is_refused_by_both(
        self, private_keys: Keys, data: st.DataObject
    ) -> None:
        made = signed(private_keys["rsa"], "RS256")
        place = data.draw(st.integers(0, len(made) - 1))
        changed = made[:place] + data.draw(st.sampled_from("Aa0_-.=+")) + made[place + 1 :]
        public = private_keys["rsa"].public_key()
        try:
            theirs = pyjwt.decode(changed, public, algorithms=["RS256"])
        except pyjwt.PyJWTError:
            theirs = None
        try:
            parsed = jwt.parse(changed)
            found = jwt.verify(parsed, key_set((private_keys["rsa"], "one")), ["RS256"])
            ours = None if isinstance(found, Reason) else found
        except MalformedTokenError:
            ours = None

        assert ours is None or ours == theirs


def test_a_header_that_was_read_before_is_judged_as_the_first_time(private_keys: Keys) -> None:
    keys = key_set((private_keys["rsa"], "one"))
    good = signed(private_keys["rsa"], "RS256")
    header, payload, signature = good.split(".")
    for _ in range(3):
        assert not isinstance(jwt.verify(jwt.parse(good), keys, ALGORITHMS), Reason)
        other = jwt.parse(f"{header}.{payload}.{'A' * len(signature)}")
        assert jwt.verify(other, keys, ALGORITHMS) is Reason.BAD_SIGNATURE
        with pytest.raises(MalformedTokenError, match="crit"):
            jwt.parse(token({"alg": "RS256", "crit": ["x"]}))
