"""What a proxy decided by tags and digests, decided again by the same policy and by others."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from regauth.policytests.cli import main

from .test_policy import APP, DIGEST, POLICY, Site, serving

SUBJECT = "sample:repo:acme/app:ref:refs/heads/main"
REQUESTS = (
    ("PUT", "manifests/v1", 403),
    ("PUT", "manifests/v2", 200),
    ("PUT", f"manifests/{DIGEST}?tag=v3", 200),
    ("PUT", "manifests/latest", 403),
    ("GET", "tags/list", 403),
    ("POST", "blobs/uploads/", 200),
    ("GET", f"blobs/{DIGEST}", 200),
)
ANY_TAG = ('["v*", "${claims.actor}"]', '["*"]')
NO_TAG_AT_ALL = ('["v*", "${claims.actor}"]', '["none"]')
NOT_FROZEN = (POLICY[POLICY.index("denials:") :], "")
PUSHES = 'claims.event_name == "push"'


@dataclass
class Past:
    """What a proxy wrote down, and the policy that it went by."""

    site: Site
    capture: pytest.CaptureFixture[str]

    @property
    def log(self) -> Path:
        return self.site.folder / "decisions.jsonl"

    def rewrite(self, *records: dict[str, Any]) -> None:
        self.log.write_text("".join(json.dumps(record) + "\n" for record in records))

    def policy(self, *changes: tuple[str, str]) -> Path:
        """Write the policy with changes, each of which must be one."""
        text = (self.site.folder / "policy" / "policy.yaml").read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        folder = self.site.folder / "changed"
        folder.mkdir(exist_ok=True)
        (folder / "policy.yaml").write_text(text + "# changed\n")
        return folder

    def replay(self, folder: Path, *words: str) -> tuple[int, str, str]:
        code = main(["replay", str(self.log), "--policy", str(folder), *words])
        output = self.capture.readouterr()
        return code, output.out, output.err

    def report(self, folder: Path, *words: str) -> dict[str, Any]:
        _, output, errors = self.replay(folder, "-f", "json", "--limit", "0", *words)
        assert errors == ""
        report: dict[str, Any] = json.loads(output)
        return report

    def differences(self, *changes: tuple[str, str]) -> set[tuple[str, str, str, str]]:
        """Return what requests for a tag or digest get otherwise: before and after."""
        report = self.report(self.policy(*changes))
        assert report["decided"] == report["lines"]
        assert {one["identity"] for one in report["differences"]} <= {SUBJECT}
        return {
            (
                one["change"],
                one["access"].removeprefix("repository:acme/app"),
                one["before"]["source"] or one["before"]["why"],
                one["after"]["source"] or one["after"]["why"],
            )
            for one in report["differences"]
            if one["access"].count(":") > 2 or "@" in one["access"] or one["access"] == "login"
        }


@pytest.fixture
def past(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Past]:
    """A proxy that has decided by tags and digests."""
    with serving(tmp_path) as site:
        token = site.token(APP)
        for method, path, status in REQUESTS:
            assert site.ask(method, f"/v2/acme/app/{path}", token).status == status
        yield Past(site, capsys)


def test_the_same_policy_decides_each_request_as_it_was_decided(past: Past) -> None:
    code, output, _ = past.replay(past.site.folder / "policy")

    assert code == 0
    assert f"{len(REQUESTS) + 1} requests decided again: nothing differs" in output


def test_a_tag_that_may_be_pushed_from_now_on_is_new_access(past: Past) -> None:
    folder = past.policy(ANY_TAG)
    code, output, _ = past.replay(folder)

    assert past.differences(ANY_TAG) == {
        ("wider", ":latest:pull", "no-grant", "releases"),
        ("wider", ":latest:push", "no-grant", "releases"),
        ("wider", ":*:pull", "no-grant", "releases"),
    }
    assert code == 12
    assert "repository:acme/app:latest:push" in output
    assert "then    refused, no grant allows it" in output
    assert "now     allowed by `releases`" in output
    assert f"({folder.as_posix()}/policy.yaml:" in output


def test_a_denial_of_a_tag_that_goes_is_new_access(past: Past) -> None:
    assert past.differences(NOT_FROZEN) == {("wider", ":v1:push", "frozen", "releases")}


def test_a_tag_that_may_no_more_be_pushed_is_lost(past: Past) -> None:
    assert past.differences(NO_TAG_AT_ALL) == {
        ("narrower", f":{tag}:{action}", "releases", "no-grant")
        for tag, action in (
            ("v1", "pull"),
            ("v2", "pull"),
            ("v2", "push"),
            ("v3", "pull"),
            ("v3", "push"),
        )
    }
    assert past.replay(past.policy(NO_TAG_AT_ALL), "--fail-on-narrowing")[0] == 1


def test_a_workload_whose_login_would_be_refused_loses_what_it_got(past: Past) -> None:
    [_, *records] = past.site.records()
    past.rewrite(*records)
    renamed = past.differences(("  sample:", "  other:"))
    got = [one["name"] for record in records for one in record["accesses"] if one["allowed"]]

    assert {(change, after) for change, _, _, after in renamed} == {
        ("narrower", "unknown-provider"),
        ("otherwise", "unknown-provider"),  # nothing was allowed, and nothing is
    }
    assert got


def test_a_workload_whose_login_was_refused_and_would_not_be_gains_what_it_asked(
    past: Past,
) -> None:
    [_, _, pushed, *_] = past.site.records()
    refused = {**pushed, "outcome": "refused", "reason": "rule:own"}
    refused.pop("accesses")
    latest = [one.replace(":v2:", ":latest:") for one in pushed["asked"]]
    past.rewrite(refused, {**refused, "asked": latest})

    assert past.differences() == {
        ("wider", ":v2:pull", "rule:own", "releases"),
        ("wider", ":v2:push", "rule:own", "releases"),
    }


def test_a_workload_is_checked_as_of_when_its_token_was_issued(past: Past) -> None:
    """Its own token has expired since, and conditions see the time of the request."""
    [_, _, pushed, *_] = past.site.records()
    late = pushed["time"].replace("2026", "2027").replace("2025", "2027")
    past.rewrite({**pushed, "time": late})
    ended = (PUSHES, f'{PUSHES} && now < timestamp("2027-01-01T00:00:00Z")')

    assert past.differences() == set()
    assert past.differences(ended) == {
        ("narrower", ":v2:pull", "releases", "no-grant"),
        ("narrower", ":v2:push", "releases", "no-grant"),
    }


CLASSES = """
grants:
  - {name: plain, repositories: [acme/app], tags: ["v*"], actions: [pull]}
  - {name: plugin, repositories: [acme/app], class: plugin, tags: ["w*"], actions: [pull]}
