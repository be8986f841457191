"""
`policytest tighten` on policies of a proxy: tags, client networks, tables, lifetimes, and any layout.

Policies are drawn in the layouts that people write, in one file or several, and logs are what token
server and proxy would have written.
"""

import json
import random
from collections.abc import Callable
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import yaml

from regauth.engine import Authenticated, Policy, compile_policy, decide
from regauth.engine.access.outcomes import Decision
from regauth.engine.access.references import TagState
from regauth.engine.access.scope import Access, Resource
from regauth.engine.decisions.exchange import login_verified
from regauth.engine.tokens.jwt import recalled
from regauth.servers.telemetry.decision_log import outcome_of
from tests.generated import seeds
from tests.servers.desk import NOW

from .test_tighten import CLAIMS, CONDITIONS, HEAD, NAMES, PATTERNS, SERVICE, moment, tool

__all__ = ["tool"]

DEFINITIONS = """\
definitions:
  on_main: claims.ref == "refs/heads/main"
  teams: {alice: acme, bob: globex}
  owners:
    acme/app: [alice, bob]
    acme/lib: [alice]
"""
MORE_CONDITIONS = [
    *(one for one in CONDITIONS if one[0] not in "\"'>"),
    "defs.on_main",
    'claims.actor in defs.teams && defs.teams[claims.actor] == "acme"',
    'client.inNetwork("10.0.0.0/8") || claims.actor == "bob"',
    "claims.repository in defs.owners && claims.actor in defs.owners[claims.repository]",
]
TAGS = ["v*", "latest", "*", "v1", "dev", "release-*"]
CLIENTS = [None, ip_address("10.1.2.3"), ip_address("192.0.2.1")]


def fields(draw: random.Random, number: int) -> dict[str, Any]:
    """Return what a grant says; its lists in any order."""
    actions = draw.sample(["pull", "push", "delete"], draw.randint(1, 3))
    lists = [("repositories", draw.sample(PATTERNS, draw.randint(1, 4))), ("actions", actions)]
    when = [draw.choice(MORE_CONDITIONS)] if draw.random() < 0.75 else []
    more: dict[str, Any] = {}
    if draw.random() < 0.5:
        lists.append(("tags", draw.sample(TAGS, draw.randint(1, 3))))
        if draw.random() < 0.3:
            when = [*(f"({one})" for one in when), 'scope.reference.startsWith("v")']
        if "push" in actions and "delete" not in actions and draw.random() < 0.4:
            more["newTagsOnly"] = True
    if draw.random() < 0.2:
        more["tokenLifetime"] = draw.choice(["2m", "4m"])
    draw.shuffle(lists)
    condition = {"when": " && ".join(when)} if when else {}
    return {"name": f"grant-{number}", **condition, **dict(lists), **more}


def laid_out(draw: random.Random, grant: dict[str, Any]) -> str:
    """Write a grant in one of the ways that people do."""
    if draw.random() < 0.25:
        joint = draw.choice([", ", ",\n     "])
        return f"  - {{{joint.join(f'{name}: {json.dumps(one)}' for name, one in grant.items())}}}  # flow\n"
    lines = [
        draw.choice(["", f"  # What {grant['name']} is for.\n"]),
        f"  - name: {grant['name']}\n",
    ]
    for name, one in list(grant.items())[1:]:
        if name == "when":
            styles = [
                json.dumps(one),
                f">-\n      {one}",
                f"|\n      {one}",
                f"{json.dumps(one)}  # why",
            ]
            lines.append(f"    when: {draw.choice(styles)}\n")
        elif isinstance(one, list) and draw.random() < 0.6:
            comment = draw.choice(["", "  # as agreed"])
            indent = draw.choice(["    ", "      "])
            items = (f"{indent}- {json.dumps(item)}{comment}\n" for item in one)
            lines.append(f"    {name}:\n{''.join(items)}")
        else:
            lines.append(f"    {name}: {json.dumps(one)}\n")
    return "".join([*lines, draw.choice(["", "\n", "\n\n"])])


