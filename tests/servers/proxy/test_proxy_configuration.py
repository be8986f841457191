"""`proxy.yaml` and the options: what is right is served, what is wrong is said at its place."""

import json
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path

import pytest
from click.testing import CliRunner

from regauth.engine.source.problems import Problems
from regauth.servers.commands.registry_auth_proxy import main
from regauth.servers.configuration.proxy_file import parse_proxy_settings
from regauth.servers.configuration.proxy_settings import (
    BodyLimits,
    BundleKeys,
    DockerConfigLogin,
    EmbeddedKeys,
    EnvironmentLogin,
    FileKeys,
    HelperLogin,
    ProxySettings,
    StaticLogin,
    TokenSettings,
    UpstreamSettings,
    UriKeys,
)
from regauth.servers.configuration.settings import (
    Address,
    ConnectionLimits,
    KeyFolder,
    Settings,
    SigningSettings,
)
from regauth.servers.signing import key_folder
from regauth.servers.signing.certificates import make_key
from tests.servers.desk import ANONYMOUS, pem_keys, policy_text

from .standing import REALM, registry, standing

FILE = Path("/etc/regauth/proxy.yaml")
TOKEN = """\
token:
  realm: https://auth.example.com/auth/token
  service: registry.example.com
  issuer: registry-token-issuer
"""
LEAST = TOKEN + "  rootCertBundle: root.crt\n"


def read(text: str) -> tuple[ProxySettings | None, list[str]]:
    problems = Problems()
    settings = parse_proxy_settings(text, FILE, problems)
    return settings, [f"{one.location.line}: {one.message}" for one in problems]


def token(keys: object) -> TokenSettings:
    return TokenSettings("registry.example.com", "registry-token-issuer", keys, REALM)


def test_the_least_is_a_decision_endpoint_on_this_machine_alone() -> None:
    settings, problems = read(LEAST)

    assert problems == []
    assert settings == ProxySettings(token(BundleKeys(FILE.parent / "root.crt")))
    assert settings.listen == (Address("127.0.0.1", 5000),)


def test_everything_that_can_be_written_is_read() -> None:
    settings, problems = read(
        TOKEN
        + """\
  jwksUri: http://auth.example.com/jwks
  caFile: ca.pem
  allowHttp: true
  autoRedirect: true
upstream:
  url: http://registry.example.com:5000/prefix
  insecure: true
  caFile: up.pem
  connectTimeout: 500ms
  readTimeout: 2m
  connections: 8
  uploadKeyFile: upload.key
  credentials: {static: {username: me, passwordFile: password}}
listen: ["*:80", "[::1]:81"]
threads: 9
maxBodySize: 512MiB
spoolFolder: spool
trustedProxies: [10.0.0.0/8]
forwardedFields: Forwarded
limits: {connectionsPerClient: false, exemptClients: [192.0.2.1]}
logFormat: text
logLevel: warning
"""
    )

    assert problems == []
    assert settings == ProxySettings(
        TokenSettings(
            "registry.example.com",
            "registry-token-issuer",
            UriKeys("http://auth.example.com/jwks", str(FILE.parent / "ca.pem"), allow_http=True),
            REALM,
            "/auth/token",
        ),
        UpstreamSettings(
            "http://registry.example.com:5000/prefix",
            StaticLogin("me", FILE.parent / "password"),
            str(FILE.parent / "up.pem"),
            0.5,
            120.0,
            8,
            FILE.parent / "upload.key",
        ),
        listen=(Address("", 80), Address("::1", 81)),
        threads=9,
        trusted_proxies=(ip_network("10.0.0.0/8"),),
        rfc7239=True,
        limits=BodyLimits(512 * 1024 * 1024, FILE.parent / "spool"),
        connections=ConnectionLimits(None, (ip_network("192.0.2.1/32"),), None),
        log_format="text",
        log_level="warning",
    )


