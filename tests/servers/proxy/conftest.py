"""What the tests of the proxy share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from regauth.servers.configuration.proxy_settings import UpstreamSettings

from .standing import LOOPBACK, Registry, Standing, registry, standing


@pytest.fixture
def upstream() -> Iterator[Registry]:
    """A registry that a test tells what to answer."""
    with registry() as running:
        yield running


@pytest.fixture
def proxy(tmp_path: Path, upstream: Registry) -> Iterator[Standing]:
    """A proxy before it."""
    with standing(tmp_path, UpstreamSettings(upstream.url)) as running:
        yield running


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    """A decision endpoint alone, which trusts gateways of this machine."""
    with standing(tmp_path_factory.mktemp("gate"), None, trusted_proxies=LOOPBACK) as running:
        yield running
