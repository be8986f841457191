"""Replaying: what a server decided, decided again by the same policy and by others."""

import gzip
import json
import random
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from regauth.engine.tokens.keys import PrivateKey, SigningKey
from regauth.policytests.cli import main
from regauth.policytests.execution.run import Run
from regauth.policytests.replay.deciding import Replay
from regauth.policytests.replay.records import read_record
from regauth.servers.configuration.settings import SqliteSettings
from regauth.servers.sessions.opening import open_store
from regauth.servers.sessions.sessions import PREFIX, Sessions
from regauth.servers.telemetry.decision_log import DecisionLog
from tests.forkserver.programs import forked
from tests.servers.desk import NOW, SERVICE, Desk, compiled, make_desk, pem_keys, policy_text

MORE = """\
  - name: catalog
    when: claims.ref == "refs/heads/main"
    catalog: true
  - name: while-november
    repositories: [trial/*]
    actions: [pull]
    expires: 2026-11-01T14:00:00Z
  - name: numbered
    when: int(claims.environment) > 1
    repositories: ["numbered/*"]
    actions: [pull]
denials:
  - name: frozen
    repositories: [acme/frozen]
    actions: [push]
anonymous:
  repositories: ["public/**"]
"""
ON_MAIN = 'claims.ref == "refs/heads/main"'
MAIN = "github:repo:acme/app:ref:refs/heads/main"
BRANCH = "github:repo:acme/app:ref:refs/heads/x"
PUSH_OTHER_BRANCHES = (
    "grants:\n",
    """\
grants:
  - name: branches
    when: claims.ref == "refs/heads/x"
    repositories: ["${claims.repository}"]
    actions: [push]
""",
)


CLAIMS = "    claims: github-actions\n"


