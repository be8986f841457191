"""What the doctor says of answers that no registry gives when it is asked to; real ones are in
tests/e2e."""

import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from regauth.servers.commands.token_server import main
from tests.servers.local_http import Answer, Provider
from tests.servers.process import run


def answering(headers: bytes) -> Callable[[socket.socket], None]:
    """Return what sends a challenge with these headers, which http.server would add its own to."""
    head = b'HTTP/1.1 401 x\r\nWWW-Authenticate: Bearer realm="http://localhost:1/",service="s"\r\n'

    def send(connection: socket.socket) -> None:
        connection.sendall(head + headers + b"Content-Length: 0\r\n\r\n")

    return send


@pytest.mark.parametrize(
    ("date", "said"),
    [
        (lambda now: format_datetime(now, usegmt=True), "ok    the clocks agree"),
        (
            lambda now: format_datetime(now - timedelta(minutes=5), usegmt=True),
            "WRONG the registry's clock says ",
        ),
        (
            lambda now: format_datetime(now + timedelta(minutes=5), usegmt=True),
            "WRONG the registry's clock says ",
        ),
        (lambda now: format_datetime(now.replace(tzinfo=None)), "ok    the clocks agree"),
        (lambda _: "yesterday", "ok    the registry does not tell its time"),
        (lambda _: "", "ok    the registry does not tell its time"),
    ],
    ids=["right", "behind", "ahead", "of an unknown zone", "nonsense", "none"],
)
def test_clocks_are_compared(
    folder: Path, provider: Provider, date: Callable[[datetime], str], said: str
) -> None:
    header = f"Date: {date(datetime.now(UTC))}\r\n".encode()
    provider.answers["/v2/"] = Answer(raw=answering(header))
    done = run("doctor", provider.url, "--config", folder / "server.yaml")

    assert said in done.stdout
    assert "Traceback" not in done.stderr
    assert done.returncode == 1, "there is no token server behind the realm"


def challenge(realm: str, service: str = "registry.example.com", **headers: str) -> Answer:
    """Return a registry's 401."""
    fields = {"WWW-Authenticate": f'Bearer realm="{realm}",service="{service}"', **headers}
    return Answer(status=401, headers=fields)


def in_process(*words: str | Path, text: str = "") -> str:
    """Run a command of the token server here, and return all that it printed."""
    done = CliRunner().invoke(main, [str(word) for word in words], input=text)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.output


def examined(folder: Path, url: str, *options: str | Path) -> str:
    words = ("doctor", url, "--config", folder / "server.yaml", *options)
    return in_process(*words)


def dated(ahead: timedelta) -> Callable[[socket.socket], None]:
    """Return what answers as a token endpoint whose clock is ahead by so much."""
    date = format_datetime(datetime.now(UTC) + ahead, usegmt=True)
    text = f"HTTP/1.1 401 x\r\nDate: {date}\r\nContent-Length: 0\r\n\r\n"
    return lambda connection: connection.sendall(text.encode())


@pytest.mark.parametrize(
    ("registry", "token_server", "kind", "said"),
    [
        (0, 0, "", "ok    the clocks agree"),
        (300, 300, "", "ok    the clocks agree"),
        (0, 300, "", "WRONG the registry's clock says"),
        (300, 0, "", "WRONG the registry's clock says"),
        (0, 5, "", "ok    the clocks agree"),
        (0, 5, "zot", "ok    the clocks agree"),
        (0, 15, "", "ok    the clocks agree"),
        (0, 15, "zot", "WRONG the registry's clock says"),
    ],
)
def test_o6_the_registry_s_clock_is_compared_with_the_token_server_s(
    folder: Path, provider: Provider, registry: int, token_server: int, kind: str, said: str
) -> None:
    """Both may be wrong together, as in a cluster whose host's clock is: then tokens are good."""
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=registry), usegmt=True)
    text = (
        f'HTTP/1.1 401 x\r\nWWW-Authenticate: Bearer realm="{provider.url}/auth/token",'
        f'service="registry.example.com"\r\nDate: {date}\r\n'
        "Content-Length: 0\r\n\r\n"
    )
    provider.answers["/v2/"] = Answer(raw=lambda one: one.sendall(text.encode()))
    asked = "/auth/token?service=registry.example.com"
    provider.answers[asked] = Answer(raw=dated(timedelta(seconds=token_server)))
    (folder / "zot.json").write_text('{"http": {"auth": {"bearer": {"realm": "r"}}}}')
    options = ("--registry-config", folder / "zot.json") if kind else ()
    output = examined(folder, provider.url, *options)

    assert said in output
    assert said.startswith("ok") or "the token server's " in output


@pytest.mark.parametrize("end", ["", "/", "/v2", "/v2/"])
def test_o6_an_address_with_v2_is_the_registry_s_too(
    folder: Path, provider: Provider, end: str
) -> None:
    provider.answers["/v2/"] = challenge("http://localhost:1/auth/token")

    assert "ok    the registry sends clients to" in examined(folder, f"{provider.url}{end}")
    assert provider.paths()[0] == "/v2/"


@pytest.mark.parametrize(
    ("realm", "said"),
    [
        ("http://0.0.0.0:5001/auth/token", "put the host name that clients reach into"),
        ("http://[::]:5001/auth/token", "put the host name that clients reach into"),
        ("/auth/token", "the token endpoint's whole address"),
        ("ftp://auth.example.com/auth/token", "the token endpoint's whole address"),
    ],
)
def test_o6_a_realm_that_clients_cannot_reach_is_named(
    folder: Path, provider: Provider, realm: str, said: str
) -> None:
    provider.answers["/v2/"] = challenge(realm)

    assert said in examined(folder, provider.url)


