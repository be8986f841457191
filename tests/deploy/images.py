"""
Images, built from deploy/Containerfile with podman and run as a cluster would run them.

Where a base can be had is for the person who runs the tests to say, in REGAUTH_IMAGE_BASE.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.programs import wait_until

VARIABLE = "REGAUTH_IMAGE_BASE"
DEBOOTSTRAP = "debootstrap"
HOW = f"{VARIABLE} names no base for the images: deploy/README.md says what to name"
USER = 65532
EPOCH = "1700000000"
BUILDING = 1800
"""Seconds."""

LIMIT = 8192
"""Of open files, and of processes, in a container."""

_SHELLS = ("bash", "dash")
_CONFINED = ("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges")
_PACKAGES = "ca-certificates,python3,python3-pip,python3-venv"
_PIP = {"cert", "extra-index-url", "index-url", "no-index", "proxy", "timeout", "trusted-host"}
"""How this machine's pip reaches its packages; the rest of its configuration stays here."""


def _limit(which: int) -> int:
    return min([LIMIT, *(one for one in resource.getrlimit(which) if one >= 0)])


@dataclass
class Podman:
    """Podman as these tests call it, and what they leave in its storage until the end."""

    folder: Path
    base: str = ""
    made: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        # Nobody without CAP_SYS_RESOURCE may raise a limit, and podman's own are high.
        ulimits = json.dumps(
            [
                f"{name.lower()}={soft}:{soft}"
                for name in ("NOFILE", "NPROC")
                for soft in [_limit(getattr(resource, f"RLIMIT_{name}"))]
            ]
        )
        systemd = Path("/run/systemd/system").is_dir()
        # crun runs with one version of cgroups, runc with both at once too.
        hybrid = not Path("/sys/fs/cgroup/cgroup.controllers").exists() and shutil.which("runc")
        (self.folder / "containers.conf").write_text(
            f'[containers]\ndefault_ulimits = {ulimits}\n[engine]\nevents_logger = "file"\n'
            + ("" if systemd else 'cgroup_manager = "cgroupfs"\n')
            + ('runtime = "runc"\n' if hybrid else "")
        )  # fmt: skip
        (self.folder / "empty").write_text("")

    def __call__(
        self, *arguments: str | Path, text: str = "", seconds: int = 120
    ) -> "subprocess.CompletedProcess[str]":
        """Call podman, to its end."""
        return subprocess.run(
            ["podman", *arguments],
            input=text,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            env={"CONTAINERS_CONF": str(self.folder / "containers.conf"), **os.environ},
        )

    def build(self, checkout: Path, target: str) -> str:
        """Build a target from a checkout; return the image's id."""
        tag = f"localhost/regauth-test/{target}:{os.getpid()}.{len(self.made)}"
        file = checkout / "deploy" / "Containerfile"
        done = self(
            *("build", "--file", file, "--target", target, "--tag", tag),
            *("--isolation=chroot", "--format=docker", f"--timestamp={EPOCH}"),
            "--layers=false",  # nothing is kept but the image
            *(f"--volume={source}:{inside}:ro" for source, inside in self._pip()),
            *(f"--build-arg=BASE={self.base}", checkout),
            seconds=BUILDING,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        self.made.append(tag)
        return str(self.inspect(tag)["Id"])

    def _pip(self) -> Iterator[tuple[Path, str]]:
        """What pip needs to reach its packages from within; it is mounted, so no image holds it."""
        listed = subprocess.run(
            [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True, timeout=60
        ).stdout  # fmt: skip
        settings = {}
        for line in listed.splitlines():
            name, _, value = line.partition("=")
            key = name.rpartition(".")[2]
            if key in _PIP:
                settings[key] = value.strip("'\"").replace("\\n", "\n  ")
        if certificates := settings.get("cert"):
            yield Path(certificates).resolve(), "/run/pip-certificates.pem"
            settings["cert"] = "/run/pip-certificates.pem"
        file = self.folder / "pip.conf"
        file.write_text(
            "[global]\n" + "".join(f"{key} = {value}\n" for key, value in settings.items())
        )
        yield file, "/etc/pip.conf"

    def inspect(self, image: str) -> dict[str, Any]:
        """Return what podman tells about an image."""
        done = self("image", "inspect", image)
        assert done.returncode == 0, done.stderr
        (found,) = json.loads(done.stdout)
        return dict(found)

    def arguments(self, *options: str, mounts: Sequence[tuple[Path, str]] = ()) -> list[str]:
        """Return how a container is run: it cannot write, may do nothing special, and finds no shell."""
        volumes = [*mounts, *((self.folder / "empty", f"/usr/bin/{shell}") for shell in _SHELLS)]
        # Where nobody is root, the container's user is whoever runs the tests, and reads their files.
        user = [] if os.geteuid() == 0 else [f"--userns=keep-id:uid={USER},gid={USER}"]
        return [
            *_CONFINED,
            *user,
            *(f"--volume={source}:{target}:ro" for source, target in volumes),
            *options,
        ]

    @contextmanager
    def running(self, image: str, *command: str, mounts: Sequence[tuple[Path, str]] = (), network: str = "none") -> Iterator["Container"]:  # fmt: skip
        """Run a server until the block ends; the block waits until it serves."""
        arguments = self.arguments(
            f"--network={network}", "--health-interval=disable", mounts=mounts
        )
        done = self("run", "--detach", *arguments, image, *command)
        assert done.returncode == 0, done.stderr
        container = Container(self, done.stdout.strip())
        try:
            yield container
        finally:
            self("rm", "--force", "--time=10", container.name)


@dataclass(frozen=True)
class Container:
    """A running container."""

    podman: Podman
    name: str

    def exec(self, *command: str, text: str = "") -> "subprocess.CompletedProcess[str]":
        """Run a command within it."""
        return self.podman("exec", "--interactive", self.name, *command, text=text)

    @property
    def log(self) -> str:
        """Everything that it has written."""
        done = self.podman("logs", self.name)
        return done.stdout + done.stderr

    def healthy(self) -> bool:
        """Run the image's own health check."""
        return self.podman("healthcheck", "run", self.name).returncode == 0

    def wait(self) -> None:
        """Wait until it is healthy."""
        wait_until(self.healthy, f"that the health check passes, {self.log}")


@contextmanager
def podman(folder: Path) -> Iterator[Podman]:
    """Podman with a base for the images; skips where nobody said which."""
    wanted = os.environ.get(VARIABLE)
    if not wanted:
        pytest.skip(HOW)
    if shutil.which("podman") is None:
        pytest.fail(
            f"{VARIABLE} is set and podman is not installed; on Debian: apt-get install -y podman"
        )
    found = Podman(folder)
    try:
        found.base = debian(found) if wanted == DEBOOTSTRAP else wanted
        yield found
    finally:
        for tag in reversed(found.made):
            found("rmi", "--force", tag)


def debian(found: Podman) -> str:
    """Make a base of Debian's packages, with Python where the images of Docker's library have it."""
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        pytest.fail(
            f"{VARIABLE}={DEBOOTSTRAP} needs root and debootstrap; on Debian: apt-get install -y debootstrap"
        )
    root = found.folder / "debian"
    subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", "trixie", root], check=True, timeout=BUILDING,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    for name in ("python", "python3"):
        (root / "usr" / "local" / "bin" / name).symlink_to("/usr/bin/python3")
    # Debian's pip leaves the system to apt; here the system is all there is.
    for file in (root / "usr" / "lib").glob("python3*/EXTERNALLY-MANAGED"):
        file.unlink()
    tag = f"localhost/regauth-test/base:{os.getpid()}"
    archive = found.folder / "debian.tar"
    subprocess.run(["tar", "-C", root, "-cf", archive, "."], check=True, timeout=BUILDING)
    shutil.rmtree(root)
    done = found("import", archive, tag, seconds=BUILDING)
    archive.unlink()
    assert done.returncode == 0, done.stderr
    found.made.append(tag)
    return tag
