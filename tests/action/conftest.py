"""A token server, a registry and GitHub's token service for the actions."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from regauth.servers.setup.sample import sample_claims, sample_token
from tests.e2e.conftest import Site, site

from .composite import Job
from .github import Github, serving

__all__ = ["site"]

TOOLS = (
    "bash", "sh", "env", "base64", "cat", "chmod", "curl", "dirname", "grep", "ln", "mkdir", "rm", "sed", "tr",
)  # fmt: skip
"""What the actions may use of a runner, beside one client."""


@pytest.fixture
def github(site: Site) -> Iterator[Github]:
    """GitHub, for a push to main of acme/app."""

    def sign(claims: dict[str, object]) -> str:
        return sample_token(site.folder, claims, datetime.now(UTC), timedelta(minutes=5))

    claims = sample_claims("acme/app", "refs/heads/main", "push")
    with serving(claims, sign) as service:
        yield service


@pytest.fixture
def job(site: Site, tmp_path: Path) -> Callable[..., Job]:
    """Make a job on a runner that has the tools and the named client alone."""

    def make(client: str, **environment: str) -> Job:
        programs = tmp_path / "programs"
        programs.mkdir()
        for name in (*TOOLS, *([client] if client else [])):
            found = shutil.which(name)
            if found is None:
                pytest.skip(f"{name} is not installed, which every runner of GitHub has")
            (programs / name).symlink_to(found)
        (programs / "python3").symlink_to(Path(sys.base_prefix, "bin", "python3").resolve())
        (tmp_path / "temp").mkdir()
        containers = tmp_path / "home" / ".config" / "containers"
        containers.mkdir(parents=True)
        # docker takes plain http for a registry on this machine; skopeo does when told so.
        (containers / "registries.conf").write_text(
            f'[[registry]]\nlocation = "{site.registry}"\ninsecure = true\n'
        )
        return Job(
            tmp_path,
            {
                "PATH": str(programs),
                "HOME": str(tmp_path / "home"),
                "LANG": os.environ.get("LANG", "C.UTF-8"),
                **environment,
            },
        )

    return make
