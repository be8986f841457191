"""deploy/compose.yaml: what it says, and its configurations run together with real programs."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from regauth.servers.signing import key_folder
from tests.docs.platforms import complaints
from tests.e2e.images import layer_content, write_image
from tests.e2e.programs import TOKEN_SERVER, require, run, running
from tests.ports import free_ports

CONTENT = b"hello through nginx\n"
CONFINED = {
    "read_only": True,
    "user": "65532:65532",
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
}


@pytest.fixture(scope="module")
def folder(repository: Path) -> Path:
    return repository / "deploy"


@pytest.fixture(scope="module")
def services(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((folder / "compose.yaml").read_text())["services"]
    return found


def test_it_is_as_the_compose_specification_s_schema_has_it(folder: Path) -> None:
    assert "" == complaints("compose-spec", folder / "compose.yaml")


def test_every_service_is_confined_and_pinned(services: dict[str, Any]) -> None:
    assert {"token-server", "registry", "nginx"} == set(services)
    for service in services.values():
        assert {name: service[name] for name in CONFINED} == CONFINED
        assert re.search(r":[0-9]+\.[0-9]+\.[0-9]+$", service["image"])
        assert not {"privileged", "network_mode", "pid", "devices", "cap_add"} & set(service)


def test_only_nginx_is_open_to_the_outside_and_nothing_is_a_secret(
    services: dict[str, Any],
) -> None:
    assert ["nginx"] == [name for name, one in services.items() if "ports" in one]
    assert ["inside"] == services["registry"]["networks"]
    for service in services.values():
        assert all(volume.endswith(":ro") for volume in service["volumes"][:-1])
        assert not re.search("PASSW|SECRET|TOKEN", " ".join(service.get("environment", {})))


def test_o10_the_root_key_stays_where_the_keys_were_made(folder: Path, tmp_path: Path) -> None:
    """The steps above are run as they are written, but for what needs root."""
    text = (folder / "compose.yaml").read_text()
    steps = [line[4:] for line in text.splitlines() if line.startswith("#   ")]
    chosen = [re.sub(r"  +#.*", "", one) for one in steps if one.startswith(("mkdir", "find"))]
    assert len(chosen) == 2
    key_folder.create(tmp_path / "keys", "ES256", datetime.now(UTC))
    subprocess.run(["bash", "-euc", "\n".join(chosen)], cwd=tmp_path, check=True)
    there = {one.name for one in (tmp_path / "deploy" / "compose" / "keys").iterdir()}

    assert there == {one.name for one in (tmp_path / "keys").iterdir()} - {"root.key"}
    assert {"root.crt", "current"} < there


@pytest.mark.parametrize("file", ["kubernetes/example/kustomization.yaml", "helm/values.yaml"])
def test_o10_no_instructions_give_a_cluster_the_root_key(folder: Path, file: str) -> None:
    text = (folder / file).read_text()

    assert "find keys -type f ! -name root.key" in text
    assert not re.search(r"--from-file=keys/?[ )]", text)


@pytest.mark.parametrize(
    ("file", "known"),
    [
        ("compose/server.yaml", True),
        ("nginx/proxy.yaml", True),
        ("kubernetes/proxy/proxy.yaml", True),
        ("helm/templates/proxy.yaml", True),
        ("kubernetes/token-server/server.yaml", False),
        ("helm/values.yaml", False),
    ],
)
def test_o4_whatever_ships_behind_a_front_trusts_it_or_says_what_to_write(
    folder: Path, file: str, *, known: bool
) -> None:
    """Only the cluster knows its Ingress's addresses; all fronts of our own are known."""
    text = (folder / file).read_text()

    assert bool(re.search(r"^ *trustedProxies: \[.+\]", text, re.MULTILINE)) is known
    if not known:
        assert re.search(r"Behind an Ingress: the addresses of its pods.*\n.*\n", text)
        assert re.search(r"^ *# trustedProxies: \[", text, re.MULTILINE)


