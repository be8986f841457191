"""`policytest suggest` from files of tokens: what they would ask for, and no token is ever shown."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from regauth.engine import compile_policy
from regauth.engine.tokens.base64url import encode
from tests.servers.desk import NOW

from .test_suggest import GITHUB, HOSTILE
from .test_tighten import Tool, tool

__all__ = ["tool"]


def claims(number: int = 1, **changes: object) -> dict[str, Any]:
    issued = int(NOW.timestamp())
    found: dict[str, object] = {
        "iss": GITHUB,
        "aud": "https://registry.example.com",
        "sub": f"repo:acme/r{number}",
        "repository": f"Acme/r{number}",
        "repository_id": str(100 + number),
        "repository_owner_id": "7",
        "iat": issued,
        "exp": issued + 300,
    }
    return {key: value for key, value in (found | changes).items() if value is not None}


def jwt(payload: dict[str, Any]) -> str:
    """Return a token that nobody signed."""
    parts = [json.dumps({"alg": "RS256", "kid": "k"}), json.dumps(payload)]
    return b".".join([*(encode(one.encode()) for one in parts), encode(b"signature")]).decode()


FORMS = {
    "one token": lambda: jwt(claims()) + "\n",
    "tokens": lambda: "  " + "\n".join(jwt(claims(number)) for number in range(5)),
    "an object": lambda: json.dumps(claims(), indent=2),
    "a list": lambda: json.dumps([claims(1), claims(2)]),
    "lines": lambda: "".join(json.dumps(claims(number)) + "\n" for number in range(4)),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("source", ["file", "-"])
def test_a_draft_allows_what_tokens_would_ask_for(
    tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, source: str
) -> None:
    text = FORMS[form]()
    (tmp_path / "tokens").write_text(text)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    code, out, told = tool("suggest", "tokens" if source == "file" else "-")
    found = yaml.safe_load(out)
    [provider] = found["providers"].values()

    assert code == 0, told
    assert compile_policy({"policy.yaml": out}).policy is not None
    assert found["services"] == ["registry.example.com"]
    assert provider["claims"] == "github-actions"
    assert all(sorted(one["actions"]) == ["pull", "push"] for one in found["grants"])
    assert "its tokens are not verified; anybody can write some" in told
    assert not any(part in out + told for part in text.split() if part.startswith("ey"))


def test_a_log_on_standard_input_is_read_twice(
    tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = {"type": "repository", "name": "acme/x", "action": "pull", "allowed": True}
    record = {"version": 1, "time": "2026-11-01T12:00:00Z", "requestId": "1", "client": "192.0.2.7"}
    record |= {"policy": "", "service": "registry.example.com", "asked": ["repository:acme/x:pull"]}
    record |= {"outcome": "issued", "provider": "ci", "subject": "x", "claims": claims()}
    record |= {"accesses": [{**access, "why": "granted", "source": "all"}]}
    lines = json.dumps(record).encode() + b"\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines * 3)))
    code, out, told = tool("suggest", "-")

    assert code == 0, told
    assert "acme/x" in out
    assert "not verified" not in told


def test_scopes_and_the_service_can_be_said(tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text(jwt(claims(aud=None)))
    words = ["--service", "registry.example.com", "--asks", "repository:tools/lint:pull"]
    unsaid = tool("suggest", "tokens")
    malformed = tool("suggest", "tokens", "--service", "x", "--asks", "tools/lint")
    lone = jwt(claims(iss="https://other.example.com", sub="robot"))
    (tmp_path / "lone").write_text(lone)
    code, out, told = tool("suggest", "lone", *words[2:])

    assert unsaid[0] == malformed[0] == 4
    assert "say the registry's service with --service" in unsaid[2]
    assert "--asks" in malformed[2]
    assert code == 0, told
    assert yaml.safe_load(out)["grants"][0]["repositories"] == ["tools/lint"]


@pytest.mark.parametrize(
    "text", [jwt(claims())[:-8] + "!secret!", "eyJhbGciOiJub25lIn0.e30.", "ey"]
)
def test_a_malformed_token_is_not_shown(tool: Tool, tmp_path: Path, text: str) -> None:
    (tmp_path / "tokens").write_text(f"{jwt(claims())}\n{text}\n")
    code, out, told = tool("suggest", "tokens")

    assert code == 4
    assert "token 2" in told or "names no audience" in told
    assert "secret" not in told
    assert not any(part in out + told for part in text.split(".") if len(part) > 4)


def test_a_token_as_an_argument_is_refused(tool: Tool) -> None:
    code, out, told = tool("suggest", jwt(claims()))

    assert (code, out) == (4, "")
    assert "this is a token itself" in told
    assert "eyJ" not in told


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_claims_stay_texts(tool: Tool, tmp_path: Path, text: str) -> None:
    users = [claims(sub=text, repository=text, ref=text, aud=["https://r.example.com", text])]
    (tmp_path / "tokens").write_text(json.dumps(users))
    code, out, told = tool("suggest", "tokens", "--asks", "repository:acme/x:pull")
    compiled = compile_policy({"policy.yaml": out})

    assert code == 0, told
    assert compiled.policy is not None
    assert [one.name for one in compiled.policy.grants] == ["github-actions-pull-acme-x"]