"""


def test_what_a_token_leaves_open_in_several_classes_is_decided_in_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(tmp_path, CLASSES) as site:
        past = Past(site, capsys)
        token = site.token("repository:acme/app:pull", "repository(plugin):acme/app:pull")
        for tag, status in (("v1", 200), ("w1", 200), ("x1", 403)):
            assert site.ask("GET", f"/v2/acme/app/manifests/{tag}", token).status == status
        [_, *records] = site.records()
        assert [len(one["accesses"]) for one in records] == [1, 1, 1]
        assert {len(one["asked"]) for one in records} == {2}

        assert past.differences() == set()
        wider = past.differences(('tags: ["w*"]', 'tags: ["w*", "x*"]'))
        assert wider == {("wider", ":x1:pull", "no-grant", "plugin")}
        narrower = past.differences(('tags: ["w*"]', 'tags: ["x1"]'))
        assert ("narrower", ":w1:pull", "plugin", "no-grant") in narrower


def test_who_has_no_credentials_is_decided_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An `anonymous` that ends is a login that is refused."""
    anonymous = "anonymous: {repositories: [acme/app]}\n"
    denials = 'denials: [{name: d, repositories: ["**"], tags: [x], actions: [pull]}]\n'
    with serving(
        tmp_path,
        f"\ngrants: [{{name: g, repositories: [a], actions: [pull]}}]\n{denials}{anonymous}",
    ) as site:
        past = Past(site, capsys)
        answer = site.proxy.ask(
            "GET", "/auth/token?service=registry.example.com&scope=repository:acme/app:pull"
        )
        token = json.loads(answer.body)["token"]
        assert site.ask("GET", "/v2/acme/app/manifests/v1", token).status == 200
        [_, record] = site.records()
        past.rewrite(record)

        assert past.replay(past.policy())[0] == 0
        report = past.report(past.policy((anonymous, "")))
        assert [
            (one["change"], one["access"], one["after"]["why"]) for one in report["differences"]
        ] == [("narrower", "repository:acme/app:v1:pull", "no-credentials")]


