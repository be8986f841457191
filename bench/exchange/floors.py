"""
What an exchange cannot go without, in as few steps as there can be.

What lives here: floors, which measurements are printed beside.  Not here: a server: no limit, no
second provider, no reload, no metric, no refusal that says why.
"""

import base64
import os
import time
from collections.abc import Callable
from pathlib import Path

import orjson
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from regauth.engine.tokens import base64url
from regauth.engine.tokens.pem import load_private_key
from regauth.servers.setup import sample

SERVICE = "registry.example.com"
GRANTED = {("acme/app", "refs/heads/main", "push"): ["pull", "push"]}
"""What `token-server init`'s policy comes to for the tokens of the benchmarks."""


def public_key(folder: Path) -> RSAPublicKey:
    """Return the public key of a folder's sample issuer."""
    key = load_private_key((folder / sample.KEY_FILE).read_bytes()).public_key()
    if not isinstance(key, RSAPublicKey):
        raise TypeError("the sample issuer has an RSA key")
    return key


def flat_exchange(folder: Path, log: int = 2) -> Callable[[str], bytes]:
    """
    Return a function from Basic credentials to a reply.

    It verifies the token, checks issuer, audience and expiry, looks the grant up in a table, signs
    a registry token, logs one line and writes the reply.
    """
    public, private = public_key(folder), ec.generate_private_key(ec.SECP256R1())
    scheme, digest, method = padding.PKCS1v15(), SHA256(), ec.ECDSA(SHA256())
    header = base64url.encode(b'{"typ":"JWT","alg":"ES256","kid":"key"}')

    def exchange(credentials: str) -> bytes:
        now = int(time.time())
        token = base64.b64decode(credentials).partition(b":")[2]
        data, _, signature = token.rpartition(b".")
        public.verify(base64url.decode(signature), data, scheme, digest)
        claims = orjson.loads(base64url.decode(data.partition(b".")[2]))
        if claims["iss"] != sample.ISSUER or claims["aud"] != sample.AUDIENCE:
            raise PermissionError
        if claims["exp"] <= now:
            raise PermissionError
        name = claims["repository"]
        actions = GRANTED[name, claims["ref"], claims["event_name"]]
        access = [{"type": "repository", "name": name, "actions": actions}]
        jti = os.urandom(16).hex()
        times = {"exp": now + 300, "nbf": now - 10, "iat": now - 10}
        who = {"iss": "registry-token-issuer", "sub": claims["sub"], "aud": SERVICE}
        signed = (
            header
            + b"."
            + base64url.encode(orjson.dumps({**who, **times, "jti": jti, "access": access}))
        )
        first, second = decode_dss_signature(private.sign(signed, method))
        made = base64url.encode(first.to_bytes(32, "big") + second.to_bytes(32, "big"))
        os.write(log, orjson.dumps({"time": now, "sub": claims["sub"], "access": access}) + b"\n")
        return b'{"token":"%b.%b","expires_in":300}' % (signed, made)

    return exchange


def crypto_alone(folder: Path, credentials: str) -> Callable[[], object]:
    """Return a function that verifies one RS256 signature and makes one of ES256."""
    token = base64.b64decode(credentials).partition(b":")[2]
    data, _, part = token.rpartition(b".")
    signature, public = base64url.decode(part), public_key(folder)
    private = ec.generate_private_key(ec.SECP256R1())
    scheme, digest, method = padding.PKCS1v15(), SHA256(), ec.ECDSA(SHA256())

    def both() -> bytes:
        public.verify(signature, data, scheme, digest)
        return private.sign(data, method)

    return both
