"""
`policytest suggest`: a draft allows what logs were allowed, of lasting claims alone.

Logs are drawn; a log is what a server that allows much would have written.
"""

import gzip
import json
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from regauth import schemas
from regauth.engine import compile_policy
from regauth.engine.compiler.claim_schemas import known_schema
from regauth.engine.decisions.authentication import Authenticated
from regauth.engine.decisions.exchange import login_verified
from regauth.engine.tokens.jwt import recalled
from regauth.policytests.replay.records import read_record
from regauth.policytests.usage import drafting, gathering
from regauth.policytests.usage.gathering import Gathered
from regauth.policytests.usage.identities import IDENTITIES
from regauth.policytests.usage.suggesting import suggest
from tests.conftest import REPOSITORY
from tests.generated import seeds
from tests.servers.desk import NOW

from .test_tighten import Tool, compiled, line_of, moment, record_of, tool

__all__ = ["tool"]

GITHUB = "https://token.actions.githubusercontent.com"
HOSTILE = [
    'x"]\n  - name: evil\n    repositories: ["**"]',
    "# policytest: ignore[draft] it is fine",
    "${claims.actor}",
    "\u202ereversed\x1b[2J\x85\u2028",
    '" || true || "',
    "policytest: ignore[draft, push-anywhere] fine\n#",
    "'; !!python/object {a: b}",
]
OPEN = """\
version: 1
services: [registry.example.com, other.example.com]
providers:
  ci: {issuer: "GITHUB", audience: [one.example.com, two.example.com], claims: github-actions, clockSkew: 4m}
  lab: {issuer: https://lab.example.com, audience: one.example.com, clockSkew: 4m}
grants:
  - {name: all, repositories: ["**"], actions: [pull, push, delete]}
  - {name: catalog, catalog: true}
  - {name: plugins, class: plugin, repositories: ["**"], actions: [pull]}
anonymous: {repositories: ["public/**"]}
""".replace("GITHUB", GITHUB)
SERVICES = ["registry.example.com", "other.example.com"]


def claims_of(draw: random.Random, number: int, *, hostile: bool) -> dict[str, Any]:
    """Return a token of one of a few repositories, in part with texts that people choose."""
    repository = draw.randrange(8)
    text = draw.choice(HOSTILE) if hostile else "main"
    if draw.random() < 0.2:
        subject = draw.choice(HOSTILE) if hostile else f"user-{repository}"
        return {"iss": "https://lab.example.com", "aud": "one.example.com", "sub": subject}
    return {
        "iss": GITHUB,
        "aud": draw.choice(["one.example.com", ["two.example.com", text]]),
        "sub": f"repo:acme/r{repository}:{text}",
        "jti": str(number),
        "repository": f"Acme/r{repository}" if draw.random() < 0.9 or not hostile else text,
        "repository_id": str(7000 + repository),
        "repository_owner": text,
        "repository_owner_id": str(9 + repository % 2),
        "ref": text,
        "actor": text,
        "event_name": text,
    }


def log(draw: random.Random, count: int, *, hostile: bool = False) -> list[dict[str, Any]]:
    policy = compiled(OPEN)
    found = []
    for number in range(count):
        now = NOW + timedelta(seconds=number)
        issued = int(now.timestamp()) - draw.choice([0, 0, 400])
        claims = claims_of(draw, number, hostile=hostile)
        name = str(claims.get("repository", "acme/lab")).lower()
        own = name if name.startswith("acme/") and " " not in name else "acme/app"
        service = draw.choice(SERVICES)
        given = recalled({**claims, "iat": issued, "exp": issued + 300})
        login = login_verified(policy, "", given, service, now)
        assert isinstance(login, Authenticated), login
        names = [own, f"{own}/cache", "library/alpine", f"tools/t{draw.randrange(30)}"]
        asked = [
            f"repository:{draw.choice(names)}:{draw.choice(['pull', 'pull,push', 'delete'])}",
            *draw.choice([[], [], ["registry:catalog:*"], ["repository(plugin):acme/plug:pull"]]),
        ]
        found.append(record_of(policy, login, service, asked, now, number))
    return found


