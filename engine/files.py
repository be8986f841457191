"""
Reading a policy folder, for hosts.

What lives here: which files of a folder are the policy's, and reading them and configuration files,
within bounds.  Not here: what is in the files (`compiler`), and reading a policy for a server
(`regauth.servers.state.policy`).

The only module of the engine that touches files, and one that nothing else in the engine imports.
Every host must read a policy in the same way: a second reader would be a second opinion on what the
policy is.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, TypeVar

from regauth.engine.source.configuration_file import ConfigurationError
from regauth.engine.source.problems import Location, Problems
from regauth.engine.source.startup import Fault, StartupError

T = TypeVar("T")

MAX_FILE_BYTES: Final = 8 * 1024 * 1024
"""The size of the largest file that is read."""

MAX_FILES: Final = 2000
"""Files in one policy folder."""


class PolicyFolderError(StartupError):
    """
    A policy folder cannot be read; the author's or the operator's fault, and said so.

    Args:
        reasons: All that is wrong with the folder.
        files: The contents of the files that can be read, for their own problems.
    """

    fault = Fault.POLICY

    def __init__(self, *reasons: str, files: Mapping[str, bytes] | None = None) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons
        self.files = files or {}


def read_text(file: Path, problems: Problems, hint: str = "") -> str | None:
    """
    Read a text file that a person wrote for a host, such as its configuration.

    Args:
        file: The file.
        problems: Takes `file-unreadable`.
        hint: What to do when the file is not there.

    Returns:
        The text, or None when it cannot be read.
    """
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        reason = error.strerror
    except OSError as error:
        reason, hint = error.strerror, ""
    except UnicodeDecodeError:
        reason, hint = "it is not UTF-8", ""
    message = f"it cannot be read: {reason}"
    problems.error(Location(str(file)), "file-unreadable", message, hint)
    return None


def read_configuration(file: Path, parse: Callable[[str, Problems], T | None], hint: str = "") -> T:
    """
    Read a host's configuration file.

    Args:
        file: The file.
        parse: Makes a value of its text, or reports problems and returns None.
        hint: What to do when the file is not there.

    Raises:
        ConfigurationError: It cannot be read, or something in it is wrong.
    """
    problems = Problems()
    text = read_text(file, problems, hint)
    found = None if text is None else parse(text, problems)
    if found is None or problems.error_count:
        raise ConfigurationError(problems, {} if text is None else {str(file): text})
    return found


def read_policy_folder(folder: Path) -> Mapping[str, bytes]:
    """
    Read the files that make up a policy.

    These are the folder's own `*.yaml` and `*.yml`, and every `*.json` in or below it (claim
    schemas, key sets), without hidden ones.  A symbolic link is followed inside the folder only,
    which is how Kubernetes mounts a ConfigMap.  Suites (`*.policytest.yaml`) below the folder are
    no part of it.

    Returns:
        The contents by the path relative to the folder, in the order of the names.

    Raises:
        PolicyFolderError: The folder or a file cannot be read, a link leads out of it, something
            is no regular file, it is too large, there is no YAML file at all, or one that would
            not be read because it lies deeper or its ending is in capitals: its denials would be
            lost.
    """
    try:
        root = folder.resolve(strict=True)
        if not root.is_dir():
            raise PolicyFolderError(f"{folder} is not a folder; a policy is a folder of YAML files")
        reasons: list[str] = []
        found = _below(folder, root, root, reasons)
        names = _chosen(found, folder, reasons)
        files: dict[str, bytes] = {}
        for name in names:
            try:
                files[name] = _contents(folder, root, name)
            except PolicyFolderError as error:
                reasons.extend(error.reasons)
            except OSError as error:
                reasons.append(f"{folder / name} cannot be read: {error.strerror or error}")
        if reasons:
            raise PolicyFolderError(*reasons, files=files)
    except OSError as error:
        raise PolicyFolderError(f"{folder} cannot be read: {error.strerror or error}") from error
    except RuntimeError as error:  # a loop of symbolic links, before Python 3.13
        raise PolicyFolderError(f"{folder}: {error}") from error
    return files


def policy_names(names: Iterable[str], folder: Path) -> list[str]:
    """
    Return which files of a folder make up its policy, in the order of the names.

    Args:
        names: The paths of the files in and below the folder, relative to it, with slashes.
        folder: What messages call the folder.

    Raises:
        PolicyFolderError: There are too many, none is YAML, or one that is would not be read,
            because it lies deeper or its ending is in capitals: its denials would be lost.
    """
    reasons: list[str] = []
    found = _chosen(names, folder, reasons)
    if reasons:
        raise PolicyFolderError(*reasons)
    return found


def _chosen(names: Iterable[str], folder: Path, reasons: list[str]) -> list[str]:
    """Return the files of a policy; `reasons` takes what is wrong with the others."""
    names = sorted(names)
    found: list[str] = []
    # A folder above a policy is no policy that has lost files.
    if not any("/" not in name and _is_yaml(name) for name in names):
        raise PolicyFolderError(f"{folder} holds no *.yaml file; there is no policy in it")
    for name in names:
        steps = name.split("/")
        if any(step.startswith(".") for step in steps):
            continue
        if len(steps) == 1 and name.lower().endswith((".yaml", ".yml")):
            if name.endswith((".yaml", ".yml")):
                found.append(name)
            else:
                reasons.append(f"{folder / name} would not be read; write its ending in lower case")
        elif name.endswith(".json"):
            found.append(name)
        elif _is_yaml(name):
            reasons.append(
                f"{folder / name} would not be read; a policy's YAML files lie in the folder "
                f"itself: move it to {folder / '-'.join(steps)}"
            )
    if len(found) > MAX_FILES:
        raise PolicyFolderError(
            f"{folder} holds {len(found)} files; at most {MAX_FILES} make a policy"
        )
    return found


def _below(folder: Path, root: Path, place: Path, reasons: list[str]) -> Iterator[str]:
    """
    Yield the files in and below a place in the folder, and folders that are called like files.

    Links to folders are not followed, but for the YAML files right behind them: those are not read,
    which must be said.  A volume of Kubernetes has such links (`teams -> ..data/teams`).
    """
    for path in place.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_symlink() and path.is_dir():
            target = path.resolve()
            behind = [] if target in (root, *root.parents) else list(path.iterdir())
            yaml = [one.relative_to(root).as_posix() for one in behind if _is_yaml(one.name)]
            if yaml and not target.is_relative_to(root):
                reasons.append(
                    f"{folder / yaml[0]} is behind a link out of the policy's folder; "
                    "it is not read"
                )
                continue
            yield from yaml
        elif path.is_dir() and path.suffix not in (".yaml", ".yml", ".json"):
            yield from _below(folder, root, path, reasons)
        else:
            yield path.relative_to(root).as_posix()


def _is_yaml(name: str) -> bool:
    name = name.lower()
    suite = name.endswith((".policytest.yaml", ".policytest.yml"))
    return name.endswith((".yaml", ".yml")) and not suite


def _contents(folder: Path, root: Path, name: str) -> bytes:
    path = (root / name).resolve(strict=True)
    if not path.is_relative_to(root):
        raise PolicyFolderError(
            f"{folder / name} is a link out of the policy's folder; it is not read"
        )
    if not path.is_file():
        raise PolicyFolderError(f"{folder / name} is not a regular file")
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise PolicyFolderError(
            f"{folder / name} is larger than {MAX_FILE_BYTES // 1024 // 1024} MiB"
        )
    return data
