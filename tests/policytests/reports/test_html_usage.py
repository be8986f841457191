"""The HTML report's section about decision logs: unused parts, and who is near a refusal."""

from pathlib import Path

import pytest

from regauth.engine import Authenticated
from regauth.engine.decisions.exchange import login_verified
from regauth.engine.tokens.jwt import recalled
from regauth.policytests.reports.html import html
from regauth.policytests.reports.report import LogUse, Report
from tests.policytests.conftest import Repository
from tests.policytests.test_plugin import run
from tests.policytests.usage.test_tighten import SERVICE, compiled, line_of, record_of
from tests.servers.desk import NOW

POLICY = """\
version: 1
services: [registry.example.com]
providers:
  ci:
    issuer: https://ci.example.com
    audience: https://registry.example.com
    claims: github-actions
    clockSkew: 60s
grants:
  - {name: build, repositories: ["acme/**"], actions: [pull, push]}
  - {name: nobodys, repositories: ["old/**"], actions: [pull]}
"""
SUITE = """\
tests:
  - name: pulls
    grid: |
      token  repository  pull
      main   acme/app    A
"""
HOSTILE = "</td><script>alert(1)</script><b x='\"&amp;"


def log_line() -> bytes:
    """Return the record of a job of a hostile name whose token had expired within the skew."""
    policy, ended = compiled(POLICY), int(NOW.timestamp()) - 5
    claims = {
        "iss": "https://ci.example.com",
        "aud": "https://registry.example.com",
        "sub": HOSTILE,
        "iat": ended - 300,
        "exp": ended,
    }
    login = login_verified(policy, "ci", recalled(claims), SERVICE, NOW)
    assert isinstance(login, Authenticated), login
    return line_of(record_of(policy, login, SERVICE, ["repository:acme/app:pull"], NOW, 1))


@pytest.fixture
def tested(house: Repository) -> Path:
    house.write("policy/policy.yaml", POLICY)
    house.suite(SUITE)
    (house.root / "decisions.jsonl").write_bytes(log_line())
    return house.root


def test_the_report_shows_what_a_log_never_used_and_who_is_near_a_refusal(tested: Path) -> None:
    done = run(tested, "--html", "report.html", "--usage-log", "decisions.jsonl")
    page = (tested / "report.html").read_text()
    section = page[page.index("<section id='usage'") :]

    assert done.returncode == 0, done.stdout + done.stderr
    assert '<a href="#usage">Usage</a>' in page
    assert "1 request from 2026-11-01" in section
    assert "<th scope='row'>grant</th><td>nobodys (policy/policy.yaml:11:" in section
    assert "<th scope='row'>action</th><td>push of build (policy/policy.yaml:10:" in section
    assert "the provider&#x27;s clockSkew let it in" in section
    assert "ci:&lt;/td&gt;&lt;script&gt;alert(1)&lt;/script&gt;" in section
    assert "<script>alert" not in page


def test_no_value_of_a_log_or_policy_is_markup() -> None:
    use = LogUse(HOSTILE, HOSTILE, ((HOSTILE, ((HOSTILE, HOSTILE),)), (HOSTILE, ())))
    page, plain = html(Report(uses=[use])), html(Report(uses=[LogUse("", "", ())]))

    assert HOSTILE not in page
    assert page.count("<script") == plain.count("<script")
    assert page.count("&lt;script&gt;alert(1)") == 10
    assert "<b x=" not in page


def test_without_the_option_there_is_no_section(tested: Path) -> None:
    run(tested, "--html", "report.html")

    assert "usage" not in (tested / "report.html").read_text().lower()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--usage-log", "decisions.jsonl"], "add --html FILE"),
        (["--html", "r.html", "--usage-log", "-"], "standard input is not read"),
        (["--html", "r.html", "--usage-log", "missing.jsonl"], "missing.jsonl: No such file"),
    ],
)
def test_a_wrong_option_is_told_before_the_run(tested: Path, words: list[str], said: str) -> None:
    done = run(tested, *words)

    assert done.returncode == 4
    assert said in done.stdout + done.stderr
    assert not (tested / "r.html").exists()


def test_a_log_counts_for_the_policy_that_it_belongs_to(tested: Path, house: Repository) -> None:
    house.write("second/policy.yaml", POLICY.replace("nobodys", "others"))
    suite = next(tested.rglob("*.policytest.yaml"))
    text = suite.read_text()
    house.write("second.policytest.yaml", "policy: second\n" + text.replace("policy: policy\n", ""))
    unsaid = run(tested, "--html", "report.html", "--usage-log", "decisions.jsonl")
    wrong = run(tested, "--html", "report.html", "--usage-log", "tests=decisions.jsonl")
    done = run(tested, "--html", "report.html", "--usage-log", "second=decisions.jsonl")
    page = (tested / "report.html").read_text()
    section = page[page.index("<section id='usage'") :]

    assert unsaid.returncode == 4
    assert "say whose log it is, as FOLDER=decisions.jsonl" in unsaid.stdout + unsaid.stderr
    assert wrong.returncode == 4
    assert done.returncode == 0, done.stdout + done.stderr
    assert "others (second/policy.yaml:11:" in section
    assert "nobodys" not in section
