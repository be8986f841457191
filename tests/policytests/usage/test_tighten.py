"""
`policytest tighten`: random policies and logs lose no logged access, and what goes is unused.

Policies and logs are drawn; a log is what the policy's own server would have written.
"""

import json
import os
import random
import subprocess
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from regauth.engine import Authenticated, Policy, accesses, compile_policy, decide, parse_scopes
from regauth.engine.access.outcomes import Decision
from regauth.engine.decisions.exchange import login_verified
from regauth.engine.tokens.jwt import recalled
from regauth.policytests.cli import main
from tests.generated import seeds
from tests.servers.desk import NOW

SERVICE = "registry.example.com"
HEAD = """\
# The registry's policy.
version: 1
services: [registry.example.com]
providers:
  ci: # the builds
    issuer: https://ci.example.com
    audience: https://registry.example.com
    claims: github-actions
grants:
"""
MORE = """\
  other:
    issuer: https://other.example.com
    audience: https://registry.example.com
    claims: {schema}
grants:
"""
"""A second provider, which takes the place of the last line of `HEAD`."""
CLAIMS: dict[str, list[Any]] = {
    "ref": ["refs/heads/main", "refs/heads/x"],
    "actor": ["alice", "bob"],
    "repository": ["acme/app", "acme/lib", "globex/app"],
    "repository_id": ["101", "102", "103", "104", "not a number", 105, None],
    "environment": ["release", "", "it's: #1", "\u2028\U0001f600", None],
    "ref_protected": ["true", "true", "false"],
    "sub": ["job", 'a"b\\', "# x: |\n- y\t'", "${claims.sub} *", "\x85\u2028\U0001f600\ufeff", "%"],
}
NAMES = ["acme/app", "acme/lib", "acme/lib/deep", "globex/app", "1.5", "null", "true", "on", "0x1"]
PATTERNS = [
    *("acme/app", "acme/*", "acme/**", "**", "*", "1.5", "null", "globex/app"),
    *("${claims.repository}", "${claims.repository}/**"),
]
CONDITIONS = [
    'claims.ref == "refs/heads/main"',
    'claims.actor == "alice"',
    'claims.ref == "refs/heads/x" || claims.actor == "bob"',
    'claims.repository == "never/there"',
    'claims.ref in ["refs/heads/x", "refs/heads/main"] && claims.actor != "carol"',
    '>-\n      claims.actor == "carol" ||\n      (claims.ref == "refs/heads/main" || claims.actor == "bob")',
    '\'claims.ref == "refs/heads/never" || scope.action == "pull" || claims.actor == "bob"\'',
    '"claims.repository_id == \\"101\\" || true"',
]


def written(draw: random.Random, items: list[str], indent: str, *, block: bool) -> str:
    """Write a list of texts in one of the ways that people do."""
    texts = [json.dumps(one) for one in items]
    if not block:
        return f" [{', '.join(texts)}]\n"
    comment = draw.choice(["", "  # as agreed"])
    return "\n" + "".join(f"{indent}- {one}{comment}\n" for one in texts)


def grant(draw: random.Random, number: int, providers: Sequence[str] = ("ci",)) -> str:
    patterns = draw.sample(PATTERNS, draw.randint(1, 4))
    actions = draw.sample(["pull", "push", "delete"], draw.randint(1, 3))
    parts = [f"  # What grant {number} is for.\n" if draw.random() < 0.5 else ""]
    parts.append(f"  - name: grant-{number}\n")
    if draw.random() < 0.5:
        named = draw.sample(providers, draw.randint(1, len(providers)))
        parts.append(f"    providers: [{', '.join(named)}]\n")
    if draw.random() < 0.7:
        parts.append(f"    when: {draw.choice(CONDITIONS)}\n")
    if draw.random() < 0.1:
        parts.append("    expires: 2027-01-01T00:00:00Z\n")
    if draw.random() < 0.2:
        parts.append(f"    tokenLifetime: {draw.choice(['2m', '4m'])}\n")
    block = draw.random() < 0.5
    repositories = f"    repositories:{written(draw, patterns, '      ', block=block)}"
    listed = f"    actions:{written(draw, actions, '    ', block=draw.random() < 0.3)}"
    both = [repositories, listed]
    draw.shuffle(both)
    parts += [*both, draw.choice(["", "\n"])]
    return "".join(parts)


def policy(draw: random.Random) -> str:
    head, providers = HEAD, ["ci"]
    if draw.random() < 0.5:
        # Of another kind it has no claim in common with the first, and conditions read any claim.
        schema = draw.choice(["github-actions", "generic"])
        head = HEAD.replace("grants:\n", MORE.replace("{schema}", schema))
        providers.append("other")
    grants = (grant(draw, number, providers) for number in range(draw.randint(1, 7)))
    text = head + "".join(grants)
    if draw.random() < 0.5:
        text += 'denials:\n  - {name: no-bob, when: claims.actor == "bob", repositories: ["acme/lib"], actions: [push]}\n'
    return text


