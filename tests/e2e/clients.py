"""Registry clients as the tests use them: each pushes, pulls and keeps its login in its own way."""

import base64
import io
import json
import subprocess
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .images import layer_content
from .programs import run

Done = subprocess.CompletedProcess[str]
HELM_CHART = 'apiVersion: v2\nname: app\nversion: "{tag}"\n'


@dataclass(frozen=True)
class Home:
    """Where a client keeps what it stores, away from the machine's own."""

    folder: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that lead clients there."""
        auth = str(self.folder / "config.json")
        return {
            "HOME": str(self.folder),
            "XDG_RUNTIME_DIR": str(self.folder),
            "XDG_DATA_HOME": str(self.folder),
            "REGISTRY_AUTH_FILE": auth,
            "DOCKER_CONFIG": str(self.folder),
            "HELM_REGISTRY_CONFIG": auth,
            "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
        }

    def make(self, registry: str = "", password: str = "") -> "Home":
        """Make the folder, with a login as `docker login` stores it where there is a password."""
        self.folder.mkdir(parents=True, exist_ok=True)
        storage = f'graphroot = "{self.folder}/graph"\nrunroot = "{self.folder}/run"\n'
        (self.folder / "storage.conf").write_text(f'[storage]\ndriver = "vfs"\n{storage}')
        pair = base64.b64encode(f"sample:{password}".encode()).decode()
        # A file with no login at all makes docker and helm use the machine's own store, if it has one.
        auths = {registry if password else "elsewhere.example.com": {"auth": pair}}
        (self.folder / "config.json").write_text(json.dumps({"auths": auths}))
        return self

    def run(self, *command: str | Path, text: str = "") -> Done:
        """Run a program that stores things here."""
        return run(command, text, **self.environment)


class Client:
    """A client; references are `HOST:PORT/NAME:TAG`, images are OCI layouts with the tag 1."""

    program = ""

    def login(self, home: Home, registry: str, password: str) -> Done:
        """Log in and keep the credentials."""
        return home.run(
            *(self.program, "login", "--tls-verify=false"),
            *("-u", "sample", "--password-stdin", registry),
            text=password,
        )

    def push(self, home: Home, image: Path, reference: str) -> Done:
        """Push an image."""
        raise NotImplementedError

    def pull(self, home: Home, reference: str, into: Path) -> Done:
        """Pull an image."""
        raise NotImplementedError

    def content(self, pulled: Path, reference: str) -> bytes:
        """Return the one file of the one layer of what was pulled."""
        del reference
        return layer_content(pulled)


Able = Callable[[Client], None]
"""Skips the test when a client is not there, or does not work here."""


class Skopeo(Client):
    program = "skopeo"

    def push(self, home: Home, image: Path, reference: str) -> Done:
        return self._copy(home, f"oci:{image}:1", f"docker://{reference}")

    def pull(self, home: Home, reference: str, into: Path) -> Done:
        return self._copy(home, f"docker://{reference}", f"oci:{into}:1")

    def copy(self, home: Home, source: str, target: str) -> Done:
        return self._copy(home, f"docker://{source}", f"docker://{target}")

    def delete(self, home: Home, reference: str) -> Done:
        return home.run("skopeo", "delete", "--tls-verify=false", f"docker://{reference}")

    def _copy(self, home: Home, source: str, target: str) -> Done:
        insecure = ("--src-tls-verify=false", "--dest-tls-verify=false")
        return home.run("skopeo", "--insecure-policy", "copy", *insecure, source, target)


class Podman(Client):
    program = "podman"

    def push(self, home: Home, image: Path, reference: str) -> Done:
        loaded = home.run(self.program, "pull", "--quiet", f"oci:{image}:1")
        assert loaded.returncode == 0, loaded.stderr
        name = loaded.stdout.strip()
        return home.run(self.program, "push", "--tls-verify=false", name, f"docker://{reference}")

    def pull(self, home: Home, reference: str, into: Path) -> Done:
        done = home.run(self.program, "pull", "--tls-verify=false", reference)
        if done.returncode:
            return done
        return home.run(self.program, "push", reference, f"oci:{into}:1")


class Buildah(Podman):
    program = "buildah"


class Crane(Client):
    program = "crane"

    def login(self, home: Home, registry: str, password: str) -> Done:
        words = ("crane", "auth", "login", "-u", "sample", "--password-stdin", registry)
        return home.run(*words, text=password)

    def push(self, home: Home, image: Path, reference: str) -> Done:
        return home.run("crane", "push", image, reference)

    def pull(self, home: Home, reference: str, into: Path) -> Done:
        return home.run("crane", "pull", "--format=oci", reference, into)

    def copy(self, home: Home, source: str, target: str) -> Done:
        return home.run("crane", "copy", source, target)

    def delete(self, home: Home, reference: str) -> Done:
        found = home.run("crane", "digest", "--full-ref", reference)
        if found.returncode:
            return found
        return home.run("crane", "delete", found.stdout.strip())

    def catalog(self, home: Home, registry: str) -> Done:
        return home.run("crane", "catalog", registry)


class Oras(Client):
    program = "oras"

    def login(self, home: Home, registry: str, password: str) -> Done:
        words = ("oras", "login", "--plain-http", "-u", "sample", "--password-stdin", registry)
        return home.run(*words, text=password)

    def push(self, home: Home, image: Path, reference: str) -> Done:
        source = ("--from-oci-layout", f"{image}:1")
        return home.run("oras", "cp", *source, "--to-plain-http", reference)

    def pull(self, home: Home, reference: str, into: Path) -> Done:
        target = ("--to-oci-layout", f"{into}:1")
        return home.run("oras", "cp", "--from-plain-http", reference, *target)

    def copy(self, home: Home, source: str, target: str) -> Done:
        plain = ("--from-plain-http", "--to-plain-http")
        return home.run("oras", "cp", *plain, source, target)

    def delete(self, home: Home, reference: str) -> Done:
        return home.run("oras", "manifest", "delete", "--plain-http", "--force", reference)

    def catalog(self, home: Home, registry: str) -> Done:
        return home.run("oras", "repo", "ls", "--plain-http", registry)


class Helm(Client):
    """Helm pushes a chart with the image's file in it; its tag is the chart's version."""

    program = "helm"

    def login(self, home: Home, registry: str, password: str) -> Done:
        words = ("helm", "registry", "login", "--plain-http", "-u", "sample", "--password-stdin")
        return home.run(*words, registry, text=password)

    def push(self, home: Home, image: Path, reference: str) -> Done:
        name, _, tag = reference.rpartition(":")
        chart = home.folder / f"app-{tag}.tgz"
        files = {
            "app/Chart.yaml": HELM_CHART.format(tag=tag).encode(),
            "app/hello.txt": layer_content(image),
        }
        with tarfile.open(chart, "w:gz") as archive:
            for path, data in files.items():
                entry = tarfile.TarInfo(path)
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
        return home.run("helm", "push", "--plain-http", chart, f"oci://{name.rpartition('/')[0]}")

    def pull(self, home: Home, reference: str, into: Path) -> Done:
        name, _, tag = reference.rpartition(":")
        into.mkdir(exist_ok=True)
        where = ("--version", tag, "--destination", into)
        return home.run("helm", "pull", "--plain-http", f"oci://{name}", *where)

    def content(self, pulled: Path, reference: str) -> bytes:
        tag = reference.rpartition(":")[2]
        with tarfile.open(pulled / f"app-{tag}.tgz") as archive:
            file = archive.extractfile("app/hello.txt")
            assert file is not None
            return file.read()


CLIENTS: tuple[Client, ...] = (Skopeo(), Podman(), Buildah(), Crane(), Oras(), Helm())
EDITORS = (Skopeo(), Crane(), Oras())
"""Those that copy within a registry and delete."""

LISTERS = (Crane(), Oras())
"""Those that list the repositories of a registry."""