@pytest.mark.parametrize(
    ("more", "max_wait"),
    [
        ("", 2.0),
        ("limits: {maxWait: 5s}\n", 5.0),
        ("upstream: {url: https://r.example.com}\n", None),
        ("upstream: {url: https://r.example.com}\nlimits: {maxWait: 5s}\n", 5.0),
        ("upstream: {url: https://r.example.com}\nlimits: {connectionsPerClient: 5}\n", None),
    ],
)
def test_transfers_hold_threads_so_a_proxy_that_forwards_lets_requests_wait(
    more: str, max_wait: float | None
) -> None:
    settings, problems = read(LEAST + more)

    assert problems == []
    assert settings is not None
    assert settings.connections.max_wait == max_wait


@pytest.mark.parametrize(
    ("credentials", "login"),
    [
        ("{environment: true}", EnvironmentLogin()),
        ("{environment: {username: A, password: B}}", EnvironmentLogin("A", "B")),
        ("{dockerConfig: config.json}", DockerConfigLogin(FILE.parent / "config.json")),
        ("{helper: ecr-login}", HelperLogin("ecr-login")),
    ],
)
def test_the_login_is_one_of_four(credentials: str, login: object) -> None:
    text = f"{LEAST}upstream: {{url: https://r.example.com, credentials: {credentials}}}\n"
    settings, problems = read(text)

    assert problems == []
    assert settings is not None
    assert settings.upstream == UpstreamSettings("https://r.example.com", login)


def test_a_key_set_file_can_be_named() -> None:
    settings, _ = read(TOKEN + "  jwksFile: jwks.json\n")

    assert settings is not None
    assert settings.token == token(FileKeys(FILE.parent / "jwks.json"))


def test_a_token_server_can_be_embedded() -> None:
    settings, problems = read(
        TOKEN + "embedded: true\npolicy: policy\nsigning: {keyFolder: keys}\n"
    )

    assert problems == []
    assert settings is not None
    assert settings.token.keys == EmbeddedKeys(
        Settings(
            FILE,
            FILE.parent / "policy",
            "registry-token-issuer",
            SigningSettings(KeyFolder(FILE.parent / "keys")),
            sees_references=True,
        )
    )


WRONG = [
    ("", "the file is empty"),
    (TOKEN, "exactly one of rootCertBundle, jwksFile, jwksUri"),
    (LEAST + "  jwksFile: x\n", "exactly one of"),
    (LEAST + "embedded: true\npolicy: p\nsigning: {keyFolder: k}\n", "keys are its own"),
    (TOKEN + "embedded: true\n", "needs `policy` and `signing`"),
    (LEAST + "policy: p\n", "belongs to `embedded: true`"),
    (LEAST + "filterCatalog: true\n", "`filterCatalog` belongs to `embedded: true`"),
    (LEAST + "decisionLog: {file: x}\n", "`decisionLog` belongs to `embedded: true`"),
    (LEAST + "upstream: {url: http://registry.example.com}\n", "`insecure: true` admits it"),
    (TOKEN + "  jwksUri: http://auth.example.com/jwks\n", "`allowHttp: true` admits it"),
    (LEAST + "upstream: {url: ftp://x}\n", "not an http or https address"),
    (LEAST + "upstream: {url: 'https://x/?a=b'}\n", "not an http or https address"),
    (LEAST + "upstream: {url: https://u:p@x}\n", "not an http or https address"),
    (LEAST + "upstream: {url: https://x, credentials: {}}\n", "exactly one of"),
    (LEAST + "upstream: {url: https://x, credentials: {helper: ../x}}\n", "a helper's name"),
    (LEAST + "upstream: {url: https://x, readTimeout: 0s}\n", "above 0"),
    (LEAST + "listen: 127.0.0.1:70000\n", "70000 is not a port; the highest is 65535"),
    (LEAST + "trustedProxies: [10.0.0.0/99]\n", "10.0.0.0/99"),
    (LEAST + "maxBodySize: 1TB\n", "whole number of MiB or GiB"),
    (LEAST + "thread: 4\n", "did you mean"),
    (LEAST.replace("realm: https://auth.example.com/auth/token", "autoRedirect: false"), "`realm`"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), WRONG)
