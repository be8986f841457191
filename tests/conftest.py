"""What all tests share: golden files and keys."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from regauth.engine.tokens.jwks import PrivateKey
from tests.house.installing import copy_sources, run

REPOSITORY = Path(__file__).parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden-update",
        action="store_true",
        help="rewrite golden files with what came out; read the difference before you commit it",
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Compare text with a golden file, or rewrite the file under --golden-update."""

    def compare(path: Path, actual: str) -> None:
        if request.config.getoption("golden_update"):
            path.write_text(actual, encoding="utf-8")
        expected = path.read_text(encoding="utf-8") if path.exists() else "(there is no such file)"

        assert expected == actual

    return compare


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def dist(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `make dist` would fill, built from a copy of what git would give."""
    folder = tmp_path_factory.mktemp("release")
    copy_sources(repository, folder / "source")
    built = run([sys.executable, "-m", "build", "--outdir", folder / "dist", folder / "source"])
    assert built.returncode == 0, built.stdout[-4000:] + built.stderr[-4000:]
    return folder / "dist"


@pytest.fixture(scope="session")
def private_keys() -> dict[str, PrivateKey]:
    """One private key for each kind, made for the run."""
    return {
        "rsa": rsa.generate_private_key(65537, 2048),
        "rsa-other": rsa.generate_private_key(65537, 2048),
        "p256": ec.generate_private_key(ec.SECP256R1()),
        "p384": ec.generate_private_key(ec.SECP384R1()),
        "p521": ec.generate_private_key(ec.SECP521R1()),
        "ed25519": ed25519.Ed25519PrivateKey.generate(),
    }
