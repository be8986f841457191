"""
Outcomes: what the engine answers.

What lives here: `Decision` with its `Verdict`s, `Refusal`, and the reason codes of both.
Not here: how an outcome is reached (`decisions.decide`, `decisions.exchange`), and how it is told
(`explaining.explanation`, and the hosts).

A refusal is a value: a host cannot forget to catch it, and a `Decision` it never got grants
nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from msgspec import Struct

from .once import once
from .scope import Access, Scope, scopes

MIN_LIFETIME: Final = timedelta(seconds=60)
"""The shortest lifetime of a registry token.

Clients treat a shorter lifetime as this one (distribution docs/spec/auth/token.md).
"""


class Reason(StrEnum):
    """
    Why a login is refused as a whole.  The codes are stable: logs, tests and clients rely on them.

    A login that breaks a rule is refused for `rule:NAME` instead.
    """

    MALFORMED_TOKEN = "malformed-token"  # noqa: S105 - a reason code
    TOKEN_TOO_LARGE = "token-too-large"  # noqa: S105 - a reason code
    UNKNOWN_PROVIDER = "unknown-provider"
    AMBIGUOUS_PROVIDER = "ambiguous-provider"
    ALGORITHM_NOT_ALLOWED = "algorithm-not-allowed"
    UNKNOWN_KEY = "unknown-key"
    BAD_SIGNATURE = "bad-signature"
    WRONG_ISSUER = "wrong-issuer"
    WRONG_AUDIENCE = "wrong-audience"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    TOO_OLD = "too-old"
    NO_SUBJECT = "no-subject"
    PROVIDER_UNAVAILABLE = "provider-unavailable"
    UNKNOWN_SERVICE = "unknown-service"
    NO_CREDENTIALS = "no-credentials"
    UNKNOWN_SESSION = "unknown-session"
    TOO_COSTLY = "too-costly"


class Why(StrEnum):
    """Why one access is allowed or refused.  Stable, as `Reason` is."""

    GRANTED = "granted"
    NO_GRANT = "no-grant"
    DENIED = "denied"
    UNKNOWN_TYPE = "unknown-type"
    UNKNOWN_ACTION = "unknown-action"
    INVALID_NAME = "invalid-name"
    INVALID_REFERENCE = "invalid-reference"
    DEPENDS_ON_REFERENCE = "depends-on-reference"
    """A statement with `tags` decides this access, and the request named no tag or digest."""
    DEPENDS_ON_NEW_TAG = "depends-on-new-tag"
    """A grant allows to create the tag (`newTagsOnly`), and whether it exists is not known."""
    TAG_EXISTS = "tag-exists"
    """A grant allows to create the tag and not to move it (`newTagsOnly`), and the tag exists."""

    @property
    def is_open(self) -> bool:
        """Whether more must be known of the request; until then the access is refused."""
        return self in (Why.DEPENDS_ON_REFERENCE, Why.DEPENDS_ON_NEW_TAG)


@dataclass(frozen=True, slots=True)
class ConditionError:
    """
    A CEL expression of a grant or a denial could not be evaluated.

    A grant whose expression fails does not match.  A denial whose expression fails matches.
    `message` may quote values of the token.  It is for the log and the author, never for the
    client.
    """

    source: str
    """The name of the grant or denial."""
    code: str
    message: str
    everywhere: bool = field(default=False, compare=False)
    """
    Whether the error is the same for every access of the request, because the expression does not
    read `scope`.
    """


class Verdict(Struct, frozen=True):
    """The decision of one access: which grant allows it, or why it is refused."""

    access: Access
    why: Why
    source: str = ""
    """
    The name of the grant that allows, of the denial that refuses, of the statement that it
    depends on, or of the grant that allows new tags only; empty where there is none.
    """
    errors: tuple[ConditionError, ...] = ()
    lifetime: timedelta | None = None
    """
    How long a token for it is valid at most, by the grants; None: as long as the server's are.

    It is the longest of all grants that match.  While the reference is unknown, it is the shortest
    of those that may match.
    """

    @property
    def allowed(self) -> bool:
        """Whether the access is granted: by a grant, and in no other case."""
        return self.why is Why.GRANTED


class Identity(Struct, frozen=True):
    """
    Who asks: a provider's name and the subject that its policy gives a verified token.

    The anonymous identity has neither.
    """

    provider: str = ""
    subject: str = ""
    client: IPv4Address | IPv6Address | None = None
    """
    From which address it asks; None: that is not known, and a condition that reads it fails.

    It is of one request: who keeps an identity keeps it without, and it makes no other of it.
    """

    def from_client(self, client: IPv4Address | IPv6Address | None) -> "Identity":
        """Return it for one request, which comes from an address; None: that is not known."""
        return Identity(self.provider, self.subject, client)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Identity):
            return NotImplemented
        return self.provider == other.provider and self.subject == other.subject

    def __hash__(self) -> int:
        return hash((self.provider, self.subject))

    @property
    def anonymous(self) -> bool:
        """Whether the request came with no credentials."""
        return not self.provider

    def __str__(self) -> str:
        return f"{self.provider}:{self.subject}" if self.provider else "anonymous"


class Decision(Struct, frozen=True, dict=True):
    """The answer to a login that was not refused: who it is, and a verdict for each access."""

    identity: Identity
    service: str
    verdicts: tuple[Verdict, ...]

    @once
    def granted(self) -> tuple[Scope, ...]:
        """
        The allowed accesses, as scopes; empty when nothing is.

        An access that is allowed for one reference alone is left out, because a scope cannot say
        that.
        """
        granted = [one.access for one in self.verdicts if one.why is Why.GRANTED]
        return scopes([access for access in granted if not access.reference])

    @once
    def granted_texts(self) -> list[str]:
        """The scopes of `granted`, as they are written."""
        return [str(scope) for scope in self.granted]

    @once
    def lifetime(self) -> timedelta | None:
        """
        How long the token is valid at most: the shortest of its accesses.

        None: as long as the server's tokens are.  It does not depend on the order of anything.
        """
        return token_lifetime(self.verdicts)

    @once
    def deferred(self) -> tuple[Scope, ...]:
        """The accesses that are refused for now and depend on the reference, as scopes."""
        waiting = [one.access for one in self.verdicts if one.why is Why.DEPENDS_ON_REFERENCE]
        return scopes(waiting) if waiting else ()


def token_lifetime(verdicts: Iterable[Verdict]) -> timedelta | None:
    """Return how long a token for some accesses is valid at most; None: as the server's are."""
    given = [
        one.lifetime
        for one in verdicts
        if one.lifetime is not None and (one.allowed or one.why.is_open)
    ]
    return min(given, default=None)


@dataclass(frozen=True, slots=True)
class Refusal:
    """
    The login as a whole is refused.

    `message` is safe to send to the client: it names the check that failed and no value of the
    policy.  `detail` may hold values of the token's claims and of the policy, for the log; neither
    ever holds the token.
    """

    reason: str
    message: str
    detail: str = ""
    identity: Identity | None = None
    """Who it was, as far as it was verified."""
    provider: str = ""
    """The provider whose checks refused, when one was chosen."""
    claims: Mapping[str, object] | None = field(default=None, repr=False, compare=False)
    """The token's claims, when its signature was verified; for the log, as `detail` is."""
    at: datetime | None = field(default=None, compare=False)
    """As of when those claims were checked."""

    @property
    def upstream(self) -> bool:
        """Whether the fault is the provider's, so that the same login may succeed later."""
        return self.reason == Reason.PROVIDER_UNAVAILABLE
