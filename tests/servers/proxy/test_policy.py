"""A proxy with a policy of its own: tags and digests, and a catalog that is filtered."""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from click.testing import CliRunner

from regauth.engine.tokens import jwt
from regauth.engine.tokens.keys import SigningKey
from regauth.servers.commands.registry_auth_proxy import main
from regauth.servers.configuration.proxy_file import read_proxy_settings
from regauth.servers.configuration.proxy_settings import UpstreamSettings
from regauth.servers.protocol.reading import read_route
from regauth.servers.protocol.routes import Route
from regauth.servers.proxy import catalog as proxy_catalog
from regauth.servers.setup import sample, starter
from regauth.servers.signing import key_folder
from regauth.servers.state.policy import PolicyProblemsError, load_policy

from .corpus import targets
from .standing import Received, Registry, Reply, Standing, plain, registry, standing

SERVICE = "registry.example.com"
DIGEST = "sha256:" + "0" * 64
POLICY = """
grants:
  - name: releases
    when: claims.event_name == "push"
    repositories: ["acme/app"]
    tags: ["v*", "${claims.actor}"]
    actions: [pull, push, delete]
  - {name: base, repositories: ["base/*"], actions: [pull]}
  - {name: browse, when: claims.event_name == "push", catalog: true}
denials:
  - {name: frozen, repositories: ["acme/app"], tags: ["v1"], actions: [push, delete]}
"""


