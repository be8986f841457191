"""
A real kube-apiserver with its etcd, for the tests that every API server must pass.

The programs are those of the folder that `KUBEBUILDER_ASSETS` names, as is usual for tests of
controllers: https://book.kubebuilder.io/reference/envtest.html.  There is no controller manager:
nothing is collected as garbage, no account is made by itself, and namespaces are ended by hand.
"""

import copy
import json
import os
import secrets
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import urllib3
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from regauth.controller.installing.pod_admission import STABLE_SINCE
from tests.ports import free_ports

from .api_server import COLLECTIONS
from .gate import Gate
from .listening import Object

PATIENCE = 300.0
ISSUER = "https://kubernetes.default.svc.cluster.local"
NODE = "node-1"
BETA = (
    "--feature-gates=MutatingAdmissionPolicy=true",
    "--runtime-config=admissionregistration.k8s.io/v1beta1=true",
)
"""How MutatingAdmissionPolicy is had before it is stable."""
KEPT = ("default", "kube-node-lease", "kube-public", "kube-system")
"""The namespaces that a cluster always has."""


class KubeApiServer(Gate):
    """
    Both programs behind a gate, and what a test does to the cluster, past the gate.

    Args:
        folder: Where they live.
        accounts: Whether a pod must have an account that there is, and gets what it lists: the
            admission plugin ServiceAccount.

    Attributes:
        version: Of Kubernetes, such as `(1, 36)`.
    """

    def __init__(self, folder: Path, *, accounts: bool = True) -> None:
        self.folder = folder
        self._stack = ExitStack()
        self._assets = Path(os.environ["KUBEBUILDER_ASSETS"])
        self.version = _version(self._assets)
        self._accounts = accounts
        self.bearer, self.node_bearer = secrets.token_hex(16), secrets.token_hex(16)
        etcd, self._peer, self._port = free_ports(3)
        self._etcd = f"http://127.0.0.1:{etcd}"
        self._make_key()
        (folder / "tokens.csv").write_text(
            f'{self.bearer},admin,admin,"system:masters"\n'
            f'{self.node_bearer},system:node:{NODE},{NODE},"system:nodes"\n'
        )
        super().__init__(f"https://127.0.0.1:{self._port}", str(folder / "tls" / "apiserver.crt"))
        self.start()

    def start(self) -> None:
        """Start both programs, on what is stored."""
        self._etcd_process = self._start(
            "etcd", f"--data-dir={self.folder / 'etcd'}", "--unsafe-no-fsync",
            f"--listen-client-urls={self._etcd}", f"--advertise-client-urls={self._etcd}",
            f"--listen-peer-urls=http://127.0.0.1:{self._peer}",
        )  # fmt: skip
        self._server_process = self._serve()

    def stop(self) -> None:
        """Kill both programs; what is stored stays."""
        for process in (self._server_process, self._etcd_process):
            process.kill()
            process.wait(PATIENCE)

    def back_up(self) -> None:
        """Keep what is stored, for `restore`; both programs are down meanwhile."""
        self.stop()
        shutil.copytree(self.folder / "etcd", self.folder / "backup")
        self.start()

    def restore(self) -> None:
        """Go back to what `back_up` has kept, its versions included."""
        self.stop()
        shutil.rmtree(self.folder / "etcd")
        (self.folder / "backup").rename(self.folder / "etcd")
        self.start()

    def _make_key(self) -> None:
        key = rsa.generate_private_key(65537, 2048)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (self.folder / "sa.key").write_bytes(pem)

    def _serve(self) -> "subprocess.Popen[bytes]":
        key = self.folder / "sa.key"
        process = self._start(
            "kube-apiserver", f"--etcd-servers={self._etcd}", f"--secure-port={self._port}",
            "--bind-address=127.0.0.1", f"--cert-dir={self.folder / 'tls'}",
            f"--token-auth-file={self.folder / 'tokens.csv'}", "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            *(() if self._accounts else ("--disable-admission-plugins=ServiceAccount",)),
            *(() if self.version >= STABLE_SINCE else BETA),
            f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}",
            f"--service-account-issuer={ISSUER}", "--service-cluster-ip-range=10.0.0.0/24",
        )  # fmt: skip
        pause, deadline = threading.Event(), time.monotonic() + PATIENCE
        while not self._ready():
            assert process.poll() is None, "kube-apiserver has ended"
            assert time.monotonic() < deadline, "kube-apiserver is not ready"
            pause.wait(0.1)
        return process

    def _start(self, program: str, *arguments: str) -> "subprocess.Popen[bytes]":
        log = self._stack.enter_context((self.folder / f"{program}.log").open("ab"))
        process = subprocess.Popen(
            [self._assets / program, *arguments], stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
        self._stack.callback(process.wait, PATIENCE)
        self._stack.callback(process.kill)
        return process

    def _ready(self) -> bool:
        try:
            return self.ask("GET", "/readyz")[0] == 200
        except (urllib3.exceptions.HTTPError, OSError):
            return False

    # What a test does to the cluster; the names are those of the tests' own API server.

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = None,
        content_type: str = "application/json",
    ) -> tuple[int, Any]:
        """Send a request as an administrator, or as whom a token is of."""
        headers = {
            "Authorization": f"Bearer {token or self.bearer}",
            "Content-Type": content_type,
        }
        data = None if body is None else json.dumps(body)
        answer = self.http.request(
            method, self.upstream + path, headers=headers, body=data, retries=False
        )
        found = answer.headers.get("Content-Type", "").startswith("application/json")
        return answer.status, answer.json() if found else answer.data

    def create(self, kind: str, name: str, namespace: str = "", **parts: object) -> Object:
        version, title = COLLECTIONS[kind]
        meta = {"name": name, **parts.pop("metadata", {})}
        body = {"apiVersion": version, "kind": title, **parts, "metadata": meta}
        status, made = self.ask("POST", _path(kind, namespace), body)
        assert status == 201, made
        return made

    def get(self, kind: str, name: str, namespace: str = "") -> Object | None:
        status, found = self.ask("GET", _path(kind, namespace, name))
        return found if status == 200 else None

    def all(self, kind: str) -> list[Object]:
        """Those of the tests alone: a cluster has its own."""
        found: list[Any] = self.ask("GET", _path(kind))[1]["items"]
        return [one for one in found if one["metadata"].get("namespace") not in KEPT]

    def edit(
        self, kind: str, name: str, namespace: str, change: Callable[[Object], object]
    ) -> Object:
        body = copy.deepcopy(self.get(kind, name, namespace))
        assert body is not None
        change(body)
        path = f"{_path(kind, namespace, name)}?fieldManager=somebody"
        status, made = self.ask("PUT", path, body)
        assert status == 200, made
        return made

    def delete(self, kind: str, namespace: str, name: str, body: Object | None) -> None:
        status, answer = self.ask("DELETE", _path(kind, namespace, name), body)
        assert status == 200, answer

    def review(self, token: str, audience: str) -> bool:
        """Ask whether a token is good (authentication.k8s.io/v1, TokenReview)."""
        body = {
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
            "spec": {"token": token, "audiences": [audience]},
        }  # fmt: skip
        status, found = self.ask("POST", "/apis/authentication.k8s.io/v1/tokenreviews", body)
        assert status == 201, found
        return bool(found["status"].get("authenticated"))

    def compact(self) -> None:
        """Have etcd forget the past, and the API server what it remembers of it by itself."""
        status = self.http.request("POST", f"{self._etcd}/v3/maintenance/status", body="{}").json()
        body = json.dumps({"revision": status["header"]["revision"], "physical": True})
        answer = self.http.request("POST", f"{self._etcd}/v3/kv/compaction", body=body)
        assert answer.status == 200, answer.data
        self.restart()

    def change_key(self) -> None:
        """Sign tokens with another key from now on; the one before is gone."""
        self._make_key()
        self.restart()

    def restart(self) -> None:
        """Kill the API server and start it again."""
        self._server_process.kill()
        self._server_process.wait(PATIENCE)
        self._server_process = self._serve()

    def reset(self) -> None:
        """Take everything away that a test has left."""
        self.open()
        for kind in ("serviceaccounts", "secrets", "events", "leases", "configmaps"):
            for one in self.ask("GET", _path(kind))[1]["items"]:
                meta = one["metadata"]
                if kind in {"leases", "configmaps"} and meta["namespace"] in KEPT:
                    continue
                if meta.get("finalizers"):
                    path = _path(kind, meta["namespace"], meta["name"])
                    patch = {"metadata": {"finalizers": None}}
                    self.ask("PATCH", path, patch, content_type="application/merge-patch+json")
                if "deletionTimestamp" not in meta:
                    self.delete(kind, meta["namespace"], meta["name"], None)
        for one in self.ask("GET", _path("namespaces"))[1]["items"]:
            name = one["metadata"]["name"]
            if name in KEPT:
                continue
            self.delete("namespaces", "", name, None)
            left = self.get("namespaces", name)
            if left is not None:
                left["spec"]["finalizers"] = []
                status, said = self.ask("PUT", f"{_path('namespaces', '', name)}/finalize", left)
                assert status == 200, said

    def close(self) -> None:
        with self._stack:
            super().close()


def _path(kind: str, namespace: str = "", name: str = "") -> str:
    version, _ = COLLECTIONS[kind]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    home = f"/namespaces/{namespace}" if namespace else ""
    return f"{root}{home}/{kind}{'/' * bool(name)}{name}"


def _version(assets: Path) -> tuple[int, int]:
    """Return the version of which `kube-apiserver --version` says `Kubernetes v1.36.3`."""
    said = subprocess.check_output([assets / "kube-apiserver", "--version"], text=True)
    major, minor, _ = said.partition(" v")[2].split(".", 2)
    return int(major), int(minor)
