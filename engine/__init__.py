"""
The engine: policy in, decisions out.

Pure: nothing here opens a socket or a file, logs, starts a thread, reads a clock or draws a random
number.  Time, keys and randomness are arguments; what the engine needs from the world it asks its
host for (`NeedKeys`).  The one exception is `regauth.engine.files`, which reads a policy folder for
hosts and which nothing else in the engine imports.

What is listed here is what hosts use; the modules hold the rest.
"""

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from regauth.engine.access.outcomes import (
        ConditionError,
        Decision,
        Identity,
        Reason,
        Refusal,
        Verdict,
        Why,
    )
    from regauth.engine.access.scope import (
        Access,
        Resource,
        Scope,
        ScopeError,
        accesses,
        parse_scope,
        parse_scopes,
    )
    from regauth.engine.compiler.compiler import Compilation, compile_policy
    from regauth.engine.decisions.authentication import Authenticated
    from regauth.engine.decisions.decide import decide
    from regauth.engine.decisions.exchange import (
        Credentials,
        Keys,
        KeysUnavailable,
        NeedKeys,
        exchange,
        login,
        login_verified,
        run,
    )
    from regauth.engine.decisions.prospects import may_be_granted
    from regauth.engine.decisions.trust import trust_digest
    from regauth.engine.explaining.explanation import Explanation, explain
    from regauth.engine.explaining.narration import narrate
    from regauth.engine.policy.policy import Denial, Grant, Policy, Provider, Statement
    from regauth.engine.source.problems import Location, Problem, Problems, Severity
    from regauth.engine.source.rendering import render_text
    from regauth.engine.tokens.algorithms import KeysError
    from regauth.engine.tokens.jwt import Claims, UnverifiedClaims
    from regauth.engine.tokens.keys import KeySet, SigningKey
    from regauth.engine.tokens.registry_token import registry_token

__all__ = [
    "Access",
    "Authenticated",
    "Claims",
    "Compilation",
    "ConditionError",
    "Credentials",
    "Decision",
    "Denial",
    "Explanation",
    "Grant",
    "Identity",
    "KeySet",
    "Keys",
    "KeysError",
    "KeysUnavailable",
    "Location",
    "NeedKeys",
    "Policy",
    "Problem",
    "Problems",
    "Provider",
    "Reason",
    "Refusal",
    "Resource",
    "Scope",
    "ScopeError",
    "Severity",
    "SigningKey",
    "Statement",
    "UnverifiedClaims",
    "Verdict",
    "Why",
    "accesses",
    "compile_policy",
    "decide",
    "exchange",
    "explain",
    "login",
    "login_verified",
    "may_be_granted",
    "narrate",
    "parse_scope",
    "parse_scopes",
    "registry_token",
    "render_text",
    "run",
    "trust_digest",
]

_NAMES: Final = {
    "access.outcomes": (
        "ConditionError",
        "Decision",
        "Identity",
        "Reason",
        "Refusal",
        "Verdict",
        "Why",
    ),
    "access.scope": (
        "Access",
        "Resource",
        "Scope",
        "ScopeError",
        "accesses",
        "parse_scope",
        "parse_scopes",
    ),
    "compiler.compiler": ("Compilation", "compile_policy"),
    "decisions.authentication": ("Authenticated",),
    "decisions.decide": ("decide",),
    "decisions.exchange": (
        "Credentials",
        "Keys",
        "KeysUnavailable",
        "NeedKeys",
        "exchange",
        "login",
        "login_verified",
        "run",
    ),
    "decisions.prospects": ("may_be_granted",),
    "decisions.trust": ("trust_digest",),
    "explaining.explanation": ("Explanation", "explain"),
    "explaining.narration": ("narrate",),
    "policy.policy": ("Denial", "Grant", "Policy", "Provider", "Statement"),
    "source.problems": ("Location", "Problem", "Problems", "Severity"),
    "source.rendering": ("render_text",),
    "tokens.jwt": ("Claims", "UnverifiedClaims"),
    "tokens.algorithms": ("KeysError",),
    "tokens.keys": ("KeySet", "SigningKey"),
    "tokens.registry_token": ("registry_token",),
}
"""The names by their module.  Each is imported when it is first used: no host needs them all."""

_PLACES: Final = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - as the name's own type
    """Return a name of the engine; import its module when the name is first used (PEP 562)."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found = getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
    return found
