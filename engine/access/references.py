"""
References: what a request names within a repository, a tag or the digest of content.

What lives here: their grammar (OCI Distribution Spec 1.1, "Pulling manifests"; OCI Image Spec 1.1,
"Digests") and how a repository is written with one, `acme/app:v1`.  Not here: the names of
repositories (`scope`), and who may do what (`decisions.decide`).

The token protocol names no reference (`UNKNOWN`).  Only a proxy, which sees the request itself,
knows it.  Only such a proxy also knows whether a tag exists already (`TagState`).
"""

import re
from enum import StrEnum
from typing import Final

UNKNOWN: Final = ""
"""
No reference was named: the access is asked for every tag and content that it may be used with.
"""

ALL_TAGS: Final = "*"
"""All tags of a repository, as listing the tags shows them."""

UPLOAD: Final = "@upload"
"""Content that is being uploaded and has no tag yet.  Conditions see the empty text."""


class TagState(StrEnum):
    """Whether a tag exists in the registry, as its host has found out; written by its value."""

    UNKNOWN = ""
    NEW = "new"
    EXISTING = "existing"


_STATE: Final = re.compile(r"(.*[^:])=(new|existing)", re.ASCII)
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)
_TAG_PART: Final = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
_DIGEST: Final = re.compile(
    r"sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}"
    r"|(?!sha256:|sha512:)[a-z0-9]+(?:[+._-][a-z0-9]+)*:[A-Za-z0-9=_-]{32,256}",
    re.ASCII,
)


def is_tag(text: str) -> bool:
    """Tell whether `text` is a tag."""
    return _TAG.fullmatch(text) is not None


def is_tag_part(text: str) -> bool:
    """Tell whether `text` can stand within a tag."""
    return _TAG_PART.fullmatch(text) is not None


def is_digest(text: str) -> bool:
    """Tell whether `text` is a digest: of sha256, sha512, or an algorithm nobody knows here."""
    return _DIGEST.fullmatch(text) is not None


def write(name: str, reference: str) -> str:
    """Write a repository's name with a reference: `acme/app:v1`, `acme/app@sha256:...`."""
    if not reference:
        return name
    if reference == UPLOAD:
        return name + UPLOAD
    return f"{name}@{reference}" if is_digest(reference) else f"{name}:{reference}"


def split_state(text: str) -> tuple[str, TagState]:
    """
    Take the state off what `Access.place` writes: `acme/app:v1=new` is `acme/app:v1` and `NEW`.

    No name, tag or action holds `=`.  A digest can, but names no state.
    """
    found = _STATE.fullmatch(text)
    if found is None or "@" in text:
        return text, TagState.UNKNOWN
    return found[1], TagState(found[2])


def read(text: str) -> tuple[str, str] | None:
    """
    Read what `write` writes: the name, which is not checked, and the reference.

    The result is None where the reference is malformed.  A colon with a slash after it begins a
    port, not a tag.
    """
    name, at, digest = text.partition("@")
    if at:
        if at + digest == UPLOAD:
            return name, UPLOAD
        return (name, digest) if is_digest(digest) else None
    name, colon, tag = text.rpartition(":")
    if not colon or "/" in tag:
        return text, UNKNOWN
    return (name, tag) if tag == ALL_TAGS or is_tag(tag) else None
