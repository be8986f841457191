"""
Compatibility: which token headers which registry accepts.

What lives here: the forms that registries accept, as measured against the real programs, and the
choice of a form that all of them accept.  Not here: reading keys (`signer`), and how an id is made
from a key (`regauth.engine.tokens.key_ids`).

A registry looks at `x5c` first and then at `kid`.  The first of the two that is present decides;
there is no fall-back to the other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from regauth.engine.source.startup import StartupError
from regauth.servers.configuration.settings import FixedKeyId, KeyIdChoice, Registry


class IncompatibleError(StartupError):
    """No form of token is accepted by all the registries; the message says who objects to what."""


@dataclass(frozen=True, slots=True)
class Form:
    """What distinguishes one form of token from another."""

    algorithm: str
    key_id: KeyIdChoice
    x5c: bool


Objection = Callable[[Form], str]

FIRST_VERIFIERS: Final = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512")
"""What Distribution 2 knows."""


def _distribution_2(form: Form) -> str:
    """Distribution 2.8, `rootcertbundle` (libtrust)."""
    if form.algorithm not in FIRST_VERIFIERS:
        return f"it does not know {form.algorithm}; {', '.join(FIRST_VERIFIERS)} are known"
    if not form.x5c and form.key_id != "libtrust":
        return "without certificates in the token it knows keys by their libtrust id alone"
    return ""


def _distribution_3_0(form: Form) -> str:
    """Distribution 3.0, `rootcertbundle`: its thumbprints of EC and Ed25519 keys are wrong."""
    if form.x5c:
        return ""
    if form.key_id != "rfc7638":
        return "without certificates in the token it knows keys by their RFC 7638 id alone"
    if not form.algorithm.startswith("RS"):
        return "without certificates in the token it knows RSA keys alone (fixed in 3.1)"
    return ""


def _distribution_3_1(form: Form) -> str:
    """Distribution 3.1, `rootcertbundle`."""
    if not form.x5c and form.key_id != "rfc7638":
        return "without certificates in the token it knows keys by their RFC 7638 id alone"
    return ""


def _distribution_3_jwks(form: Form) -> str:
    """Distribution 3, `jwks` and no `rootcertbundle`."""
    return "it refuses every token with certificates, having no root to check them by" * form.x5c


def _zot(_form: Form) -> str:
    """The `bearer.cert` of zot: one key, whatever the header says."""
    return ""


def _harbor(form: Form) -> str:
    """Harbor's registry: Distribution 2.8 with RS256."""
    if form.algorithm != "RS256":
        return f"its registry is set up for RS256, not {form.algorithm}"
    return _distribution_2(form)


_OBJECTIONS: Final[Mapping[Registry, Objection]] = {
    "distribution-2.8": _distribution_2,
    "distribution-3.0": _distribution_3_0,
    "distribution-3.1": _distribution_3_1,
    "distribution-3-jwks": _distribution_3_jwks,
    "zot": _zot,
    "harbor": _harbor,
}


def choose_form(
    registries: Sequence[Registry],
    algorithm: str,
    key_id: KeyIdChoice | None,
    *,
    x5c: bool | None,
    certificates: bool,
) -> Form:
    """
    Choose the form that all registries accept; members that are given stay as they are.

    Args:
        registries: Who must accept the tokens.
        algorithm: What they are signed with.
        key_id: The `kid`, or None for any.
        x5c: Whether the tokens carry certificates, or None for either.
        certificates: Whether the key has certificates.

    Raises:
        IncompatibleError: There is no such form.
    """
    ids: Sequence[KeyIdChoice] = ("libtrust", "rfc7638") if key_id is None else (key_id,)
    with_x5c = ((True, False) if certificates else (False,)) if x5c is None else (x5c,)
    forms = [Form(algorithm, one, x5c=sent) for sent in with_x5c for one in ids]
    objections = [_objections(registries, form) for form in forms]
    for form, found in zip(forms, objections, strict=True):
        if not found:
            return form
    tried = "; ".join(
        f"{_described(form)}: {' and '.join(found)}"
        for form, found in zip(forms, objections, strict=True)
    )
    raise IncompatibleError(f"no form of token suits all of `compat`. {tried}")


def _objections(registries: Sequence[Registry], form: Form) -> list[str]:
    return [
        f"{registry} objects, {objection}"
        for registry in registries
        if (objection := _OBJECTIONS[registry](form))
    ]


def _described(form: Form) -> str:
    name = "a name of its own" if isinstance(form.key_id, FixedKeyId) else form.key_id
    return f"with kid {name} and {'' if form.x5c else 'no '}certificates"
