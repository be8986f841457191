"""Registries without token auth, with the proxy or nginx before them."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.forkserver.programs import forked
from tests.ports import free_ports

from .conftest import Site
from .programs import running

PROXY = forked("registry-auth-proxy")
SERVICE, ISSUER = "registry.example.com", "registry-token-issuer"
DEPLOY = Path(__file__).parents[2] / "deploy" / "nginx"

REGISTRY = """\
version: 0.1
log: {level: error}
storage:
  filesystem: {rootdirectory: FOLDER}
  delete: {enabled: true}
http:
  addr: 127.0.0.1:PORT
  relativeurls: false
"""

NGINX = """\
user USER;
worker_processes 1;
daemon off;
pid FOLDER/nginx.pid;
error_log FOLDER/error.log info;
events { worker_connections 256; }
http {
    access_log off;
    client_body_temp_path FOLDER/body;
    proxy_temp_path FOLDER/proxy;
    fastcgi_temp_path FOLDER/fastcgi;
    uwsgi_temp_path FOLDER/uwsgi;
    scgi_temp_path FOLDER/scgi;
    MORE
    include FOLDER/registry.conf;
}
"""


@contextmanager
def bare_registry(folder: Path) -> Iterator[int]:
    """Run docker-registry without any auth until the block ends; yield its port."""
    folder.mkdir()
    [port] = free_ports(1)
    text = REGISTRY.replace("FOLDER", json.dumps(str(folder / "data"))).replace("PORT", str(port))
    (folder / "config.yml").write_text(text)
    command = ["docker-registry", "serve", folder / "config.yml"]
    try:
        with running(command, port, folder / "registry.log"):
            yield port
    finally:
        shutil.rmtree(folder / "data", ignore_errors=True)  # pytest keeps the rest of three runs


@contextmanager
def proxy_before(registry_port: int, site: Site, folder: Path) -> Iterator[int]:
    """Run the proxy by the options that it has always had; yield its port."""
    folder.mkdir(exist_ok=True)
    [port] = free_ports(1)
    command = [
        *PROXY,
        f"localhost:{registry_port}",
        "--registry-insecure",
        *("--token-realm", site.realm),
        *("--token-service", SERVICE),
        *("--token-issuer", ISSUER),
        *("--token-root-cert-bundle", str(site.folder / "keys" / "root.crt")),
        *("--listen-address", f"127.0.0.1:{port}"),
    ]
    with running(command, port, folder / "proxy.log"):
        yield port


@contextmanager
def nginx_before(registry_port: int, site: Site, folder: Path, more: str = "") -> Iterator[int]:
    """
    Run nginx with the configuration in `deploy/nginx`, on ports of its own; yield its port.

    `more` are directives of nginx's `http` block.
    """
    folder.mkdir()
    port, decisions = free_ports(2)
    ports = {5000: port, 5001: registry_port, 5002: decisions, 5003: site.port}
    for name in ("registry.conf", "proxy.yaml"):
        text = (DEPLOY / name).read_text(encoding="utf-8")
        for old, new in ports.items():
            text = text.replace(f"127.0.0.1:{old}", f"127.0.0.1:{new}")
        bundle = str(site.folder / "keys" / "root.crt")
        (folder / name).write_text(text.replace("keys/root.crt", bundle))
    user = "root" if os.geteuid() == 0 else "nobody"
    text = NGINX.replace("FOLDER", str(folder)).replace("USER", user).replace("MORE", more)
    (folder / "nginx.conf").write_text(text)
    with ExitStack() as stack:
        proxy = [*PROXY, "--config", folder / "proxy.yaml"]
        stack.enter_context(running(proxy, decisions, folder / "proxy.log"))
        nginx = ["nginx", "-p", folder, "-c", folder / "nginx.conf"]
        stack.enter_context(running(nginx, port, folder / "nginx.log"))
        yield port
