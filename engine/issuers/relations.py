"""
Relations between the claims of one token.

What lives here: constraints on a claim, templates that are filled from other claims, and whether
they hold.  Not here: reading them from a schema (`reading`), and what a contradiction says
(`tokens`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import re2
from msgspec import Struct

from .values import Values

Path: TypeAlias = tuple[str, ...]
Tokens: TypeAlias = Mapping[str, object]

MISSING: Final = object()
"""Stands for the value of a claim that a token does not have."""


def value_at(claims: Mapping[str, object], path: Path) -> object:
    """Return the value of a claim, or `MISSING`."""
    if len(path) == 1:
        return claims.get(path[0], MISSING)
    at: object = claims
    for name in path:
        if not isinstance(at, Mapping) or name not in at:
            return MISSING
        at = at[name]
    return at


class ClaimReference(Struct, frozen=True):
    """
    Another claim's value in a template.

    `pattern` is the one of whose named group `group` only a part is meant; both "" for the whole.
    `always`: every token has the claim, so a token without it is only a part of one.
    """

    path: Path
    always: bool = True
    group: str = ""
    pattern: str = ""

    def text(self, claims: Mapping[str, object]) -> str | None:
        """Return what it stands for in a token; None where the claim is missing or no scalar."""
        value = value_at(claims, self.path)
        if isinstance(value, bool):
            text = str(value).lower()
        elif isinstance(value, str | int):
            text = str(value)
        else:
            return None
        if not self.group:
            return text
        match = re2.fullmatch(self.pattern, text)
        return None if match is None else match.group(self.group)


class AnyText(Struct, frozen=True):
    """`{*}`: any text that is not empty."""


Piece: TypeAlias = str | ClaimReference | AnyText


class Template(Struct, frozen=True):
    """
    A text with other claims in it, used where `when` holds.

    `form` names the one of several forms that an issuer writes, "" for the usual one.
    """

    text: str
    pieces: tuple[Piece, ...]
    when: tuple[tuple[Path, "Constraint"], ...] = ()
    form: str = ""

    def parts(self, claims: Mapping[str, object], escape: Mapping[str, str]) -> list[str] | None:
        """
        Return the fixed texts between the wildcards, for a token.

        None where the template is not for this token: its condition does not hold, or it uses a
        claim that this token does not have.  A claim that every token has counts as a wildcard
        where it is missing, for then the claims are only some of a token's.
        """
        for path, constraint in self.when:
            if not constraint.may_hold(claims, path):
                return None
        parts = [""]
        for piece in self.pieces:
            if isinstance(piece, AnyText):
                parts.append("")
                continue
            if isinstance(piece, str):
                parts[-1] += piece
            elif (text := piece.text(claims)) is not None:
                parts[-1] += escaped(text, escape)
            elif piece.always and value_at(claims, piece.path) is MISSING:
                parts.append("")
            else:
                return None
        return parts

    def misses_claim(self, claims: Mapping[str, object]) -> bool:
        """Whether a token does not have a claim that it is made of."""
        return any(
            isinstance(one, ClaimReference) and one.text(claims) is None for one in self.pieces
        )

    def wild(self, example: str) -> list[str]:
        """Return what its wildcards stand for in a text; none where the text is not of its form."""
        pattern = "".join(
            re2.escape(one)
            if isinstance(one, str)
            else "(.+)"
            if isinstance(one, AnyText)
            else ".+?"
            for one in self.pieces
        )
        match = re2.fullmatch(pattern, example)
        return [] if match is None else list(match.groups())

    def is_for(self, claims: Mapping[str, object]) -> bool:
        """Whether its condition holds of a token."""
        return all(constraint.holds(claims, path) for path, constraint in self.when)


def escaped(text: str, escape: Mapping[str, str]) -> str:
    """Return a claim's text as a text that is made of it has it."""
    if not escape:
        return text
    return "".join(escape.get(sign, sign) for sign in text)


def fits(text: str, parts: Sequence[str]) -> bool:
    """Whether a text is the parts in their order, with something between each two."""
    if len(parts) == 1:
        return text == parts[0]
    first, *middle, last = parts
    if not text.startswith(first):
        return False
    at = len(first)
    for part in middle:
        found = text.find(part, at + 1)
        if found < 0:
            return False
        at = found + len(part)
    return text.endswith(last) and at + 1 + len(last) <= len(text)


