"""What the engine's tests share."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, settings

from regauth.engine.compiler.compiler import compile_policy
from regauth.engine.policy.policy import Policy
from regauth.engine.source.problems import Severity
from regauth.engine.tokens.keys import PrivateKey
from tests.generated import share


@pytest.fixture
def certificate() -> Callable[[PrivateKey], x509.Certificate]:
    """Make a self-signed certificate."""

    def make(key: PrivateKey) -> x509.Certificate:
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
        return (
            x509.CertificateBuilder(name, name, key.public_key(), 1)
            .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
            .not_valid_after(datetime(2036, 1, 1, tzinfo=UTC))
            .sign(key, None if isinstance(key, Ed25519PrivateKey) else hashes.SHA256())
        )

    return make


NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def now() -> datetime:
    """The time of every decision."""
    return NOW


@pytest.fixture
def explore(request: pytest.FixtureRequest) -> Callable[[Callable[[], None], int], None]:
    """
    Run a hypothesis property.

    `make test` takes a tenth of the examples, the same each time.  `make fuzz` takes new ones for a
    part of FUZZ_SECONDS, which all of the run's tests marked `fuzz` share.
    """

    def run(holds: Callable[[], None], examples: int) -> None:
        seconds = float(os.environ.get("FUZZ_SECONDS", "0"))
        fixed = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
        if not seconds:
            settings(max_examples=share(examples), derandomize=True, **fixed)(holds)()
            return
        marked = [item for item in request.session.items if item.get_closest_marker("fuzz")]
        end = monotonic() + seconds / max(len(marked), 1)
        again = settings(max_examples=max(examples // 4, 10), **fixed)(holds)
        while monotonic() < end:
            again()

    return run


@pytest.fixture
def compiled() -> Callable[..., Policy]:
    """Compile a policy that has no errors."""

    def compile_(*texts: str) -> Policy:
        files = {f"{number}.yaml": text for number, text in enumerate(texts)}
        compilation = compile_policy(files, now=NOW)
        errors = [str(p) for p in compilation.problems if p.severity is Severity.ERROR]

        assert errors == []
        assert compilation.policy is not None
        return compilation.policy

    return compile_