@dataclass
class Production:
    """A server that has answered requests of every kind, and what it wrote down."""

    log: Path
    policy: str
    folder: Path
    capture: pytest.CaptureFixture[str]

    def records(self) -> list[dict[str, Any]]:
        """Return what it wrote down."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def changed(self, *changes: tuple[str, str], more: str = "# changed\n") -> Path:
        """Write a policy with changes, each of which must be one."""
        text = self.policy
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        folder = self.folder / "changed"
        folder.mkdir(exist_ok=True)
        (folder / "policy.yaml").write_text(text + more)
        return folder

    def replay(self, *words: str | Path, log: Path | str | None = None) -> tuple[int, str, str]:
        """Run the command; return its exit code and what it wrote."""
        code = main(["replay", str(log or self.log), *map(str, words)])
        output = self.capture.readouterr()
        return code, output.out, output.err

    def report(self, *words: str | Path, log: Path | str | None = None) -> dict[str, Any]:
        """Return the report as JSON."""
        _, output, errors = self.replay(*words, "-f", "json", "--limit", "0", log=log)
        assert errors == ""
        report: dict[str, Any] = json.loads(output)
        return report

    def differences(self, *words: str | Path) -> list[tuple[str, str, str, str, str, int]]:
        """Return what differs, as tuples."""
        return sorted(
            (
                one["change"],
                one["identity"],
                one["access"],
                one["before"]["source"] or one["before"]["why"],
                one["after"]["source"] or one["after"]["why"],
                one["count"],
            )
            for one in self.report(*words)["differences"]
        )


def undecided(report: Mapping[str, Any]) -> dict[str, int]:
    return {one["reason"]: one["lines"] for one in report["undecided"]}


def refresh(desk: Desk, token: str, scope: str) -> None:
    fields = {
        "grant_type": "refresh_token",
        "refresh_token": token,
        "service": SERVICE,
        "scope": scope,
    }
    desk.client.simulate_post(
        "/auth/token",
        body=urlencode(fields),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )


def ask_everything(desk: Desk, stranger: SigningKey) -> None:
    """Make requests of every kind that the server tells apart."""
    own = desk.token()
    branch = {"sub": BRANCH.removeprefix("github:"), "ref": "refs/heads/x"}
    desk.ask(
        own, "repository:acme/app:pull,push", "repository:globex/app:pull", "registry:catalog:*"
    )
    desk.ask(
        own, "repository:acme/app:pull,push", "repository:globex/app:pull", "registry:catalog:*"
    )
    desk.ask(own, "repository:acme/frozen:*", "repository(plugin):acme/app:pull", "other:a:b")
    desk.ask(
        own, "repository:Acme/App:pull", "repository:numbered/a:pull", "repository:trial/a:pull"
    )
    desk.ask(own, username="<token>")
    desk.ask(desk.token(**branch), "repository:acme/app:pull,push", username="<token>")
    desk.ask(desk.token(**branch, environment="7"), "repository:numbered/a:pull")
    for changes in (
        {"repository_owner_id": "7"},
        {"aud": "https://elsewhere.example.com"},
        {"exp": int(NOW.timestamp()) - 60},
        {"exp": "soon"},
        {"sub": None},
    ):
        desk.ask(desk.token(**changes), "repository:acme/app:pull,push")
    desk.ask("nonsense", "repository:acme/app:pull")
    desk.ask(None, "repository:public/a:pull,push", "repository:private/a:pull")
    desk.ask(None)
    desk.ask(own, "repository:acme/app:pull", service="other.example.com")
    desk.issuer, issuer = stranger, desk.issuer
    desk.ask(desk.token(), "repository:acme/app:pull")
    desk.issuer = issuer
    desk.ask(desk.token(iss="https://nobody.example.com"), "repository:acme/app:pull", username="x")
    session = str(desk.ask(own, offline_token="true").json["refresh_token"])
    refresh(desk, own, "repository:acme/app:pull")
    desk.times.append(NOW + timedelta(hours=3))
    refresh(desk, session, "repository:acme/app:pull,push repository:trial/a:pull")
    refresh(desk, PREFIX + "unknown", "repository:acme/app:pull")
    desk.ask(own, "repository:acme/app:pull")


@pytest.fixture
def production(
    tmp_path: Path, private_keys: dict[str, PrivateKey], capsys: pytest.CaptureFixture[str]
) -> Production:
    policy = policy_text(pem_keys(private_keys["rsa"]), MORE).replace(
        CLAIMS, f"{CLAIMS}    refreshTokens: {{maxSession: 8h}}\n"
    )
    desk = make_desk(tmp_path, policy, private_keys["rsa"])
    log = tmp_path / "decisions.jsonl"
    desk.observer.decisions = DecisionLog(log)
    sessions = Sessions(open_store(SqliteSettings(tmp_path / "sessions.db")))
    desk.service._sessions = sessions
    desk.service.state = replace(desk.service.state, shadow=None)
    ask_everything(desk, SigningKey(private_keys["rsa-other"], "RS256", "sample"))
    sessions.close()
    desk.observer.decisions.close()
    folder = tmp_path / "policy"
    folder.mkdir()
    (folder / "policy.yaml").write_text(policy)
    return Production(log, policy, tmp_path, capsys)


def test_the_policy_that_decided_decides_the_same_again(production: Production) -> None:
    folder = production.folder / "policy"
    code, output, _ = production.replay("--policy", folder)
    records = production.records()

    assert {one["outcome"] for one in records} == {"issued", "refused"}
    assert {one.get("routing") for one in records} == {None, "issuer", "session"}
    assert len({one.get("reason") for one in records}) == 10
    assert code == 0
    assert output.endswith(f"\n{len(records)} requests decided again: nothing differs\n")
    report = production.report("--policy", folder)
    assert report["requests"] == {"wider": 0, "narrower": 0, "otherwise": 0}
    assert report["recordedPolicies"] == {report["policy"]["hash"]: len(records)}


OTHER_TRUST = (
    "    audience: https://registry",
    "    algorithms: [RS256]\n    audience: https://registry",
)


def test_a_policy_that_means_the_same_decides_everything_the_same(production: Production) -> None:
    report = production.report("--policy", production.changed())

    assert (report["differences"], report["undecided"]) == ([], [])
    assert report["decided"] == len(production.records())
    assert production.replay("--policy", production.changed())[0] == 0


@pytest.mark.parametrize(
    "change",
    [
        OTHER_TRUST,
        ("providers:\n", "providers:\n  other: {issuer: https://other.example.com, audience: x}\n"),
        ("https://sample-issuer.example.com", "https://sample.example.com"),
        ("-----BEGIN PUBLIC KEY-----", "KEYS"),
    ],
    ids=["algorithms", "a provider", "an issuer", "keys"],
)
def test_what_was_never_verified_cannot_be_judged_by_other_keys_or_issuers(
    production: Production, change: tuple[str, str], private_keys: dict[str, PrivateKey]
) -> None:
    if change[1] == "KEYS":
        keys = (pem_keys(private_keys[name]) for name in ("rsa", "rsa-other"))
        change = (next(keys), next(keys))
    folder = production.changed(change)
    report = production.report("--policy", folder)

    assert undecided(report) == {"not-verified": 3}
    assert report["decided"] == len(production.records()) - 3
    assert production.replay("--policy", folder)[0] == 13
    accepted = production.replay("--policy", folder, "--accept-undecided", "keys stay as they are")
    assert accepted[0] == 0
    assert "keys stay as they are" in accepted[1]


def test_a_digest_of_trust_is_that_of_nothing_else(production: Production) -> None:
    """What comes after a signature is no part of it: a rule, a grant, an audience."""
    same = (
        ('claims.repository_owner_id == "1342004"', 'claims.repository_owner_id != "1"'),
        ("audience: https://registry.example.com", "audience: [https://elsewhere.example.com]"),
        ("    claims: github-actions", "    maxTokenAge: 1m\n    claims: github-actions"),
        ("name: catalog", "name: listing"),
    )
    for change in same:
        assert "not-verified" not in undecided(
            production.report("--policy", production.changed(change))
        )


def test_exactly_what_a_change_gives_is_found(production: Production) -> None:
    assert production.differences("--policy", production.changed(PUSH_OTHER_BRANCHES)) == [
        ("wider", BRANCH, "repository:acme/app:push", "no-grant", "branches", 1),
    ]


def test_what_a_rule_no_longer_refuses_is_new_access(production: Production) -> None:
    rule = (
        'check: claims.repository_owner_id == "1342004"',
        'check: claims.repository_owner_id != "1"',
    )

    assert production.differences("--policy", production.changed(rule)) == [
        (
            "wider",
            MAIN,
            f"repository:acme/app:{action}",
            "rule:our-organisation",
            "push-own-repository",
            1,
        )
        for action in ("pull", "push")
    ]


def test_what_a_change_takes_is_found_by_access_and_by_login(production: Production) -> None:
    gone = (
        "check: claims.repository_owner_id",
        'check: claims.ref == "refs/heads/x" && claims.repository_owner_id',
    )
    found = production.differences("--policy", production.changed(gone))

    assert {one[:2] for one in found} == {("narrower", MAIN)}
    assert {one[4] for one in found} == {"rule:our-organisation"}
    assert ("narrower", MAIN, "login", "granted", "rule:our-organisation", 2) in [
        (*one[:3], one[3] or "granted", *one[4:]) for one in found
    ]
    assert 4 == next(one[5] for one in found if one[2] == "repository:acme/app:pull")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(
            ('repositories: ["public/**"]', 'repositories: ["**"]'),
            [("wider", "anonymous", "repository:private/a:pull", "no-grant", "anonymous", 1)],
            id="anonymous",
        ),
        pytest.param(
            ('anonymous:\n  repositories: ["public/**"]\n', ""),
            [
                ("narrower", "anonymous", "login", "", "no-credentials", 1),
                ("narrower", "anonymous", "repository:public/a:pull", "anonymous", "no-credentials", 1),
            ],
            id="no anonymous",
        ),
        pytest.param(
            ("repositories: [acme/frozen]", "repositories: [acme/thawed]"),
            [("otherwise", MAIN, "repository:acme/frozen:push", "frozen", "no-grant", 1)],
            id="a denial",
        ),
        pytest.param(
            ("14:00:00Z", "12:00:00Z"),
            [("narrower", MAIN, "repository:trial/a:pull", "while-november", "no-grant", 1)],
            id="expires earlier",
        ),
        pytest.param(
            ("14:00:00Z", "16:00:00Z"),
            [("wider", MAIN, "repository:trial/a:pull", "no-grant", "while-november", 1)],
            id="expires later, for a session of 15:00",
        ),
        pytest.param(
            ("    audience: https://registry.example.com", "    audience: [https://registry.example.com, https://elsewhere.example.com]"),
            [
                ("wider", MAIN, "repository:acme/app:pull", "wrong-audience", "push-own-repository", 1),
                ("wider", MAIN, "repository:acme/app:push", "wrong-audience", "push-own-repository", 1),
            ],
            id="audience",
        ),
        pytest.param(
            ("name: pull-own-organisation", "name: renamed"),
            [
                ("otherwise", MAIN, "repository:acme/frozen:pull", "pull-own-organisation", "renamed", 1),
                ("otherwise", BRANCH, "repository:acme/app:pull", "pull-own-organisation", "renamed", 1),
            ],
            id="a name",
        ),
        pytest.param(
            ("services: [registry.example.com]", "services: [registry.example.com, other.example.com]"),
            [],
            id="a service",
        ),
    ],
)  # fmt: skip
def test_every_kind_of_change_is_found(
    production: Production, change: tuple[str, str], expected: list[tuple[object, ...]]
) -> None:
    assert production.differences("--policy", production.changed(change)) == expected


def test_a_login_that_is_let_in_and_gets_nothing_is_new_all_the_same(
    production: Production,
) -> None:
    record = next(one for one in production.records() if one.get("reason", "").startswith("rule:"))
    record["asked"] = ["repository:globex/app:pull"]
    production.log.write_text(json.dumps(record) + "\n")
    rule = ('claims.repository_owner_id == "1342004"', 'claims.repository_owner_id != "1"')
    folder = production.changed(rule)

    assert production.differences("--policy", folder) == [
        ("wider", MAIN, "login", "rule:our-organisation", "", 1)
    ]
    assert production.replay("--policy", folder)[0] == 12


def test_a_login_that_its_issuer_routed_is_routed_so_again(production: Production) -> None:
    twin = """\
