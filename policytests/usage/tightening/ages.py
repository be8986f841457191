"""
Ages: when the grants of a policy were written, as git knows it.

What lives here: asking git for the newest change of a grant's lines.  Not here: what follows from
it (`plans`).
"""

import subprocess
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final

from regauth.policytests.changes.git import GitError, Repository

_TIME: Final = b"committer-time "
_UNCOMMITTED: Final = "0" * 40


class Ages:
    """
    Tells when grants changed last.

    Args:
        folder: The policy's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._times = cache(self._read)

    def changed(self, file: str, first: int, last: int) -> datetime | None:
        """Return when one of some lines of a file changed last; None where git does not know."""
        times = self._times(self._folder / file)
        if times is None:
            return None
        return max((times[one] for one in range(first, last + 1) if one in times), default=None)

    def _read(self, file: Path) -> dict[int, datetime] | None:
        """Return the time of each line's last commit; now for what is not committed."""
        try:
            repository = Repository.around(self._folder)
            done = repository.blame(file)
        except (GitError, subprocess.SubprocessError):
            return None
        return None if done is None else _times_of(done)


def _times_of(porcelain: bytes) -> dict[int, datetime]:
    """Read `git blame --line-porcelain` (git-blame(1), "THE PORCELAIN FORMAT")."""
    times: dict[int, datetime] = {}
    number, moment = 0, datetime.now(UTC)
    for line in porcelain.split(b"\n"):
        words = line.split(b" ")
        if line.startswith(b"\t"):
            times[number] = moment
        elif len(words) >= 3 and len(words[0]) == len(_UNCOMMITTED):  # noqa: PLR2004 - id, old, new
            number = int(words[2])
        elif line.startswith(_TIME):
            moment = datetime.fromtimestamp(int(line.removeprefix(_TIME)), UTC)
    return times
