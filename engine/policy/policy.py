"""
The compiled policy: immutable, checked, shared by threads.

What lives here: the values that a policy is made of once it compiled.  Not here: reading a policy
(`regauth.engine.compiler.compiler`), and deciding with it (`decisions.authentication`,
`decisions.decide`).

Nothing here means "everything" by being empty.  A grant without patterns or actions cannot be made,
nor can a provider without an audience.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from regauth.engine.cel import Program
from regauth.engine.issuers import ClaimSchema
from regauth.engine.policy.patterns.names import Pattern
from regauth.engine.policy.patterns.tags import TagPattern
from regauth.engine.source.problems import Location

from .index import ProviderIndex

if TYPE_CHECKING:  # without its library: most policies hold no key
    from regauth.engine.tokens.keys import KeySet


@dataclass(frozen=True, slots=True)
class RemoteAccess:
    """How a host reaches a provider's key documents."""

    ca_file: str | None = None
    bearer_token_file: str | None = None
    allow_http: bool = False


@dataclass(frozen=True, slots=True)
class Discovery:
    """Keys found through the issuer's discovery document (OpenID Connect Discovery 1.0, 4)."""

    access: RemoteAccess = field(default_factory=RemoteAccess)


@dataclass(frozen=True, slots=True)
class JwksUri:
    """Keys in a JWK set at a fixed address."""

    uri: str
    access: RemoteAccess = field(default_factory=RemoteAccess)


@dataclass(frozen=True, slots=True)
class JwksFile:
    """Keys in a JWK set file of the host, read again when it changes."""

    path: str


@dataclass(frozen=True, slots=True)
class StaticKeys:
    """Keys written in the policy itself."""

    key_set: "KeySet"


KeySource = Discovery | JwksUri | JwksFile | StaticKeys


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition that every token of a provider must meet, else its login is refused."""

    name: str
    check: Program
    message: str
    location: Location

    @property
    def reason(self) -> str:
        """The reason code of a login that breaks this rule."""
        return f"rule:{self.name}"


@dataclass(frozen=True, slots=True)
class Provider:
    """An issuer of JWTs that the policy trusts, and what it asks of its tokens."""

    name: str
    issuer: str
    audiences: frozenset[str]
    keys: KeySource
    algorithms: tuple[str, ...]
    claims: ClaimSchema
    rules: tuple[Rule, ...]
    subject: Program
    clock_skew: timedelta
    location: Location
    max_token_age: timedelta | None = None
    max_session: timedelta | None = None
    """How long a session of its logins may last; None: there are no refresh tokens for it."""

    def __post_init__(self) -> None:
        if not self.audiences or not self.algorithms or not self.issuer:
            raise ValueError(f"provider {self.name!r} has no issuer, no audience or no algorithm")

    @property
    def programs(self) -> tuple[Program, ...]:
        """The expressions that a login of this provider evaluates: its rules and its subject."""
        return (*(rule.check for rule in self.rules), self.subject)

    @property
    def depends_on_time(self) -> bool:
        """Whether a login of this provider can end differently at another time of the request."""
        return _read_time(self.programs)


@dataclass(frozen=True, slots=True)
class Statement:
    """
    A grant or a denial: for whom, when, what.

    `patterns` and `actions` are those of repositories; a statement with `catalog` has neither.
    `tags` narrows a statement to some tags; without any it is about all there is in a repository.
    `new_tags_only` narrows a grant with tags further: it allows to push only tags that are new.
    """

    name: str
    providers: frozenset[str] | None
    """None: every provider."""
    services: frozenset[str]
    when: Program | None
    patterns: tuple[Pattern, ...]
    actions: frozenset[str]
    catalog: bool
    class_: str
    expires: datetime | None
    location: Location
    tags: tuple[TagPattern, ...] = ()
    token_lifetime: timedelta | None = None
    """How long a registry token for it is valid at most; None: as long as the server's are."""
    new_tags_only: bool = False

    def __post_init__(self) -> None:
        if self.new_tags_only and not self.tags:
            raise ValueError(f"{self.name!r} is about new tags, and names none")
        if self.catalog and self.tags:
            raise ValueError(f"{self.name!r} is about the catalog, which has no tags")
        if self.catalog == bool(self.patterns) or bool(self.patterns) != bool(self.actions):
            raise ValueError(
                f"{self.name!r} needs repositories and actions, or catalog, and not both"
            )
        if not self.services or (self.providers is not None and not self.providers):
            raise ValueError(f"{self.name!r} names no service or no provider")

    @property
    def programs(self) -> tuple[Program, ...]:
        """The expressions of this statement: its condition, and those in its patterns and tags."""
        when = () if self.when is None else (self.when,)
        names = (program for pattern in self.patterns for program in pattern.programs)
        tags = (program for pattern in self.tags for program in pattern.programs)
        return (*when, *names, *tags)


