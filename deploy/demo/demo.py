"""
The main job, once through: `make demo`.

Tests the reference policies, starts a token server with throw-away keys, exchanges a sample JWT for
a registry token, shows what is refused and why, and, where Debian's registry and skopeo are
installed, pushes and pulls an image with it.  Everything happens in a temporary folder and on
loopback; nothing runs on when it ends.
"""

import contextlib
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
BIN = Path(sys.executable).parent
PATIENCE = 30.0
SERVICE = "registry.example.com"


def main() -> int:
    """Run the demonstration; return the exit code."""
    title("1. The reference policies are proven with sample JWTs")
    run([BIN / "policytest", "-q", "policytests/cases"], cwd=REPOSITORY)
    with tempfile.TemporaryDirectory(prefix="token-server-demo-") as folder:
        trial = Path(folder) / "trial"
        port, registry_port = free_ports(2)
        title("2. A token server with throw-away keys")
        ports = ["--port", str(port), "--registry-port", str(registry_port)]
        run([BIN / "token-server", "init", trial, *ports], quiet=True)
        print(f"token-server init trial\ntoken-server --config trial/server.yaml   # port {port}")
        serve = [BIN / "token-server", "--config", trial / "server.yaml"]
        with running(serve, port, trial / "token-server.log"):
            exchanges(trial, f"http://localhost:{port}/auth/token")
            images(trial, registry_port)
            title("What the token server wrote about it")
            print((trial / "token-server.log").read_text(encoding="utf-8").rstrip())
    print("\nEverything is stopped and removed.")
    return 0


def exchanges(trial: Path, url: str) -> None:
    """Show a login that gets what it asks for, one that gets less, and one that is refused."""
    scope = "repository:acme/app:pull,push"
    title("3. A job on main of acme/app exchanges its JWT for a registry token")
    exchange(url, jwt(trial), scope)
    title("4. A pull request asks for the same: it gets less")
    exchange(url, jwt(trial, "--event", "pull_request", "--ref", "refs/pull/7/merge"), scope)
    title("5. A workflow of another organisation is turned away, and told why")
    exchange(url, jwt(trial, "--claim", 'repository_owner_id="999"'), scope, refused=True)


def images(trial: Path, port: int) -> None:
    """Push and pull an image through a real registry."""
    title("6. An image, pushed and pulled with these tokens")
    missing = [name for name in ("docker-registry", "skopeo") if shutil.which(name) is None]
    if missing:
        print(
            f"left out: {' and '.join(missing)} not installed (apt-get install {' '.join(missing)})"
        )
        return
    write_image = runpy.run_path(str(REPOSITORY / "tests/e2e/images.py"))["write_image"]
    write_image(trial / "image", "1", b"hello from a policy\n")
    source, target = f"oci:{trial}/image:1", f"docker://localhost:{port}/acme/app:1"
    pull_request = ("--event", "pull_request", "--ref", "refs/pull/7/merge")
    registry = ["docker-registry", "serve", trial / "registry.yml"]
    with running(registry, port, trial / "registry.log"):
        print("main pushes:")
        copy("dest", jwt(trial), source, target)
        print("a pull request pulls:")
        copy("src", jwt(trial, *pull_request), target, f"oci:{trial}/pulled:1")
        print("a pull request pushes:")
        copy("dest", jwt(trial, *pull_request), source, target, refused=True)


def jwt(trial: Path, *options: str) -> str:
    """Return a JWT as a GitHub Actions job has it."""
    return run([BIN / "token-server", "sample-jwt", trial, *options], quiet=True).stdout.strip()


def exchange(url: str, token: str, scope: str, *, refused: bool = False) -> None:
    """Show what the token server answers."""
    command = [BIN / "token-server", "exchange", url, "--username", "sample"]
    run([*command, "--service", SERVICE, "--scope", scope], token, code=int(refused))


def copy(side: str, token: str, source: str, target: str, *, refused: bool = False) -> None:
    """Copy an image with skopeo; `side` is the one that is the registry."""
    command: list[str | Path] = ["skopeo", "--insecure-policy", "copy", "--quiet"]
    command += [f"--{side}-tls-verify=false", f"--{side}-creds", f"sample:{token}", source, target]
    run(command, code=int(refused))
    if not refused:
        print("  done")


def run(
    command: Sequence[str | Path],
    text: str = "",
    *,
    code: int = 0,
    quiet: bool = False,
    cwd: Path | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Run a program to its end; end the demonstration when it does not end as it should."""
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=300, check=False, cwd=cwd
    )
    as_expected = done.returncode == code or (code and done.returncode)
    output = (done.stdout + done.stderr).rstrip()
    if output and not (quiet and as_expected):
        print(output)
    if not as_expected:
        raise SystemExit(f"{Path(command[0]).name} ended with {done.returncode}, not {code}")
    return done


@contextlib.contextmanager
def running(command: Sequence[str | Path], port: int, log: Path) -> Iterator[None]:
    """Run a server; the block begins when it accepts connections and ends with it stopped."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    try:
        await_service(process, port)
        yield
    except SystemExit:
        print(log.read_text(encoding="utf-8", errors="replace").rstrip())
        raise
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def await_service(process: "subprocess.Popen[bytes]", port: int) -> None:
    """Return when the server accepts connections; end the demonstration when it does not."""
    deadline = time.monotonic() + PATIENCE
    while not accepts(port):
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"{process.args!r} does not serve")
        time.sleep(0.05)  # between two questions


def accepts(port: int) -> bool:
    """Tell whether somebody accepts connections on a port of loopback."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that nobody listens on, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def title(text: str) -> None:
    """Print a heading."""
    print(f"\n== {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
