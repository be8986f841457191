"""
The folder that several processes share their metrics in.

What lives here: making the folder and removing it.  Not here: the metrics (`metrics`).

The folder must exist before prometheus-client is imported, so this module does not import it.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

FOLDER_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"


@contextmanager
def shared_metrics(*, processes: int) -> Iterator[None]:
    """Keep a folder while the block runs, if there are several processes and none is set yet."""
    if processes == 1 or os.environ.get(FOLDER_VARIABLE):
        yield
        return
    with tempfile.TemporaryDirectory(prefix="token-server-metrics-") as folder:
        os.environ[FOLDER_VARIABLE] = folder
        try:
            yield
        finally:
            del os.environ[FOLDER_VARIABLE]
