"""`token-server doctor` against a real registry that is set up right, and wrong in each way."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.ports import free_ports

from .conftest import Site
from .programs import TOKEN_SERVER, run, running

pytestmark = pytest.mark.e2e


@pytest.fixture
def second(site: Site, tmp_path: Path) -> Iterator[Callable[..., tuple[str, Path]]]:
    """Start another registry for the site, with its configuration changed."""
    with ExitStack() as stack:

        def start(*changes: tuple[str, str]) -> tuple[str, Path]:
            (port,) = free_ports(1)
            text = (site.folder / "registry.yml").read_text()
            for old, new in changes:
                assert old in text
                text = text.replace(old, new)
            file = tmp_path / "registry.yml"
            file.write_text(text.replace(f":{site.registry_port}", f":{port}"))
            command = ["docker-registry", "serve", file]
            stack.enter_context(running(command, port, tmp_path / "registry.log"))
            return f"http://localhost:{port}", file

        yield start


def doctor(
    site: Site, url: str, *options: str | Path, config: Path | None = None
) -> tuple[int, str]:
    file = config or site.folder / "server.yaml"
    done = run([*TOKEN_SERVER, "doctor", url, "--config", file, *options])
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def signing(site: Site) -> Iterator[Callable[[str], Path]]:
    """Write a configuration of the site that says something else of signing."""
    file = site.folder / "another-server.yaml"

    def write(more: str) -> Path:
        text = (site.folder / "server.yaml").read_text()
        file.write_text(text.replace("  keyFolder: keys", f"  {more}"))
        return file

    yield write
    file.unlink(missing_ok=True)


def test_a_registry_that_is_right_is_found_right(site: Site) -> None:
    code, output = doctor(
        site, f"http://{site.registry}", "--registry-config", site.folder / "registry.yml"
    )

    assert code == 0, output
    assert "WRONG" not in output
    assert "the registry accepts our tokens" in output
    assert "holds the authority of our certificates" in output


def test_another_issuer_is_named(site: Site, second: Callable[..., tuple[str, Path]]) -> None:
    url, file = second(("issuer: registry-token-issuer", "issuer: another"))
    code, output = doctor(site, url, "--registry-config", file)

    assert code == 1
    assert "`auth.token.issuer` is 'another', ours is 'registry-token-issuer'" in output


def test_another_service_is_named(site: Site, second: Callable[..., tuple[str, Path]]) -> None:
    url, _ = second(("service: registry.example.com", "service: other.example.com"))
    code, output = doctor(site, url)

    assert code == 1
    assert "the policy does not answer for the service 'other.example.com'" in output


def test_a_bundle_without_our_authority_is_named(
    site: Site, second: Callable[..., tuple[str, Path]], tmp_path: Path
) -> None:
    run([*TOKEN_SERVER, "keys", "new", tmp_path / "keys"])
    url, file = second((f"{site.folder}/keys/root.crt", f"{tmp_path}/keys/root.crt"))
    code, output = doctor(site, url, "--registry-config", file)

    assert code == 1
    assert "holds neither our key's certificate nor its authority's" in output
    assert "the registry refuses our tokens in every form" in output


def test_a_realm_where_no_token_server_is_is_named(
    site: Site, second: Callable[..., tuple[str, Path]]
) -> None:
    (nobody,) = free_ports(1)
    url, _ = second((f"localhost:{site.port}/auth/token", f"localhost:{nobody}/auth/token"))
    code, output = doctor(site, url)

    assert code == 1
    assert "no token server is where the registry sends clients" in output


def test_a_registry_that_is_not_there_is_named(site: Site) -> None:
    (nobody,) = free_ports(1)
    code, output = doctor(site, f"http://localhost:{nobody}")

    assert code == 1
    assert "connection refused" in output


def test_a_key_by_its_own_certificate_needs_no_certificates_in_the_token(
    site: Site, second: Callable[..., tuple[str, Path]], tmp_path: Path
) -> None:
    name = (site.folder / "keys" / "current").read_text().strip()
    url, _ = second((f"{site.folder}/keys/root.crt", f"{site.folder}/keys/{name}.crt"))
    code, output = doctor(site, url)

    assert code == 0, output


def test_something_that_is_no_registry_is_named(site: Site) -> None:
    code, output = doctor(site, f"http://localhost:{site.port}")

    assert code == 1
    assert "it must answer 401 with a Bearer challenge" in output


def test_certificates_that_are_switched_off_and_would_be_needed_are_named(
    site: Site, signing: Callable[[str], Path]
) -> None:
    file = signing("keyFolder: keys\n  x5c: false")
    registry_file = ("--registry-config", site.folder / "registry.yml")
    code, output = doctor(site, f"http://{site.registry}", *registry_file, config=file)

    assert code == 1
    assert "holds the authority of our certificates, but our tokens carry none" in output
    assert "it accepts them with `signing: {x5c: true}` in server.yaml" in output


def test_the_key_id_that_the_registry_knows_is_named(
    site: Site, second: Callable[..., tuple[str, Path]], signing: Callable[[str], Path]
) -> None:
    name = (site.folder / "keys" / "current").read_text().strip()
    url, registry_file = second((f"{site.folder}/keys/root.crt", f"{site.folder}/keys/{name}.crt"))
    file = signing("keyFolder: keys\n  x5c: false\n  keyId: rfc7638")
    code, output = doctor(site, url, "--registry-config", registry_file, config=file)

    assert code == 1
    assert "holds our key's own certificate" in output
    assert "the token server there does not sign with our key" in output, "it has the other id"
    assert "with `signing: {keyId: libtrust, x5c: false}` in server.yaml" not in output, (
        "certificates come first: they outlast a rotation"
    )
    assert "with `signing: {x5c: true}` in server.yaml" in output


def test_a_key_without_certificates_needs_the_key_id_that_the_registry_knows(
    site: Site, second: Callable[..., tuple[str, Path]], signing: Callable[[str], Path]
) -> None:
    name = (site.folder / "keys" / "current").read_text().strip()
    url, _ = second((f"{site.folder}/keys/root.crt", f"{site.folder}/keys/{name}.crt"))
    code, output = doctor(site, url, config=signing(f"keyFile: keys/{name}.key\n  keyId: rfc7638"))

    assert code == 1
    assert "it accepts them with `signing: {keyId: libtrust, x5c: false}`" in output


def test_a_key_without_certificates_cannot_be_trusted_through_an_authority(
    site: Site, signing: Callable[[str], Path]
) -> None:
    name = (site.folder / "keys" / "current").read_text().strip()
    registry_file = ("--registry-config", site.folder / "registry.yml")
    file = signing(f"keyFile: keys/{name}.key")
    code, output = doctor(site, f"http://{site.registry}", *registry_file, config=file)

    assert code == 1
    assert "does not hold our key's certificate, and our tokens carry none" in output


def test_an_algorithm_that_distribution_2_does_not_know_is_named(
    site: Site, second: Callable[..., tuple[str, Path]], signing: Callable[[str], Path]
) -> None:
    keys = site.folder / "ed25519"
    run([*TOKEN_SERVER, "keys", "new", keys, "--algorithm", "EdDSA"])
    url, registry_file = second((f"{site.folder}/keys/root.crt", f"{keys}/root.crt"))
    code, output = doctor(
        site, url, "--registry-config", registry_file, config=signing("keyFolder: ed25519")
    )

    assert code == 1
    assert "holds the authority of our certificates" in output
    assert "or it does not know EdDSA" in output


def test_a_realm_that_is_no_token_endpoint_is_named(
    site: Site, second: Callable[..., tuple[str, Path]]
) -> None:
    url, _ = second((f"localhost:{site.port}/auth/token", f"localhost:{site.port}/auth/tokn"))
    code, output = doctor(site, url)

    assert code == 1
    assert f"http://localhost:{site.port}/auth/tokn is no token endpoint (404)" in output


def test_a_realm_of_another_token_server_is_named(site: Site, tmp_path: Path) -> None:
    run([*TOKEN_SERVER, "keys", "new", tmp_path / "keys"])
    ours = (site.folder / "server.yaml").read_text()
    file = tmp_path / "server.yaml"
    file.write_text(ours.replace("policy: policy", f"policy: {site.folder}/policy"))
    code, output = doctor(site, f"http://{site.registry}", config=file)

    assert code == 1
    assert "the token server there does not sign with our key" in output


def test_a_registry_that_lets_anybody_in_is_named(
    site: Site, second: Callable[..., tuple[str, Path]]
) -> None:
    auth = (site.folder / "registry.yml").read_text().partition("auth:\n")
    url, file = second(("".join(auth[1:]), ""))
    code, output = doctor(site, url, "--registry-config", file)

    assert code == 1
    assert f"{file} has no `auth: token:`" in output
    assert "the registry lets anybody in without a token" in output


def test_a_key_set_that_is_compared_must_hold_our_key(site: Site, tmp_path: Path) -> None:
    bundle, key_set = f"rootcertbundle: {site.folder}/keys/root.crt", tmp_path / "jwks.json"
    text = (site.folder / "registry.yml").read_text()
    file = tmp_path / "registry.yml"
    file.write_text(text.replace(bundle, f"jwks: {key_set}"))
    found = []
    another = '{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": "%s"}]}' % ("A" * 43)
    for content in ("nonsense", another, (site.folder / "keys" / "jwks.json").read_text()):
        key_set.write_text(content)
        found.append(doctor(site, f"http://{site.registry}", "--registry-config", file)[1])

    assert "the registry's jwks cannot be read" in found[0]
    assert f"{key_set} does not hold our key" in found[1]
    assert f"{key_set} holds our key" in found[2]
