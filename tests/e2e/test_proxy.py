"""The proxy before a real registry: the same answers as straight, and what the policy denies denied."""

import hashlib
import http.client
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from regauth.engine.tokens import jwt
from regauth.engine.tokens.keys import SigningKey
from regauth.servers.protocol.reading import read_route
from regauth.servers.protocol.routes import Route, RouteKind
from regauth.servers.signing import key_folder
from tests.servers.proxy.corpus import targets

from .conftest import Site
from .decisions import NO_PUSH, OTHER, PULL, PUSH, Decision
from .images import layer_content, write_image
from .programs import TOKEN_SERVER, require, run
from .standing import SERVICE, bare_registry, proxy_before

pytestmark = pytest.mark.e2e

NAME = "acme/app"
CONTENT = b"hello through a proxy\n"


@dataclass
class Pair:
    """Two registries that are alike, one straight and one behind the proxy."""

    site: Site
    straight: int
    proxied: int
    log: Path


@pytest.fixture(scope="module")
def pair(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    require("docker-registry", "skopeo")
    folder = tmp_path_factory.mktemp("pair")
    with ExitStack() as stack:
        straight = stack.enter_context(bare_registry(folder / "straight"))
        behind = stack.enter_context(bare_registry(folder / "behind"))
        proxied = stack.enter_context(proxy_before(behind, site, folder / "proxy"))
        yield Pair(site, straight, proxied, folder / "proxy" / "proxy.log")


def registry_token(site: Site, *scopes: str) -> str:
    """Return what the token server gives the main job."""
    asked = [part for scope in scopes for part in ("--scope", scope)]
    done = run(
        [
            *(*TOKEN_SERVER, "exchange", site.realm, "--username", "sample"),
            *("--service", SERVICE, *asked, "--raw"),
        ],
        text=site.jwt(PUSH.job),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@dataclass
class Answer:
    """What of an answer must be the same straight and proxied."""

    status: int
    headers: dict[str, str]
    body: bytes


COMPARED = (
    *("content-length", "content-type", "content-range", "accept-ranges", "etag", "range"),
    *(
        "docker-content-digest",
        "docker-distribution-api-version",
        "link",
        "location",
        "oci-subject",
    ),
    *("docker-upload-uuid", "oci-tag", "cache-control", "allow"),
)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_STATE = re.compile(r"_state=[^&\"]+")


@dataclass
class Client:
    """Sends the requests of the conformance suite to one of the two."""

    port: int
    token: str = ""
    answers: list[tuple[str, Answer]] = field(default_factory=list)

    def ask(
        self, method: str, target: str, body: bytes | Iterator[bytes] = b"", **headers: str
    ) -> Answer:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token:
            given["Authorization"] = f"Bearer {self.token}"
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request(method, target, body or None, given)
            reply = connection.getresponse()
            try:
                content = reply.read()
            except http.client.IncompleteRead:  # docker-registry 2.8's answer to a bad range
                content = b"cut off"
            names = {name.lower(): value for name, value in reply.headers.items()}
        answer = Answer(reply.status, names, content)
        self.answers.append((f"{method} {target}", answer))
        return answer

    def upload(self, **query: str) -> str:
        """Begin an upload and return where it goes on."""
        asked = "&".join(f"{name}={value}" for name, value in query.items())
        begun = self.ask("POST", f"/v2/{NAME}/blobs/uploads/{'?' if asked else ''}{asked}")
        return self.path(begun)

    def path(self, answer: Answer) -> str:
        """Return the path of an answer's Location, which must be at the address that was asked."""
        location = answer.headers["location"]
        origin = f"http://127.0.0.1:{self.port}"
        assert location.startswith((origin + "/v2/", "/v2/")), location
        return location.removeprefix(origin)


def with_digest(target: str, digest: str) -> str:
    return f"{target}{'&' if '?' in target else '?'}digest={digest}"


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


CONFIG, LAYER = b'{"architecture":"amd64","os":"linux"}', bytes(range(256)) * 40
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


def described(kind: str, data: bytes) -> dict[str, object]:
    return {"mediaType": kind, "digest": digest_of(data), "size": len(data)}


MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": described("application/vnd.oci.image.config.v1+json", CONFIG),
        "layers": [described("application/vnd.oci.image.layer.v1.tar", LAYER)],
    }
).encode()
MISSING = digest_of(b"missing")