@dataclass(frozen=True, slots=True)
class Constraint:
    """
    What is asked of one claim; all of it must hold.

    `templates` and `parts` are alternatives: the claim is one of the templates, or a sequence of
    parts with `separator` between them.
    """

    present: bool | None = None
    null: bool | None = None
    values: Values | None = None
    templates: tuple[Template, ...] = ()
    parts: tuple[Template, ...] = ()
    separator: str = ""
    escape: tuple[tuple[str, str], ...] = ()
    negated: "Constraint | None" = None

    def holds(self, claims: Mapping[str, object], path: Path) -> bool:
        """Whether a token's claim fulfils it; of a missing claim only that it is missing."""
        value = value_at(claims, path)
        if value is MISSING:
            return self._asks_for(present=False)
        return self.present is not False and self._fits(value, claims, path)

    def may_hold(self, claims: Mapping[str, object], path: Path) -> bool:
        """Whether it holds, or could if the claims are only some of a token's."""
        if value_at(claims, path) is MISSING:
            return not self._asks_for(present=True)
        return self.holds(claims, path)

    def _asks_for(self, *, present: bool) -> bool:
        negated = self.negated is not None and self.negated.present is (not present)
        return self.present is present or negated

    def is_broken(self, claims: Mapping[str, object], path: Path) -> bool:
        """Whether a token's claim breaks it; a missing or null one breaks only what asks for it."""
        value = value_at(claims, path)
        if value is MISSING:
            return self.present is True
        if self.present is False:
            return True
        if value is None:
            return self.null is False
        return not self._fits(value, claims, path)

    def _fits(self, value: object, claims: Mapping[str, object], path: Path) -> bool:
        return (
            (self.null is None or self.null == (value is None))
            and (self.values is None or (value is not None and self.values.can_equal(value)))
            and (self.negated is None or not self.negated.holds(claims, path))
            and self._is_made(value, claims)
        )

    def _is_made(self, value: object, claims: Mapping[str, object]) -> bool:
        if not self.templates and not self.parts:
            return True
        escape = dict(self.escape)
        forms = [one.parts(claims, escape) for one in self.templates]
        known = [form for form in forms if form is not None]
        pieces = [form for one in self.parts if (form := one.parts(claims, escape)) is not None]
        if not known and not pieces:
            return True  # a token without the claims of a template says nothing about it
        text = str(value)
        return any(fits(text, form) for form in known) or self._is_sequence(text, pieces)

    def _is_sequence(self, text: str, pieces: Sequence[Sequence[str]]) -> bool:
        """Whether a text is some of the pieces, each followed by the separator or the end."""
        if not pieces:
            return False
        cuts = [at for at in range(len(text)) if text.startswith(self.separator, at)]
        ends = [*cuts, len(text)]
        reached = {0}
        for begin in [0, *(at + len(self.separator) for at in cuts)]:
            if begin not in reached:
                continue
            for end in (one for one in ends if one >= begin):
                if any(fits(text[begin:end], piece) for piece in pieces):
                    reached.add(end + len(self.separator))
        return len(text) + len(self.separator) in reached

    def proposed(
        self, claims: Mapping[str, object], example: str = "", form: str = ""
    ) -> str | None:
        """
        Return a value that fulfils it and follows from the other claims, if one does.

        What a wildcard stands for is taken from the example, if it has the form.  Of several forms
        it has the named one, or the usual one where there is none of the name.
        """
        escape = dict(self.escape)
        named = any(template.form == form for template in self.templates)
        open_parts: list[str] = []
        for template in self.templates:
            if template.form != (form if named else ""):
                continue
            if not template.is_for(claims) or template.misses_claim(claims):
                continue
            parts = template.parts(claims, escape) or []
            wild = template.wild(example)
            if len(wild) == len(parts) - 1:
                return "".join(map("".join, zip(["", *wild], parts, strict=True)))
            open_parts = open_parts or parts
        return "sample".join(open_parts) or None


@dataclass(frozen=True, slots=True)
class Relation:
    """
    Where all of `when` holds of a token, all of `then` does.

    With `usual` only most tokens are so: the relation helps to make a sample token, and no token
    breaks it.
    """

    when: tuple[tuple[Path, Constraint], ...]
    then: tuple[tuple[Path, Constraint], ...]
    description: str
    guaranteed: bool = False
    usual: bool = False
    source: str = ""
    condition_paths: frozenset[Path] = field(init=False, repr=False, compare=False)
    """The claims that `when` is about."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "condition_paths", frozenset(path for path, _ in self.when))

    @property
    def certainty(self) -> int:
        """How it helps to make up a token: 0 leaves one value, 1 is usual, 2 leaves a choice."""
        single = all(
            constraint.templates or constraint.values is None or len(constraint.values.enum) == 1
            for _, constraint in self.then
        )
        return 1 if self.usual else 0 if single else 2

    def applies(self, claims: Mapping[str, object]) -> bool:
        """Whether a token is one that the relation speaks of."""
        # A loop: this is asked of each relation for each claim that is added to a token.
        for path, constraint in self.when:  # noqa: SIM110 - `all` takes twice as long
            if not constraint.holds(claims, path):
                return False
        return True

    def broken(self, claims: Mapping[str, object]) -> Iterator[tuple[Path, Constraint]]:
        """Return what a token breaks: nothing where the relation does not speak of it."""
        if not self.usual and self.applies(claims):
            for path, constraint in self.then:
                if constraint.is_broken(claims, path):
                    yield path, constraint
