"""
Decision records: a token server's decision log, read line by line.

What lives here: a line of the published form (`schemas/decision-log.schema.json`) as a `Record`, or
why it is none.  Not here: files (`logs`), and deciding anything (`deciding`).

A line is a whole record or none.  An unknown member could change the meaning, so a log of another
version is not read in part.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any, Final, NamedTuple, NoReturn

from regauth import schemas
from regauth.engine.access import references
from regauth.engine.access.outcomes import Why
from regauth.engine.compiler import json_faults
from regauth.engine.source import strictjson
from regauth.engine.source.addresses import IpAddress, parse_ip
from regauth.engine.source.redaction import REDACTED
from regauth.engine.tokens.jwt import Claims, recalled

VERSION: Final = 1
MAX_DEPTH: Final = strictjson.MAX_DEPTH + 1
"""How deep a record may nest: its claims as deep as a token's."""

_OUTCOMES: Final = frozenset({"issued", "decided", "refused", "unavailable"})
_ANSWERED: Final = frozenset({"issued", "decided"})
_ROUTINGS: Final = frozenset({"issuer", "session", "workload"})
_NEEDED: Final = frozenset(
    {"version", "time", "requestId", "client", "policy", "service", "asked", "outcome"}
)
_NOT_NEEDED: Final = frozenset({"errors", "shadow"})
"""Members that may be cut off a record without harm to deciding."""

_TEXTS: Final = (
    *("time", "requestId", "client", "policy", "service", "outcome", "reason", "provider"),
    *("subject", "routing", "trust", "address"),
)
"""The members that are texts, if they are there."""


_SOME: Final = frozenset({Why.DEPENDS_ON_REFERENCE, Why.DEPENDS_ON_NEW_TAG})
"""The reasons of what is allowed for some tags."""


class RecordError(ValueError):
    """A line is no decision record; the message says why."""


class Answered(NamedTuple):
    """What one access was answered: by which grant it was allowed, or why it was refused."""

    allowed: bool
    why: str
    """The engine's reason code; of a login that was refused as a whole, the login's."""
    source: str = ""
    """The grant or denial that decided."""
    login: bool = False
    """Whether the login as a whole was refused, or, for `LOGIN`, accepted."""
    lifetime: bool = False
    """Whether it is about how long the token is valid, which `why` says."""

    @property
    def reach(self) -> int:
        """How much it allows: nothing, some tags, or everything."""
        return 2 if self.allowed else int(self.why in _SOME)

    def __str__(self) -> str:
        if self.login:
            return "login accepted" if self.allowed else f"login refused, {self.why}"
        if self.lifetime:
            return self.why
        if self.allowed:
            return f"allowed by `{self.source}`"
        if self.why == Why.DEPENDS_ON_REFERENCE:
            return f"depends on the tag, by `{self.source}`"
        if self.why == Why.DEPENDS_ON_NEW_TAG:
            return f"allowed if the tag is new, by `{self.source}`"
        if self.why == Why.TAG_EXISTS:
            return f"refused, the tag exists and `{self.source}` allows new tags only"
        if self.why == Why.DENIED:
            return f"refused by the denial `{self.source}`"
        return "refused, no grant allows it" if self.why == Why.NO_GRANT else f"refused, {self.why}"


def login_refused(reason: str) -> Answered:
    """Return what every access is answered when the login as a whole is refused."""
    return Answered(allowed=False, why=reason, login=True)


def valid_for(seconds: int) -> Answered:
    """Return what a request is answered whose token is valid for some seconds."""
    return Answered(allowed=True, why=f"a token of {seconds} seconds", lifetime=True)


LOGIN_ACCEPTED: Final = Answered(allowed=True, why="", login=True)
"""The answer of a login without details."""


class Record(NamedTuple):
    """One request and its answer; a tuple, because millions are made."""

    time: datetime
    request_id: str
    policy: str
    service: str
    asked: tuple[str, ...]
    outcome: str
    reason: str
    anonymous: bool
    provider: str
    subject: str
    accesses: Mapping[str, Answered]
    """By the access as text, `repository:acme/app:pull`."""
    claims: Claims | None
    checked: datetime | None
    routing: str
    trust: str
    """What decided that its claims were not believed, as a digest (`engine.trust`)."""
    redacted: bool
    """Whether a part that deciding needs was removed, because it looked like a token."""
    cut: bool = False
    """Whether a part that deciding needs was cut off, because the record was too long."""
    address: IpAddress | None = None
    """The address that conditions could read."""
    addressed: bool = False
    """Whether the record says it, be it that the address was not known."""
    lifetime: int | None = None
    """For how many seconds the token is valid; None in records that do not say it."""
    max_lifetime: int | None = None
    """For how many seconds the server's tokens are, where no grant shortens that."""

    @property
    def by_reference(self) -> bool:
        """Whether a proxy decided it, once it saw the tag or digest."""
        return self.routing == "workload"

    @property
    def answered(self) -> bool:
        """Whether its accesses were decided, for its login was not refused."""
        return self.outcome in _ANSWERED


