"""
The profiles there are, by name.

What lives here: looking a profile up as a suite names it.  Not here: what its tokens hold.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from .ci import BUILDKITE, CIRCLECI, GITLAB
from .github import GITHUB
from .profile import Claims, Issue, Profile
from .workload import GOOGLE, KUBERNETES, SPIFFE


def _plain(claims: Claims, _issue: Issue) -> None:
    claims.setdefault("sub", "sample")


PLAIN: Final = Profile(
    name="plain",
    about="only the registered claims; every other one is yours",
    variants={"": {}},
    complete=_plain,
    lifetime=timedelta(minutes=5),
)

PROFILES: Final[Mapping[str, Profile]] = {
    profile.name: profile
    for profile in (GITHUB, GITLAB, KUBERNETES, BUILDKITE, CIRCLECI, GOOGLE, SPIFFE, PLAIN)
}
"""Every profile by name; a suite writes `NAME` or `NAME/VARIANT`."""


def find(name: str) -> tuple[Profile, Mapping[str, object]] | None:
    """Return the profile and the claims of the variant that `NAME[/VARIANT]` stands for."""
    base, _, variant = name.partition("/")
    profile = PROFILES.get(base)
    if profile is None or variant not in profile.variants:
        return None
    return profile, profile.variants[variant]


def names() -> list[str]:
    """Return every `NAME` and `NAME/VARIANT` there is."""
    return [
        f"{profile.name}/{variant}" if variant else profile.name
        for profile in PROFILES.values()
        for variant in profile.variants
    ]
