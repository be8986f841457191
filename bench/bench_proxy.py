"""
Moving blobs through the proxy and through nginx, beside nginx alone and the registry itself.

    python bench/bench_proxy.py [--mib 1024] [--runs 3] [--slow 200]

Pulls and pushes one blob with curl over loopback: straight to docker-registry, through nginx
alone, through nginx that asks `/authorize` (`deploy/nginx`), and through `registry-auth-proxy`.
What counts are the ratios within one run.  Peak memory is the highest resident set of the processes
in the way (`VmHWM`), after a blob of a quarter of the size and after the whole one.  Then as many
clients as `--slow` download slowly through the proxy, and new requests are timed.

Needs docker-registry, nginx and curl (Debian: apt-get install -y docker-registry nginx curl).
"""

import argparse
import hashlib
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from regauth.engine.tokens import jwt
from regauth.engine.tokens.keys import SigningKey
from regauth.servers.signing import key_folder

PROXY = (sys.executable, "-m", "regauth.servers.commands.registry_auth_proxy")
DEPLOY = Path(__file__).parents[1] / "deploy" / "nginx"
NAME, SERVICE, ISSUER = "acme/app", "registry.example.com", "registry-token-issuer"
MIB = 1024 * 1024
STARTUP = 30.0

REGISTRY = """\
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: FOLDER/data}, delete: {enabled: true}}
http: {addr: "127.0.0.1:PORT"}
"""
NGINX = """\
user USER;
worker_processes 1;
daemon off;
pid FOLDER/nginx.pid;
error_log FOLDER/error.log;
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path FOLDER/body;
    proxy_temp_path FOLDER/proxy;
    fastcgi_temp_path FOLDER/fastcgi;
    uwsgi_temp_path FOLDER/uwsgi;
    scgi_temp_path FOLDER/scgi;
    include FOLDER/registry.conf;
}
"""


@dataclass(frozen=True)
class Way:
    """A way to the registry, and the processes in it."""

    name: str
    port: int
    processes: tuple[int, ...] = ()

    def peak(self) -> float:
        """Return the processes' highest resident sets together, in MiB."""
        return sum(_status(pid, "VmHWM") for pid in self.processes) / 1024

    def reset(self) -> None:
        """Begin to measure anew (proc(5), clear_refs)."""
        for pid in self.processes:
            Path(f"/proc/{pid}/clear_refs").write_text("5")


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    return 0


