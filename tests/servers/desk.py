"""A token server's application in memory, with a policy, an issuer's key and a log to look at."""

import base64
import json
import os
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import falcon.testing

from regauth.engine.compiler.compiler import compile_policy
from regauth.engine.policy.policy import Policy
from regauth.engine.tokens import jwt
from regauth.engine.tokens.keys import PrivateKey, SigningKey
from regauth.servers.configuration.settings import KeyFolder, Settings, SigningSettings
from regauth.servers.http_server.forwarded import ForwardedFields, WithRequestInfo
from regauth.servers.provider_keys.providers import KeyHosting, ProviderKeys
from regauth.servers.setup.sample import public_pem, sample_claims
from regauth.servers.signing import key_folder
from regauth.servers.signing.signer import load_signer
from regauth.servers.state.state import State
from regauth.servers.telemetry.event_log import EventLog
from regauth.servers.token.app import App, create_app
from regauth.servers.token.login_cache import LoginCache
from regauth.servers.token.observer import Observer
from regauth.servers.token.service import TokenService

Wsgi = Callable[..., Any]
NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
ISSUER = "https://sample-issuer.example.com"
SERVICE = "registry.example.com"

POLICY = """\
version: 1
services: [registry.example.com]
providers:
  github:
    issuer: https://sample-issuer.example.com
    audience: https://registry.example.com
    claims: github-actions
    keys: {keys}
    rules:
      - name: our-organisation
        check: claims.repository_owner_id == "1342004"
        message: only workflows of the acme organisation may log in
grants:
  - name: push-own-repository
    when: claims.ref == "refs/heads/main"
    repositories: ["${{claims.repository}}"]
    actions: [pull, push]
  - name: pull-own-organisation
    repositories: ["${{claims.repository_owner}}/**"]
    actions: [pull]
"""
ANONYMOUS = 'anonymous:\n  repositories: ["public/**"]\n'


def compiled(text: str) -> Policy:
    """Compile a policy that has no errors."""
    compilation = compile_policy({"policy.yaml": text})
    assert compilation.policy is not None, [str(one) for one in compilation.problems]
    return compilation.policy


def policy_text(keys: str, more: str = "") -> str:
    """Return the policy with a provider's `keys`, and more at its end."""
    return POLICY.format(keys=keys) + more


def pem_keys(key: PrivateKey) -> str:
    """Return `keys:` for a key written in the policy."""
    return "\n      pem: |\n" + textwrap.indent(public_pem(key).strip(), " " * 8)


def basic(username: str, password: str) -> dict[str, str]:
    """Return the header of Basic credentials."""
    pair = base64.b64encode(f"{username}:{password}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}


def reason_of(result: falcon.testing.Result) -> str:
    """Return the reason of an error, whose body names the request as its header does."""
    [error] = result.json["errors"]
    assert error["detail"]["requestId"] == result.headers["x-request-id"]
    assert error["detail"].keys() == {"reason", "requestId"}
    return str(error["detail"]["reason"])


def connected(application: Wsgi) -> falcon.testing.TestClient:
    """Return a client of an application; the fixture `each_host` puts a host in between."""
    return falcon.testing.TestClient(application)


@dataclass
class Desk:
    """Where a test asks for tokens and reads the log."""

    client: falcon.testing.TestClient
    service: TokenService
    keys: ProviderKeys
    observer: Observer
    signing: SigningKey
    issuer: SigningKey
    log: Path
    times: list[datetime]
    app: App
    """The application, for a host of a test's own."""

    def token(self, **changes: object) -> str:
        """Return a job's token; a claim of None is left out."""
        issued = int(self.times[-1].timestamp())
        times = {"iat": issued, "nbf": issued, "exp": issued + 300}
        claims = {**sample_claims("acme/app", "refs/heads/main", "push"), **times, **changes}
        given = {name: value for name, value in claims.items() if value is not None}
        return jwt.sign(given, self.issuer)

    def ask(
        self, password: str | None, *scopes: str, username: str = "github", **more: str
    ) -> falcon.testing.Result:
        """Ask for a token as registry clients do."""
        headers = {} if password is None else basic(username, password)
        return self.client.simulate_get(
            more.pop("path", "/auth/token"),
            params={"service": SERVICE, "scope": list(scopes), **more},
            params_csv=False,
            headers=headers,
        )

    def events(self) -> list[dict[str, Any]]:
        """Return what was logged."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def claims(self, result: falcon.testing.Result) -> Mapping[str, Any]:
        """Return the claims of the token that was issued, with its signature verified."""
        token = result.json["token"]
        header, claims, signature = token.split(".")
        verified = jwt.parse(token)
        assert signature
        assert verified.algorithm == self.signing.algorithm
        assert header
        assert claims
        return verified.claims


def make_desk(
    folder: Path,
    text: str,
    issuer: PrivateKey,
    hosting: KeyHosting | None = None,
    **settings: object,
) -> Desk:
    """Make the application of a policy."""
    key_folder.create(folder / "keys", "ES256", NOW)
    configured = Settings(
        folder / "server.yaml",
        folder,
        "registry-token-issuer",
        SigningSettings(KeyFolder(folder / "keys")),
        **settings,
    )
    signer = load_signer(configured.signing, NOW)
    policy = compiled(text)
    keys = ProviderKeys(hosting)
    keys.serve([(policy, folder)])
    logins = LoginCache(keys)
    times = [NOW]
    service = TokenService(
        State(policy, signer),
        logins,
        issuer=configured.issuer,
        lifetime=configured.lifetime,
        now=lambda: times[-1],
    )
    log = folder / "log"
    descriptor = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    observer = Observer(EventLog("json", "info", descriptor))
    app = create_app(configured, service, keys, observer)
    return Desk(
        connected(WithRequestInfo(app, ForwardedFields())),
        service,
        keys,
        observer,
        signer.key,
        SigningKey(issuer, "RS256", "sample"),
        log,
        times,
        app,
    )