@dataclass
class Site:
    """The proxy, with who may log in to it."""

    proxy: Standing
    folder: Path
    registry: Registry

    def token(self, *scopes: str, event: str = "push", **more: object) -> str:
        """Return the token that a job gets for scopes."""
        claims = {**sample.sample_claims("acme/app", "refs/heads/main", event), **more}
        text = sample.sample_token(self.folder, claims, datetime.now(UTC), timedelta(minutes=5))
        login = base64.b64encode(f"sample:{text}".encode()).decode()
        query = "".join(f"&scope={quote(scope)}" for scope in scopes)
        target = f"/auth/token?service={SERVICE}{query}"
        answer = self.proxy.ask("GET", target, Authorization=f"Basic {login}")
        assert answer.status == 200, answer.body
        return str(json.loads(answer.body)["token"])

    def ask(self, method: str, target: str, token: str, **headers: str) -> Reply:
        return self.proxy.ask(method, target, Authorization=f"Bearer {token}", **headers)

    def authorize(self, method: str, target: str, token: str) -> Reply:
        """Ask as nginx does."""
        return self.proxy.ask(
            "GET", "/authorize", Authorization=f"Bearer {token}",
            X_Original_Method=method, X_Original_URI=target, X_Original_Host="registry.example.com",
        )  # fmt: skip

    def records(self) -> list[dict[str, Any]]:
        lines = (self.folder / "decisions.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]


def make_folder(folder: Path, grants: str) -> None:
    starter.create(folder, starter.Choices(), datetime.now(UTC))
    file = folder / "policy" / "policy.yaml"
    file.write_text(file.read_text().partition("\ngrants:")[0] + grants)
    (folder / "proxy.yaml").write_text(
        "upstream: {url: 'http://127.0.0.1:1'}\n"
        f"token: {{autoRedirect: true, service: {SERVICE}, issuer: registry-token-issuer}}\n"
        "embedded: true\npolicy: policy\nsigning: {keyFolder: keys}\n"
        "filterCatalog: true\ndecisionLog: {file: decisions.jsonl}\n"
    )


@contextmanager
def serving(tmp_path: Path, grants: str = POLICY) -> Iterator[Site]:
    """Serve a proxy with a policy's grants until the block ends."""
    folder = tmp_path / "site"
    make_folder(folder, grants)
    settings = read_proxy_settings(folder / "proxy.yaml")
    with (
        registry() as upstream,
        standing(tmp_path, UpstreamSettings(upstream.url), token=settings.token) as proxy,
    ):
        yield Site(proxy, folder, upstream)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with serving(tmp_path_factory.mktemp("served")) as made:
        yield made


@pytest.fixture
def site(served: Site) -> Site:
    """The proxy with nothing received and nothing decided yet; its tests change no file of it."""
    served.registry.behaviour = plain()
    served.registry.received.clear()
    (served.folder / "decisions.jsonl").write_text("")
    return served


APP = "repository:acme/app:pull,push,delete"


class TestTags:
    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("PUT", "manifests/v2", 200),
            ("PUT", "manifests/octocat", 200),
            ("PUT", "manifests/v1", 403),
            ("PUT", "manifests/latest", 403),
            ("PUT", f"manifests/{DIGEST}", 200),
            ("PUT", f"manifests/{DIGEST}?tag=v2", 200),
            ("PUT", f"manifests/{DIGEST}?tag=v1", 403),
            ("PUT", f"manifests/{DIGEST}?tag=latest", 403),
            ("PUT", f"manifests/{DIGEST}?tag=", 400),
            ("PUT", f"manifests/{DIGEST}?tag=v2&tag=latest", 403),
            ("PUT", f"manifests/{DIGEST}?tag=latest&tag=v2", 403),
            ("PUT", f"manifests/{DIGEST}?tag=v2&tag=v3", 200),
            ("PUT", "manifests/v2?tag=latest", 403),
            ("GET", "manifests/v1", 200),
            ("GET", "manifests/latest", 403),
            ("HEAD", "manifests/latest", 403),
            ("GET", f"manifests/{DIGEST}", 200),
            ("GET", f"blobs/{DIGEST}", 200),
            ("GET", f"referrers/{DIGEST}", 200),
            ("GET", "tags/list", 403),
            ("POST", "blobs/uploads/", 200),
            ("PATCH", "blobs/uploads/session", 200),
            ("DELETE", "blobs/uploads/session", 200),
            ("DELETE", "manifests/v2", 200),
            ("DELETE", "manifests/v1", 403),
            ("DELETE", f"manifests/{DIGEST}", 403),
            ("DELETE", f"blobs/{DIGEST}", 403),
            ("POST", f"blobs/uploads/?mount={DIGEST}&from=acme/app", 200),
        ],
    )
    def test_each_request_is_decided_by_the_tag_that_it_names(
        self, site: Site, method: str, path: str, status: int
    ) -> None:
        token, target = site.token(APP), f"/v2/acme/app/{path}"

        assert site.ask(method, target, token).status == status
        reached = [got for got in site.registry.received if got.target != "/v2/"]
        assert len(reached) == (status == 200)
        asked = site.authorize(method, target, token)
        assert asked.status == (204 if status == 200 else 403)

    def test_a_registry_would_take_none_of_it_from_the_token(self, site: Site) -> None:
        claims = jwt.parse(site.token(APP, "repository:base/os:pull")).claims

        assert claims["access"] == [{"type": "repository", "name": "base/os", "actions": ["pull"]}]
        assert claims["deferred"] == [
            {"type": "repository", "name": "acme/app", "actions": ["pull", "push", "delete"]}
        ]

    def test_a_token_is_good_for_what_it_was_asked_for_and_not_for_more(self, site: Site) -> None:
        token = site.token("repository:acme/app:pull")

        assert site.ask("GET", "/v2/acme/app/manifests/v2", token).status == 200
        answer = site.ask("PUT", "/v2/acme/app/manifests/v2", token)
        assert answer.status == 401
        assert 'error="insufficient_scope"' in (answer.header("WWW-Authenticate") or "")

    def test_who_gets_nothing_gets_no_token_that_leaves_anything_open(self, site: Site) -> None:
        token = site.token(APP, event="pull_request")
        claims = jwt.parse(token).claims

        assert "workload" not in claims
        assert site.ask("PUT", "/v2/acme/app/manifests/v2", token).status == 401

    def test_the_client_is_told_what_was_refused(self, site: Site) -> None:
        answer = site.ask("PUT", "/v2/acme/app/manifests/v1", site.token(APP))
        [error] = json.loads(answer.body)["errors"]

        assert (error["code"], error["message"]) == (
            "DENIED",
            "the policy does not allow push of acme/app:v1",
        )

    def test_what_has_only_a_sign_in_our_notation_is_told_in_words(self, site: Site) -> None:
        answer = site.ask("GET", "/v2/acme/app/tags/list", site.token(APP))

        assert b"does not allow pull of the list of tags of acme/app" in answer.body

    def test_a_gateway_s_refusal_is_not_logged_as_allowed(self, site: Site) -> None:
        token, target = site.token(APP), f"/v2/acme/app/blobs/uploads/?mount={DIGEST}"

        assert site.authorize("POST", target, token).status == 403
        assert [one["outcome"] for one in site.records()] == ["issued"]

    @pytest.mark.parametrize(
        "more",
        [
            {"large": ["x" * 100] * 100},
            {"deep": [[[[[[["x"]]]]]]]},
            {"text": "\u20ac" * 1500},
        ],
        ids=["large", "deep", "wide"],
    )
    def test_whoever_may_log_in_gets_a_token_that_the_proxy_reads(
        self, site: Site, more: dict[str, object]
    ) -> None:
        token = site.token(APP, **more)

        assert site.ask("PUT", "/v2/acme/app/manifests/v2", token).status == 200

    def test_each_decision_is_logged_with_what_decided_it(self, site: Site) -> None:
        token = site.token(APP)
        site.ask("PUT", "/v2/acme/app/manifests/v1", token)
        site.ask("PUT", "/v2/acme/app/manifests/v2", token)
        issued, refused, allowed = site.records()

        assert {one["why"] for one in issued["accesses"]} == {"depends-on-reference"}
        assert (issued["outcome"], refused["outcome"]) == ("issued", "decided")
        assert refused["jti"] == issued["jti"]
        assert refused["claims"] == issued["claims"]
        assert (refused["routing"], refused["checked"]) == ("workload", issued["time"])
        told = [
            [(a["action"], a["reference"], a["why"], a["source"]) for a in one["accesses"]]
            for one in (refused, allowed)
        ]
        assert told == [
            [("pull", "v1", "granted", "releases"), ("push", "v1", "denied", "frozen")],
            [("pull", "v2", "granted", "releases"), ("push", "v2", "granted", "releases")],
        ]
        assert token not in (site.folder / "decisions.jsonl").read_text()

    def test_no_request_of_the_corpus_needs_less_than_its_token_must_say(self) -> None:
        compared = 0
        for line in targets():
            route = read_route(line.method, line.target)
            if isinstance(route, Route):
                plain = {(one.resource, one.action) for one in route.placed}
                assert plain == {(one.resource, one.action) for one in route.accesses}, line
                compared += 1
        assert compared > 60