class Grant(Statement):
    """Allows what it matches, unless a denial matches too."""

    __slots__ = ()


class Denial(Statement):
    """Refuses what it matches, whatever grants say."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may do what in a registry."""

    services: frozenset[str]
    providers: Mapping[str, Provider]
    grants: tuple[Grant, ...]
    denials: tuple[Denial, ...]
    anonymous: Grant | None
    definitions: Mapping[str, Program]
    hash: str
    """`sha256:` and the digest of the files it was compiled from, names included."""
    index: Mapping[str, ProviderIndex]
    """What each provider's tokens, and "" for anonymous requests, can match."""

    @property
    def statements(self) -> tuple[Statement, ...]:
        """Grants, then denials, then the grant for anonymous requests."""
        anonymous = () if self.anonymous is None else (self.anonymous,)
        return (*self.grants, *self.denials, *anonymous)

    def programs(self, *, logins: bool) -> Iterator[Program]:
        """
        Yield the expressions that a request can evaluate.

        Args:
            logins: Also those of the providers, which decide about a login before any access.
        """
        for statement in self.statements:
            yield from statement.programs
        for provider in self.providers.values() if logins else ():
            yield from provider.programs

    def prepare(self) -> None:
        """
        Make everything ready that a request evaluates.

        A host calls this before it serves a policy.  Otherwise the first requests pay for it, each
        process apart.
        """
        for program in self.programs(logins=True):
            program.prepare()

    def depends_on_time(self, *, logins: bool) -> bool:
        """
        Tell whether an expression reads `now`, so that equal requests can get different answers.

        Statements that expire are no expressions: `ends` has their times.  This looks at every
        expression, so a caller that asks often keeps the answer.
        """
        return _read_time(self.programs(logins=logins))

    @property
    def by_client(self) -> tuple[Statement, ...]:
        """
        The statements that read the client's address.

        A host that does not know its clients must not serve a policy with any.
        """
        return tuple(
            one
            for one in self.statements
            if any("client" in program.variables for program in one.programs)
        )

    @property
    def reads_client(self) -> bool:
        """Whether a condition reads the client's address: another client may get another answer."""
        return bool(self.by_client)

    @property
    def ends(self) -> tuple[datetime, ...]:
        """When statements cease to apply (`expires`), the earliest first."""
        return tuple(sorted(one.expires for one in self.statements if one.expires is not None))

    @property
    def by_reference(self) -> tuple[Statement, ...]:
        """The statements with `tags`, which only a proxy can decide: it sees the tag."""
        return tuple(one for one in (*self.grants, *self.denials) if one.tags)

    @property
    def by_new_tag(self) -> tuple[Statement, ...]:
        """
        The grants of new tags only (`newTagsOnly`).

        Only a proxy that sends the push to the registry itself can decide them: it asks whether the
        tag exists, and lets nobody else create it until the registry has answered.
        """
        return tuple(one for one in self.grants if one.new_tags_only)


def _read_time(programs: Iterable[Program]) -> bool:
    return any("now" in program.variables for program in programs)