def push_in_every_way(client: Client) -> None:
    """OCI conformance, "Push"."""
    octets = {"Content_Type": "application/octet-stream"}
    # one POST, then PUT
    client.ask("PUT", with_digest(client.upload(), digest_of(CONFIG)), CONFIG, **octets)
    # a single POST
    single = client.ask(
        "POST", f"/v2/{NAME}/blobs/uploads/?digest={digest_of(b'one')}", b"one", **octets
    )
    if single.status == 202:
        client.ask("PUT", with_digest(client.path(single), digest_of(b"one")), b"one", **octets)
    # chunks, their status, and one out of order
    half = len(LAYER) // 2
    where = client.upload()
    first = client.ask("PATCH", where, LAYER[:half], Content_Range=f"0-{half - 1}", **octets)
    where = client.path(first)
    client.ask("GET", where)
    second = client.ask(
        "PATCH", where, LAYER[half:], Content_Range=f"{half}-{len(LAYER) - 1}", **octets
    )
    client.ask("PUT", with_digest(client.path(second), digest_of(LAYER)))
    client.ask("PATCH", client.upload(), b"x", Content_Range="999999-999999", **octets)
    # a chunked body of no announced length
    where = client.upload()
    streamed = client.ask("PATCH", where, iter([LAYER[:100], LAYER[100:]]), **octets)
    client.ask("PUT", with_digest(client.path(streamed), digest_of(LAYER)))
    # a wrong digest, a cancelled upload, an unknown one
    client.ask("PUT", with_digest(client.upload(), MISSING), b"other", **octets)
    cancelled = client.upload()
    client.ask("DELETE", cancelled)
    client.ask("GET", cancelled)
    client.ask("PATCH", f"/v2/{NAME}/blobs/uploads/00000000-0000-4000-8000-000000000000", b"x")
    # a mount within the repository, from nowhere, and from one there is not
    for asked in (f"&from={NAME}", "", "&from=acme/absent"):
        client.ask("POST", f"/v2/{NAME}/blobs/uploads/?mount={digest_of(LAYER)}{asked}")


def manifests(client: Client) -> None:
    """OCI conformance, "Push" and "Pull" of manifests."""
    for reference in ("v1", "v2", digest_of(MANIFEST)):
        client.ask("PUT", f"/v2/{NAME}/manifests/{reference}", MANIFEST, Content_Type=MANIFEST_TYPE)
    client.ask("PUT", f"/v2/{NAME}/manifests/bad", b"{}", Content_Type=MANIFEST_TYPE)
    for method in ("GET", "HEAD"):
        for reference in ("v1", digest_of(MANIFEST), "absent", MISSING):
            target = f"/v2/{NAME}/manifests/{reference}"
            client.ask(method, target, Accept=MANIFEST_TYPE)
    etag = f'"{digest_of(MANIFEST)}"'
    target = f"/v2/{NAME}/manifests/v1"
    client.ask("GET", target, Accept=MANIFEST_TYPE, If_None_Match=etag)


def pull(client: Client) -> None:
    """OCI conformance, "Pull" of blobs."""
    for method in ("GET", "HEAD"):
        for digest in (digest_of(LAYER), MISSING):
            client.ask(method, f"/v2/{NAME}/blobs/{digest}")
    target = f"/v2/{NAME}/blobs/{digest_of(LAYER)}"
    for span in ("bytes=0-9", "bytes=100-", "bytes=-5", "bytes=999999-", "bytes=5-1", "lines=1-2"):
        client.ask("GET", target, Range=span)
    client.ask("GET", target, If_None_Match=f'"{digest_of(LAYER)}"')