@pytest.mark.parametrize("change", [{"workload": None}, {"workload": {"provider": "", "claims": {"a": 1}, "at": 1}}, {"workload": {"provider": "else", "claims": {}, "at": 1}}, {"workload": []}])  # fmt: skip
def test_a_workload_that_cannot_be_read_gets_nothing(site: Site, change: dict[str, object]) -> None:
    [first, *_] = key_folder.read(site.folder / "keys").all
    key = SigningKey(first.key, "ES256", jwt.parse(site.token()).key_id, first.chain)
    claims = {**jwt.parse(site.token(APP)).claims, **change}

    assert site.ask("PUT", "/v2/acme/app/manifests/v2", jwt.sign(claims, key)).status in (401, 403)


def catalog(*names: str, size: int = 2) -> Callable[[BaseHTTPRequestHandler, Received], None]:
    """Serve a catalog in pages, as Distribution does."""

    def answer(handler: BaseHTTPRequestHandler, got: Received) -> None:
        asked = parse_qs(urlsplit(got.target).query)
        last = asked.get("last", [""])[0]
        found = [name for name in names if name > last]
        headers = {}
        if len(found) > size:
            headers["Link"] = (
                f'</v2/_catalog?last={quote(found[size - 1], safe="")}&n={size}>; rel="next"'
            )
        body = json.dumps({"repositories": found[:size]}).encode()
        plain(200, body, **headers)(handler, got)

    return answer


CATALOG = "registry:catalog:*"
NAMES = ("acme/app", "acme/secret", "base/a", "base/b", "base/c", "other/x", "other/y")


