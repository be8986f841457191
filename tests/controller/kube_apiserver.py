"""
A real kube-apiserver with its etcd, for the tests that every API server must pass.

The programs are those of the folder that `KUBEBUILDER_ASSETS` names, as is usual for tests of
controllers: https://book.kubebuilder.io/reference/envtest.html.
"""

import copy
import json
import os
import secrets
import socket
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

from .api_server import COLLECTIONS, Object

PATIENCE = 120.0


class KubeApiServer:
    """Both programs, and what a test does to the cluster."""

    def __init__(self, folder: Path) -> None:
        self._stack = ExitStack()
        self.token = secrets.token_hex(16)
        etcd, peer, port = _free_ports(3)
        self.url = f"https://127.0.0.1:{port}"
        assets = Path(os.environ["KUBEBUILDER_ASSETS"])
        key = rsa.generate_private_key(65537, 2048)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / "sa.key").write_bytes(pem)
        (folder / "tokens.csv").write_text(f'{self.token},admin,admin,"system:masters"\n')
        self.ca_file = folder / "certificates" / "apiserver.crt"
        self._http = urllib3.PoolManager(cert_reqs="CERT_NONE")
        urllib3.disable_warnings()
        client = f"http://127.0.0.1:{etcd}"
        self._start(
            folder, assets / "etcd", f"--data-dir={folder / 'etcd'}",
            f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
        )  # fmt: skip
        self._start(
            folder, assets / "kube-apiserver", f"--etcd-servers={client}", f"--secure-port={port}",
            "--bind-address=127.0.0.1", f"--cert-dir={self.ca_file.parent}", "--authorization-mode=RBAC",
            f"--token-auth-file={folder / 'tokens.csv'}", "--service-cluster-ip-range=10.0.0.0/24",
            f"--service-account-key-file={folder / 'sa.key'}", "--disable-admission-plugins=ServiceAccount",
            f"--service-account-signing-key-file={folder / 'sa.key'}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        )  # fmt: skip
        self._wait()

    def _start(self, folder: Path, *command: Path | str) -> None:
        log = self._stack.enter_context((folder / "log").open("ab"))
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self._stack.callback(process.wait, PATIENCE)
        self._stack.callback(process.kill)

    def _wait(self) -> None:
        pause, deadline = threading.Event(), time.monotonic() + PATIENCE
        while not self._ready():
            assert time.monotonic() < deadline, "kube-apiserver is not ready"
            pause.wait(0.1)

    def _ready(self) -> bool:
        try:
            return (
                self._http.request(
                    "GET", f"{self.url}/readyz", headers=self._headers(), retries=False
                ).status
                == 200
            )
        except urllib3.exceptions.HTTPError:
            return False

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}

    def _ask(self, method: str, path: str, body: object = None) -> tuple[int, Object]:
        data = None if body is None else json.dumps(body)
        answer = self._http.request(method, self.url + path, headers=self._headers(), body=data)
        return answer.status, answer.json()

    def _path(self, kind: str, namespace: str = "", name: str = "") -> str:
        version, _ = COLLECTIONS[kind]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        home = f"/namespaces/{namespace}" if namespace else ""
        return f"{root}{home}/{kind}{'/' * bool(name)}{name}"

    def create(self, kind: str, name: str, namespace: str = "", **parts: object) -> Object:
        version, title = COLLECTIONS[kind]
        body = {"apiVersion": version, "kind": title, **parts, "metadata": {"name": name}}
        status, made = self._ask("POST", self._path(kind, namespace), body)
        assert status == 201, made
        return made

    def get(self, kind: str, name: str, namespace: str = "") -> Object | None:
        status, found = self._ask("GET", self._path(kind, namespace, name))
        return found if status == 200 else None

    def all(self, kind: str) -> list[Object]:
        """Those of the tests' namespaces alone: a real cluster has its own."""
        found: list[Any] = self._ask("GET", self._path(kind))[1]["items"]
        return [
            one for one in found if not one["metadata"].get("namespace", "").startswith("kube-")
        ]

    def edit(
        self, kind: str, name: str, namespace: str, change: Callable[[Object], object]
    ) -> Object:
        body = copy.deepcopy(self.get(kind, name, namespace))
        assert body is not None
        change(body)
        status, made = self._ask("PUT", self._path(kind, namespace, name), body)
        assert status == 200, made
        return made

    def delete(self, kind: str, namespace: str, name: str, body: Object | None) -> None:
        status, answer = self._ask("DELETE", self._path(kind, namespace, name), body)
        assert status == 200, answer

    def close(self) -> None:
        self._stack.close()


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
