"""
A folder to start from: everything a token server and a registry need to run together.

What lives here: the files that `token-server init` writes.  Not here: reading them
(`configuration.server_file`), and making the keys (`signing.key_folder`).
"""

import contextlib
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from regauth.engine.source.startup import StartupError
from regauth.servers.signing import key_folder
from regauth.servers.signing.key_folder import write_file

from . import sample

ISSUER: Final = "registry-token-issuer"

_SERVER: Final = """\
policy: policy                  # who may do what; test it with policytest
listen: 127.0.0.1:{port}
issuer: {issuer}   # the registry's auth.token.issuer
signing:
  keyFolder: keys               # made by `token-server keys`
tokenLifetime: 5m
logFormat: text
"""

_POLICY: Final = """\
version: 1

services: [{service}]   # the registry's auth.token.service

definitions:
  on_main: claims.ref == "refs/heads/main" && claims.event_name == "push"

providers:
  sample:                           # docker login --username sample
    # A stand-in for GitHub Actions, whose private key lies in ../sample.  For trying out only:
    # whoever has that key is whoever they like.
    issuer: {issuer}
    audience: {audience}
    claims: github-actions
    keys:
      pem: |
{pem}
    rules:
      - name: our-organisation
        check: claims.repository_owner_id == "1342004"
        message: only workflows of the acme organisation may log in
  #
  # The real thing, with the same claims and the same grants:
  #
  # github:
  #   issuer: https://token.actions.githubusercontent.com
  #   audience: https://registry.example.com
  #   claims: github-actions
  #   rules: ...

grants:
  - name: push-own-repository
    when: defs.on_main
    repositories: ["${{claims.repository.lowerAscii()}}", "${{claims.repository.lowerAscii()}}/**"]
    actions: [pull, push]
  - name: pull-own-organisation
    repositories: ["${{claims.repository_owner.lowerAscii()}}/**"]
    actions: [pull]
"""

_REGISTRY: Final = """\
# docker-registry serve {folder}/registry.yml   (Distribution 2.8; `registry` in its container)
version: 0.1
log:
  level: info
storage:
  filesystem:
    rootdirectory: {folder}/registry-data
  delete:
    enabled: true
http:
  addr: 127.0.0.1:{registry_port}
auth:
  token:
    realm: http://localhost:{port}/auth/token
    service: {service}
    issuer: {issuer}
    rootcertbundle: {folder}/keys/root.crt
"""

_IGNORE: Final = """\
# Private keys and what the registry stores never belong in version control.
keys/*.key
sample/
registry-data/
"""


class StarterError(StartupError):
    """The folder cannot be filled; the message says why."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What differs from one folder to another."""

    service: str = "registry.example.com"
    port: int = 5001
    registry_port: int = 5000
    algorithm: str = "ES256"


def create(folder: Path, choices: Choices, now: datetime) -> tuple[Path, ...]:
    """
    Fill a folder and return what was written.

    Nothing that exists is overwritten: with any of the files there, none is written.

    Raises:
        StarterError: One of the files exists, or the folder cannot be written.
    """
    folder = folder.resolve()
    private, public = sample.make_sample_key()
    texts = _texts(folder, choices, public)
    places = [folder / name for name in (*texts, str(sample.KEY_FILE), "keys")]
    there = [place for place in places if place.exists() or place.is_symlink()]
    if there:
        raise StarterError(f"{there[0]} exists already; choose another folder, nothing was written")
    made: list[Path] = []
    try:
        _make_folder(folder, made)
        (folder / "keys").mkdir()  # this comes first: of two runs at the same time, one ends here
        made.append(folder / "keys")
        for name, text in texts.items():
            _make_folder((folder / name).parent, made)
            write_file(folder / name, text.encode())
            made.append(folder / name)
        _make_folder((folder / sample.KEY_FILE).parent, made)
        write_file(folder / sample.KEY_FILE, private, secret=True)
        made.append(folder / sample.KEY_FILE)
        key_folder.create(folder / "keys", choices.algorithm, now)
    except OSError as error:
        _remove(made, folder / "keys")
        raise StarterError(
            f"{error.filename or folder} cannot be written: {error.strerror}"
        ) from error
    except key_folder.KeyFolderError as error:
        _remove(made, folder / "keys")
        raise StarterError(str(error)) from error
    return tuple(places)


def _make_folder(folder: Path, made: list[Path]) -> None:
    """Make a folder and those above it, and note which were not there."""
    for missing in reversed([one for one in (folder, *folder.parents) if not one.exists()]):
        missing.mkdir()
        made.append(missing)


def _remove(made: Sequence[Path], keys: Path) -> None:
    """Remove what a failed start has made, and nothing else, so that it can be repeated."""
    for place in reversed(made):
        with contextlib.suppress(OSError):
            if place == keys:
                shutil.rmtree(place)
            elif place.is_dir():
                place.rmdir()
            else:
                place.unlink()


def _texts(folder: Path, choices: Choices, pem: str) -> Mapping[str, str]:
    return {
        "server.yaml": _SERVER.format(port=choices.port, issuer=ISSUER),
        "policy/policy.yaml": _POLICY.format(
            service=choices.service,
            issuer=sample.ISSUER,
            audience=sample.AUDIENCE,
            pem=textwrap.indent(pem.strip(), " " * 8),
        ),
        "registry.yml": _REGISTRY.format(
            folder=folder,
            service=choices.service,
            issuer=ISSUER,
            port=choices.port,
            registry_port=choices.registry_port,
        ),
        ".gitignore": _IGNORE,
    }


def next_steps(folder: Path, choices: Choices) -> str:
    """Return what to type next, for the terminal."""
    registry = f"localhost:{choices.registry_port}"
    realm = f"http://localhost:{choices.port}/auth/token"
    return textwrap.dedent(f"""\
        Serve it:
          token-server --config {folder}/server.yaml
          docker-registry serve {folder}/registry.yml

        A job on main of acme/app may push to acme/app:
          token-server sample-jwt {folder} |
            token-server exchange {realm} --username sample \\
              --service {choices.service} --scope repository:acme/app:pull,push
          skopeo copy --dest-tls-verify=false --dest-creds \\
            sample:$(token-server sample-jwt {folder}) oci:IMAGE docker://{registry}/acme/app

        A pull request may not, and is told so:
          token-server sample-jwt {folder} --event pull_request --ref refs/pull/7/merge
        """)
