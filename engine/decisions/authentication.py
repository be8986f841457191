"""
Authentication: whether verified claims meet what a provider's policy asks for.

What lives here: issuer, audience, times (RFC 7519, section 4.1) and rules, after the signature was
verified; and the words in which a client reads why a login is refused, whatever refused it.
Not here: the signature itself (`regauth.engine.tokens.jwt`), and any repository (`decide`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct

from regauth.engine.access.outcomes import Identity, Reason, Refusal
from regauth.engine.cel import STEPS, CelError, request_budget, timestamp
from regauth.engine.policy.policy import Provider, Rule
from regauth.engine.source.addresses import IpAddress
from regauth.engine.tokens.jwt import Claims, restated

_DATES: Final = ("exp", "nbf", "iat")

MESSAGES: Final[Mapping[str, str]] = {
    Reason.MALFORMED_TOKEN: "the password is not a well-formed JWT",
    Reason.TOKEN_TOO_LARGE: "the token is too large",
    Reason.UNKNOWN_PROVIDER: "no provider of the policy issues this token",
    Reason.AMBIGUOUS_PROVIDER: "several providers issue such tokens; log in with a provider's name",
    Reason.ALGORITHM_NOT_ALLOWED: "the token's signature algorithm is not allowed",
    Reason.UNKNOWN_KEY: "the token is signed with a key that the provider does not have",
    Reason.BAD_SIGNATURE: "the token's signature is not valid",
    Reason.WRONG_ISSUER: "the token was issued by somebody else",
    Reason.WRONG_AUDIENCE: "the token is meant for another audience",
    Reason.EXPIRED: "the token has expired",
    Reason.NOT_YET_VALID: "the token is not valid yet",
    Reason.TOO_OLD: "the token was issued too long ago",
    Reason.NO_SUBJECT: "the policy finds no subject in the token",
    Reason.PROVIDER_UNAVAILABLE: "the provider's keys cannot be had right now; try again later",
    Reason.UNKNOWN_SERVICE: "the policy does not answer for this service",
    Reason.NO_CREDENTIALS: "credentials are required",
    Reason.UNKNOWN_SESSION: "the refresh token is not known here or has ended; log in again",
    Reason.TOO_COSTLY: "deciding this request takes too much work; ask for fewer scopes at a time",
}
"""What each reason says to the client: the check that failed, and no value of the policy."""


class Authenticated(Struct, frozen=True):
    """A login that every check of its provider passed."""

    identity: Identity
    provider: Provider
    claims: Claims
    expires: datetime
    """When the token expires, without the provider's clock skew."""
    at: datetime
    """As of when its token's times were checked."""

    def from_client(self, client: IpAddress | None) -> "Authenticated":
        """Return it for one request, which comes from an address; None: that is not known."""
        return Authenticated(
            self.identity.from_client(client), self.provider, self.claims, self.expires, self.at
        )


def refusal(
    reason: Reason, detail: str = "", *, provider: str = "", identity: Identity | None = None
) -> Refusal:
    """Make a refusal with the reason's own message."""
    return Refusal(reason, MESSAGES[reason], detail, identity, provider)


def authenticate(
    provider: Provider,
    claims: Claims,
    service: str,
    now: datetime,
    *,
    at: datetime | None = None,
) -> Authenticated | Refusal:
    """
    Check a token's claims, whose signature is verified, against its provider's policy.

    Args:
        provider: The provider, whose key verified the signature.
        claims: The claims as they stand in the token.
        service: The service asked for; rules can see it.
        now: The time, with its zone.
        at: The time at which the token's own times are checked.  An earlier login's token may have
            expired since.  Everything else is checked at `now`.

    Returns:
        The login, or the refusal with the claims that it was refused for.
    """
    at = at or now
    outcome = _authenticate(provider, claims, service, now, at)
    if isinstance(outcome, Refusal):
        return replace(outcome, claims=claims, at=at)
    return outcome


