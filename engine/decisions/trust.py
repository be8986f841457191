"""
Trust: the parts of a policy that decide whether a token's signature is accepted.

What lives here: a digest of it, by which two policies are seen to believe the same tokens.
Not here: verifying a token (`exchange`).
"""

import hashlib
import json

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from regauth.engine.policy.policy import KeySource, Policy, StaticKeys


def trust_digest(policy: Policy) -> str:
    """
    Return `sha256:` and a digest of the providers' names, issuers, algorithms and keys.

    Policies with the same digest choose the same provider for a login, and accept or refuse its
    signature alike.  Until then `login` reads nothing else of a policy but its services.
    """
    trusted = [
        [provider.name, provider.issuer, list(provider.algorithms), _keys(provider.keys)]
        for _, provider in sorted(policy.providers.items())
    ]
    return f"sha256:{hashlib.sha256(json.dumps(trusted).encode()).hexdigest()}"


def _keys(source: KeySource) -> object:
    if not isinstance(source, StaticKeys):
        return [type(source).__name__, repr(source)]
    return [
        [
            key.material.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo).hex(),
            list(key.algorithms),
            key.key_id,
        ]
        for key in source.key_set.keys
    ]