def discover(client: Client) -> None:
    """OCI conformance, "Content Discovery"."""
    for query in ("", "?n=1", "?n=1&last=v1", "?last=v1", "?n=0", "?n=-1", "?n=x"):
        client.ask("GET", f"/v2/{NAME}/tags/list{query}")
    client.ask("GET", "/v2/acme/absent/tags/list")
    client.ask("GET", "/v2/")


def manage(client: Client) -> None:
    """OCI conformance, "Content Management"."""
    for target in (
        *(f"manifests/{digest_of(MANIFEST)}", f"manifests/{MISSING}"),
        *(f"blobs/{digest_of(LAYER)}", f"blobs/{MISSING}", f"blobs/{digest_of(LAYER)}"),
    ):
        client.ask("DELETE", f"/v2/{NAME}/{target}")
    for target in ("manifests/v1", f"blobs/{digest_of(LAYER)}", "tags/list"):
        client.ask("GET", f"/v2/{NAME}/{target}")


def comparable(port: int, asked: str, answer: Answer) -> dict[str, object]:
    """Take out what is different in any two runs: ids of uploads, their state, and the port."""

    def same(text: str) -> str:
        return _STATE.sub("_state", _UUID.sub("UUID", text)).replace(f":{port}/", ":PORT/")

    headers = {name: same(answer.headers[name]) for name in COMPARED if name in answer.headers}
    return {
        "asked": same(asked),
        "status": answer.status,
        "headers": headers,
        "body": same(answer.body.decode("latin-1")),
    }


@pytest.mark.parametrize("form", ["in a new registry", "in a used one"])
def test_every_request_of_the_conformance_suite_has_the_same_answer(pair: Pair, form: str) -> None:
    del form  # the second run meets what the first has left
    token = _all_of(pair.site)
    clients = (Client(pair.straight), Client(pair.proxied, token))
    steps: tuple[Callable[[Client], None], ...] = (
        push_in_every_way,
        manifests,
        pull,
        discover,
        manage,
    )
    for client in clients:
        for step in steps:
            step(client)
    seen = [[comparable(one.port, *pair) for pair in one.answers] for one in clients]

    assert len(seen[0]) == len(seen[1]) > 60
    for straight, proxied in zip(*seen, strict=True):
        assert straight == proxied


def _all_of(site: Site) -> str:
    """Return a token with every access on the repositories, as an operator's job would have."""
    [first, *_] = key_folder.read(site.folder / "keys").all
    now = int(datetime.now(UTC).timestamp())
    access = [
        {"type": "repository", "name": name, "actions": ["pull", "push", "delete"]}
        for name in (NAME, "acme/absent")
    ]
    claims = {
        "iss": "registry-token-issuer",
        "aud": SERVICE,
        "sub": "operator",
        "exp": now + 300,
        "nbf": now - 10,
        "access": access,
    }
    return jwt.sign(claims, SigningKey(first.key, "ES256", None, first.chain))


UNKNOWN_TO_2_8 = {RouteKind.REFERRERS}
"""Routes that docker-registry 2.8 does not have yet."""


def scopes_of(challenge: str) -> set[tuple[str, frozenset[str]]]:
    """Return the scopes of a challenge; their order in Distribution's is any."""
    found = re.search(r'scope="([^"]*)"', challenge)
    parts = [one.rpartition(":") for one in (found[1].split(" ") if found else [])]
    return {(name, frozenset(actions.split(","))) for name, _, actions in parts}


