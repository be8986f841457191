"""Odd texts and patterns in conditions: the compiler and its lints answer each, whatever it is."""

import json
from typing import Final

import pytest

from regauth.engine import compile_policy

ODD: Final = (
    "", "^", "$", "^$", ".", "|", "a|", "(|)", "(?:)", "(?i)", "(?i:)", "^.*$", "^(a|b)?$", "x*", "a{0}",
    "[.]", "[^]", "(a", "*", "?", "**", "\\", "\\.", "\\A", "\\z", "\\Qa.b\\E", "..", "/", "//", "@", "a@",
    "#", " ", "\0", "\u2028", "é", "İ", "𝒳", "${claims.sub}",
)  # fmt: skip

CONDITIONS: Final = (
    "C == T", "C != T", "C in [T]", "C in [T, T]", "C.startsWith(T)", "C.endsWith(T)", "C.contains(T)",
    "C.matches(T)", "!C.matches(T)", "C.lowerAscii() == T", "C.split(T).size() > 1", "C + T == T",
    "C.replace(T, T) == T", "C.startsWith(T) || C.matches(T)",
)  # fmt: skip

POLICY: Final = """\
version: 1
services: [registry.example.com]
providers:
  p:
    issuer: https://token.actions.githubusercontent.com
    audience: https://registry.example.com
    claims: github-actions
    rules: [{name: r, check: CONDITION}]
grants:
  - {name: g, when: CONDITION, repositories: [acme/a], actions: [pull]}
denials:
  - {name: d, when: CONDITION, repositories: [acme/b], actions: [pull]}
"""


@pytest.mark.parametrize("odd", ODD, ids=ascii)
def test_an_odd_text_is_answered_wherever_it_stands(odd: str) -> None:
    for condition in CONDITIONS:
        written = condition.replace("C", "claims.ref").replace("T", json.dumps(odd))
        text = POLICY.replace("CONDITION", json.dumps(written))
        compilation = compile_policy({"policy.yaml": text})

        assert (compilation.policy is None) == any(
            one.severity.value == "error" for one in compilation.problems
        ), written