def test_what_is_wrong_is_said_at_its_place(text: str, words: str) -> None:
    settings, problems = read(text)

    assert settings is None
    assert any(words in one for one in problems) or words == "did you mean", problems
    assert problems


def options(**changes: str) -> list[str]:
    given = {
        "token-realm": REALM,
        "token-service": "registry.example.com",
        "token-issuer": "registry-token-issuer",
        "token-root-cert-bundle": "absent.crt",
    } | {name.replace("_", "-"): value for name, value in changes.items()}
    return [part for name, value in given.items() if value for part in (f"--{name}", value)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "either UPSTREAM with options, or --config"),
        (["--config", "x.yaml", "localhost:1"], "either UPSTREAM with options, or --config"),
        (["--config", "absent.yaml"], "cannot be read"),
        (["localhost:1", *options(token_service="")], "--token-service is missing"),
        (
            ["localhost:1"],
            "redirect, --token-service, --token-issuer, --token-root-cert-bundle are missing",
        ),
        (["localhost:1", *options(token_issuer="")], "--token-issuer is missing"),
        (
            ["localhost:1", *options(token_root_cert_bundle="")],
            "--token-root-cert-bundle is missing",
        ),
        (["localhost:1", *options(token_realm="")], "--token-realm or --token-auto-redirect"),
        (["localhost:1", *options(token_realm='a"b')], "without quotes"),
        (["http://registry.example.com", *options()], "--registry-insecure admits it"),
        (["ftp://registry.example.com", *options()], "is not a registry's address"),
        (["https://exa mple.com", *options()], "is not a registry's address"),
        (["https://[::1", *options()], "Invalid IPv6 URL"),
        (["https://u:p@registry.example.com", *options()], "without a user"),
        (["localhost:1", *options(listen_address="nowhere")], "not an address such as"),
        (["localhost:1", *options()], "absent.crt cannot be read"),
    ],
)
def test_what_cannot_be_served_is_said_without_a_traceback(
    arguments: list[str], words: str
) -> None:
    done = CliRunner().invoke(main, arguments)

    assert done.exit_code == 2
    assert words in done.output
    assert isinstance(done.exception, SystemExit)


def test_an_embedded_token_server_answers_beside_the_registry(tmp_path: Path) -> None:
    policy = tmp_path / "policy"
    policy.mkdir()
    text = policy_text(pem_keys(make_key("RS256")), ANONYMOUS)
    (policy / "policy.yaml").write_text(text)
    key_folder.create(tmp_path / "keys", "ES256", datetime.now(UTC))
    server = Settings(
        tmp_path / "proxy.yaml", policy, "registry-token-issuer",
        SigningSettings(KeyFolder(tmp_path / "keys")),
    )  # fmt: skip
    settings = TokenSettings(
        "registry.example.com", "registry-token-issuer", EmbeddedKeys(server), "", "/auth/token"
    )
    with (
        registry() as upstream,
        standing(tmp_path, UpstreamSettings(upstream.url), token=settings) as proxy,
    ):
        challenge = proxy.ask("GET", "/v2/public/app/tags/list").header("WWW-Authenticate")
        scope = "scope=repository:public/app:pull,push"
        reply = proxy.ask("GET", f"/auth/token?service=registry.example.com&{scope}")
        given = json.loads(reply.body)["token"]
        bearer = {"Authorization": f"Bearer {given}"}

        assert 'realm="http://registry.example.com/auth/token"' in (challenge or "")
        assert proxy.ask("GET", "/v2/public/app/tags/list", **bearer).status == 200
        assert proxy.ask("POST", "/v2/public/app/blobs/uploads/", **bearer).status == 401
        assert proxy.ask("GET", "/v2/private/app/tags/list", **bearer).status == 401
        assert proxy.ask("GET", "/.well-known/jwks.json").status == 200
