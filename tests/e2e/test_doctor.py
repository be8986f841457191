"""`token-server doctor` against a real registry that is set up right, and wrong in each way."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from .conftest import Site
from .programs import TOKEN_SERVER, free_ports, run, running

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


def doctor(site: Site, url: str, *options: str | Path) -> tuple[int, str]:
    done = run([*TOKEN_SERVER, "doctor", url, "--config", site.folder / "server.yaml", *options])
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


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