def records(compiled: Policy, draw: random.Random, count: int) -> list[dict[str, Any]]:
    """Return what the policy's own server would have written of random requests."""
    found = []
    few = {name: draw.sample(values, min(len(values), 2)) for name, values in CLAIMS.items()}
    for number in range(count):
        now = NOW + timedelta(seconds=number)
        issued = int(now.timestamp())
        provider = draw.choice([*compiled.providers])
        drawn = {name: draw.choice(values) for name, values in few.items()}
        claims = {name: value for name, value in drawn.items() if value is not None}
        claims |= {"iss": compiled.providers[provider].issuer}
        claims |= {"aud": "https://registry.example.com"}
        given = recalled({**claims, "iat": issued, "exp": issued + 300, "jti": str(number)})
        login = login_verified(compiled, provider, given, SERVICE, now)
        assert isinstance(login, Authenticated), login
        actions = draw.choice(["pull", "push", "pull,push", "delete"])
        asked = [f"repository:{draw.choice(NAMES)}:{actions}"]
        found.append(record_of(compiled, login, SERVICE, asked, now, number))
    return found


def record_of(
    policy: Policy,
    login: Authenticated,
    service: str,
    asked: list[str],
    now: datetime,
    number: int,
) -> dict[str, Any]:
    """Return what the policy's own server would have written of a request."""
    decision = decide(
        policy, login.identity, login.claims, service, accesses(parse_scopes(asked)), now
    )
    assert isinstance(decision, Decision)
    return {
        "version": 1,
        "time": moment(now),
        "requestId": f"request-{number}",
        "client": "192.0.2.7",
        "policy": policy.hash,
        "service": service,
        "asked": asked,
        "outcome": "issued",
        "provider": login.identity.provider,
        "subject": login.identity.subject,
        "accesses": [
            {
                "type": one.access.resource.type,
                "name": one.access.resource.name,
                "action": one.access.action,
                "allowed": one.allowed,
                "why": str(one.why),
                **({"source": one.source} if one.source else {}),
                **({"class": one.access.resource.class_} if one.access.resource.class_ else {}),
            }
            for one in decision.verdicts
        ],
        "claims": login.claims,
        "lifetime": 900 if decision.lifetime is None else int(decision.lifetime.total_seconds()),
        "maxLifetime": 900,
        **({"checked": moment(login.at)} if login.at != now else {}),
    }


