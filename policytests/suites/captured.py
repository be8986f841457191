"""
Captured tokens: real tokens that a suite replays.

What lives here: reading one with its keys, and refusing one that could still be used.  Not here:
sample tokens (`regauth.policytests.tokens.issuing`), and the rest of a suite (`linking`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from regauth.engine.compiler import json_faults
from regauth.engine.source.problems import Problems
from regauth.engine.tokens.algorithms import KeysError
from regauth.engine.tokens.jwks import parse_jwks
from regauth.engine.tokens.jwt import MalformedTokenError, parse
from regauth.engine.tokens.keys import KeySet, require_keys
from regauth.policytests.tokens.issuing import IssuerKeys, Sample
from regauth.policytests.tokens.spec import TokenSpec

MAX_CAPTURED_BYTES: Final = 64 * 1024
"""The size over which a captured token or its keys are not read."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """
    What a suite is linked with beside its policy.

    `keys` are the issuers' of this run; `resolve` finds a file that a suite names, and raises
    ValueError or OSError with a message when the suite may not have it; `now` is the real time:
    captured tokens must have expired by then, and exemptions must not.
    """

    keys: IssuerKeys
    resolve: Callable[[str], Path]
    now: datetime


@dataclass(frozen=True, slots=True)
class Capture:
    """What captured tokens are read with; `at` is the suite's clock."""

    at: datetime
    surroundings: Surroundings
    problems: Problems


def read_captured(spec: TokenSpec, file: str, capture: Capture) -> Sample | None:
    """Return a captured token, or None after a problem (`captured-token`, `leaked-token`)."""
    text, keys = _read(capture, spec, file), _captured_keys(capture, spec)
    if text is None or keys is None:
        return None
    text = text.strip()
    try:
        claims = parse(text).claims
    except MalformedTokenError as error:
        message = f"{file} holds no token: {error}"
        capture.problems.error(spec.location, "captured-token", message)
        return None
    if not _is_past(capture, spec, file, claims.get("exp")):
        return None
    return Sample(
        spec=spec,
        username=spec.username or spec.provider or "",
        now=(spec.at or capture.at) + spec.shift,
        claims=claims,
        keys=capture.surroundings.keys,
        captured=text,
        captured_keys=keys,
    )


def _is_past(capture: Capture, spec: TokenSpec, file: str, expires: object) -> bool:
    """Refuse a token that could still be used: everybody who reads the repository has it."""
    now = capture.surroundings.now.timestamp()
    if isinstance(expires, int | float) and not isinstance(expires, bool) and expires < now:
        return True
    capture.problems.error(
        spec.location,
        "leaked-token",
        f"{file} holds a real token that has not expired",
        "remove it from the repository and its history, and have its issuer revoke it",
    )
    return False


def _captured_keys(capture: Capture, spec: TokenSpec) -> KeySet | None:
    text = _read(capture, spec, spec.keys) if spec.keys else None
    if text is None:
        return None
    try:
        return require_keys(parse_jwks(text))
    except KeysError as error:
        message = json_faults.located(text, str(spec.keys)) or f"{spec.keys}: {error}"
        capture.problems.error(spec.location, "captured-token", message)
        return None


def _read(capture: Capture, spec: TokenSpec, file: str) -> str | None:
    try:
        path = capture.surroundings.resolve(file)
        with path.open("rb") as stream:
            data = stream.read(MAX_CAPTURED_BYTES + 1)
        text = data.decode("ascii")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        message = f"{file} cannot be read: {reason}"
        capture.problems.error(spec.location, "captured-token", message)
        return None
    if len(text) > MAX_CAPTURED_BYTES:
        message = f"{file} is larger than {MAX_CAPTURED_BYTES // 1024} KiB"
        capture.problems.error(spec.location, "captured-token", message)
        return None
    return text
