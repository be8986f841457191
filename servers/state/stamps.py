"""
Stamps of the files that policy and keys come from: equal stamps, equal files.

What lives here: which files these are, and how a change is noticed.
Not here: reading them, and what a change means (`reloading`).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from regauth.servers.configuration.settings import KeyFolder, Settings

_ENDINGS: Final = frozenset((".yaml", ".yml", ".json"))

FileStamp = tuple[str, int, int, int]
"""A file's path, and of its last change the time in nanoseconds, the size and the inode."""


def fingerprint(settings: Settings) -> frozenset[FileStamp]:
    """Return the stamps of all files that the state comes from."""
    return frozenset(_stamps(settings))


def policy_files(settings: Settings, stamps: frozenset[FileStamp]) -> frozenset[str]:
    """Return the files of the live policy among the stamps, by their path in its folder."""
    below = (
        Path(path).relative_to(settings.policy)
        for path, *_ in stamps
        if Path(path).is_relative_to(settings.policy)
    )
    # Kubernetes mounts a ConfigMap as links into a hidden folder, whose name changes each time.
    return frozenset(
        path.as_posix()
        for path in below
        if path.suffix in _ENDINGS and not any(part.startswith(".") for part in path.parts)
    )


def _stamps(settings: Settings) -> Iterator[FileStamp]:
    for path in _files(settings):
        try:
            found = path.stat()
        except OSError:
            continue  # a file that is removed is a change too: its stamp is missing
        yield str(path), found.st_mtime_ns, found.st_size, found.st_ino


def _files(settings: Settings) -> Iterator[Path]:
    for folder in (settings.policy, settings.shadow_policy):
        if folder is not None:
            yield from _below(folder)
    source = settings.signing.source
    if isinstance(source, KeyFolder):
        yield from _below(source.folder)
    else:
        yield from (one for one in (source.key, source.chain) if one is not None)


def _below(folder: Path) -> Iterator[Path]:
    try:
        yield from (path for path in folder.rglob("*") if not path.is_dir())
    except OSError:
        return
