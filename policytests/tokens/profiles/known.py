"""
The profiles there are, by name.

What lives here: looking a profile up as a suite names it.  Not here: what its tokens hold, which
the claim schemas say (`regauth.schemas.claims`).
"""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Final

from regauth import schemas
from regauth.engine.compiler.claim_schemas import known_schema
from regauth.engine.issuers import ClaimSchema

from .profile import Profile

PLAIN: Final = Profile("plain", "only the registered claims; every other one is yours")


@cache
def _known(name: str) -> Profile | None:
    return _of(known_schema(name)) if name in schemas.claims_names() else None


def _of(schema: ClaimSchema) -> Profile:
    return Profile(schema.name, schema.samples.variants[""].about or schema.title, schema)


def find(name: str, own: Iterable[ClaimSchema] = ()) -> tuple[Profile, str] | None:
    """
    Return the profile and the variant that `NAME[/VARIANT]` stands for.

    Args:
        name: The name.
        own: Claim schemas that come before the known ones of the same name.
    """
    base, _, variant = name.partition("/")
    mine = next((_of(one) for one in own if one.name == base), None)
    profile = PLAIN if base == PLAIN.name else mine or _known(base)
    return None if profile is None or variant not in profile.variants else (profile, variant)


def every(own: Iterable[ClaimSchema] = ()) -> Iterator[Profile]:
    """Yield every profile: those of the schemas given, the known ones, and `plain`."""
    mine = {one.name: one for one in own}
    yield from map(_of, mine.values())
    yield from (
        profile
        for name in schemas.claims_names()
        if name not in mine and (profile := _known(name)) is not None
    )
    yield PLAIN


def names(own: Iterable[ClaimSchema] = ()) -> list[str]:
    """Return every `NAME` and `NAME/VARIANT` there is."""
    return [
        f"{profile.name}/{variant}" if variant else profile.name
        for profile in every(own)
        for variant in profile.variants
    ]
