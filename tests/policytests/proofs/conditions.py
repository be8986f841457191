"""
What the engine makes of conditions: compiled and evaluated once, however often it is compared.

Nothing here imports the prover, so that it stays when the prover is loaded with a bug.
"""

import json
from functools import lru_cache

from regauth.engine.cel import CelError, Program, timestamp
from regauth.engine.compiler.compiler import compile_policy
from regauth.engine.decisions.authentication import seen_by_conditions
from regauth.engine.tokens.jwt import supposed
from tests.policytests.proofs.random_policies import AUDIENCE, ISSUER, NOW, SCHEMA

NAME = "acme/x"
SCOPE = {"type": "repository", "class": "", "name": NAME, "action": "pull", "reference": ""}


@lru_cache(maxsize=1024)
def compiled_condition(text: str) -> Program | None:
    """Compile a condition as a grant's; None for one that the compiler refuses."""
    document = {
        "version": 1,
        "services": ["r"],
        "providers": {
            "o": {
                "issuer": ISSUER,
                "audience": AUDIENCE,
                "algorithms": ["RS256"],
                "claims": "ours.json",
            }
        },
        "grants": [{"name": "g", "repositories": ["**"], "actions": ["pull"], "when": text}],
    }
    policy = compile_policy({"policy.yaml": json.dumps(document), "ours.json": SCHEMA}).policy
    return None if policy is None else policy.grants[0].when


def engine_outcome(program: Program, claims: dict[str, object]) -> str:
    """Return what the engine makes of a condition: true, false or error."""
    return _outcome(program, json.dumps(claims))


@lru_cache(maxsize=16_384)
def _outcome(program: Program, claims: str) -> str:
    variables = {
        "claims": seen_by_conditions(supposed(json.loads(claims))),
        "service": "r",
        "provider": "o",
        "now": timestamp(NOW),
        "scope": SCOPE,
    }
    try:
        value = program.evaluate(variables)
    except CelError:
        return "error"
    return "true" if value is True else "false" if value is False else "error"
