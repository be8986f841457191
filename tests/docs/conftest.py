"""What the tests of the documentation share."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def docs(repository: Path) -> Path:
    """The folder of the documentation."""
    return repository / "docs"
