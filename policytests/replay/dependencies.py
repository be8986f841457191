"""
Dependencies: the parts of a request on which the conditions of a policy can depend.

What lives here: the claims and times that a policy asks for, and requests as keys that are equal
where it can tell no difference.  Not here: evaluating anything (`deciding`).
"""

import marshal
from bisect import bisect_right
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from regauth.engine.access.outcomes import Identity
from regauth.engine.policy.policy import Policy
from regauth.engine.tokens.jwt import NO_CLAIMS, Claims

from .records import Record

_ABSENT: Final = ...
_FORM: Final = 2
"""
The last version of `marshal` that writes equal values alike, whether they are one object or
several.
"""


@dataclass(frozen=True, slots=True)
class Dependencies:
    """The parts of a request on which the conditions of a policy can depend."""

    claims: tuple[str, ...] | None
    """The claims that they read; None: any."""
    time: bool
    """Whether one asks for the time."""
    ends: tuple[datetime, ...]
    """When statements end by themselves."""
    client: bool = False
    """Whether one reads the client's address."""

    @classmethod
    def of(cls, policy: Policy, *, logins: bool = False) -> "Dependencies":
        """Look through a policy: its grants and denials, with `logins` its providers too."""
        paths = {path for program in policy.programs(logins=logins) for path in program.paths}
        claims = {path[1] if len(path) > 1 else None for path in paths if path[0] == "claims"}
        return cls(
            None if None in claims else tuple(sorted(name for name in claims if name)),
            policy.depends_on_time(logins=logins),
            policy.ends,
            policy.reads_client,
        )

    def key(
        self, identity: Identity, claims: Claims, record: Record, now: datetime
    ) -> bytes | None:
        """
        Return what stands for all that a decision depends on; None: it depends on the time.

        Equal bytes are equal values: `marshal` tells 1, 1.0 and true apart.
        """
        if self.time:
            return None
        ended = bisect_right(self.ends, now)
        seen = self._seen(claims)
        asked = (record.service, record.asked, record.by_reference)
        client = str(identity.client) if self.client else ""
        return marshal.dumps((identity.provider, asked, ended, client, seen), _FORM)

    def token(self, record: Record) -> bytes:
        """Return what stands for a login, whatever its time and whatever it asks for."""
        claims = record.claims or NO_CLAIMS
        target: Any = [claims.get("iss", _ABSENT), claims.get("aud", _ABSENT)]
        who = (record.provider, record.service, record.reason)
        return marshal.dumps((who, target, self._seen(claims)), _FORM)

    def _seen(self, claims: Claims) -> Any:  # noqa: ANN401 - what `marshal` takes
        if self.claims is None:
            return claims
        return [claims.get(name, _ABSENT) for name in self.claims]
