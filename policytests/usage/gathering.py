"""
Gathering: who got which access, by decision records.

What lives here: the issuers, workloads and accesses of a log, in bounded memory.  Not here: the
policy that is made of them (`drafting`), and reading logs (`reading`).

Only accesses that a record says were allowed are gathered.  Nothing is decided here.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from regauth.engine.access.scope import REGISTRY, Access
from regauth.engine.compiler.claim_schemas import known_issuers, known_schema
from regauth.engine.decisions.decide import unknown
from regauth.engine.issuers import ClaimSchema
from regauth.engine.tokens.jwt import NO_CLAIMS, Claims
from regauth.policytests.replay.questions import asked_of
from regauth.policytests.replay.records import Record

from .identities import IDENTITIES, IdentityClaims, Value, Who, value_at

MAX_ACCESSES: Final = 200_000
"""Different accesses of different workloads that are gathered; more are an error."""

MAX_AUDIENCES: Final = 1_000
"""Different audiences of one issuer's tokens that are gathered."""

GENERIC: Final = "generic"


class TooManyError(Exception):
    """A log holds too many different accesses for one suggestion."""


class Got(NamedTuple):
    """One access: by the workload's own name, or by the repository's."""

    own: str
    """"/" for the repository of the workload's own name, "/**" for one below it, or ""."""
    catalog: bool
    class_: str
    name: str
    action: str


@dataclass(slots=True)
class IssuerUse:
    """What the tokens of one issuer got."""

    issuer: str
    schema: ClaimSchema
    identity: IdentityClaims | None
    names: Counter[str] = field(default_factory=Counter)
    """What the log calls it."""
    audiences: Counter[frozenset[str]] = field(default_factory=Counter)
    owners: dict[Value, None] = field(default_factory=dict)
    ownerless: bool = False
    """Whether a token did not say who owns its workload."""
    labels: dict[Who, str] = field(default_factory=dict)
    """A name of each workload, for people."""
    got: dict[Got, dict[Who, None]] = field(default_factory=dict)
    skew: float = 0.0
    """Seconds by which clocks differed at most when a token was accepted."""
    session: float | None = None
    """Seconds of the longest session, if there is one."""


@dataclass(slots=True)
class Gathered:
    """What the records of logs say."""

    services: dict[str, None] = field(default_factory=dict)
    issuers: dict[str, IssuerUse] = field(default_factory=dict)
    anonymous: dict[str, None] = field(default_factory=dict)
    """Repositories that were pulled without credentials."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Requests, or accesses, that a suggestion cannot have, by the reason."""
    requests: int = 0
    _count: int = 0

    def add(self, record: Record) -> None:
        """
        Take up a record.

        Raises:
            TooManyError: There are more different accesses than `MAX_ACCESSES`.
            IncoherentError: The record contradicts itself.
        """
        if not record.answered:
            return
        if record.redacted or record.cut:
            self.left_out["requests whose record was cut or redacted"] += 1
            return
        allowed = [
            access
            for choice in asked_of(record).choices
            for access in choice
            if (found := record.accesses.get(str(access))) is not None and found.allowed
        ]
        self.requests += 1
        self.services[record.service] = None
        if record.anonymous:
            self.anonymous |= dict.fromkeys(access.resource.name for access in allowed)
            self._bound(len(self.anonymous))
            return
        use = self._issuer(record)
        if use is None:
            self.left_out["requests without claims or issuer"] += bool(allowed)
            return
        claims = record.claims or NO_CLAIMS
        who = _who(use, claims)
        if who is None:
            self.left_out["requests of tokens that no lasting claim tells apart"] += bool(allowed)
            return
        use.labels.setdefault(who, _label(use, claims))
        self._count += _note(use, who, _own(use, claims), allowed)
        self._bound(self._count)

    def _bound(self, count: int) -> None:
        if count > MAX_ACCESSES:
            raise TooManyError(
                f"there are more than {MAX_ACCESSES:,} different accesses of different workloads; "
                "shorten the time with --since, or give the logs of one service"
            )

    def _issuer(self, record: Record) -> IssuerUse | None:
        claims = record.claims
        issuer = None if claims is None else claims.get("iss")
        if claims is None or not isinstance(issuer, str) or not issuer:
            return None
        use = self.issuers.get(issuer)
        if use is None:
            schema = _schema(issuer)
            use = IssuerUse(issuer, schema, IDENTITIES.get(schema.name))
            self.issuers[issuer] = use
        use.names[record.provider] += 1
        audience = claims.get("aud")
        listed = [audience] if isinstance(audience, str) else audience
        if isinstance(listed, list) and len(use.audiences) < MAX_AUDIENCES:
            use.audiences[frozenset(one for one in listed if isinstance(one, str))] += 1
        _note_times(use, record, claims)
        return use


def _schema(issuer: str) -> ClaimSchema:
    for known in known_issuers():
        schema = known_schema(known.schema)
        if any(one.matches(issuer) for one in schema.issuers):
            return schema
    return known_schema(GENERIC)


def _who(use: IssuerUse, claims: Claims) -> Who | None:
    """Return who asks, and note the owner."""
    if use.identity is None:
        return None
    found = [value_at(claims, path, use.schema) for path in use.identity.who]
    if any(one is None for one in found):
        return None
    if use.identity.owner:
        owner = value_at(claims, use.identity.owner, use.schema)
        if owner is None:
            use.ownerless = True
        else:
            use.owners[owner] = None
    return tuple(one for one in found if one is not None)


def own_name(claims: Claims) -> str:
    """Return the path that the images of a token's workload have by its own name, or ""."""
    issuer = claims.get("iss")
    schema = _schema(issuer) if isinstance(issuer, str) else known_schema(GENERIC)
    return _own(IssuerUse("", schema, IDENTITIES.get(schema.name)), claims)


def _own(use: IssuerUse, claims: Claims) -> str:
    """Return the path that a workload's images have by its own name, or ""."""
    name = use.identity.name if use.identity is not None else ""
    value = claims.get(name) if name else ""
    return value.lower() if isinstance(value, str) and value.isascii() else ""


def _note(use: IssuerUse, who: Who, own: str, allowed: Sequence[Access]) -> int:
    """Note what a workload got; return how much of it is new."""
    count = 0
    for access in allowed:
        if unknown(access) is not None:
            continue
        resource = access.resource
        relation = _relation(resource.name, own) if not resource.class_ else ""
        catalog = resource.type == REGISTRY
        got = Got(relation, catalog, resource.class_, resource.name, access.action)
        whos = use.got.setdefault(got, {})
        count += who not in whos
        whos[who] = None
    return count


def _relation(name: str, own: str) -> str:
    if not own:
        return ""
    return "/" if name == own else "/**" if name.startswith(f"{own}/") else ""


def _label(use: IssuerUse, claims: Claims) -> str:
    name = use.identity.name if use.identity is not None else ""
    value = claims.get(name or "sub")
    return value if isinstance(value, str) else ""


def _note_times(use: IssuerUse, record: Record, claims: Claims) -> None:
    """Note how far the clocks differed, and how long a session was."""
    moment = (record.checked or record.time).timestamp()
    for name, sign in (("exp", 1), ("nbf", -1), ("iat", -1)):
        value = claims.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            use.skew = max(use.skew, sign * (moment - value))
    if record.routing == "session":
        length = record.time.timestamp() - moment
        use.session = max(use.session or 0.0, length)