def _authenticate(
    provider: Provider, claims: Claims, service: str, now: datetime, at: datetime
) -> Authenticated | Refusal:
    for check in CHECKS:
        reason = check.reason(provider, claims, at)
        if reason is not None:
            detail = check.describe(provider, claims, at)
            return refusal(reason, detail, provider=provider.name)
    normal = _normal(claims)
    left = request_budget()
    variables = _variables(provider, normal, service, now)
    variables[STEPS] = left
    # The subject comes before the rules, so that a refusal by a rule says whose login it was.
    identity = identify(provider, variables)
    if left[0] < 0:
        return refusal(Reason.TOO_COSTLY, "the subject took its steps", provider=provider.name)
    if isinstance(identity, Refusal):
        return identity
    for rule in provider.rules:
        left[0] -= rule.check.size
        broken = _check_rule(rule, variables)
        # This comes first: a rule that ran out of steps has no answer, whatever its value seems to
        # be.
        if left[0] < 0:
            detail = f"the rule {rule.name!r} took the last steps of the login"
            return refusal(Reason.TOO_COSTLY, detail, provider=provider.name, identity=identity)
        if broken is not None:
            message = rule.message or f"the token does not meet the rule {rule.name!r}"
            return Refusal(rule.reason, message, broken, identity, provider.name)
    return Authenticated(identity, provider, normal, _time(claims["exp"]), at)


def _normal(claims: Claims) -> Claims:
    """Return the claims with `aud` as a list, whichever way it was sent."""
    return restated(claims, {"aud": _audiences(claims)})


def seen_by_conditions(claims: Claims) -> Claims:
    """
    Return the claims with `exp`, `nbf` and `iat` as whole seconds.

    A NumericDate may have a fraction (RFC 7519, section 2), and CEL's arithmetic does not mix
    number types.  The checks of a token's times use the fraction, as do the records of decisions.
    """
    if float not in map(type, map(claims.get, _DATES)):
        return claims
    changed: dict[str, object] = {}
    for name in _DATES:
        value = claims.get(name)
        if isinstance(value, float) and _is_time(value):
            changed[name] = int(value)
    return restated(claims, changed) if changed else claims


def rule_variables(
    provider: Provider, claims: Claims, service: str, now: datetime
) -> dict[str, object]:
    """Return what a provider's rules and subject see."""
    return _variables(provider, _normal(claims), service, now)


def _variables(
    provider: Provider, normal: Claims, service: str, now: datetime
) -> dict[str, object]:
    return {
        "claims": seen_by_conditions(normal),
        "service": service,
        "provider": provider.name,
        "now": timestamp(now),
    }


def identify(provider: Provider, variables: Mapping[str, object]) -> Identity | Refusal:
    """Evaluate the subject that a provider's policy gives a token."""
    try:
        subject = provider.subject.evaluate(variables)
    except CelError as error:
        return refusal(Reason.NO_SUBJECT, str(error), provider=provider.name)
    if not isinstance(subject, str) or not subject:
        return refusal(Reason.NO_SUBJECT, "it is empty", provider=provider.name)
    return Identity(provider.name, subject)


@dataclass(frozen=True, slots=True)
class Check:
    """
    One check of verified claims.

    `reason` returns why it refuses, or None; `describe` says what was compared, either way, for
    the log and the author.
    """

    name: str
    reason: Callable[[Provider, Claims, datetime], Reason | None]
    describe: Callable[[Provider, Claims, datetime], str]


def _issuer(provider: Provider, claims: Claims, _: datetime) -> Reason | None:
    """RFC 7519, section 4.1.1."""
    return None if claims.get("iss") == provider.issuer else Reason.WRONG_ISSUER


def _describe_issuer(provider: Provider, claims: Claims, _: datetime) -> str:
    return f"iss is {claims.get('iss')!r}, the provider's issuer {provider.issuer!r}"


def _audience(provider: Provider, claims: Claims, _: datetime) -> Reason | None:
    """RFC 7519, section 4.1.3."""
    wanted = provider.audiences.intersection(_audiences(claims))
    return None if wanted else Reason.WRONG_AUDIENCE


def _describe_audience(provider: Provider, claims: Claims, _: datetime) -> str:
    wanted = " or ".join(map(repr, sorted(provider.audiences)))
    return f"aud is {claims.get('aud')!r}, wanted is {wanted}"


