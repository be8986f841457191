"""Real server processes whose providers are down, stand still, lie and come back."""

import http.client
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest

from regauth.engine.tokens import jwt
from regauth.engine.tokens.jwks import jwks
from regauth.engine.tokens.keys import PrivateKey, SigningKey
from regauth.servers.setup.sample import sample_claims
from tests.servers.desk import basic
from tests.servers.local_http import Answer, Provider
from tests.servers.process import PATIENCE, Running, sample_jwt

WELL_KNOWN = "/.well-known/openid-configuration"
SERVICE = "registry.example.com"
OTHER = """\
  other:
    issuer: {url}
    audience: https://registry.example.com
    claims: github-actions
    keys: {{discovery: true, caFile: {ca}}}
"""


@dataclass
class Site:
    """A server with two providers: one whose keys it has, and one that a test decides about."""

    folder: Path
    provider: Provider
    start: Callable[..., Running]
    key: PrivateKey

    def serve(self, more: str = "") -> "Client":
        configuration = self.folder / "server.yaml"
        configuration.write_text(configuration.read_text() + more)
        return Client(self.start("--config", configuration))

    def sample(self) -> dict[str, str]:
        return basic("sample", sample_jwt(self.folder))

    def other(self, key: PrivateKey | None = None, kid: str = "one") -> dict[str, str]:
        """Return the login of a job of the other provider."""
        claims = sample_claims("acme/app", "refs/heads/main", "push")
        times = {"iat": 1_700_000_000, "exp": 4_000_000_000}
        token = jwt.sign(
            {**claims, **times, "iss": self.provider.url},
            SigningKey(key or self.key, "RS256", kid),
        )
        return basic("other", token)

    def publish(self, key: PrivateKey | None = None, kid: str = "one") -> None:
        document = {"issuer": self.provider.url, "jwks_uri": f"{self.provider.url}/keys"}
        keys = jwks([((key or self.key).public_key(), kid, "RS256")])
        self.provider.answers[WELL_KNOWN] = Answer(json.dumps(document).encode())
        self.provider.answers["/keys"] = Answer(json.dumps(keys).encode())


@dataclass
class Client:
    server: Running

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], dict[str, object]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=PATIENCE)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, names, json.loads(answer.read())
        finally:
            connection.close()

    def login(self, credentials: dict[str, str]) -> int:
        return self.get(f"/auth/token?{urlencode({'service': SERVICE})}", **credentials)[0]

    def ready(self) -> tuple[int, object, object]:
        status, _, content = self.get("/readyz")
        providers = content["providers"]
        assert isinstance(providers, dict)
        return status, content["status"], providers["other"]["usable"]


@pytest.fixture
def site(
    folder: Path,
    tls_provider: tuple[Provider, Path],
    start: Callable[..., Running],
    private_keys: dict[str, PrivateKey],
) -> Site:
    provider, ca = tls_provider
    policy = folder / "policy" / "policy.yaml"
    text = policy.read_text()
    other = OTHER.format(url=provider.url, ca=ca)
    policy.write_text(text.replace("\ngrants:\n", f"\n{other}grants:\n", 1))
    return Site(folder, provider, start, private_keys["rsa"])


def test_a_server_starts_beside_a_provider_that_is_down_and_serves_the_others(site: Site) -> None:
    client = site.serve()
    status, headers, _ = client.get(f"/auth/token?service={SERVICE}", **site.other())

    assert client.login(site.sample()) == 200
    assert (status, headers["retry-after"]) == (503, "5")
    assert client.ready() == (200, "degraded", False)


def test_a_provider_that_stands_still_stops_neither_the_start_nor_others(site: Site) -> None:
    held = threading.Event()
    site.provider.answers[WELL_KNOWN] = Answer(hold=held)
    try:
        client = site.serve("threads: 2\n")
        waiting = threading.Thread(target=client.login, args=(site.other(),))
        waiting.start()
        status = client.login(site.sample())
        waiting.join(PATIENCE)
    finally:
        held.set()

    assert status == 200
    assert client.ready() == (200, "degraded", False)


@pytest.mark.parametrize(
    "lie",
    [
        Answer(json.dumps({"issuer": "https://else.example.com"}).encode()),
        Answer(b" " * 2_000_000),
        Answer(status=302, headers={"Location": "https://else.example.com/"}),
        Answer(status=500),
    ],
    ids=["another issuer", "huge", "a redirect", "down"],
)
def test_keys_that_the_server_has_outlast_a_provider_that_lies_or_goes(
    site: Site, private_keys: dict[str, PrivateKey], lie: Answer
) -> None:
    site.publish()
    client = site.serve()
    client.server.wait_for(lambda event: "are here" in str(event.get("message", "")))
    before, asked = client.login(site.other()), len(site.provider.requests)
    site.provider.answers[WELL_KNOWN] = lie
    # A key that nobody published has the server look again, and not believe what it sees.
    forged = client.login(site.other(private_keys["rsa-other"], "two"))

    # Whether the key is a new one cannot be known while the provider gives no answer (O11).
    assert (before, forged) == (200, 503)
    assert len(site.provider.requests) == asked + 1
    assert client.login(site.other()) == 200
    assert client.ready() == (200, "ready", True)


def test_a_key_that_was_rotated_is_taken_at_once(
    site: Site, private_keys: dict[str, PrivateKey]
) -> None:
    site.publish()
    client = site.serve("workers: 1\n")
    client.server.wait_for(lambda event: "are here" in str(event.get("message", "")))
    before = client.login(site.other())
    site.publish(private_keys["rsa-other"], "two")
    after = client.login(site.other(private_keys["rsa-other"], "two"))

    assert (before, after) == (200, 200)
    assert client.login(site.other()) == 401, "the old key was taken back"