def test_o6_a_realm_without_tls_of_a_registry_with_tls_is_named(
    folder: Path, tls_provider: tuple[Provider, Path]
) -> None:
    provider, ca = tls_provider
    provider.answers["/v2/"] = challenge("http://auth.example.com/auth/token")
    output = examined(folder, provider.url, "--ca-file", ca)

    assert "WRONG the registry speaks TLS, but sends clients to a realm without" in output
    assert "'https://auth.example.com/auth/token'" in output


def test_o6_signing_algorithms_of_another_family_are_named_with_the_remedy(
    folder: Path, provider: Provider
) -> None:
    file = folder / "registry.yml"
    text = file.read_text().replace("root.crt\n", "root.crt\n    signingalgorithms: [RS256]\n")
    file.write_text(text)
    output = examined(folder, provider.url, "--registry-config", file)

    assert "`signingalgorithms` are 'RS256'; our key signs with ES256" in output
    assert "add ES256 to `auth.token.signingalgorithms`" in output
    assert "token-server keys rotate KEYS --algorithm RS256" in output


def test_o6_zot_is_told_what_it_does_not_check_and_which_certificate_it_needs(
    folder: Path, provider: Provider
) -> None:
    file = folder / "zot.json"
    for which, said in (("root.crt", "does not hold our key's own certificate"), ("own", "ok    ")):
        name = (folder / "keys" / "current").read_text().strip() + ".crt"
        cert = str(folder / "keys" / (name if which == "own" else which))
        file.write_text(
            f'{{"http": {{"auth": {{"bearer": {{"realm": "r", "service": "registry.example.com", '
            f'"cert": "{cert}"}}}}}}}}'
        )
        output = examined(folder, provider.url, "--registry-config", file)
        assert "ok    the configuration is zot's" in output
        assert "WRONG zot checks neither the `aud` of a token nor the source of a mount" in output
        assert "put registry-auth-proxy before it" in output
        assert f"{said}{cert}" in output or said in output


def test_a_registry_s_variables_alone_are_compared(folder: Path, provider: Provider) -> None:
    environment = folder / "registry.env"
    environment.write_text(
        "REGISTRY_AUTH_TOKEN_ISSUER=another\n"
        f"REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE={folder}/keys/root.crt\n"
    )
    output = examined(folder, provider.url, "--registry-env", environment)

    assert "`auth.token.issuer` is 'another', ours is 'registry-token-issuer'" in output
    assert "root.crt holds the authority of our certificates" in output


HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202e"
"""Sets a terminal's title, clears its screen, and turns its line round."""


def test_o6_a_registry_that_breaks_off_at_eddsa_is_told_as_distribution_2_8(
    folder: Path, provider: Provider, tmp_path: Path
) -> None:
    """Distribution 2.8 panics at a token of EdDSA, so the connection ends without an answer."""
    in_process("keys", "new", tmp_path / "ed", "--algorithm", "EdDSA")
    server = folder / "server.yaml"
    server.write_text(server.read_text().replace("keyFolder: keys", f"keyFolder: {tmp_path}/ed"))
    realm = f"{provider.url}/auth/token"
    fields = f'realm="{realm}",service="registry.example.com"'
    first = f"HTTP/1.1 401 x\r\nWWW-Authenticate: Bearer {fields}\r\n"
    asked: list[int] = []

    def panic(connection: socket.socket) -> None:
        asked.append(1)
        if len(asked) == 1:
            connection.sendall(f"{first}Content-Length: 0\r\n\r\n".encode())

    provider.answers["/v2/"] = Answer(raw=panic)
    asked_for = "/auth/token?service=registry.example.com"
    provider.answers[asked_for] = Answer(raw=dated(timedelta()))
    said = examined(folder, provider.url)

    assert "the registry breaks off at a token that is signed with EdDSA; Distribution 2.8" in said
    assert "token-server keys rotate KEYS --algorithm ES256" in said


def test_s11_what_a_registry_sends_steers_no_terminal(folder: Path, provider: Provider) -> None:
    evil = HOSTILE.encode()
    for line in (
        b'WWW-Authenticate: Bearer realm="http://localhost:1/'
        + evil
        + b'",service="'
        + evil
        + b'"',
        b"WWW-Authenticate: " + evil,
    ):
        head = b"HTTP/1.1 401 x\r\n" + line + b"\r\nContent-Length: 0\r\n\r\n"
        provider.answers["/v2/"] = Answer(raw=lambda one, sent=head: one.sendall(sent))
        output = examined(folder, provider.url)
        assert all(one.isprintable() or one == "\n" for one in output), repr(output)


@pytest.mark.parametrize(
    "body",
    [
        f'{{"errors": [{{"message": "{HOSTILE}"}}]}}',
        f'{{"errors": [{{"message": "x", "detail": {{"reason": "{HOSTILE}"}}}}]}}',
        f'{{"token": "{HOSTILE}"}}',
        '{"token": "no.jwt"}',
        '{"token": "W10.W10.W10"}',
        HOSTILE,
    ],
)
@pytest.mark.parametrize("status", [200, 401])
def test_s11_what_a_token_server_sends_steers_no_terminal(
    provider: Provider, body: str, status: int
) -> None:
    raw = body.replace("\x1b", "\\u001b").replace("\x07", "\\u0007") if body[0] == "{" else body
    provider.answers["/auth/token?service=s"] = Answer(raw.encode(), status)
    for more in ((), ("--raw",)):
        url = f"{provider.url}/auth/token"
        words = ("exchange", url, "--username", "x", "--service", "s", *more)
        output = in_process(*words, text="jwt")
        assert all(one.isprintable() or one == "\n" for one in output), repr(output)