providers:
  twin:
    issuer: https://sample-issuer.example.com
    audience: https://registry.example.com
"""
    found = production.differences("--policy", production.changed(("providers:\n", twin)))
    routed = [one for one in production.records() if one.get("routing") == "issuer"]

    assert {(one[0], one[4]) for one in found} == {("narrower", "ambiguous-provider")}
    assert sum(one["outcome"] == "issued" for one in routed) == 3
    assert [(one[1], one[2], one[5]) for one in found] == [
        (MAIN, "login", 1),
        (MAIN, "repository:acme/app:pull", 1),
        (BRANCH, "repository:acme/app:pull", 1),
    ]


def test_a_service_that_only_the_new_policy_answers_for_cannot_be_judged(
    production: Production,
) -> None:
    change = ("services: [registry", "services: [other.example.com, registry")

    assert undecided(production.report("--policy", production.changed(change))) == {
        "unknown-service": 1
    }


def test_a_service_that_is_gone_loses_everything_and_leaves_nothing_open(
    production: Production,
) -> None:
    report = production.report(
        "--policy", production.changed((f"services: [{SERVICE}]", "services: [other.example.com]"))
    )

    assert {one["after"]["why"] for one in report["differences"]} == {"unknown-service"}
    assert {one["change"] for one in report["differences"]} == {"narrower", "otherwise"}
    assert undecided(report) == {"unknown-service": 1}


def test_a_provider_with_another_name_is_found_by_its_issuer_but_by_no_session(
    production: Production,
) -> None:
    found = production.differences("--policy", production.changed(("  github:\n", "  actions:\n")))
    lost = [one for one in found if one[0] == "narrower"]

    assert {one[4] for one in lost} == {"unknown-session"}
    assert [one[2] for one in lost] == ["repository:acme/app:pull", "repository:acme/app:push"]
    assert not [one for one in found if one[0] == "wider"]


def test_a_shorter_session_ends_earlier(production: Production) -> None:
    folder = production.changed(("maxSession: 8h", "maxSession: 1h"))
    found = production.differences("--policy", folder)

    assert {(one[0], one[4]) for one in found} == {("narrower", "unknown-session")}
    assert [one[2] for one in found] == ["repository:acme/app:pull", "repository:acme/app:push"]


def test_grants_are_asked_as_of_another_time_and_logins_never(production: Production) -> None:
    folder = production.folder / "policy"
    at = ("--policy", folder, "--at", "2026-11-01T14:00:00Z")

    assert production.differences(*at) == [
        ("narrower", MAIN, "repository:trial/a:pull", "while-november", "no-grant", 1)
    ]
    assert production.differences("--policy", folder, "--at", "now") == [
        ("narrower", MAIN, "repository:trial/a:pull", "while-november", "no-grant", 1)
    ]


def test_a_condition_that_asks_for_the_time_sees_the_recorded_one(production: Production) -> None:
    change = (
        'when: claims.ref == "refs/heads/main"\n    repositories: ["${claims.repository}"]',
        """\