def test_a_registry_with_token_auth_asks_for_the_very_access_that_the_proxy_asks_for(
    site: Site,
) -> None:
    """Distribution's own reading of every request of the corpus that the proxy lets through."""
    compared = 0
    for line in targets():
        route = read_route(line.method, line.target)
        if not isinstance(route, Route) or not route.needs or route.kind in UNKNOWN_TO_2_8:
            continue
        for target in {line.target, route.target}:
            answer = Client(site.registry_port).ask(line.method, target)
            if answer.status == 404 and "multihash" in target:
                continue  # a digest algorithm that 2.8 does not know
            asked = {(str(one.resource), frozenset(one.actions)) for one in route.needs}
            assert (401, asked) == (
                answer.status,
                scopes_of(answer.headers.get("www-authenticate", "")),
            ), (line.method, target)
            compared += 1

    assert compared > 60


@pytest.mark.parametrize(
    "kind",
    ["application/x-www-form-urlencoded", "appl\u0130cation/x-www-form-urlencoded"],
    ids=["as it is", "with a letter that Go lowers to an i"],
)
def test_a_registry_reads_a_form_and_so_the_proxy_refuses_it(
    site: Site, pair: Pair, kind: str
) -> None:
    form = {"Content_Type": kind.encode().decode("latin-1")}
    target, body = f"/v2/{NAME}/blobs/uploads/", b"from=globex/secret"
    straight = Client(site.registry_port).ask("POST", target, body, **form)
    token = registry_token(pair.site, f"repository:{NAME}:pull,push")

    assert ("repository:globex/secret", frozenset({"pull"})) in scopes_of(
        straight.headers["www-authenticate"]
    )
    assert Client(pair.proxied, token).ask("POST", target, body, **form).status == 400
    assert Client(pair.proxied, token).ask("POST", target).status == 202


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("image")
    write_image(folder, "1", CONTENT)
    return folder


def skopeo(
    pair: Pair, decision: Decision, *copy: str, side: str
) -> "subprocess.CompletedProcess[str]":
    where = f"localhost:{pair.proxied}/{decision.repository}:1"
    return run(
        [
            *("skopeo", "--insecure-policy", "copy", f"--{side}-tls-verify=false"),
            *(f"--{side}-creds", f"sample:{pair.site.jwt(decision.job)}"),
            *(one.replace("REGISTRY", where) for one in copy),
        ]
    )


def test_skopeo_pushes_and_pulls_through_the_proxy(pair: Pair, image: Path, tmp_path: Path) -> None:
    done = skopeo(pair, PUSH, f"oci:{image}:1", "docker://REGISTRY", side="dest")
    assert done.returncode == 0, done.stderr
    done = skopeo(pair, PULL, "docker://REGISTRY", f"oci:{tmp_path}:1", side="src")
    assert done.returncode == 0, done.stderr

    assert layer_content(tmp_path) == CONTENT


@pytest.mark.parametrize("decision", [NO_PUSH, OTHER], ids=lambda one: one.name)
def test_what_the_policy_denies_is_denied(pair: Pair, image: Path, decision: Decision) -> None:
    done = skopeo(pair, decision, f"oci:{image}:1", "docker://REGISTRY", side="dest")

    assert done.returncode != 0
    assert "denied" in done.stderr or "unauthorized" in done.stderr, done.stderr


def test_a_push_only_changes_what_it_may(pair: Pair) -> None:
    token = registry_token(pair.site, f"repository:{NAME}:pull,push")
    client = Client(pair.proxied, token)

    assert client.ask("POST", "/v2/acme/other/blobs/uploads/").status == 401
    assert client.ask("DELETE", f"/v2/{NAME}/manifests/{MISSING}").status == 401
    assert client.ask("GET", "/v2/_catalog").status == 401
    mount = f"/v2/{NAME}/blobs/uploads/?mount={MISSING}&from=globex/secret"
    assert client.ask("POST", mount).status == 401


def test_no_token_is_in_the_proxy_s_log(pair: Pair) -> None:
    token = registry_token(pair.site, f"repository:{NAME}:pull")
    Client(pair.proxied, token).ask("GET", f"/v2/{NAME}/tags/list")
    log = pair.log.read_text()

    assert '"event":"passed"' in log
    assert not any(part in log for part in token.split("."))