def _audiences(claims: Mapping[str, object]) -> list[str]:
    """Return `aud` as a list; of anything but strings, an empty one."""
    audience = claims.get("aud")
    if isinstance(audience, str):
        return [audience]
    listed: list[object] = audience if isinstance(audience, list) else [audience]
    # `aud` has strings alone (RFC 7519, section 4.1.3).  Of a list with anything else, two readers
    # could keep different parts, so none of it counts.
    texts = [one for one in listed if isinstance(one, str)]
    return texts if len(texts) == len(listed) else []


def _times(_: Provider, claims: Claims, __: datetime) -> Reason | None:
    """RFC 7519, section 2, NumericDate."""
    for name in _DATES:
        if not _is_time(claims.get(name, 0)):
            return Reason.MALFORMED_TOKEN
    return None


def _describe_times(_: Provider, claims: Claims, __: datetime) -> str:
    stated = [f"{name} {claims[name]!r}" for name in _DATES if name in claims]
    return ", ".join(stated)


def _expiry(provider: Provider, claims: Claims, now: datetime) -> Reason | None:
    """RFC 7519, section 4.1.4; a token that never expires is refused."""
    if "exp" not in claims:
        return Reason.EXPIRED
    # `<`: at the moment of `exp` itself a token has expired.
    good = now.timestamp() - provider.clock_skew.total_seconds() < _number(claims["exp"])
    return None if good else Reason.EXPIRED


def _not_before(provider: Provider, claims: Claims, now: datetime) -> Reason | None:
    """RFC 7519, sections 4.1.5 and 4.1.6."""
    # The standard asks this of `nbf` alone.  But a token from the future would also stay younger
    # than `maxTokenAge` for longer than it should.
    latest = now.timestamp() + provider.clock_skew.total_seconds()
    for name in ("nbf", "iat"):
        if name in claims and _number(claims[name]) > latest:
            return Reason.NOT_YET_VALID
    return None


def _age(provider: Provider, claims: Claims, now: datetime) -> Reason | None:
    if provider.max_token_age is None:
        return None
    if "iat" not in claims:
        return Reason.TOO_OLD
    oldest = now - provider.max_token_age - provider.clock_skew
    return None if _time(claims["iat"]) >= oldest else Reason.TOO_OLD


def _describe_claim(*names: str) -> Callable[[Provider, Claims, datetime], str]:
    def describe(_: Provider, claims: Claims, now: datetime) -> str:
        stated = [
            f"{name} is {_time(claims[name]).isoformat()}" if name in claims else f"no {name}"
            for name in names
        ]
        return f"{', '.join(stated)}; it is {now.isoformat()}"

    return describe


def _describe_age(provider: Provider, claims: Claims, now: datetime) -> str:
    if "iat" not in claims:
        return "there is no iat, so the token's age is not known"
    limit = provider.max_token_age if provider.max_token_age is not None else "any age"
    return f"it is {now - _time(claims['iat'])} old, accepted is {limit}"


CHECKS: Final = (
    Check("issuer", _issuer, _describe_issuer),
    Check("audience", _audience, _describe_audience),
    Check("times", _times, _describe_times),
    Check("expiry", _expiry, _describe_claim("exp")),
    Check("not-before", _not_before, _describe_claim("nbf", "iat")),
    Check("age", _age, _describe_age),
)
"""
The checks of every token, in this order; the first that refuses ends the login.

`times` comes before the checks that calculate with times: they get numbers that are no others.
"""


_LATEST: Final = 253_402_300_800  # the year 10000, where datetime and CEL end


_NUMBERS: Final = (int, float)


def _is_time(value: object) -> bool:
    """Tell whether a value is a NumericDate (RFC 7519, section 2) of the years 1970 to 9999."""
    # `type`, because a bool is an int to Python: `exp: true` would be a moment of 1970.
    kind = type(value)
    return (kind is int or kind is float) and 0 <= value < _LATEST  # type: ignore[operator]  # mypy does not narrow by `kind`


def _number(value: object) -> float:
    if not isinstance(value, _NUMBERS):
        raise TypeError("only what `_is_time` let through comes here")
    return value


def _time(value: object) -> datetime:
    return _EPOCH + timedelta(seconds=_number(value))


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _check_rule(rule: Rule, variables: Mapping[str, object]) -> str | None:
    """Return why a rule does not hold, or None when it does."""
    try:
        if rule.check.holds(variables):
            return None
    except CelError as error:
        return f"it could not be evaluated: {error}"
    return f"{rule.check.text} is false"
