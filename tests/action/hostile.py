"""A checkout whose every file would run if a program took it for its own, and says so when it does."""

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from .conftest import TOOLS

_INSTALLED = (
    *("_distutils_hack", "_pytest", "celpy", "click", "cryptography", "ensurepip", "jsonschema"),
    *("jwt", "lark", "orjson", "packaging", "pip", "pkg_resources", "pluggy", "pygments", "pytest"),
    *("re2", "regauth", "setuptools", "sitecustomize", "syrupy", "usercustomize", "wheel", "yaml"),
)
_PROGRAMS = (
    *TOOLS,
    *("python", "python3", *(f"python3.{minor}" for minor in range(11, 16)), "pip", "git", "cp"),
    *("docker", "skopeo", "docker-credential-evil", "docker-credential-regauth"),
)


@dataclass(frozen=True)
class HostileCheckout:
    """The folder, and the file in which its code leaves its names."""

    folder: Path
    log: Path

    @property
    def ran(self) -> set[str]:
        """What of the checkout has run."""
        return set(self.log.read_text().split()) if self.log.exists() else set()


def hostile_checkout(folder: Path, log: Path) -> HostileCheckout:
    """Make one: modules, programs, and what configures Python, pip, git, curl and docker."""
    folder.mkdir(exist_ok=True)
    # Names of programs would hide packages of the same name.
    programs = folder / "programs"
    programs.mkdir()
    for name in sorted({*sys.stdlib_module_names, *_INSTALLED}):
        text = (
            "import posix\n"  # `open` is not there yet when `encodings` is imported
            f"log = posix.open({str(log)!r}, posix.O_WRONLY | posix.O_APPEND | posix.O_CREAT)\n"
            f"posix.write(log, {name.encode() + b'.py '!r})\n"
        )
        package = folder / name
        package.mkdir()
        (package / "__init__.py").write_text(text)
        (package / "__main__.py").write_text(text)
    for place in (programs, folder):
        for name in _PROGRAMS:
            file = place / name
            if not file.is_dir():
                file.write_text(f"#!/bin/sh\nprintf '%s ' {name} >>{shlex.quote(str(log))}\n")
                file.chmod(0o755)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = folder / "lib" / version / "site-packages"
    site.mkdir(parents=True)
    (site / "evil.pth").write_text(f"import sys; open({str(log)!r}, 'a').write('evil.pth ')\n")
    evil = {
        "pip.conf": "[global]\nindex-url = http://127.0.0.1:9/evil\ntarget = stolen\n",
        "setup.cfg": "[install]\nprefix = stolen\n",
        "pyvenv.cfg": "home = programs\ninclude-system-site-packages = true\n",
        ".netrc": "default login evil password evil\n",
        ".curlrc": "output = stolen\n",
        ".docker/config.json": '{"credsStore": "evil"}',
        ".git/config": f"[core]\n\tfsmonitor = {programs}/git\n\thooksPath = {programs}\n",
    }
    for name, text in evil.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return HostileCheckout(folder, log)