def anonymous(number: int) -> dict[str, Any]:
    access = {"type": "repository", "name": "public/x", "action": "pull"}
    return {
        "version": 1,
        "time": moment(NOW),
        "requestId": f"nobody-{number}",
        "client": "192.0.2.7",
        "policy": "sha256:0",
        "service": SERVICES[0],
        "asked": ["repository:public/x:pull"],
        "outcome": "issued",
        "anonymous": True,
        "accesses": [{**access, "allowed": True, "why": "granted", "source": "anonymous"}],
    }


@pytest.mark.fuzz
@pytest.mark.parametrize("hostile", [False, True])
def test_random_logs_are_allowed_by_their_draft(
    tool: Tool, tmp_path: Path, *, hostile: bool
) -> None:
    kinds = set()
    for seed in seeds(30):
        draw = random.Random(seed)
        lines = [*log(draw, (1, 5, 60)[seed % 3], hostile=hostile), anonymous(seed)]
        (tmp_path / "log.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
        folder = f"made-{seed}"
        code, out, told = tool("suggest", "log.jsonl", "--write", folder)
        text = (tmp_path / folder / "policy" / "policy.yaml").read_text()
        policy = yaml.safe_load(text)

        assert (code, out) == (0, ""), (seed, told)
        assert "not allowed by the draft" not in told
        assert "cannot" not in told
        again = tool("replay", "log.jsonl", "--policy", f"{folder}/policy", "-f", "json")[1]
        assert not [one for one in json.loads(again)["differences"] if one["change"] == "narrower"]
        strict = tool("check", "--strict", "-f", "json", f"{folder}/policy")
        assert strict[0] == 1, strict
        assert '"draft"' in strict[1]
        (tmp_path / folder / "policy" / "policy.yaml").write_text(text.split("\n", 1)[1])
        assert '"draft"' not in tool("check", "-f", "json", f"{folder}/policy")[1]
        assert policy.keys() <= {"version", "services", "providers", "grants", "anonymous"}
        assert "evil" not in {one["name"] for one in policy.get("grants", ())}
        for grant in policy.get("grants", ()):
            kinds.add("when" in grant)
            condition = grant.get("when", "")
            assert "actor" not in condition or condition.startswith("claims.sub"), condition
            assert not [one for one in ("claims.ref ", "claims.repository ") if one in condition]
            for place in grant.get("repositories", ()):
                kinds.add("${" in place)
                assert "${" not in place or place.startswith("${claims.repository.lowerAscii()}")
                assert place not in ("*", "**")
        if (tmp_path / folder / "suggested.policytest.yaml").exists() and len(lines) > 20:
            kinds.add("suite")
            ran = tool(f"{folder}/suggested.policytest.yaml")
            assert ran[0] == 0, (seed, ran)
    assert kinds == {True, False, "suite"}


def test_a_draft_is_readable_and_says_what_is_wider(tool: Tool, tmp_path: Path) -> None:
    lines = log(random.Random(5), 120)
    (tmp_path / "a.1.gz").write_bytes(gzip.compress(b"".join(map(line_of, lines[::2]))))
    (tmp_path / "b").write_bytes(b"".join(map(line_of, lines[1::2])) + b'{"torn')
    code, text, told = tool("suggest", "a.1.gz", "b")

    assert code == 0, told
    assert text.startswith("# policytest: draft")
    assert 'claims: "github-actions"' in text
    assert 'check: "claims.repository_owner_id in [\\"10\\", \\"9\\"]"' in text
    assert "${claims.repository.lowerAscii()}" in text
    assert "wider than the log: every workload of the owners of ci may" in told
    assert "not counted: 1 lines: torn" in told
    assert not [*tmp_path.glob("**/policy.yaml")]


def test_names_below_one_path_become_a_wildcard_that_is_told(tool: Tool, tmp_path: Path) -> None:
    policy, lines = compiled(OPEN), []
    now = int(NOW.timestamp())
    claims = claims_of(random.Random(1), 1, hostile=False)
    for number in range(drafting.MAX_NAMES + 1):
        login = login_verified(
            policy, "", recalled({**claims, "iat": now, "exp": now + 300}), SERVICES[0], NOW
        )
        assert isinstance(login, Authenticated)
        asked = [f"repository:mirror/n{number}:pull"]
        lines.append(record_of(policy, login, SERVICES[0], asked, NOW, number))
    (tmp_path / "log").write_bytes(b"".join(map(line_of, lines)))
    code, text, told = tool("suggest", "log")

    assert code == 0
    assert '- "mirror/*"' in text
    assert f"mirror/* stands for {drafting.MAX_NAMES + 1} names" in told


def test_nothing_is_written_over_a_file(tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"".join(map(line_of, log(random.Random(1), 5))))
    (tmp_path / "made" / "policy").mkdir(parents=True)
    (tmp_path / "made" / "policy" / "own.yaml").write_text("mine")
    taken = tool("suggest", "log", "--write", "made")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "suggested.policytest.yaml").symlink_to(tmp_path / "nowhere")
    dangling = tool("suggest", "log", "--write", "other")

    assert (taken[0], dangling[0]) == (4, 4)
    assert "is there already" in taken[2]
    assert [*(tmp_path / "made").rglob("*.yaml")] == [tmp_path / "made" / "policy" / "own.yaml"]
    assert not (tmp_path / "other" / "policy").exists()


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        (b"", 5, "no request"),
        (b"nonsense\n", 5, "no request"),
        (None, 4, "No such file"),
    ],
)
def test_what_gives_no_policy_is_said(
    tool: Tool, tmp_path: Path, line: bytes | None, code: int, said: str
) -> None:
    if line is not None:
        (tmp_path / "log").write_bytes(line)
    found = tool("suggest", "log")

    assert (found[0], found[1]) == (code, "")
    assert said in found[2]