class TestCatalog:
    def test_it_shows_what_its_reader_may_pull_from(self, site: Site) -> None:
        site.registry.behaviour = catalog(*NAMES)
        answer = site.ask("GET", "/v2/_catalog", site.token(CATALOG))

        assert json.loads(answer.body) == {
            "repositories": ["acme/app", "base/a", "base/b", "base/c"]
        }
        assert answer.header("Link") is None

    def test_its_pages_name_nothing_that_is_hidden(self, site: Site) -> None:
        site.registry.behaviour = catalog(*NAMES)
        token, target, pages = site.token(CATALOG), "/v2/_catalog?n=1", []
        for _ in range(10):
            answer = site.ask("GET", target, token)
            pages.append(json.loads(answer.body)["repositories"])
            link = answer.header("Link")
            if link is None:
                break
            target = link.partition(">")[0].lstrip("<")
            assert "secret" not in link
            assert "other" not in link

        assert pages == [["acme/app"], ["base/a"], ["base/b"], ["base/c"]]

    def test_it_still_needs_a_grant(self, site: Site) -> None:
        token = site.token(CATALOG, event="pull_request")

        assert site.ask("GET", "/v2/_catalog", token).status == 401

    def test_a_gateway_cannot_filter_and_so_does_not_pass_it(self, site: Site) -> None:
        assert site.authorize("GET", "/v2/_catalog", site.token(CATALOG)).status == 403

    def test_half_a_catalog_is_not_asked_for(self, site: Site) -> None:
        site.registry.behaviour = catalog(*NAMES)
        site.ask("GET", "/v2/_catalog", site.token(CATALOG), Range="bytes=0-9", If_None_Match='"x"')

        assert not {"range", "if-none-match"} & set(site.registry.received[-1].headers)

    @pytest.mark.parametrize(
        "behaviour",
        [
            plain(206, b'{"repositories": ["acme/secret"]}'),
            plain(200, b"<html>acme/secret</html>"),
            plain(200, b'{"repositories": "acme/secret"}'),
            plain(200, b'{"repositories": ["acme/secret"]}', Link='</v2/_catalog>; rel="next"'),
            plain(200, b'{"repositories": ["acme/secret"]}', Link='<http://169.254.169.254/>; rel="next"'),
            plain(307, b"acme/secret", Location="http://127.0.0.1:1/v2/_catalog"),
        ],
    )  # fmt: skip
    def test_an_upstream_that_is_not_understood_is_not_passed_on(
        self, site: Site, behaviour: Callable[..., None]
    ) -> None:
        site.registry.behaviour = behaviour
        answer = site.ask("GET", "/v2/_catalog", site.token(CATALOG))

        assert answer.status == 502
        assert b"secret" not in answer.body
        assert answer.header("Location") is None

    @pytest.mark.parametrize(("bound", "value"), [("MAX_SECONDS", -1.0), ("MAX_PAGES", 0)])
    def test_a_catalog_that_is_not_looked_through_to_its_end_is_no_short_page(
        self, site: Site, monkeypatch: pytest.MonkeyPatch, bound: str, value: float
    ) -> None:
        """A list without a `Link` says that there are no more repositories."""
        monkeypatch.setattr(proxy_catalog, bound, value)
        site.registry.behaviour = catalog(*NAMES)
        answer = site.ask("GET", "/v2/_catalog", site.token(CATALOG))

        assert answer.status == 504
        assert b"repositories" not in answer.body

    def test_an_error_of_the_upstream_passes(self, site: Site) -> None:
        site.registry.behaviour = plain(405, b'{"errors": []}')

        assert site.ask("GET", "/v2/_catalog", site.token(CATALOG)).status == 405

    def test_an_error_passes_without_what_the_upstream_says(self, site: Site) -> None:
        def answer(handler: BaseHTTPRequestHandler, got: Received) -> None:
            if "last" in got.target:
                link = '</v2/_catalog?last=acme%2Fsecret>; rel="next"'
                plain(404, b"acme/secret is gone", Link=link)(handler, got)
            else:
                catalog(*NAMES)(handler, got)

        site.registry.behaviour = answer
        found = site.ask("GET", "/v2/_catalog", site.token(CATALOG))

        assert (found.status, found.header("Link")) == (404, None)
        assert b"secret" not in found.body

    @pytest.mark.parametrize("last", ["acme/secret", "acme/nothere", "Bad", "x" * 300])
    def test_whether_a_hidden_repository_is_there_cannot_be_asked(
        self, site: Site, last: str
    ) -> None:
        site.registry.behaviour = catalog(*NAMES)
        token = site.token(CATALOG)
        found = site.ask("GET", f"/v2/_catalog?last={quote(last)}", token)

        assert (found.status, b"is no repository of this catalog" in found.body) == (400, True)
        assert [got for got in site.registry.received if "last" in got.target] == []

    def test_an_upstream_that_does_not_page_is_paged(self, site: Site) -> None:
        body = json.dumps({"repositories": NAMES}).encode()
        site.registry.behaviour = plain(200, body)
        token, target, pages = site.token(CATALOG), "/v2/_catalog?n=2", []
        for _ in range(5):
            found = site.ask("GET", target, token)
            pages.append(json.loads(found.body)["repositories"])
            link = found.header("Link")
            if link is None:
                break
            target = link.partition(">")[0].lstrip("<")

        assert pages == [["acme/app", "base/a"], ["base/b", "base/c"]]

    def test_another_link_is_no_next_page(self, site: Site) -> None:
        body = json.dumps({"repositories": NAMES}).encode()
        site.registry.behaviour = plain(200, body, Link='</v2/>; rel="help"')

        assert site.ask("GET", "/v2/_catalog", site.token(CATALOG)).status == 200

    @pytest.mark.parametrize("number", ["0", "-1", "x", "", "1e3"])
    def test_a_number_that_is_none_is_refused(self, site: Site, number: str) -> None:
        answer = site.ask("GET", f"/v2/_catalog?n={number}", site.token(CATALOG))

        assert (answer.status, b"PAGINATION_NUMBER_INVALID" in answer.body) == (400, True)

    def test_no_repositories_are_none(self, site: Site) -> None:
        site.registry.behaviour = plain(200, b'{"repositories": null}')
        answer = site.ask("GET", "/v2/_catalog", site.token(CATALOG))

        assert json.loads(answer.body) == {"repositories": []}