def read_record(line: bytes) -> Record:
    """
    Read a line of a decision log.

    Raises:
        RecordError: It is no record of this version.
    """
    try:
        data = strictjson.loads(line, max_depth=MAX_DEPTH)
    except strictjson.JsonError as error:
        raise RecordError(_why_no_json(line) or str(error)) from error
    if type(data) is not dict:
        _refuse("it is not a JSON object")
    version = data.get("version")
    if type(version) is not int or version != VERSION:
        _refuse(f"its version is {str(version)[:20]}, and {VERSION} is read here")
    if not data.keys() <= _members():
        unknown = min(data.keys() - _members())
        _refuse(f"it has a member {unknown[:40]!r}, which this version does not know")
    return _record(data, redacted=REDACTED.encode() in line)


def _why_no_json(line: bytes) -> str | None:
    """Say in the words of this project why a line is not JSON."""
    try:
        fault = json_faults.explain(line.decode(), MAX_DEPTH)
    except UnicodeDecodeError:
        return None
    return None if fault is None else f"not JSON: {fault.message} (character {fault.at + 1})"


def _record(data: dict[str, Any], *, redacted: bool) -> Record:
    for name in _TEXTS:
        if type(data.get(name, "")) is not str:
            _refuse(f"`{name}` is not a text")
    if not data.keys() >= _NEEDED or not data["requestId"]:
        missing = sorted(_NEEDED - data.keys()) or ["requestId"]
        _refuse(f"it has no `{missing[0]}`")
    outcome, asked, claims = data["outcome"], data["asked"], data.get("claims")
    if outcome not in _OUTCOMES:
        _refuse("its outcome is not known")
    if outcome not in _ANSWERED and not data.get("reason"):
        _refuse("it is refused for no reason")
    _check_routing(data.get("routing", "issuer"), outcome)
    if "claims" in data and type(claims) is not dict:
        _refuse("its claims are not an object")
    if type(asked) is not list or not all(type(one) is str for one in asked):
        _refuse("`asked` is not a list of scopes")
    if data.get("anonymous", True) is not True or data.get("reused", True) is not True:
        _refuse("`anonymous` and `reused` are true or not there")
    return Record(
        time=_moment(data["time"]),
        request_id=data["requestId"],
        policy=data["policy"],
        service=data["service"],
        asked=tuple(asked),
        outcome=outcome,
        reason=data.get("reason", ""),
        anonymous="anonymous" in data,
        provider=data.get("provider", ""),
        subject=data.get("subject", ""),
        accesses=_accesses(data.get("accesses", None if outcome in _ANSWERED else [])),
        claims=None if claims is None else recalled(claims),
        checked=_moment(data["checked"]) if "checked" in data else None,
        routing=data.get("routing", ""),
        trust=data.get("trust", ""),
        cut=_is_cut(data.get("cut", [])),
        address=_address(data.get("address", "")),
        addressed="address" in data,
        lifetime=_seconds(data, "lifetime"),
        max_lifetime=_seconds(data, "maxLifetime"),
        redacted=redacted and REDACTED in repr((claims, asked, data["service"])),
    )


def _is_cut(names: object) -> bool:
    """Tell whether a part that deciding needs is missing; errors of conditions are not needed."""
    if type(names) is not list or not all(type(one) is str for one in names):
        _refuse("`cut` is not a list of members")
    return any(one not in _NOT_NEEDED for one in names)


def _check_routing(routing: str, outcome: str) -> None:
    if routing not in _ROUTINGS:
        _refuse("its routing is not known")
    # A workload's requests are a proxy's, which decides them and issues nothing.
    if outcome == ("issued" if routing == "workload" else "decided"):
        _refuse("its routing is not that of its outcome")


def _accesses(listed: object) -> dict[str, Answered]:
    if type(listed) is not list:
        _refuse("`accesses` is not a list")
    accesses: dict[str, Answered] = {}
    for access in listed:
        if type(access) is not dict:
            _refuse("an access is not an object")
        try:
            kind, name, action = access["type"], access["name"], access["action"]
            allowed, why = access["allowed"], access["why"]
        except KeyError as error:
            _refuse(f"an access has no `{error.args[0]}`")
        source, class_ = access.get("source", ""), access.get("class", "")
        reference = access.get("reference", "")
        state = access.get("tagState", "")
        given = (kind, name, action, why, source, class_, reference, state)
        texts = [type(text) is str for text in given]
        if type(allowed) is not bool or not all(texts):
            _refuse("an access is not of the published form")
        if allowed is not (why == Why.GRANTED):
            _refuse("an access is allowed for no grant's reason, or refused for one")
        resource = f"{kind}({class_})" if class_ else kind
        place = references.write(name, reference) if reference else name
        if state:
            place = f"{place}={state}"
        accesses[f"{resource}:{place}:{action}"] = Answered(allowed, why, source)
    if len(accesses) != len(listed):
        _refuse("an access is listed twice")
    return accesses


def _address(text: str) -> IpAddress | None:
    found = parse_ip(text)
    if text and found is None:
        _refuse("`address` is none")
    return found


def _seconds(data: Mapping[str, Any], name: str) -> int | None:
    value = data.get(name)
    if value is not None and (type(value) is not int or value <= 0):
        _refuse(f"`{name}` is not a number of seconds")
    return value


def _moment(text: object) -> datetime:
    if type(text) is not str or not text.endswith("Z"):
        _refuse(_NO_TIME)
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        _refuse(_NO_TIME)


_NO_TIME: Final = "a time in it is none of RFC 3339, in UTC"


@cache
def _members() -> frozenset[str]:
    return frozenset(schemas.load("decision-log")["properties"])


def _refuse(message: str) -> NoReturn:
    raise RecordError(message)