when: claims.ref == "refs/heads/main" && now < timestamp("2026-11-01T14:00:00Z")
    repositories: ["${claims.repository}"]""",
    )
    found = production.differences("--policy", production.changed(change))

    assert [one for one in found if one[0] != "otherwise"] == [
        ("narrower", MAIN, "repository:acme/app:push", "push-own-repository", "no-grant", 1)
    ]


def test_codes_say_what_is_known_and_a_reason_accepts_it(production: Production) -> None:
    wider = production.changed(PUSH_OTHER_BRANCHES, OTHER_TRUST)
    known, open_ = ("--accept-widening", "team x, #12"), ("--accept-undecided", "keys stay")

    assert production.replay("--policy", wider)[0] == 12
    assert production.replay("--policy", wider, *open_)[0] == 12
    assert production.replay("--policy", wider, *known)[0] == 13
    assert production.replay("--policy", wider, *known, *open_)[0] == 0
    assert "accepted: team x, #12" in production.replay("--policy", wider, *known)[1]
    narrower = production.changed(("14:00:00Z", "12:00:00Z"), OTHER_TRUST)
    assert production.replay("--policy", narrower, *open_)[0] == 0
    assert production.replay("--policy", narrower, *open_, "--fail-on-narrowing")[0] == 1
    code, _, errors = production.replay("--policy", wider, "--accept-widening", " ")
    assert (code, errors) == (4, "policytest: --accept-widening needs a reason\n")


def test_a_policy_that_does_not_compile_is_10(production: Production) -> None:
    code, output, errors = production.replay(
        "--policy", production.changed(("claims.ref ==", "claims.rf =="))
    )

    assert (code, output) == (10, "")
    assert "has no 'rf'" in errors
    assert production.replay("--policy", production.folder / "nowhere")[0] == 10


def test_the_text_says_who_what_how_often_and_why(production: Production) -> None:
    rule = (
        "check: claims.repository_owner_id",
        'check: claims.event_name == "push" && claims.repository_owner_id',
    )
    gone = ('  - name: push-own-repository\n    when: claims.ref == "refs/heads/main"', '  - name: push-own-repository\n    when: claims.ref == "refs/heads/x"')  # fmt: skip
    _, output, _ = production.replay("--policy", production.changed(rule, gone, OTHER_TRUST))
    lines = [line.strip() for line in output.splitlines()]

    assert lines[0] == "WIDER  refused then, allowed now: 1 difference in 1 request"
    assert f"{BRANCH}  repository:acme/app:push" in lines
    assert "then    refused, no grant allows it" in lines
    assert "now     allowed by `push-own-repository`" in lines
    assert 'claims.ref == "refs/heads/x"' in lines
    assert any(line.startswith("NARROWER  allowed then, refused now: ") for line in lines)
    assert any(line.startswith("not by    push-own-repository") for line in lines)
    assert any(line.startswith("3  not-verified: ") for line in lines)
    assert lines.index("WIDER  refused then, allowed now: 1 difference in 1 request") < next(
        number for number, line in enumerate(lines) if line.startswith("NARROWER")
    )


def test_the_limit_hides_no_number(production: Production) -> None:
    gone = (
        "check: claims.repository_owner_id",
        'check: claims.ref == "x" && claims.repository_owner_id',
    )
    folder = production.changed(gone)
    _, output, _ = production.replay("--policy", folder, "--limit", "1")
    everything = production.report("--policy", folder)["differences"]
    shown = json.loads(production.replay("--policy", folder, "--limit", "1", "-f", "json")[1])

    assert f"and {len(everything) - 1} more; --limit 0 shows all" in output
    assert shown["notShown"]["narrower"] == {"differences": len(everything) - 1, "notKept": 0}
    assert [one["count"] for one in everything] == sorted(
        (one["count"] for one in everything), reverse=True
    )


def test_other_formats_say_the_same(production: Production) -> None:
    folder = production.changed(PUSH_OTHER_BRANCHES, OTHER_TRUST)
    _, markdown, _ = production.replay("--policy", folder, "-f", "markdown")
    _, github, _ = production.replay("--policy", folder, "-f", "github")
    error, warning = github.splitlines()

    assert markdown.startswith("<!-- policytest -->\n### policytest replay: failed\n")
    assert f"| {BRANCH} | repository:acme/app:push | refused, no grant allows it | " in markdown
    assert error.startswith("::error file=")
    assert "title=wider-access::" in error
    assert f"policy.yaml,line={grant_line(folder)},col=" in error
    assert "title=not-verified::3 lines not decided again" in warning


def grant_line(folder: Path) -> int:
    lines = (folder / "policy.yaml").read_text().splitlines()
    return lines.index("  - name: branches") + 1


def test_rotated_packed_and_piped_logs_are_read_as_one(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = production.log.read_bytes().splitlines(keepends=True)
    older = production.folder / "decisions.jsonl.1"
    older.write_bytes(gzip.compress(b"".join(lines[:4])) + gzip.compress(b"".join(lines[4:9])))
    newer = production.folder / "decisions.jsonl.0"
    newer.write_bytes(b"".join(lines[9:]))
    folder = ("--policy", str(production.changed(PUSH_OTHER_BRANCHES)))
    whole = production.report(*folder)
    whole.pop("undecided")
    assert whole.items() <= production.report(newer, *folder, log=older).items()

    with older.open("rb") as stream:
        monkeypatch.setattr("sys.stdin", type("Standard", (), {"buffer": stream}))
        assert whole.items() <= production.report(newer, *folder, log="-").items()


def test_the_same_answer_is_given_again_only_where_nothing_that_is_read_differs(
    production: Production,
) -> None:
    """What is remembered of one record must not answer another: each, decided alone, is the same."""
    record = production.records()[0]
    record |= {"asked": ["repository:acme/app:pull,push", "registry:catalog:*"], "accesses": []}
    record["outcome"], record["reason"] = "refused", "expired"
    values = ("1", 1, 1.0, True, "2", None, "", ["1"], {"a": "1"}, [1], [True], "refs/heads/main")
    records = [record]
    for claim in ("environment", "ref", "sha", "repository", "actor"):
        records += [{**record, "claims": {**record["claims"], claim: value}} for value in values]
        without = {name: value for name, value in record["claims"].items() if name != claim}
        records.append({**record, "claims": without})
    records += [{**one, "service": "other.example.com"} for one in records[:3]]
    records += [{**one, "asked": ["repository:trial/a:pull"]} for one in records[:3]]
    records += [
        {**one, "time": f"2026-11-01T12:{when}Z"} for one in records for when in ("02:30", "04:00")
    ]
    lines = [json.dumps(one).encode() for one in records]
    for when in (
        "defs.loose",
        "claims.all(name, name != 'sha' || claims.sha == '1')",
        'claims[["actor"][0]] == "1"',
        'now < timestamp("2026-11-01T12:02:00Z")',
    ):
        policy = compiled(
            production.policy.replace(f"when: {ON_MAIN}", f"when: {when}", 1)
            .replace("claims: github-actions", "claims: generic")
            .replace("14:00:00Z", "12:03:00Z")
            + "definitions:\n  loose: dyn(claims.environment) == 1 || claims.ref == 1\n"
        )
        replay = Replay(policy)
        for line in [*lines, *lines]:
            alone = Replay(policy).differences(read_record(line))
            assert replay.differences(read_record(line)) == alone


def test_what_differs_in_too_many_ways_is_counted_still(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regauth.policytests.replay.report.MAX_GROUPS", 2)
    gone = (
        "check: claims.repository_owner_id",
        'check: claims.ref == "x" && claims.repository_owner_id',
    )
    report = production.report("--policy", production.changed(gone))

    assert len([one for one in report["differences"] if one["change"] == "narrower"]) == 2
    assert report["notShown"]["narrower"]["notKept"] > 2
    assert report["requests"]["narrower"] == 10


def test_what_comes_to_depend_on_the_tag_is_wider_than_a_refusal_and_narrower_than_a_grant(
    production: Production,
) -> None:
    """A token carries it on to a proxy, which allows it with some tags."""
    tags = ("actions: [pull, push]\n", 'actions: [pull, push]\n    tags: ["v*"]\n')
    opened = ("grants:\n", PUSH_OTHER_BRANCHES[1] + '    tags: ["${claims.sha}"]\n')
    narrowed = production.report("--policy", production.changed(tags))["differences"]
    widened = production.report("--policy", production.changed(opened))["differences"]

    assert {one["access"] for one in narrowed if one["change"] == "narrower"} == {
        "repository:acme/app:push"
    }
    assert [(one["change"], one["access"], one["after"]) for one in widened] == [
        (
            "wider",
            "repository:acme/app:push",
            {
                "allowed": False,
                "why": "depends-on-reference",
                "source": "branches",
                "login": False,
                "lifetime": False,
            },
        )
    ]
    assert production.replay("--policy", production.changed(opened))[0] == 12
    suite = production.folder / "production.policytest.yaml"
    folder = production.changed(opened)
    records = production.records()
    records[5]["accesses"][1] |= {"why": "depends-on-reference", "source": "branches"}
    production.log.write_text(json.dumps(records[5]) + "\n")
    assert production.replay("--policy", folder, "--suite", suite)[0] == 0
    assert '"deferred": ["repository:acme/app:push"]' in suite.read_text()


Spoil = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("line", "why", "detail"),
    [
        (b"{", "not-a-record", "not JSON: the { that begins here is never closed (character 1)"),
        (b'{"version":1,}', "not-a-record", "not JSON: a comma cannot stand before `}`"),
        (b"[1]", "not-a-record", "not a JSON object"),
        (b'{"version":1,"version":1}', "not-a-record", "stands twice"),
        (b'{"version":2}', "not-a-record", "its version is 2"),
        (b'{"version":true}', "not-a-record", "its version is True"),
        (b'{"version":1,"news":1}', "not-a-record", "'news'"),
        (b'{"version":1,"claims":' + b'{"a":' * 30 + b"1" + b"}" * 31, "not-a-record", "deep"),
        (b"[" * 100_000, "not-a-record", "deep"),
        (b"\0" * 50, "not-a-record", "not JSON"),
        (b"\xff\xfe", "not-a-record", "not UTF-8"),
        (b'{"version":NaN}', "not-a-record", "NaN"),
        (b'{"version":' + b"1" * 5000 + b"}", "not-a-record", "64 bits"),
        (b"x" * (4 * 1024 * 1024 + 5), "not-a-record", "longer than"),
    ],
    ids=lambda one: one[:20] if isinstance(one, bytes) else None,
)
def test_a_line_that_is_no_record_is_counted_and_never_passed(
    production: Production, line: bytes, why: str, detail: str
) -> None:
    records = production.log.read_bytes()
    production.log.write_bytes(records + line + b"\n\n" + records)
    folder = production.folder / "policy"
    report = production.report("--policy", folder)
    number = records.count(b"\n")

    assert undecided(report) == {why: 1}
    assert report["undecided"][0]["first"].startswith(f"{production.log}:{number + 1}: ")
    assert detail in report["undecided"][0]["first"]
    assert report["decided"] == 2 * number
    assert production.replay("--policy", folder)[0] == 13


JUNK = (
    None,
    True,
    0,
    -1,
    1.5,
    "",
    "x",
    "\x00",
    "\ud800",
    [],
    [[]],
    {},
    {"a": []},
    1 << 62,
    "[token]",
)


def spoil_somewhere(value: object, choose: random.Random) -> object:
    """Return a JSON value with one of its parts replaced, removed or doubled."""
    if isinstance(value, dict) and value and choose.random() < 0.9:
        name = choose.choice(list(value))
        changed = {**value, name: spoil_somewhere(value[name], choose)}
        if choose.random() < 0.1:
            changed.pop(name)
        return changed
    if isinstance(value, list) and value and choose.random() < 0.8:
        at = choose.randrange(len(value))
        doubled = value[at : at + 1] if choose.random() < 0.1 else []
        return [*value[:at], spoil_somewhere(value[at], choose), *doubled, *value[at + 1 :]]
    return choose.choice(JUNK)


def ruling(record: dict[str, Any]) -> dict[str, Any]:
    """Return what a proxy would write of a workload's request for a tag."""
    access = {**record["accesses"][0], "reference": "v1"}
    return {
        **record,
        "outcome": "decided",
        "routing": "workload",
        "checked": record["time"],
        "asked": ["repository:acme/app:v1:pull"],
        "accesses": [access],
    }


