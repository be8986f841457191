"""What all tests share: golden files and keys."""

import fcntl
import gc
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from regauth.engine.tokens.keys import PrivateKey
from tests.house.installing import copy_sources, run

from .forkserver.programs import forkserver

REPOSITORY = Path(__file__).parent.parent

IMPURE = {"os.fork", "os.posix_spawn", "socket.bind", "socket.connect", "subprocess.Popen"}
"""Events of Python's audit hooks that no pure test causes."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pure", action="store_true", help="fail tests that use processes or sockets")
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


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("pure"):
        sys.addaudithook(_refuse)


def pytest_collection_finish() -> None:
    """
    Let the garbage collector pass over what lives as long as the run.

    These are half a million objects of the tests that were found.  A collection that looks at them
    takes more than half a second, and each run of pytest within a test makes two.  Python begins a
    collection for each 700 new objects, which are few here: policies, formulas and trees have thousands.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    """Fail what a pure test does not do; Python calls this for each event (PEP 578)."""
    if event in IMPURE:
        raise RuntimeError(f"a pure test does not do {event}: mark it slow")


@pytest.fixture(scope="session", autouse=True)
def _forkserver(request: pytest.FixtureRequest) -> Iterator[None]:
    """Start the project's programs from a process that has imported what they need."""
    if request.config.getoption("pure"):
        yield
        return
    with forkserver():
        yield


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def dist(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `make dist` would fill, built from a copy of what git would give."""
    base = tmp_path_factory.getbasetemp()
    # Processes of xdist share what one of them has built.
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "release"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "dist").exists():
            copy_sources(repository, folder / "source")
            build = [sys.executable, "-m", "build", "--outdir", folder / "made", folder / "source"]
            built = run(build)
            assert built.returncode == 0, built.stdout[-4000:] + built.stderr[-4000:]
            (folder / "made").rename(folder / "dist")
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