def moment(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def line_of(record: dict[str, Any]) -> bytes:
    return json.dumps(record).encode() + b"\n"


def compiled(text: str) -> Policy:
    compilation = compile_policy({"policy.yaml": text})
    assert compilation.policy is not None, [*map(str, compilation.problems)]
    return compilation.policy


@pytest.fixture
def tool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        code = main(list(words))
        output = capsys.readouterr()
        return code, output.out, output.err

    return run


def stand(folder: Path, text: str, lines: list[dict[str, Any]]) -> None:
    (folder / "policy").mkdir(exist_ok=True)
    (folder / "policy" / "policy.yaml").write_text(text)
    (folder / "log.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))


Tool = Callable[..., tuple[int, str, str]]


@pytest.mark.fuzz
def test_random_policies_lose_no_logged_access(tool: Tool, tmp_path: Path) -> None:
    changed = comments = conditions = providers = 0
    for seed in seeds(60):
        draw = random.Random(seed)
        text = policy(draw)
        stand(tmp_path, text, records(compiled(text), draw, draw.randint(1, 25)))
        code, diff, told = tool("tighten", "log.jsonl", "--any-age", "--write")
        after = (tmp_path / "policy" / "policy.yaml").read_text()

        assert code == 0, (seed, text, told)
        again, out, _ = tool("replay", "log.jsonl", "--policy", "policy")
        assert again == 0, (seed, out)
        assert "nothing differs" in out, (seed, text, after)
        usage = json.loads(tool("usage", "log.jsonl", "-f", "json")[1])
        expiring = text.count("expires:")
        unused = usage["unused"].keys() - {"provider", "definition"}
        assert expiring or not unused, (seed, unused, after)
        if not diff:
            assert after == text
            continue
        changed += 1
        assert "it is proved that nobody gains access" in told, (seed, told)
        assert after.startswith(HEAD.partition("grants:")[0])
        conditions += "only where" in told
        providers += "only for" in told
        kept = {one["name"] for one in yaml.safe_load(after).get("grants", ())}
        for number in range(7):
            comment = f"# What grant {number} is for."
            if comment in text and f"grant-{number}" in kept:
                assert comment in after, (seed, after)
                comments += 1
    share = len(seeds(60)) / 60
    assert changed > 40 * share
    assert comments > 20 * share
    assert conditions > 12 * share
    assert providers > 3 * share


def test_the_change_is_a_patch_that_keeps_comments_and_layout(tool: Tool, tmp_path: Path) -> None:
    text = HEAD + (
        "  # Builds of main.\n"
        "  - name: build  # the one in use\n"
        '    repositories: ["acme/**", globex/app]\n'
        "    actions: [pull, push]\n"
        "\n"
        "  # Nobody knows.\n"
        "  - name: old\n"
        '    when: claims.actor == "carol"\n'
        "    repositories:\n"
        "      - old/**  # all of it\n"
        "    actions: [pull]\n"
    )
    lines = records(compiled(text), random.Random(1), 60)
    lines = [one for one in lines if one["accesses"][0]["name"].startswith("acme")]
    lines = [one for one in lines if {a["action"] for a in one["accesses"]} == {"pull"}]
    stand(tmp_path, text, lines)
    code, diff, _ = tool("tighten", "log.jsonl", "--any-age")
    applied = subprocess.run(
        ["patch", "-p1"], input=diff, text=True, capture_output=True, check=False
    )

    assert (code, applied.returncode) == (0, 0), applied.stdout
    assert (tmp_path / "policy" / "policy.yaml").read_text() == HEAD + (
        "  # Builds of main.\n"
        "  - name: build  # the one in use\n"
        '    when: claims.ref_protected == "true"\n'
        '    repositories: ["acme/app", "acme/lib", "acme/lib/deep"]\n'
        "    actions: [pull]\n"
        "\n"
    )


def test_nothing_is_written_without_write_and_grants_of_unknown_age_stay(
    tool: Tool, tmp_path: Path
) -> None:
    text = HEAD + grant(random.Random(3), 0) + grant(random.Random(4), 1)
    stand(tmp_path, text, records(compiled(text), random.Random(5), 1))
    before = (tmp_path / "policy" / "policy.yaml").read_text()
    code, diff, told = tool("tighten", "log.jsonl")
    shown = tool("tighten", "log.jsonl", "--any-age")[1]

    assert (code, diff) == (0, "")
    assert "git does not know its age" in told
    assert shown
    assert (tmp_path / "policy" / "policy.yaml").read_text() == before


def test_a_grant_that_shortens_the_tokens_of_another_stays(tool: Tool, tmp_path: Path) -> None:
    used = grant(random.Random(3), 0)
    long, short = (
        f"  - {{name: {name}, repositories: ['acme/**'], actions: [push], tags: ['{tag}*'], {limit}}}\n"
        for name, tag, limit in (
            ("long", "v", "tokenLifetime: 5m"),
            ("short", "x", "tokenLifetime: 1m"),
        )
    )
    text = HEAD + used + long + short
    stand(tmp_path, text, records(compiled(HEAD + used), random.Random(5), 1))
    code, shown, told = tool("tighten", "log.jsonl", "--any-age")

    assert code == 0
    assert "name: long" in shown
    assert "-  - {name: short" not in shown
    assert "kept: short: without it, tokens by long could be valid for longer" in told
    assert "it is proved that nobody gains access" in told


def test_a_grant_that_is_younger_than_the_log_stays(tool: Tool, tmp_path: Path) -> None:
    text = HEAD + grant(random.Random(3), 0)
    stand(tmp_path, text, records(compiled(text), random.Random(5), 1))
    git = (
        "git",
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@example.com",
        "-c",
        "commit.gpgsign=false",
    )
    subprocess.run(["git", "init", "-q"], check=True, cwd=tmp_path)
    subprocess.run(["git", "add", "policy"], check=True, cwd=tmp_path)
    dated = {
        "GIT_COMMITTER_DATE": "2026-10-01T00:00:00Z",
        "GIT_AUTHOR_DATE": "2026-10-01T00:00:00Z",
    }
    subprocess.run(
        [*git, "commit", "-qm", "first"], check=True, cwd=tmp_path, env={**os.environ, **dated}
    )
    old = tool("tighten", "log.jsonl")[1]
    file = tmp_path / "policy" / "policy.yaml"
    file.write_text(file.read_text().replace("name: grant-0", "name: grant-0  # new"))
    young = tool("tighten", "log.jsonl")

    assert old
    assert (young[0], young[1]) == (0, "")
    assert "younger than the log" in young[2]


def test_a_change_that_a_suite_forbids_is_not_written(tool: Tool, tmp_path: Path) -> None:
    text = HEAD + '  - {name: all, repositories: ["acme/**"], actions: [pull, push]}\n'
    stand(tmp_path, text, records(compiled(text), random.Random(2), 1))
    (tmp_path / "ci.policytest.yaml").write_text(
        "policy: policy\nat: 2026-11-01T12:00:00Z\n"
        "tokens:\n  main: {profile: github-actions/push, claims: {repository: acme/app}}\n"
        "tests:\n  - name: pushes\n    grid: |\n"
        "      token  repository  pull  push\n      main   acme/never  A     A\n"
    )
    code, diff, told = tool("tighten", "log.jsonl", "--any-age", "--write")

    assert diff
    assert code == 1, told
    assert "fails: ci.policytest.yaml: pushes[" in told
    assert (tmp_path / "policy" / "policy.yaml").read_text() == text