def test_whatever_a_log_holds_every_line_is_decided_or_counted(production: Production) -> None:
    choose = random.Random(7)
    records = production.records()
    records += [ruling(records[5])] * 3
    lines: list[bytes] = []
    for _ in range(1500):
        text = json.dumps(spoil_somewhere(choose.choice(records), choose)).encode()
        if choose.random() < 0.3:
            at = choose.randrange(len(text))
            text = text[:at] + choose.randbytes(choose.randrange(3)) + text[at + 1 :]
        lines.append(text.replace(b"\n", b" ").strip() or b"x")
    production.log.write_bytes(b"\n".join(lines))
    for change in (PUSH_OTHER_BRANCHES, OTHER_TRUST):
        folder = production.changed(change)
        report = production.report("--policy", folder)
        assert report["lines"] == len(lines)
        assert 0 < report["decided"] < len(lines)
        for form in ("text", "markdown", "github"):
            assert production.replay("--policy", folder, "-f", form)[0] in (12, 13)


SPOILT: Mapping[str, Spoil] = {
    "no time": lambda one: one.pop("time"),
    "a time of nowhere": lambda one: one.update(time="2026-11-01T12:00:00"),
    "no time at all": lambda one: one.update(time="noon"),
    "a number for a policy": lambda one: one.update(policy=7),
    "no service": lambda one: one.pop("service"),
    "no client": lambda one: one.pop("client"),
    "an empty request id": lambda one: one.update(requestId=""),
    "an outcome of another version": lambda one: one.update(outcome="delayed"),
    "a routing of another version": lambda one: one.update(routing="guess"),
    "claims that are none": lambda one: one.update(claims=[]),
    "scopes that are one text": lambda one: one.update(asked="repository:a:pull"),
    "a scope that is a number": lambda one: one.update(asked=[1]),
    "not anonymous": lambda one: one.update(anonymous=False),
    "not reused": lambda one: one.update(reused=False),
    "no accesses": lambda one: one.pop("accesses"),
    "accesses that are none": lambda one: one.update(accesses={}),
    "an access that is none": lambda one: one["accesses"].append("x"),
    "an access without an action": lambda one: one["accesses"][0].pop("action"),
    "an access that is perhaps allowed": lambda one: one["accesses"][0].update(allowed="yes"),
    "a source that is a number": lambda one: one["accesses"][0].update(source=1),
    "an access that is allowed by nothing": lambda one: one["accesses"][0].update(why="no-grant"),
    "an access too many": lambda one: one["accesses"].append(dict(one["accesses"][0], name="b")),
    "an access twice": lambda one: one["accesses"].append(one["accesses"][0]),
    "an access too few": lambda one: one["accesses"].pop(),
    "a scope that is none": lambda one: one.update(asked=["acme"], accesses=[]),
    "a refusal without a reason": lambda one: one.update(outcome="refused"),
    "a subject that is a list": lambda one: one.update(subject=[]),
    "a checked that is no time": lambda one: one.update(checked=1),
}  # fmt: skip


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_a_record_is_read_in_whole_or_not_at_all(production: Production, spoil: Spoil) -> None:
    record = production.records()[0]
    spoil(record)
    production.log.write_text(json.dumps(record) + "\n")
    report = production.report("--policy", production.folder / "policy")

    assert undecided(report) == {"not-a-record": 1}


