"""
The specification of a sample token in a suite.

What lives here: the specification, with all that a token takes over from the one it is made from.
Not here: reading it from YAML (`suites.tokens`), and making the token (`issuing`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from regauth.engine.source.problems import Location

UNKNOWN_CLIENT: Final = "unknown"
"""What a suite says of a client whose address is not known."""


@dataclass(frozen=True, slots=True)
class TokenSpec:
    """
    A sample token, with everything it takes from the tokens it is made `from`.

    `claims` are those the author wrote; the profile fills the others in.  `named` says where this
    token itself names a claim, or a member of one, to give it or to leave it out.  `at` is the time
    of a login with a fresh token, `shift` how much later than its issue the token is used.
    `impossible` is the reason that the token may contradict its issuer's claim schema, at
    `impossible_at` where this token says so itself.  `profile_at` is where it names its profile.
    """

    name: str
    location: Location
    profile: str | None = None
    profile_at: Location | None = None
    claims: Mapping[str, object] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    named: Mapping[tuple[str, ...], Location] = field(default_factory=dict)
    immutable_subject: bool = False
    provider: str | None = None
    username: str | None = None
    at: datetime | None = None
    shift: timedelta = timedelta()
    forge: str | None = None
    impossible: str | None = None
    impossible_at: Location | None = None
    jwt: str | None = None
    keys: str | None = None
    client: str | None = None
    """The address that it is used from, or `unknown`; None: the suite does not say."""
