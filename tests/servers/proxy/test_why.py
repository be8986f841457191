"""What a proxy tells those that it turns away, and `/auth/why` of one with a policy."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from regauth.servers.configuration.proxy_file import read_proxy_settings
from regauth.servers.configuration.proxy_settings import UpstreamSettings
from regauth.servers.setup import sample

from .standing import Reply, registry, standing
from .test_policy import SERVICE, Site, make_folder

POLICY = """
grants:
  - name: releases
    when: claims.event_name == "push"
    repositories: ["${claims.repository}"]
    tags: ["v*"]
    actions: [pull, push]
  - {name: base, repositories: ["base/*"], tags: ["v*"], actions: [pull]}
denials:
  - {name: frozen, repositories: ["acme/app", "closed/**"], tags: ["v1"], actions: [push]}
"""
APP = "repository:acme/app:pull,push"


@pytest.fixture(params=["reasons", "off"])
def site(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    folder = tmp_path / "site"
    make_folder(folder, POLICY)
    file = folder / "proxy.yaml"
    file.write_text(f"{file.read_text()}explain: {request.param}\n")
    settings = read_proxy_settings(file)
    with (
        registry() as upstream,
        standing(
            tmp_path,
            UpstreamSettings(upstream.url),
            token=settings.token,
            explain=settings.explain,
        ) as proxy,
    ):
        yield Site(proxy, folder, upstream)


only_reasons = pytest.mark.parametrize("site", ["reasons"], indirect=True)


def ask_why(site: Site, *scopes: str, event: str = "push") -> Reply:
    claims = sample.sample_claims("acme/app", "refs/heads/main", event)
    token = sample.sample_token(site.folder, claims, datetime.now(UTC), timedelta(minutes=5))
    form = {"service": SERVICE, "scope": " ".join(scopes), "username": "sample", "password": token}
    return site.proxy.ask(
        "POST",
        "/auth/why",
        body=urlencode(form).encode(),
        Content_Type="application/x-www-form-urlencoded",
    )


def detail(reply: Reply) -> dict[str, Any]:
    [error] = json.loads(reply.body)["errors"]
    found = dict(error["detail"])
    assert found.pop("requestId") == reply.header("X-Request-Id")
    return found


@pytest.mark.parametrize(
    ("path", "reason"), [("v1", "denied"), ("latest", "no-grant")], ids=["denied", "no-grant"]
)
def test_a_403_says_its_reason_by_the_setting_and_names_no_denial(
    site: Site, path: str, reason: str
) -> None:
    reply = site.ask("PUT", f"/v2/acme/app/manifests/{path}", site.token(APP))
    told = detail(reply)

    assert reply.status == 403
    assert told.pop("missing")[0]["Name"] == "acme/app"
    assert told == (
        {} if "explain: off" in (site.folder / "proxy.yaml").read_text() else {"reason": reason}
    )
    assert b"frozen" not in reply.body


@only_reasons
def test_a_401_says_its_reason_and_its_request(site: Site) -> None:
    missing = [{"Type": "repository", "Class": "", "Name": "other/app", "Action": "pull"}]
    no_token = site.proxy.ask("GET", "/v2/other/app/manifests/v1")
    too_little = site.ask("GET", "/v2/other/app/manifests/v1", site.token(APP))

    assert detail(no_token) == {"reason": "no-token", "missing": missing}
    assert detail(too_little) == {"reason": "insufficient-scope", "missing": missing}
    assert detail(site.proxy.ask("GET", "/nowhere")) == {}


@only_reasons
def test_a_gateway_is_told_the_same(site: Site) -> None:
    reply = site.authorize("PUT", "/v2/acme/app/manifests/v1", site.token(APP))

    assert detail(reply)["reason"] == "denied"


@only_reasons
def test_the_proxy_says_why_and_decides_the_tag_that_is_named(site: Site) -> None:
    told = json.loads(
        ask_why(site, "repository:acme/app:v1:push", "repository:acme/app:v2:push", APP).body
    )
    whys = [(one["access"], one["why"]) for one in told["accesses"]]

    assert whys == [
        ("repository:acme/app:v1:push", "denied"),
        ("repository:acme/app:v2:push", "granted"),
        ("repository:acme/app:pull", "depends-on-reference"),
        ("repository:acme/app:push", "depends-on-reference"),
    ]


@only_reasons
def test_the_proxy_says_which_claims_stand_against_a_grant(site: Site) -> None:
    told = json.loads(ask_why(site, "repository:acme/app:v2:push", event="pull_request").body)

    assert told["accesses"][0]["nearest"] == [
        {
            "grant": "releases",
            "read": [
                {"claim": "event_name", "yours": "pull_request", "satisfied": False},
                {"claim": "repository", "yours": "acme/app", "satisfied": True},
            ],
        }
    ]


@pytest.mark.parametrize("site", ["off"], indirect=True)
def test_off_is_404(site: Site) -> None:
    assert ask_why(site, APP).status == 404


def test_a_proxy_without_a_policy_has_nothing_to_say(tmp_path: Path) -> None:
    with registry() as upstream, standing(tmp_path, UpstreamSettings(upstream.url)) as proxy:
        login = base64.b64encode(b"sample:x").decode()
        reply = proxy.ask("POST", "/auth/why", body=b"service=x", Authorization=f"Basic {login}")

        assert reply.status == 404
        assert upstream.received == []