def test_a_last_line_that_is_being_written_is_said(production: Production) -> None:
    production.log.write_bytes(production.log.read_bytes()[:-20])
    report = production.report("--policy", production.folder / "policy")

    assert undecided(report) == {"torn": 1}


def test_a_packed_log_that_ends_early_is_said(production: Production) -> None:
    packed = gzip.compress(production.log.read_bytes())
    for content in (
        packed[: len(packed) // 2],
        packed[:-4] + b"\0\0\0\0",
        packed[:3],
        packed + b"x",
    ):
        production.log.write_bytes(content)
        report = production.report("--policy", production.folder / "policy")
        assert sum(undecided(report).values()) == 1


@pytest.mark.parametrize("member", ["claims", "asked", "service"])
def test_what_was_taken_out_of_a_record_is_not_guessed(production: Production, member: str) -> None:
    record = production.records()[0]
    spoilt = {
        "claims": {**record["claims"], "ref": "[token]"},
        "asked": ["repository:[token]:pull"],
    }
    record[member] = spoilt.get(member, "[token]")
    production.log.write_text(json.dumps({**record, "agent": "[token]"}) + "\n")
    assert undecided(production.report("--policy", production.folder / "policy")) == {"redacted": 1}


@pytest.mark.parametrize(
    ("cut", "decided"),
    [(["errors"], True), (["errors", "shadow"], True), (["asked"], False), (["claims"], False)],
)
def test_s5_a_record_that_was_cut_is_not_guessed(
    production: Production, cut: list[str], decided: bool
) -> None:
    record = production.records()[0]
    production.log.write_text(json.dumps({**record, "cut": cut}) + "\n")
    found = undecided(production.report("--policy", production.folder / "policy"))

    assert found == ({} if decided else {"cut": 1})


def test_a_log_without_claims_is_decided_by_the_very_policy_alone(production: Production) -> None:
    records = production.records()
    for record in records:
        record.pop("claims", None)
    production.log.write_text("".join(json.dumps(one) + "\n" for one in records))
    same = production.report("--policy", production.folder / "policy")
    later = production.report("--policy", production.folder / "policy", "--at", "now")
    other = production.report("--policy", production.changed())

    assert (same["differences"], same["undecided"]) == ([], [])
    assert set(undecided(later)) == {"no-claims"}
    assert set(undecided(other)) == {"no-claims"}
    trust = production.changed(OTHER_TRUST)
    assert set(undecided(production.report("--policy", trust))) == {"no-claims", "not-verified"}
    assert other["differences"] == []


def test_a_provider_that_could_not_be_reached_is_no_decision(production: Production) -> None:
    record = {**production.records()[0], "outcome": "unavailable", "reason": "provider-unavailable"}
    for name in ("claims", "accesses", "jti", "subject"):
        record.pop(name)
    production.log.write_text(json.dumps(record) + "\n")

    assert undecided(production.report("--policy", production.changed())) == {"unavailable": 1}


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", gzip.compress(b"", mtime=0)], ids=["nothing", "blank", "gzip"]
)
def test_an_empty_log_is_no_success(production: Production, content: bytes) -> None:
    production.log.write_bytes(content)
    code, output, _ = production.replay("--policy", production.folder / "policy")

    assert code == 5
    assert "there is no decision in the log" in output