def test_without_claims_nothing_is_guessed(past: Past) -> None:
    [_, refused, pushed, *_] = past.site.records()
    refused.pop("claims")
    past.rewrite(refused, {key: value for key, value in pushed.items() if key != "claims"})
    report = past.report(past.policy())

    assert [(one["reason"], one["lines"]) for one in report["undecided"]] == [("no-claims", 2)]


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"routing": "issuer"}, "its routing is not that of its outcome"),
        ({"outcome": "issued"}, "its routing is not that of its outcome"),
        ({"provider": ""}, "it names no provider of its workload"),
        ({"asked": ["repository:acme/app:v2"]}, "is not an access"),
        ({"asked": ["repository:acme/app@v2:pull"]}, "is not an access"),
        ({"asked": ["repository:acme/app:v2:pull"]}, "not those of its scopes"),
        ({"asked": ["repository:acme/app:v9:pull", "repository:acme/app:v2:push"]}, "not those"),
        (
            {"asked": [f"repository{one}:acme/app:v2:{two}" for two in ("pull", "push") for one in ("", "(p)")],
             "accesses": [{"type": "repository", "name": "acme/app", "action": "pull", "reference": "v2", "allowed": False, "why": "no-grant", **more} for more in ({}, {"class": "p"})]},
            "not those of its scopes",
        ),
    ],
)  # fmt: skip
def test_a_record_that_contradicts_itself_is_counted(
    past: Past, change: dict[str, object], detail: str
) -> None:
    [_, _, pushed, *_] = past.site.records()
    past.rewrite({**pushed, **change})
    [undecided] = past.report(past.policy())["undecided"]

    assert (undecided["reason"], undecided["lines"]) == ("not-a-record", 1)
    assert detail in undecided["first"]


def test_a_suite_says_how_many_requests_to_a_proxy_it_leaves_out(past: Past) -> None:
    suite = past.site.folder / "kept.policytest.yaml"
    _, _, errors = past.replay(past.site.folder / "policy", "--suite", str(suite))

    assert f"requests to a proxy, decided by their tag or digest: {len(REQUESTS)}" in errors


def test_a_refused_request_at_the_proxy_is_explained_by_the_id_of_its_answer(past: Past) -> None:
    reply = past.site.ask("PUT", "/v2/acme/app/manifests/v1", past.site.token(APP))
    request = json.loads(reply.body)["errors"][0]["detail"]["requestId"]
    policy = past.site.folder / "policy"
    code = main(["why", "--request", request, str(past.log), "--policy", str(policy)])
    told = past.capture.readouterr().out

    assert code == 0
    assert "a proxy, at the request itself" in told
    assert "  repository:acme/app:v1:push: refused by the denial `frozen`" in told
    assert "  repository:acme/app:v1:push: REFUSED by the denial frozen" in told