def test_too_much_is_refused(tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "log").write_bytes(b"".join(map(line_of, log(random.Random(1), 30))))
    monkeypatch.setattr(gathering, "MAX_ACCESSES", 3)
    code, text, told = tool("suggest", "log")

    assert (code, text) == (4, "")
    assert "--since" in told


@pytest.mark.parametrize(
    "suite", sorted((REPOSITORY / "policytests" / "cases").glob("*.policytest.yaml")), ids=str
)
def test_the_tokens_of_a_suite_stand_for_a_log(
    tool: Tool, suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(REPOSITORY)
    code, out, told = tool("suggest", str(suite), "--write", str(tmp_path / "made"))

    assert code == 0 or "left out" in told, told
    if code == 0:
        assert tool("check", str(tmp_path / "made" / "policy"))[0] == 0, out


def test_no_identity_is_a_value_that_people_choose() -> None:
    without = {"aws-sts-web-identity", "jenkins-oidc"}  # they have no claim that nobody chooses
    assert IDENTITIES.keys() == {*schemas.claims_names()} - without
    for name, identity in IDENTITIES.items():
        schema = known_schema(name)
        for path in filter(None, (*identity.who, identity.owner)):
            claim = schema.claim(path)
            assert claim is not None, (name, path)
            assert claim.chosen_by in ("issuer", "owner", ""), (name, path)
            assert claim.chosen_by != "owner" or name == "spiffe", (name, path)
            assert not claim.mutable, (name, path)


@pytest.mark.parametrize("name", sorted(IDENTITIES))
def test_every_known_issuer_can_be_drafted(name: str) -> None:
    """The conditions of each schema compile without an error for its own usual tokens."""
    schema = known_schema(name)
    claims: dict[str, Any] = {"sub": "job"}
    for path in filter(None, (*IDENTITIES[name].who, IDENTITIES[name].owner)):
        claim, place = schema.claim(path), claims
        assert claim is not None
        for one in path[:-1]:
            place = place.setdefault(one, {})
        place[path[-1]] = next(iter(claim.examples), "7001")
    address = next(
        (one.address.replace("*", "x") for one in schema.issuers), f"https://{name}.test"
    )
    now = int(NOW.timestamp())
    claims |= {"iss": address, "aud": "one.example.com", "iat": now, "exp": now + 300}
    record = {
        "version": 1,
        "time": moment(NOW),
        "requestId": "1",
        "client": "",
        "policy": "",
        "service": SERVICES[0],
        "asked": ["repository:acme/app:pull"],
        "outcome": "issued",
        "provider": "them",
        "subject": "job",
        "claims": claims,
        "accesses": [
            {"type": "repository", "name": "acme/app", "action": "pull"}
            | {"allowed": True, "why": "granted"}
        ],
    }
    gathered, read = Gathered(), read_record(line_of(record))
    gathered.add(read)
    made = suggest(gathered)
    made.check(read)

    assert not made.lacking
    assert "when:" in made.draft.text
    codes = {one.code for one in compile_policy({"p.yaml": made.draft.text}).problems}
    assert "draft" in codes
