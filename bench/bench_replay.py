"""
Replaying a decision log against reading its JSON alone.

A log of 30,000 requests of GitHub Actions jobs, each of whose tokens asks one, two or four times,
is decided again by the reference policy for GitHub Actions.  Beside it, in the same run,
`json.loads` reads the same lines and does nothing with them, both in time of the
processor.  The bound is a ratio of 0.1.

Run by `make bench`; exits with 1 when the bound is missed.
"""

import json
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from regauth.engine import Policy, accesses, decide, parse_scopes
from regauth.engine.decisions.authentication import Authenticated
from regauth.engine.decisions.exchange import login_verified
from regauth.engine.tokens.jwt import Claims
from regauth.policytests.commands.replay import read_logs
from regauth.policytests.execution.policies import compile_folder
from regauth.policytests.replay.deciding import Replay
from regauth.policytests.replay.report import ReplayReport
from regauth.servers.setup.sample import sample_claims

POLICY = Path(__file__).parent.parent / "policy" / "github-actions"
REQUESTS = 30_000
RATIO = 0.1
ROUNDS = 3
REPOSITORIES = 300


def job_claims(policy: Policy, choose: random.Random, now: datetime) -> Claims:
    """Return the claims of a job's token, no two alike."""
    issued = int(now.timestamp())
    provider = policy.providers["github"]
    refs = ("refs/heads/main", "refs/heads/topic", f"refs/pull/{choose.randrange(50)}/merge")
    return Claims(
        {
            **sample_claims(
                f"acme/app-{choose.randrange(REPOSITORIES)}", choose.choice(refs), "push"
            ),
            "iss": provider.issuer,
            "aud": [min(provider.audiences)],
            "iat": issued,
            "nbf": issued,
            "exp": issued + 300,
            "jti": f"{choose.getrandbits(128):032x}",
            "sha": f"{choose.getrandbits(160):040x}",
            "run_id": str(choose.randrange(10**10)),
        }
    )


def log_lines(policy: Policy) -> Iterator[str]:
    """Yield the lines of a log that the policy's own server would have written."""
    choose = random.Random(1)
    now = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
    service = min(policy.services)
    while True:
        claims = job_claims(policy, choose, now)
        login = login_verified(policy, "github", claims, service, now)
        if not isinstance(login, Authenticated):
            raise SystemExit(f"the policy of the benchmark refuses its tokens: {login.reason}")
        for _ in range(choose.choice((1, 2, 4))):
            now += timedelta(microseconds=choose.randrange(500_000))
            repository = claims["repository"]
            scope = choose.choice(
                (f"repository:{repository}:pull", f"repository:{repository}:pull,push")
            )
            asked = [scope, "repository:library/alpine:pull"][: choose.choice((1, 1, 2))]
            decision = decide(
                policy, login.identity, login.claims, service, accesses(parse_scopes(asked)), now
            )
            record = {
                "version": 1,
                "time": now.isoformat(timespec="microseconds").replace("+00:00", "Z"),
                "requestId": f"{choose.getrandbits(64):016x}",
                "client": "192.0.2.7",
                "policy": policy.hash,
                "service": service,
                "asked": asked,
                "outcome": "issued",
                "provider": "github",
                "subject": login.identity.subject,
                "accesses": [
                    {
                        "type": verdict.access.resource.type,
                        "name": verdict.access.resource.name,
                        "action": verdict.access.action,
                        "allowed": verdict.allowed,
                        "why": verdict.why,
                        **({"source": verdict.source} if verdict.source else {}),
                    }
                    for verdict in decision.verdicts
                ],
                "jti": "uS2Hq4nQ0l1m7g8xkQ0b2w",
                "claims": claims,
                "agent": "docker/28.2.2",
            }
            yield json.dumps(record, separators=(",", ":")) + "\n"


def replay(policy: Policy, log: Path) -> float:
    """Decide the log again; return the seconds of the processor."""
    report = ReplayReport("policy", policy.hash, None)
    began = time.process_time()
    read_logs([str(log)], Replay(policy), report)
    seconds = time.process_time() - began
    if report.decided != REQUESTS or report.undecided or report.requests:
        raise SystemExit("the policy that decided does not decide the same again")
    return seconds


def read(log: Path) -> float:
    """Read the log's JSON; return the seconds of the processor."""
    began = time.process_time()
    with log.open("rb") as stream:
        for line in stream:
            json.loads(line)
    return time.process_time() - began


def main() -> int:
    """Measure; return whether the bound is missed."""
    policy = compile_folder(POLICY, "policy").compilation.policy
    if policy is None:
        raise SystemExit("the reference policy does not compile")
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "decisions.jsonl"
        lines = log_lines(policy)
        with log.open("w") as stream:
            stream.writelines(next(lines) for _ in range(REQUESTS))
        size = log.stat().st_size / REQUESTS
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        pairs = [(read(log), replay(policy, log)) for _ in range(ROUNDS)]
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    theirs, ours = (min(one[number] for one in pairs) for number in (0, 1))
    print(
        f"{REQUESTS} records of {size:.0f} bytes: {REQUESTS / ours:,.0f} a second decided again, "
        f"{REQUESTS / theirs:,.0f} read as JSON, ratio {theirs / ours:.2f} (at least {RATIO}); "
        f"memory grew by {grown:.0f} MB"
    )
    return int(theirs / ours < RATIO)


if __name__ == "__main__":
    raise SystemExit(main())