def test_what_is_no_log_is_said_at_once(production: Production) -> None:
    policy = ("--policy", production.folder / "policy")
    folder, missing = (
        production.replay(*policy, log=production.folder),
        production.replay("nowhere", *policy, log="elsewhere"),
    )

    assert (folder[0], missing[0]) == (4, 4)
    assert folder[2] == f"policytest: {production.folder} is a folder; name the logs in it\n"
    assert "nowhere: No such file or directory" in missing[2]
    assert "elsewhere: No such file or directory" in missing[2]
    assert production.replay("--at", "noon", *policy)[0] == 4
    assert production.replay("-", *policy, log="-")[0] == 4
    assert production.replay("--limit", "-1", *policy)[0] == 4


def test_names_of_strangers_steer_no_terminal_and_no_workflow(production: Production) -> None:
    record = production.records()[5]
    evil = "evil\x1b[2J\n::error::x | y"
    record["claims"] = {**record["claims"], "sub": evil}
    record["subject"] = evil
    production.log.write_text(json.dumps(record) + "\n")
    folder = production.changed(PUSH_OTHER_BRANCHES)
    for form in ("text", "markdown", "github"):
        _, output, _ = production.replay("--policy", folder, "-f", form)
        assert "evil" in output
        assert "\x1b" not in output
        assert not any(line.startswith("::error::x") for line in output.splitlines())


