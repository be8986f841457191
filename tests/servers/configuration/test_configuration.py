"""`server.yaml`: its meaning, and every mistake at its place."""

from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest

from regauth.engine.source.configuration_file import ConfigurationError
from regauth.engine.source.problems import Problems
from regauth.servers.configuration.server_file import parse_settings, read_settings
from regauth.servers.configuration.settings import (
    TOKEN_PATHS,
    Address,
    ConnectionLimits,
    FixedKeyId,
    KeyFiles,
    KeyFolder,
    PostgresqlSettings,
    Rate,
    Rates,
    Settings,
    SigningSettings,
    SqliteSettings,
)

FILE = Path("/etc/token-server/server.yaml")
LEAST = "policy: policy\nissuer: auth\nsigning: {keyFolder: keys}\n"


def read(text: str) -> Settings:
    problems = Problems()
    settings = parse_settings(text, FILE, problems)

    assert [] == [str(one) for one in problems]
    assert settings is not None
    return settings


def wrong(text: str) -> list[str]:
    problems = Problems()

    assert parse_settings(text, FILE, problems) is None
    return [str(one).removeprefix(f"{FILE}:") for one in problems]


def test_a_file_that_reads_otherwise_than_it_looks_is_refused() -> None:
    (problem,) = wrong(LEAST + "# \u202e\n")
    assert problem.startswith("4:3: error: the character U+202E cannot stand in it")
    (problem,) = wrong(LEAST.replace("auth", "auth\u200b"))
    assert problem.startswith("2:13: error: nobody sees the character U+200B here")


def test_the_least_that_can_be_written_has_safe_defaults() -> None:
    settings = read(LEAST)

    assert settings == Settings(
        FILE,
        FILE.parent / "policy",
        "auth",
        SigningSettings(KeyFolder(FILE.parent / "keys")),
    )
    assert settings.listen == (Address("127.0.0.1", 5001),)
    assert not settings.verbose_errors


def test_everything_that_can_be_written_is_read() -> None:
    settings = read("""\
policy: /srv/policy
issuer: auth
listen: ["*:80", "[::1]:5001"]
threads: 8
tokenLifetime: 10m30s
realm: registry.example.com
verboseErrors: true
logFormat: text
logLevel: warning
signing:
  keyFile: a.key
  certificateFile: a.crt
  algorithm: ES256
  keyId: {fixed: mine}
  x5c: false
""")

    assert settings == Settings(
        FILE,
        Path("/srv/policy"),
        "auth",
        SigningSettings(
            KeyFiles(FILE.parent / "a.key", FILE.parent / "a.crt"),
            "ES256",
            FixedKeyId("mine"),
            x5c=False,
        ),
        listen=(Address("", 80), Address("::1", 5001)),
        threads=8,
        lifetime=timedelta(minutes=10, seconds=30),
        realm="registry.example.com",
        verbose_errors=True,
        log_format="text",
        log_level="warning",
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ["1:1: error: the file is empty"]),
        ("policy: [", ["a bracket is not closed"]),
        ("- policy", ["1:1: error"]),
        (LEAST + "polcy: x\n", ["4:1: error", "polcy", "policy"]),
        (LEAST + "listen: 127.0.0.1:99999\n", ["4:9: error: 99999 is not a port"]),
        (LEAST + "tokenLifetime: 30s\n", ["4:16: error: 30s is out of bounds", "60 s"]),
        (LEAST + "tokenLifetime: 2d\n", ["4:16: error: 2d is out of bounds"]),
        (LEAST + "threads: many\n", ["4:10: error"]),
        ("policy: policy\nissuer: auth\nsigning: {}\n", ["3:1: error", "names no key"]),
        (
            "policy: p\nissuer: i\nsigning: {keyFolder: k, keyFile: f}\n",
            ["3:34: error", "keep one of the two"],
        ),
    ],
)
def test_a_mistake_is_reported_at_its_line_and_column(text: str, found: list[str]) -> None:
    reported = wrong(text)

    assert len(reported) == 1, reported
    assert [] == [words for words in found if words not in reported[0]], reported


def test_all_mistakes_are_reported_at_once() -> None:
    assert len(wrong("policy: 7\nissuer: ''\nsigning: {keyFolder: k}\nlisten: x\nfoo: 1\n")) == 4


def test_a_file_that_is_not_there_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="token-server init DIR"):
        read_settings(tmp_path / "server.yaml")


def test_everything_about_running_is_read() -> None:
    settings = read(
        LEAST
        + """\
tokenPath: /service/token
workers: 2
pinWorkers: false
trustedProxies: [127.0.0.1, 10.0.0.0/8]
forwardedFields: Forwarded
frontStripsUnderscores: true
rateLimits:
  client: false
  identity: {perSecond: 0.5, burst: 3}
limits: {connectionsPerClient: 7, exemptClients: [192.0.2.0/24], maxWait: 500ms}
caches: {logins: 10s, answers: 0s}
shadowPolicy: next
decisionLog: {file: decisions.jsonl, claims: false}
refreshTokens: {file: sessions.db}
"""
    )

    assert settings == replace(
        read(LEAST),
        paths=(*TOKEN_PATHS, "/service/token"),
        workers=2,
        pin_workers=False,
        trusted_proxies=(ip_network("127.0.0.1/32"), ip_network("10.0.0.0/8")),
        rfc7239=True,
        front_strips_underscores=True,
        rates=Rates(client=None, identity=Rate(0.5, 3)),
        limits=ConnectionLimits(7, (ip_network("192.0.2.0/24"),), 0.5),
        login_cache=10.0,
        answer_cache=0.0,
        shadow_policy=FILE.parent / "next",
        decision_log=FILE.parent / "decisions.jsonl",
        decision_log_claims=False,
        sessions=SqliteSettings(FILE.parent / "sessions.db"),
    )
    assert Rates().client is not None


