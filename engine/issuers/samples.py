"""
The usual tokens of an issuer: reading them from a schema's JSON, and what is wrong with them.

What lives here: `sampleTokens`.  Not here: making a token (`examples`), and signing it
(`regauth.policytests.tokens.issuing`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from regauth.engine.source.nearest import did_you_mean

from .claims import ClaimSchema, SampleToken, SampleTokens
from .examples import coherent
from .relations import Path
from .tokens import check_token

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class SchemaFault:
    """One thing that is wrong with a claim schema; `place` is where, as keys and positions."""

    place: Place
    message: str
    hint: str = ""


def read_samples(about: Mapping[str, Any], names: Mapping[str, Path]) -> SampleTokens:
    """
    Return the usual tokens that a schema's `sampleTokens` says.

    Args:
        about: The JSON, valid by `claim-schema.schema.json`.
        names: The schema's claims by name; one that is none of them is left out (`faulty_samples`).
    """
    usual = _token(about, (), names)
    variants = {
        name: _token(one, usual.including, names) for name, one in about.get("variants", {}).items()
    }
    return SampleTokens(
        {"": usual, **variants},
        algorithm=about.get("algorithm", "RS256"),
        lifetime=about.get("lifetime", 300),
        backdated=about.get("backdated"),
    )


def _token(
    about: Mapping[str, Any], including: tuple[Path, ...], names: Mapping[str, Path]
) -> SampleToken:
    if "with" in about:
        including = tuple(names[name] for name in about["with"] if name in names)
    return SampleToken(about.get("about", ""), about.get("claims", {}), including)


def faulty_samples(document: Mapping[str, Any], schema: ClaimSchema) -> Iterator[SchemaFault]:
    """Yield what is wrong with a schema's `sampleTokens`: unknown claims, contradictions."""
    about = document.get("sampleTokens")
    if about is None:
        return
    known = [claim.name for claim in schema.claims.values()]
    for variant, token in schema.samples.variants.items():
        place: Place = ("sampleTokens", "variants", variant) if variant else ("sampleTokens",)
        written = about.get("variants", {}).get(variant, {}) if variant else about
        for at, name in enumerate(written.get("with", ())):
            if name not in known:
                hint = did_you_mean(name, known, "")
                yield SchemaFault((*place, "with", at), f"there is no claim `{name}`", hint)
        for found in check_token(schema, coherent(schema, token.claims, token.including)):
            inside = (*place, "claims", found.path[0])
            where = inside if found.path[0] in written.get("claims", {}) else place
            yield SchemaFault(where, f"no token is like this: {found.message}")
