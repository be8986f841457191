"""
The programs that tests run, and where each comes from: the one list of them.

`make test` installs those of `registry` in the Makefile; `make programs` gets whatever else there
is here.  A test skips without a program that it needs and says what is written here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Debian:
    """
    A package of Debian.

    One that is only `unpacked` would start a server when it is installed, or replace a program that
    people use; its files are put beside the system and need none of its other packages.  Where that
    cannot be, `settings` is a file, with its text, that keeps the package from starting anything.
    """

    package: str
    unpacked: bool = False
    settings: tuple[str, str] | None = None

    def __str__(self) -> str:
        return f"Debian's {self.package}"


@dataclass(frozen=True, slots=True)
class Go:
    """A program that `go install` builds, at a version."""

    module: str

    def __str__(self) -> str:
        return f"go install {self.module}"


@dataclass(frozen=True, slots=True)
class GoSource:
    """
    A program that is built in the unpacked module.

    `go install` refuses a module that replaces others, and one that calls itself otherwise than it
    is fetched by.
    """

    module: str
    package: str
    tags: str = ""

    def __str__(self) -> str:
        return f"go build {self.package} in {self.module}"


Source = Debian | Go | GoSource

_DISTRIBUTION: Final = "github.com/distribution/distribution/v3/cmd/registry"

PROGRAMS: Final[Mapping[str, Source]] = {
    "docker-registry": Debian("docker-registry"),
    "skopeo": Debian("skopeo"),
    "nginx": Debian("nginx"),
    "podman": Debian("podman"),
    "buildah": Debian("buildah"),
    "docker": Debian("docker.io", unpacked=True),
    "caddy": Debian("caddy", unpacked=True),
    "docker-credential-pass": Debian("golang-docker-credential-helpers"),
    "pass": Debian("pass"),
    "gpg": Debian("gnupg"),
    "containerd": Debian("containerd", unpacked=True),
    "ctr": Debian("containerd", unpacked=True),
    "shellcheck": Debian("shellcheck"),
    "promtool": Debian("prometheus", unpacked=True),
    "actionlint": Go("github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"),
    "pg_ctlcluster": Debian(
        "postgresql",
        settings=("/etc/postgresql-common/createcluster.conf", "create_main_cluster = false\n"),
    ),
    "crane": Go("github.com/google/go-containerregistry/cmd/crane@v0.22.1"),
    "oras": Go("oras.land/oras/cmd/oras@v1.3.6"),
    "registry-3.1": Go(f"{_DISTRIBUTION}@v3.1.2"),
    "registry-3.0": Go(f"{_DISTRIBUTION}@v3.0.0"),
    "zot": GoSource("github.com/project-zot/zot@v1.4.3", "./cmd/zot", "containers_image_openpgp"),
    "helm": Go("helm.sh/helm/v3/cmd/helm@v3.22.0"),
}
"""By the name that tests call them by, the quickest to get first."""