def judged(suite: Path) -> list[str]:
    loaded = Run.at(suite.parent).load(suite)
    return [case.judge(loaded.evaluation).outcome.value for case in loaded.cases]


def test_what_was_asked_becomes_a_suite_that_passes_and_notices_a_change(
    production: Production,
) -> None:
    suite = production.folder / "production.policytest.yaml"
    code, _, errors = production.replay("--policy", production.folder / "policy", "--suite", suite)
    text = suite.read_text()

    assert code == 0
    assert errors.startswith(f"wrote {suite}: 6 of 6 requests pass; left out: ")
    assert set(judged(suite)) == {"passed"}
    assert 'refused": "rule:our-organisation"' in text
    assert 'refused": "wrong-audience"' in text
    assert '"because"' not in text
    assert 'because: ["push-own-repository", "catalog", "' in text
    assert not any(f"{name}:" in text for name in ("jti", "iat", "exp", "nbf"))
    changed = production.changed(PUSH_OTHER_BRANCHES)
    (production.folder / "policy" / "policy.yaml").write_text((changed / "policy.yaml").read_text())
    assert sorted(judged(suite)) == ["failed", *["passed"] * 5]


def test_a_suite_is_written_of_whatever_claims_there_are(production: Production) -> None:
    suite = production.folder / "production.policytest.yaml"
    record = production.records()[0]
    record["claims"] |= {
        "kubernetes.io": {"pod": {"name": "a: #b"}, "x": [None, True, 1.5, "\u0085\u2028\ufeff"]},
        "null": None,
        "yes": True,
        "number": 12345678901234567,
        "#x: y": "- {\x00\x1b\U0001f600\\",
        "text": "yes",
    }
    record["subject"] = "\x1b/ü"
    production.log.write_text(json.dumps(record) + "\n")
    code, _, errors = production.replay("--policy", production.folder / "policy", "--suite", suite)

    assert (code, errors) == (0, f"wrote {suite}: 1 of 1 requests pass\n")
    loaded = Run.at(suite.parent).load(suite)
    (sample,) = loaded.evaluation.linked.samples.values()
    times = {"iat", "nbf", "exp"}
    assert record["claims"] == {**sample.claims, **{one: record["claims"][one] for one in times}}


def test_a_suite_has_only_what_the_policy_decides_as_it_was_decided(production: Production) -> None:
    suite = production.folder / "production.policytest.yaml"
    changed = production.changed(PUSH_OTHER_BRANCHES)
    _, _, errors = production.replay("--policy", changed, "--suite", suite)

    assert "requests that this policy decides otherwise: 1" in errors
    assert "5 of 5 requests pass" in errors
    before = suite.read_text()
    code, output, errors = production.replay("--policy", changed, "--suite", suite)
    assert (code, output, errors) == (4, "", f"policytest: {suite} exists; nothing was done\n")
    assert suite.read_text() == before
    other = production.replay("--policy", changed, "--suite", production.folder / "a.yaml")
    assert (other[0], other[1]) == (4, "")


def test_a_log_of_which_nothing_can_be_a_test_writes_no_suite(production: Production) -> None:
    suite = production.folder / "production.policytest.yaml"
    lines = [line for line in production.log.read_text().splitlines() if '"claims"' not in line]
    production.log.write_text("\n".join(lines) + "\n")
    code, output, errors = production.replay(
        "--policy", production.folder / "policy", "--suite", suite
    )

    assert code == 4
    assert "nothing differs" in output
    assert errors.startswith("policytest: no suite was written, for ")
    assert not suite.exists()


def test_an_interrupted_replay_says_nothing_about_the_policy(production: Production) -> None:
    command = [*forked("policytest"), "replay", "-", "--policy"]
    lines = production.log.read_bytes()
    with subprocess.Popen(
        [*command, str(production.folder / "policy")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        # More than a pipe holds: when it is written, the command is reading.
        process.stdin.write(lines * (1 + 200_000 // len(lines)))
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read() == b""
        assert process.stderr.read() == b"\npolicytest: interrupted\n"
    assert process.returncode == 2