def _children(pid: int) -> tuple[int, ...]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return (pid, *map(int, found))


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextmanager
def running(command: list[str | Path], port: int) -> Iterator[int]:
    """Run a server until the block ends; yield its process id when it accepts connections."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + STARTUP
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"{command[0]} does not serve") from None
                time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        process.wait(STARTUP)


def proxy_yaml(folder: Path, port: int, upstream: str) -> Path:
    file = folder / f"proxy-{port}.yaml"
    file.write_text(
        f"token:\n  realm: https://auth.example.com/auth/token\n  service: {SERVICE}\n"
        f"  issuer: {ISSUER}\n  rootCertBundle: {folder}/keys/root.crt\n"
        f"listen: 127.0.0.1:{port}\nlogLevel: error\ntrustedProxies: [127.0.0.1]\n{upstream}"
    )
    return file


def nginx_folder(folder: Path, ports: dict[int, int], *, ask: bool) -> Path:
    folder.mkdir()
    text = (DEPLOY / "registry.conf").read_text(encoding="utf-8")
    # All at once: a new port may begin as an old one does.
    text = re.sub(r"127\.0\.0\.1:(\d+)", lambda at: f"127.0.0.1:{ports[int(at[1])]}", text)
    if not ask:
        text = "\n".join(line for line in text.splitlines() if "auth_re" not in line)
        text = text.replace("add_header        X-Reason $auth_reason always;", "")
    (folder / "registry.conf").write_text(text)
    user = "root" if os.geteuid() == 0 else "nobody"
    text = NGINX.replace("FOLDER", str(folder)).replace("USER", user)
    (folder / "nginx.conf").write_text(text)
    return folder


@contextmanager
def ways(folder: Path) -> Iterator[list[Way]]:
    """Serve one registry in every way."""
    registry, decisions, asked, alone, proxy = free_ports(5)
    text = REGISTRY.replace("FOLDER", str(folder)).replace("PORT", str(registry))
    (folder / "registry.yml").write_text(text)
    with ExitStack() as stack:
        command: list[str | Path] = ["docker-registry", "serve", folder / "registry.yml"]
        stack.enter_context(running(command, registry))
        file = proxy_yaml(folder, decisions, "")
        decider = stack.enter_context(running([*PROXY, "--config", file], decisions))
        found = [Way("straight", registry)]
        for name, port, ask in (("nginx alone", alone, False), ("nginx + /authorize", asked, True)):
            ports = {5000: port, 5001: registry, 5002: decisions, 5003: decisions}
            where = nginx_folder(folder / f"nginx-{port}", ports, ask=ask)
            nginx = ["nginx", "-p", where, "-c", where / "nginx.conf"]
            pid = stack.enter_context(running(nginx, port))
            found.append(Way(name, port, (*_children(pid), *((decider,) if ask else ()))))
        upstream = f"upstream: {{url: 'http://127.0.0.1:{registry}'}}\n"
        file = proxy_yaml(folder, proxy, upstream)
        pid = stack.enter_context(running([*PROXY, "--config", file], proxy))
        found.append(Way("registry-auth-proxy", proxy, (pid,)))
        yield found


def curl(*arguments: str | Path) -> str:
    done = subprocess.run(
        ["curl", "--silent", "--show-error", "--fail", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"curl: {done.stderr}")
    return done.stdout


def push(way: Way, token: str, file: Path, digest: str) -> float:
    """Push a file in one PATCH; return the seconds."""
    bearer = ("-H", f"Authorization: Bearer {token}")
    url = f"http://127.0.0.1:{way.port}/v2/{NAME}/blobs/uploads/"
    began = time.perf_counter()
    where = _location(curl(*bearer, "-X", "POST", "-D", "-", "-o", "/dev/null", url), way)
    octets = ("-H", "Content-Type: application/octet-stream", "-H", "Expect:")
    sent = curl(*bearer, *octets, "-X", "PATCH", "-T", file, "-D", "-", "-o", "/dev/null", where)
    where = _location(sent, way)
    curl(*bearer, "-X", "PUT", "-H", "Content-Length: 0", f"{where}&digest={digest}")
    return time.perf_counter() - began


def _location(head: str, way: Way) -> str:
    for line in head.splitlines():
        if line.lower().startswith("location:"):
            path = line.partition(":")[2].strip()
            return f"http://127.0.0.1:{way.port}/v2/" + path.partition("/v2/")[2]
    raise SystemExit(f"no Location from {way.name}")


def pull(way: Way, token: str, digest: str) -> float:
    """Pull a blob; return the seconds."""
    url = f"http://127.0.0.1:{way.port}/v2/{NAME}/blobs/{digest}"
    began = time.perf_counter()
    curl("-H", f"Authorization: Bearer {token}", "-o", "/dev/null", url)
    return time.perf_counter() - began


def make_blob(folder: Path, mib: int) -> tuple[Path, str]:
    file, digest = folder / f"blob-{mib}", hashlib.sha256()
    part = os.urandom(MIB)
    with file.open("wb") as opened:
        for number in range(mib):
            piece = number.to_bytes(8, "big") + part[8:]
            opened.write(piece)
            digest.update(piece)
    return file, f"sha256:{digest.hexdigest()}"


def make_token(folder: Path) -> str:
    now = int(datetime.now(UTC).timestamp())
    first = key_folder.read(folder / "keys").all[0]
    access = [{"type": "repository", "name": NAME, "actions": ["pull", "push", "delete"]}]
    claims = {"iss": ISSUER, "aud": SERVICE, "sub": "bench", "exp": now + 7200, "access": access}
    return jwt.sign(claims, SigningKey(first.key, "ES256", None, first.chain))


def measure(found: list[Way], token: str, folder: Path, mib: int, runs: int) -> str:
    """Measure every way, print it, and return the digest of the blob."""
    small, whole = make_blob(folder, mib // 4), make_blob(folder, mib)
    rows = []
    for way in found:
        peaks = []
        for file, digest in (small, whole):
            way.reset()
            push(way, token, file, digest)
            pull(way, token, digest)
            peaks.append(way.peak())
        rows.append(peaks)
    times: dict[str, list[list[float]]] = {way.name: [[], []] for way in found}
    for _ in range(runs):  # in turns, so that what else the machine does meets all alike
        for way in found:
            times[way.name][0].append(pull(way, token, whole[1]))
            times[way.name][1].append(push(way, token, *whole))
    base = [statistics.median(one) for one in times["nginx alone"]]
    print(f"{mib} MiB, medians of {runs}; ratios are speed beside nginx alone\n")
    heads = ("GET MiB/s", "ratio", "push MiB/s", "ratio", f"peak {mib // 4} MiB", f"peak {mib} MiB")
    print(f"{'':22}" + "".join(f"{head:>14}" for head in heads))
    for way, peaks in zip(found, rows, strict=True):
        medians = [statistics.median(one) for one in times[way.name]]
        cells = [
            *(f"{mib / medians[0]:.0f}", f"{base[0] / medians[0]:.2f}"),
            *(f"{mib / medians[1]:.0f}", f"{base[1] / medians[1]:.2f}"),
            *(f"{peak:.0f}" if peak else "-" for peak in peaks),
        ]
        print(f"{way.name:22}" + "".join(f"{cell:>14}" for cell in cells))
    return whole[1]


def slow_downloads(way: Way, token: str, digest: str, count: int) -> None:
    """Let clients download slowly, and time new requests beside them."""
    head = f"HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
    done = threading.Event()
    clients = []
    for _ in range(count):
        one = socket.create_connection(("127.0.0.1", way.port), 30)
        one.sendall(f"GET /v2/{NAME}/blobs/{digest} {head}".encode())
        clients.append(one)
    for one in clients:
        if b" 200 " not in one.recv(4096):
            raise SystemExit("the blob is not there")

    def read_slowly() -> None:
        while not done.wait(0.05):
            for one in clients:
                one.recv(4096)

    reader = threading.Thread(target=read_slowly)
    reader.start()
    times = []
    for _ in range(50):
        began = time.perf_counter()
        with socket.create_connection(("127.0.0.1", way.port), 30) as connection:
            connection.sendall(f"GET /v2/{NAME}/tags/list {head}".encode())
            connection.recv(65536)
        times.append((time.perf_counter() - began) * 1000)
    done.set()
    reader.join()
    for one in clients:
        one.close()
    said = f"median {statistics.median(times):.1f} ms, worst {max(times):.1f} ms"
    print(f"{count:4} slow downloads: new requests {said}, peak {way.peak():.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--slow", type=int, default=200)
    given = parser.parse_args()
    missing = [name for name in ("docker-registry", "nginx", "curl") if not shutil.which(name)]
    if missing:
        print(f"skipped: {', '.join(missing)} not installed")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        key_folder.create(folder / "keys", "ES256", datetime.now(UTC))
        token = make_token(folder)
        with ways(folder) as found:
            digest = measure(found, token, folder, given.mib, given.runs)
            print()
            for count in (1, given.slow):
                slow_downloads(found[-1], token, digest, count)


if __name__ == "__main__":
    main()
