"""
What one waits for with a policy of thousands of grants, as ratios of CPU time within one run.

1. `policytest can` and `why`, to `policytest check` of the same policy: at most 3.
2. 10,000 cells that all fail for one changed definition, to the same cells passing: at most 2.
3. The first request to a token server, to the median of the next: at most 2.  The policy has 1,000
   and 10,000 grants, of which the request looks at each.  The application is asked in one process,
   without a socket, caches or limits.

Run by `make bench`; exits with 1 when a bound is missed.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from bench_token_server import MODES, logins
from instructions import EXCHANGE, ask

from regauth.servers.configuration.server_file import read_settings
from regauth.servers.setup import starter
from regauth.servers.state.reloading import load_state
from regauth.servers.telemetry.event_log import EventLog
from regauth.servers.token.assembly import assemble

GRANTS = 3_000
CELLS = 10_000
MAX_QUESTION = 3.0
MAX_RED = 2.0
MAX_FIRST = 2.0
SERVED = (1_000, 10_000)
REQUESTS = 21
POLICY = """\
version: 1
services: [registry.example.com]
definitions:
  main: claims.event_name == "push" && claims.ref == "refs/heads/main"
providers:
  github:
    issuer: https://token.actions.githubusercontent.com
    audience: https://registry.example.com
    algorithms: [RS256]
    claims: github-actions
    rules:
      - {name: ours, check: claims.repository_owner_id == "1342004", message: only acme}
grants:
  - {name: pull-all, repositories: ["acme/**"], actions: [pull]}
"""
GRANT = """\
  - name: app-{number}
    when: claims.repository_id == "{number}" && defs.main
    repositories: ["team/app-{number}", "team/app-{number}/**"]
    actions: [pull, push]
"""
OPEN_GRANT = """\
  - name: open-{number}
    when: claims.ref.startsWith("refs/heads/{number}") && claims.event_name in ["push", "release"]
    repositories: ["acme/**"]
    actions: [pull, push]
"""
COMMAND = "import sys; from regauth.policytests.cli import main; sys.exit(main())"


def prepare(root: Path) -> None:
    """Write a policy of many grants, and a suite with a token for each of the first."""
    (root / ".git").mkdir()
    (root / "policy").mkdir()
    grants = "".join(GRANT.format(number=10_000 + index) for index in range(GRANTS - 1))
    (root / "policy" / "policy.yaml").write_text(POLICY + grants)
    tokens = rows = ""
    for index in range(250):
        number = 10_000 + index
        claims = f'repository_owner_id: "1342004", repository_id: "{number}"'
        tokens += f"  t{number}: {{profile: github-actions, claims: {{{claims}}}}}\n"
        rows += "".join(
            f"      t{number} team/app-{number}/part-{part} A A\n"
            for part in range(CELLS // 2 // 250)
        )
    (root / "all.policytest.yaml").write_text(
        f"at: 2026-11-01T12:00:00Z\ntokens:\n{tokens}tests:\n  - name: all\n    grid: |\n"
        f"      token repository pull push\n{rows}"
    )


def seconds(folder: Path, *arguments: str, code: int = 0) -> float:
    """Run policytest in a folder; return the seconds of CPU that it took."""
    command = [sys.executable, "-c", COMMAND, *arguments]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) != code:
        raise SystemExit(f"{arguments} ended with {status}")
    return usage.ru_utime + usage.ru_stime


def bench_questions(root: Path) -> bool:
    """Compare questions about one token with a check of the policy."""
    check = seconds(root, "check")
    good = True
    for words in (("can", "t10005"), ("why", "t10005", "team/app-10005:push")):
        asked = seconds(root, *words)
        good &= asked / check <= MAX_QUESTION
        print(
            f"{GRANTS} grants, {words[0]}: {asked:.2f} s, check {check:.2f} s, "
            f"ratio {asked / check:.2f} (at most {MAX_QUESTION})"
        )
    return good


def bench_red(root: Path) -> bool:
    """Compare a run in which every cell fails with one in which every cell passes."""
    green = seconds(root, "-p", "no:cacheprovider")
    policy = root / "policy" / "policy.yaml"
    policy.write_text(policy.read_text().replace("refs/heads/main", "refs/heads/master"))
    red = seconds(root, "-p", "no:cacheprovider", code=1)
    print(
        f"{CELLS} cells, all red: {red:.2f} s, all green {green:.2f} s, "
        f"ratio {red / green:.2f} (at most {MAX_RED})"
    )
    return red / green <= MAX_RED


def bench_first(root: Path, grants: int) -> bool:
    """Compare the first request to a server with the next ones."""
    starter.create(root, starter.Choices(), datetime.now(UTC))
    policy = root / "policy" / "policy.yaml"
    added = "".join(OPEN_GRANT.format(number=number) for number in range(grants))
    policy.write_text(policy.read_text().replace("\ngrants:\n", f"\ngrants:\n{added}"))
    file = root / "server.yaml"
    limits = "rateLimits: {client: false, identity: false}\n"
    file.write_text(f"{file.read_text()}{limits}{MODES[EXCHANGE]}")
    began = time.process_time()
    state = load_state(settings := read_settings(file))
    loaded = time.process_time() - began
    with Path(os.devnull).open("wb") as nowhere:
        log = EventLog(descriptor=nowhere.fileno())
        application = assemble(settings, state, log).application
        taken = []
        for login in logins(root, REQUESTS).read_text().split():
            began = time.process_time()
            if not ask(application, login).startswith("200"):
                raise SystemExit("the server refused a request")
            taken.append((time.process_time() - began) * 1000)
    first, later = taken[0], statistics.median(taken[1:])
    print(
        f"{grants} grants, a server's first request: {first:.1f} ms, the next {later:.1f} ms, "
        f"ratio {first / later:.2f} (at most {MAX_FIRST}); loading took {loaded:.1f} s"
    )
    return first / later <= MAX_FIRST


def main() -> int:
    """Run all; return whether a bound is missed."""
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        good = [bench_questions(Path(folder)), bench_red(Path(folder))]
        good += [bench_first(Path(folder) / str(grants), grants) for grants in SERVED]
    return int(not all(good))


if __name__ == "__main__":
    sys.exit(main())