def test_what_is_mounted_and_built_is_there_or_made_by_the_steps_above(
    folder: Path, services: dict[str, Any]
) -> None:
    made = {"policy", "keys", "keys/root.crt", "tls", "images"}
    for service in services.values():
        for volume in service["volumes"]:
            source = volume.partition(":")[0].removeprefix("./compose/")
            assert source in made or (folder / "compose" / source).is_file(), volume
    ignored = (folder / "compose" / ".gitignore").read_text().split()
    assert {"policy/", "keys/", "tls/", "images/"} == set(ignored)
    build = services["token-server"]["build"]
    assert f"AS {build['target']}\n" in (folder / ".." / build["dockerfile"]).read_text()


def test_the_configurations_agree(folder: Path) -> None:
    server = yaml.safe_load((folder / "compose" / "server.yaml").read_text())
    registry = yaml.safe_load((folder / "compose" / "registry.yml").read_text())

    assert server["issuer"] == registry["auth"]["token"]["issuer"]
    assert registry["auth"]["token"]["realm"].startswith(registry["http"]["host"])


def certificate(folder: Path) -> None:
    """Write a certificate for this machine that nobody else trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir()
    (folder / "server.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "server.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def changed(source: Path, target: Path, **changes: str) -> None:
    """Copy a configuration with this machine's addresses in it; each must have been there."""
    text = source.read_text()
    for old, new in changes.items():
        assert old in text, f"{source.name} has no {old}"
        text = text.replace(old, new)
    target.write_text(text)


@contextmanager
def composed(folder: Path, place: Path) -> Iterator[str]:
    """Run the three programs by the three configurations; only addresses and paths differ."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        pytest.skip("nginx is not installed; on Debian: apt-get install -y nginx-light")
    require("docker-registry", "skopeo")
    tokens, registry, outside = free_ports(3)
    assert run([*TOKEN_SERVER, "init", place]).returncode == 0
    certificate(place / "tls")
    changed(folder / "server.yaml", place / "server.yaml", **{"*:5001": f"127.0.0.1:{tokens}"})
    changed(
        folder / "registry.yml",
        place / "registry.yml",
        **{
            "/var/lib/registry": str(place / "images"),
            ":5000": f"127.0.0.1:{registry}",
            "https://registry.example.com": f"https://localhost:{outside}",
            "/etc/distribution/root.crt": str(place / "keys" / "root.crt"),
        },
    )
    changed(
        folder / "nginx.conf",
        place / "nginx.conf",
        **{
            "/tmp/": f"{place}/",
            "registry:5000": f"127.0.0.1:{registry}",
            "token-server:5001": f"127.0.0.1:{tokens}",
            "listen 8443": f"listen 127.0.0.1:{outside}",
            "/etc/registry/tls/": f"{place}/tls/",
            "/dev/stderr": f"{place}/nginx-errors",
        },
    )
    serve = [nginx, "-p", place, "-c", place / "nginx.conf", "-g", "daemon off;"]
    with ExitStack() as stack:
        for command, port in (
            ([*TOKEN_SERVER, "--config", place / "server.yaml"], tokens),
            (["docker-registry", "serve", place / "registry.yml"], registry),
            (serve, outside),
        ):
            stack.enter_context(running(command, port, place.parent / f"{port}.log"))
        yield f"localhost:{outside}"


@pytest.mark.e2e
def test_an_image_goes_in_and_comes_out_through_all_three(folder: Path, tmp_path: Path) -> None:
    copy = ["skopeo", "--insecure-policy", "copy"]
    (tmp_path / "in").mkdir()
    write_image(tmp_path / "in", "1", CONTENT)
    with composed(folder / "compose", tmp_path / "site") as address:
        image = f"docker://{address}/acme/app:1"
        token = run([*TOKEN_SERVER, "sample-jwt", tmp_path / "site"]).stdout.strip()
        push = [*copy, "--dest-tls-verify=false", "--dest-creds", f"sample:{token}"]
        pull = [*copy, "--src-tls-verify=false", "--src-creds", f"sample:{token}"]
        pushed = run([*push, f"oci:{tmp_path / 'in'}:1", image])
        pulled = run([*pull, image, f"oci:{tmp_path / 'out'}:1"])
        refused = run([*copy, "--src-tls-verify=false", image, f"oci:{tmp_path / 'no'}:1"])

    assert (0, 0) == (pushed.returncode, pulled.returncode), pushed.stderr + pulled.stderr
    assert CONTENT == layer_content(tmp_path / "out")
    assert refused.returncode != 0