def test_connections_have_a_bound_unless_it_is_switched_off() -> None:
    assert read(LEAST).limits == ConnectionLimits(100)
    assert read(LEAST + "limits: {connectionsPerClient: false}\n").limits == ConnectionLimits(None)


def test_requests_wait_for_a_thread_with_a_bound_unless_it_is_switched_off() -> None:
    assert read(LEAST).limits.max_wait == 2.0
    assert read(LEAST + "limits: {maxWait: 1m}\n").limits.max_wait == 60.0
    assert read(LEAST + "limits: {maxWait: false}\n").limits.max_wait is None


def test_sessions_can_be_kept_in_a_database() -> None:
    text = 'refreshTokens: {postgresql: "postgresql://u@[::1]:5432/d", passwordFile: secret}\n'
    database = PostgresqlSettings("postgresql://u@[::1]:5432/d", FILE.parent / "secret")

    assert read(LEAST + text).sessions == database
    assert read(LEAST + "refreshTokens: {postgresql: service=a}\n").sessions == PostgresqlSettings(
        "service=a"
    )


def test_a_decision_log_of_a_dash_is_standard_output() -> None:
    assert read(LEAST + "decisionLog: {file: '-'}\n").decision_log == Path("-")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("trustedProxies: [10.0.0.0/99]", "4:18: error"),
        ("trustedProxies: [proxy.example.com]", "4:18: error: this is not an address"),
        ("forwardedFields: X-Real-IP", "4:18: error: `forwardedFields` is `X-Forwarded` or"),
        ("limits: {exemptClients: [10.0.0.0/99]}", "4:26: error"),
        ("rateLimits: {client: true}", "4:22: error: a rate is a mapping"),
        ("rateLimits: {client: {perSecond: 1}}", "error"),
        ("caches: {logins: 1h}", "4:18: error: 1h is out of bounds"),
        ("limits: {connectionsPerClient: 0}", "4:32: error: `connectionsPerClient` is a whole"),
        ("limits: {connectionsPerClient: true}", "4:32: error: `connectionsPerClient` is a whole"),
        ("limits: {maxWait: true}", "4:19: error: `maxWait` is a duration"),
        ("limits: {maxWait: 2}", "4:19: error: `maxWait` must be a string or"),
        ("limits: {maxWait: 0s}", "4:19: error: `maxWait` is a duration"),
        ("limits: {maxWait: 99ms}", "4:19: error: 99ms is out of bounds"),
        ("limits: {maxWait: 61s}", "4:19: error: 61s is out of bounds"),
        ("limits: {}", "error: `limits` is a mapping with `connectionsPerClient`, `maxWait` or"),
        ("tokenPath: token", "4:12: error: a path begins with a slash"),
        ("workers: 0", "4:10: error: `workers` is a whole number"),
        ("decisionLog: x", "4:14: error: `decisionLog` must be a mapping"),
        (
            "refreshTokens: {file: a, postgresql: b}",
            "4:1: error: `refreshTokens` needs `file` or `postgresql`, and not both",
        ),
        (
            "refreshTokens: {file: a, passwordFile: b}",
            "4:1: error: `passwordFile` is the password of `postgresql`",
        ),
        (
            "refreshTokens: {file: a, maxSession: 8h}",
            "4:26: error: unknown key `maxSession`",
        ),
        (
            "refreshTokens: {postgresql: dbname=d password = x}",
            "4:29: error: a password does not belong in this file",
        ),
        (
            'refreshTokens: {postgresql: "postgresql://u:secret@localhost/d"}',
            "4:29: error: a password does not belong in this file",
        ),
        (
            'refreshTokens: {postgresql: "postgresql://u@localhost/d?password=x"}',
            "4:29: error: a password does not belong in this file",
        ),
    ],
)
def test_a_mistake_about_running_is_reported_at_its_place(text: str, found: str) -> None:
    reported = wrong(f"{LEAST}{text}\n")

    assert len(reported) == 1, reported
    assert found in reported[0]


def test_compat_is_read_and_an_unknown_registry_is_a_mistake() -> None:
    signing = (
        "signing: {keyFolder: keys, compat: [distribution-2.8, zot],"
        " accept: [zot-opens-other-repositories]}\n"
    )
    settings = read("policy: policy\nissuer: auth\n" + signing)

    assert settings.signing.compat == ("distribution-2.8", "zot")
    assert settings.signing.accept == ("zot-opens-other-repositories",)
    assert (
        "not a registry whose demands are known"
        in wrong("policy: policy\nissuer: auth\n" + signing.replace("zot", "quay"))[0]
    )


def test_o1_zot_is_refused_without_a_consent_that_names_its_hole() -> None:
    text = "policy: policy\nissuer: auth\nsigning: {keyFolder: keys, compat: [zot]}\n"
    (problem,) = wrong(text)

    assert "3:36: error: zot's bearer mode opens other repositories" in problem
    assert "accept: [zot-opens-other-repositories]" in problem
    assert "registry-auth-proxy" in problem
    assert wrong(text.replace("]}", "], accept: [zot]}")) != []


@pytest.mark.parametrize("origin", ["*", "ui.example.com", "https://ui.example.com/", "null"])
def test_a_browser_s_origin_is_written_as_browsers_send_it(origin: str) -> None:
    (problem,) = wrong(f"{LEAST}browserOrigins: ['{origin}']\n")

    assert "this is not an origin" in problem