def files_of(draw: random.Random) -> dict[str, str]:
    """Draw a policy, in one file or in three."""
    head = HEAD.removesuffix("grants:\n") + DEFINITIONS
    grants = [laid_out(draw, fields(draw, number)) for number in range(draw.randint(2, 7))]
    if draw.random() < 0.5:
        return {"policy.yaml": f"{head}grants:\n{''.join(grants)}"}
    return {
        "policy.yaml": head,
        "a.yaml": f"version: 1\ngrants:\n{''.join(grants[:1])}",
        "b.yaml": f"---\nversion: 1\ngrants:   # the others\n{''.join(grants[1:])}",
    }


def record(
    policy: Policy, draw: random.Random, claims: dict[str, Any], number: int
) -> dict[str, Any]:
    """Return what a token server, or a proxy that knows the tag, would have written."""
    now = NOW + timedelta(seconds=number)
    issued = int(now.timestamp())
    given = {**claims, "iss": "https://ci.example.com", "aud": "https://registry.example.com"}
    given |= {"iat": issued, "exp": issued + 300}
    login = login_verified(policy, "ci", recalled(given), SERVICE, now)
    assert isinstance(login, Authenticated), login
    client, reference = draw.choice(CLIENTS), draw.choice(["", "v1", "v2", "latest", "dev"])
    resource = Resource("repository", draw.choice(NAMES[:4]))
    asked = []
    for action in draw.choice([["pull"], ["push"], ["pull", "push"], ["delete"]]):
        known = reference and action == "push"
        state = draw.choice([*TagState]) if known else TagState.UNKNOWN
        asked.append(Access(resource, action, reference, state))
    identity = login.identity.from_client(client)
    decision = decide(policy, identity, login.claims, SERVICE, asked, now)
    assert isinstance(decision, Decision), decision
    proxy = {"outcome": "decided", "routing": "workload", "checked": moment(now)}
    lifetime = 900 if decision.lifetime is None else int(decision.lifetime.total_seconds())
    token = {"lifetime": lifetime, "maxLifetime": 900}
    return {
        "version": 1,
        "time": moment(now),
        "requestId": f"request-{number}",
        "client": "192.0.2.7",
        "policy": policy.hash,
        "service": SERVICE,
        "asked": [str(one) for one in asked],
        **outcome_of(decision),
        **(proxy if reference else token),
        "address": "" if client is None else str(client),
        "claims": login.claims,
    }


def kept(folder: Path) -> dict[str, str]:
    """Return what stands in a policy's files, their ends of lines too."""
    return {one.name: one.read_bytes().decode() for one in sorted(folder.glob("*.yaml"))}


@pytest.mark.fuzz
def test_policies_of_a_proxy_lose_no_logged_access_in_any_layout(
    tool: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    changed = 0
    for seed in seeds(40):
        draw, folder = random.Random(f"tags {seed}"), tmp_path / str(seed)
        files, end = files_of(draw), draw.choice(["\n", "\n", "\r\n"])
        policy = compile_policy(files).policy
        assert policy is not None, (seed, files)
        few = {name: draw.sample(values, 2) for name, values in CLAIMS.items()}
        lines = []
        for number in range(draw.randint(1, 25)):
            claims = {name: draw.choice(values) for name, values in few.items()}
            claims = {name: one for name, one in claims.items() if one is not None}
            lines.append(json.dumps(record(policy, draw, claims, number)))
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_bytes(text.replace("\n", end).encode())
        (tmp_path / "log.jsonl").write_text("\n".join(lines))
        before = kept(folder)
        words = ("log.jsonl", "--policy", str(folder))
        code, diff, told = tool("tighten", *words, "--any-age", "--write")
        after = kept(folder)
        replayed = json.loads(tool("replay", *words, "-f", "json")[1])

        assert code == 0, (seed, told, files)
        assert replayed["decided"] == len(lines)
        requests = replayed["requests"]
        assert (requests["wider"], requests["narrower"]) == (0, 0), (seed, files, after)
        # A push of a tag that exists, which was refused, is still refused; perhaps by no grant.
        assert {one["before"]["why"] for one in replayed["differences"]} <= {"tag-exists"}
        assert (after == before) is (diff == "")
        changed += after != before
        names = {
            grant["name"]
            for text in after.values()
            for grant in yaml.safe_load(text).get("grants", ())
        }
        for name, text in after.items():
            assert text.count("\n") == text.count(end)
            for grant in names:
                comment = f"# What {grant} is for."
                assert comment not in before[name] or comment in text, (seed, grant)
        assert not diff or "it is proved that nobody gains access" in told
    assert changed > 0.75 * len(seeds(40))
