"""
Lints of addresses: issuers, audiences and hosts that are not what they look like.

What lives here: one small function for each code.  Not here: which addresses are known.  Claim
schemas say so (`issuers.claims`).
"""

from collections.abc import Iterator
from typing import Final

from regauth.engine.compiler.claim_schemas import known_issuers
from regauth.engine.issuers import ClaimSchema, Issuer
from regauth.engine.policy.policy import Policy, Provider, Statement
from regauth.engine.source.nearest import likeness

from .subject import LintFinding

_ALIKE: Final = 0.9
"""How alike two addresses are that are probably meant to be the same (1: equal)."""


def near_issuer(provider: Provider, _: Policy) -> Iterator[LintFinding]:
    """An issuer that is written almost like a known one; `iss` is compared byte by byte."""
    own = [(one, provider.claims.title) for one in provider.claims.issuers]
    elsewhere = (
        [] if own else [(Issuer(one.address, one.everybody), one.title) for one in known_issuers()]
    )
    known = own or elsewhere
    if any(one.matches(provider.issuer) for one, _ in known):
        return
    plain = _plain(provider.issuer)
    for one, title in known:
        star = "*" in one.address
        if (one.matches(plain) and plain != provider.issuer) or (
            not star and _is_alike(plain, _plain(one.address))
        ):
            meant = plain if star else one.address
            yield LintFinding(
                f"`{provider.issuer}` is no known issuer of {title} tokens, and almost one",
                f"did you mean `{meant}`? A token's `iss` must equal it in every character",
            )
            return


def _is_alike(address: str, known: str) -> bool:
    labels, others = (one.partition("://")[2].split(".") for one in (address, known))
    # gitlab.example.com is a host of its own, and gitlab.com not misspelt.
    own_host = len(labels) > len(others) and set(others) <= set(labels)
    return not own_host and likeness(address, known) >= _ALIKE


def impossible_issuer(provider: Provider, policy: Policy) -> Iterator[LintFinding]:
    """An issuer that no token of the provider's claim schema can name, and not even almost."""
    claim = provider.claims.claims.get(("iss",))
    if claim is None or claim.values.can_equal(provider.issuer):
        return
    if not any(near_issuer(provider, policy)):
        yield LintFinding(
            f"no {provider.claims.title} token has the issuer `{provider.issuer}`",
            f"`iss` is {claim.values.described()}",
        )


def known_issuer(provider: Provider, _: Policy) -> Iterator[LintFinding]:
    """A known issuer whose tokens are described by a schema that does not know it."""
    if provider.claims.issuers:
        return
    for one in known_issuers():
        if Issuer(one.address, one.everybody).matches(provider.issuer):
            serves = "; it serves everybody, so a rule must say who may log in"
            yield LintFinding(
                f"`{provider.issuer}` issues {one.title} tokens{serves if one.everybody else ''}",
                f"write `claims: {one.schema}`, which knows their claims",
            )
            return


def _plain(address: str) -> str:
    """Return an address without what authors write differently: scheme, capitals, `www.`, `/`."""
    _, _, rest = address.rpartition("://")
    host, slash, path = rest.rstrip("/").partition("/")
    return f"https://{host.lower().removeprefix('www.')}{slash}{path}"


def foreign_audience(provider: Provider, _: Policy) -> Iterator[LintFinding]:
    """An audience of another service: its tokens are good here, and ours are good there."""
    for audience in sorted(provider.audiences):
        known = provider.claims.foreign_audience(audience)
        if known is not None and "*" not in known.value and audience != provider.issuer:
            yield LintFinding(
                f"the audience {audience!r} is the one of {known.of}: "
                "a token that was made for it can log in here",
                audience_hint(provider.claims),
            )


def audience_hint(schema: ClaimSchema) -> str:
    """Return what to do about an audience that others have too."""
    audience = schema.claims.get(("aud",))
    if audience is None or audience.chosen_by != "issuer":
        return "ask for tokens with an audience of your own, such as the registry's address"
    return (
        f"{schema.title} makes no token with another audience: let in a subject that is for the "
        "registry alone, and silence this with its name"
    )


def service_host(policy: Policy) -> Iterator[tuple[Statement, LintFinding]]:
    """A repository that begins with the registry's host, which is no part of a name."""
    hosts = {service.partition(":")[0].lower() for service in policy.services if "." in service}
    for statement in policy.statements:
        for pattern in statement.patterns:
            first = pattern.parts[0]
            host = first.partition("/")[0] if isinstance(first, str) and "/" in first else ""
            if host.partition(":")[0] and host.partition(":")[0].lower() in hosts:
                yield (
                    statement,
                    LintFinding(
                        f"{pattern.text!r} begins with the registry's host: "
                        "a name in a request has none, so this matches nothing",
                        f"write {pattern.text[len(host) + 1 :]!r}",
                    ),
                )
