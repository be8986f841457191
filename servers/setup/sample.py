"""
The sample issuer: tokens to try a server with, where no identity provider is at hand.

What lives here: a key of our own and tokens with the claims of a GitHub Actions job.
Not here: anything that a real server trusts by itself; a policy must name the sample's key.
"""

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from regauth.engine.source.startup import StartupError
from regauth.engine.tokens import jwt
from regauth.engine.tokens.algorithms import KeysError
from regauth.engine.tokens.keys import PrivateKey, SigningKey
from regauth.engine.tokens.pem import load_private_key
from regauth.servers.signing.certificates import make_key, private_pem

ISSUER: Final = "https://sample-issuer.example.com"
AUDIENCE: Final = "https://registry.example.com"
KEY_FILE: Final = Path("sample") / "issuer.key"
_ALGORITHM: Final = "RS256"


class SampleError(StartupError):
    """No sample token can be made; the message says why."""


def make_sample_key() -> tuple[bytes, str]:
    """Return a new private key and its public half, both in PEM."""
    key = make_key(_ALGORITHM)
    return private_pem(key), public_pem(key)


def public_pem(key: PrivateKey) -> str:
    """Return the public half of a key in PEM (RFC 7468, section 13)."""
    public = key.public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def sample_claims(repository: str, ref: str, event: str) -> dict[str, object]:
    """Return the claims of a workflow job as GitHub writes them, without the times."""
    owner, _, name = repository.partition("/")
    workflow = f"{repository}/.github/workflows/build.yml@{ref}"
    return {
        "sub": f"repo:{repository}:ref:{ref}",
        "aud": AUDIENCE,
        "iss": ISSUER,
        "repository": repository,
        "repository_id": "74928374",
        "repository_owner": owner,
        "repository_owner_id": "1342004",
        "repository_visibility": "private",
        "ref": ref,
        "ref_type": "tag" if ref.startswith("refs/tags/") else "branch",
        "ref_protected": "true",
        "base_ref": "",
        "head_ref": "",
        "event_name": event,
        "sha": "5b1c1e5f1f2b8a7f1f0c6a3f1e9d2c4b5a697887",
        "actor": "octocat",
        "actor_id": "583231",
        "workflow": f"build {name}",
        "workflow_ref": workflow,
        "workflow_sha": "5b1c1e5f1f2b8a7f1f0c6a3f1e9d2c4b5a697887",
        "job_workflow_ref": workflow,
        "job_workflow_sha": "5b1c1e5f1f2b8a7f1f0c6a3f1e9d2c4b5a697887",
        "run_id": "9876543210",
        "run_number": "42",
        "run_attempt": "1",
        "runner_environment": "github-hosted",
    }


def sample_token(folder: Path, claims: Mapping[str, object], now: datetime, life: timedelta) -> str:
    """
    Sign claims with the sample issuer's key in a folder that `token-server init` made.

    Raises:
        SampleError: The folder has no such key.
    """
    try:
        key = _read((folder / KEY_FILE).read_bytes())
    except (OSError, KeysError) as error:
        raise SampleError(
            f"{folder / KEY_FILE} is no key; `token-server init {folder}` makes one"
        ) from error
    issued = int(now.timestamp())
    times = {
        "iat": issued,
        "nbf": issued,
        "exp": issued + int(life.total_seconds()),
        "jti": str(uuid.uuid4()),
    }
    return jwt.sign({**times, **claims}, key)


@lru_cache(maxsize=4)
def _read(data: bytes) -> SigningKey:
    """Return the sample issuer's key; to check an RSA key takes 50 times as long as to sign."""
    return SigningKey(load_private_key(data), _ALGORITHM)