def test_a_changed_policy_counts_for_tokens_that_are_out(tmp_path: Path) -> None:
    """What a token leaves open is decided by the policy of the moment."""
    with serving(tmp_path) as site:
        embedded = site.proxy.proxy.embedded
        assert embedded is not None
        token = site.token(APP)
        assert site.ask("PUT", "/v2/acme/app/manifests/v2", token).status == 200
        file = site.folder / "policy" / "policy.yaml"
        file.write_text(file.read_text().replace('tags: ["v1"]', 'tags: ["v*"]'))
        assert embedded.reloader.reload()
        assert site.ask("PUT", "/v2/acme/app/manifests/v2", token).status == 403
        file.write_text(file.read_text().replace("1342004", "99"))
        assert embedded.reloader.reload()
        answer = site.ask("PUT", "/v2/acme/app/manifests/v2", token)
        assert (answer.status, b"only workflows of the acme organisation" in answer.body) == (
            403,
            True,
        )


PLUGIN = "grants: [{name: p, repositories: [acme/app], class: plugin, actions: [pull, push]}]\n"


@pytest.mark.parametrize(
    ("grants", "statuses"),
    [
        ('grants: [{name: p, repositories: [acme/app], class: plugin, tags: ["v*"], actions: [pull, push]}]', (200, 403)),
        (PLUGIN + 'denials: [{name: d, repositories: ["**"], tags: ["x*"], actions: [push]}]', (200, 403)),
        (PLUGIN + 'denials: [{name: d, repositories: ["**"], class: plugin, tags: ["x*"], actions: [push]}]', (200, 403)),
        ('grants: [{name: p, repositories: [acme/app], tags: ["v*"], actions: [pull, push]}]', (401, 401)),
    ],
)  # fmt: skip
def test_a_token_for_a_class_opens_what_the_policy_gives_that_class(
    tmp_path: Path, grants: str, statuses: tuple[int, int]
) -> None:
    """A request names no class; registries take a token for one as one for the repository."""
    with serving(tmp_path, f"\n{grants}\n") as site:
        token = site.token("repository(plugin):acme/app:pull,push")
        tags = ("v2", "x2")
        found = [site.ask("PUT", f"/v2/acme/app/manifests/{tag}", token).status for tag in tags]

    assert tuple(found) == statuses


def test_a_refusal_says_what_was_asked(tmp_path: Path) -> None:
    with serving(tmp_path) as site:
        embedded = site.proxy.proxy.embedded
        assert embedded is not None
        token = site.token(APP)
        file = site.folder / "policy" / "policy.yaml"
        file.write_text(file.read_text().replace("1342004", "99"))
        assert embedded.reloader.reload()
        assert site.ask("PUT", "/v2/acme/app/manifests/v2", token).status == 403
        record = site.records()[-1]

    assert (record["outcome"], record["reason"]) == ("refused", "rule:our-organisation")
    assert record["asked"] == ["repository:acme/app:v2:pull", "repository:acme/app:v2:push"]


def test_a_decision_log_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    make_folder(tmp_path / "site", POLICY)
    file = tmp_path / "site" / "proxy.yaml"
    file.write_text(file.read_text().replace("decisions.jsonl", "none/decisions.jsonl"))
    done = CliRunner().invoke(main, ["--config", str(file)])

    assert done.exit_code != 0
    assert "the decision log" in done.output
    assert "cannot be written" in done.output


def test_a_token_server_says_that_it_cannot_see_tags(tmp_path: Path) -> None:
    make_folder(tmp_path / "site", POLICY)
    with pytest.raises(PolicyProblemsError) as caught:
        load_policy(tmp_path / "site" / "policy")

    assert [problem.code for problem in caught.value.problems] == ["tags-without-proxy"] * 2
    assert "`releases`" in caught.value.problems[0].message
    assert load_policy(tmp_path / "site" / "policy", sees_references=True).by_reference
