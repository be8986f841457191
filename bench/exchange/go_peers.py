"""
Go servers to measure the token server beside.

What lives here: building them, outside the repository, and how they are run with the keys and the
policy of a `token-server init` folder.  Not here: measuring.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from regauth.engine.tokens.pem import load_private_key
from regauth.servers.setup import sample, starter

MODULE = "github.com/jetstack/jwt-registry-auth/cmd/token-server@latest"
BUILD_SECONDS = 900
Command = Callable[[int, int], list[str]]
"""How a server is run on a port with so many processors."""

PROOF_OF_CONCEPT = """\
server:
  listenAddress: "127.0.0.1:{port}"
  tokenPath: /auth/token
token:
  issuer: {issuer}
  duration: 5m
  certificate: {certificate}
  key: {key}
providers:
  - name: sample
    {keys}
    authn:
      condition: |
        service == "{service}" && claims["iss"] == "{provider}" &&
        claims["aud"] == "{audience}" && claims["repository_owner_id"] == "1342004"
    authz:
      condition: |
        scope["type"] == "repository" && (
          (claims["ref"] == "refs/heads/main" && claims["event_name"] == "push" &&
            scope["action"] in ["pull", "push"] && (scope["name"] == claims["repository"] ||
            scope["name"].startsWith(claims["repository"] + "/"))) ||
          (scope["action"] == "pull" && scope["name"].startsWith(claims["repository_owner"] + "/")))
"""


def peers(folder: Path, cache: Path, service: str) -> Iterator[tuple[str, Command]]:
    """Give each Go server that can be had here, and say why another cannot."""
    if shutil.which("go") is None:
        print("go is not installed; with it, servers in Go are measured too")
        return
    try:
        yield "Go standard library", standard_library(folder, cache, service)
        yield "the proof of concept", proof_of_concept(folder, cache, service)
    except subprocess.CalledProcessError as error:
        print(f"a server in Go cannot be built: {error.stderr.strip()[-300:]}")


def standard_library(folder: Path, cache: Path, service: str) -> Command:
    """Build `main.go` beside this file."""
    binary, public = cache / "exchange", folder / "provider.pem"
    source = Path(__file__).parent / "main.go"
    _go("build", "-o", str(binary), str(source), cache=cache)
    public.write_text(_public(folder))

    def command(port: int, processors: int) -> list[str]:
        return [
            *("env", f"GOMAXPROCS={processors}", str(binary), "-listen", f"127.0.0.1:{port}"),
            *("-public", str(public), "-private", str(_signing(folder, ".key"))),
            *("-issuer", sample.ISSUER, "-audience", sample.AUDIENCE, "-service", service),
        ]

    return command


def proof_of_concept(
    folder: Path, cache: Path, service: str, discovery: str | None = None
) -> Command:
    """
    Install the proof of concept's token server; `PROOF_OF_CONCEPT` names one that is there.

    With `discovery`, the address of an issuer, it fetches the keys from there at each request.
    """
    binary = os.environ.get("PROOF_OF_CONCEPT") or str(cache / "token-server")
    if not Path(binary).exists():
        _go("install", MODULE, cache=cache)
    certificate = folder / "leaf.crt"
    certificate.write_text(_signing(folder, ".crt").read_text())

    def command(port: int, processors: int) -> list[str]:
        configuration = folder / f"proof-of-concept-{port}.yaml"
        static = f"staticKeys:\n      - key: {json.dumps(_public(folder))}"
        configuration.write_text(
            PROOF_OF_CONCEPT.format(
                port=port,
                issuer=starter.ISSUER,
                certificate=certificate,
                key=_signing(folder, ".key"),
                keys=static if discovery is None else f"oidcDiscoveryURL: {discovery}",
                service=service,
                provider=discovery or sample.ISSUER,
                audience=sample.AUDIENCE,
            )
        )
        return ["env", f"GOMAXPROCS={processors}", binary, "--config-file", str(configuration)]

    return command


def _go(*arguments: str, cache: Path) -> None:
    environment = {**os.environ, "GOBIN": str(cache), "GOFLAGS": "-buildvcs=false"}
    subprocess.run(
        ["go", *arguments],
        env=environment,
        cwd=cache,
        check=True,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
    )


def _public(folder: Path) -> str:
    return sample.public_pem(load_private_key((folder / sample.KEY_FILE).read_bytes()))


def _signing(folder: Path, ending: str) -> Path:
    """Return the file of the key folder's current key, or of its certificates."""
    current = (folder / "keys" / "current").read_text().strip()
    return folder / "keys" / f"{current}{ending}"
