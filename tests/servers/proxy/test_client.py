"""A proxy whose policy asks from where: each request is decided by its own address."""

from pathlib import Path

from tests.servers.proxy.test_policy import APP, serving

NEAR = """
grants:
  - name: releases
    when: claims.event_name == "push" && client.inNetwork("127.0.0.0/8")
    repositories: ["acme/app"]
    tags: ["v*"]
    actions: [pull, push]
"""
TARGET = "/v2/acme/app/manifests/v2"


def test_a_request_of_an_unknown_client_is_refused_whatever_its_token_says(tmp_path: Path) -> None:
    with serving(tmp_path, NEAR) as site:
        token = site.token(APP)
        near = site.ask("PUT", TARGET, token)
        hidden = site.ask("PUT", TARGET, token, X_Forwarded_For="127.0.0.1")
        again = site.ask("PUT", TARGET, token)
        addresses = [one["address"] for one in site.records() if one.get("routing") == "workload"]

    assert [near.status, hidden.status, again.status] == [200, 403, 200]
    assert addresses == ["127.0.0.1", "", "127.0.0.1"]


def test_who_is_elsewhere_gets_no_token_that_leaves_anything_open(tmp_path: Path) -> None:
    with serving(tmp_path, NEAR.replace("127.0.0.0/8", "10.0.0.0/8")) as site:
        token = site.token(APP)

        assert site.ask("PUT", TARGET, token).status == 401
