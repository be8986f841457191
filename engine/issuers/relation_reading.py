"""
Reading the relations of a claim schema from its JSON.

What lives here: conditions, constraints and templates, and references to claims that are not there.
Not here: claims and the rest of a schema (`reading`), and what a relation means (`relations`).
"""

import re
from collections.abc import Mapping
from typing import Any, Final, Protocol

import re2

from regauth.engine.source.nearest import did_you_mean

from .claims import Claim
from .nearest import nearest
from .relations import AnyText, ClaimReference, Constraint, Path, Piece, Relation, Template
from .samples import Place
from .values import Values

_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")


class FaultReporter(Protocol):
    """Reports what is wrong with a schema at a place in its JSON."""

    def __call__(self, place: Place, message: str, hint: str = "") -> None:
        """Report it."""


class ReadValues(Protocol):
    """Reads an enumeration, a form or a pattern."""

    def __call__(self, about: Mapping[str, Any], place: Place, *, guaranteed: bool) -> Values:
        """Return the values, after reporting what is wrong with them at their place."""
        ...


class RelationReader:
    """Reads relations between the claims of one schema."""

    def __init__(
        self,
        known: Mapping[Path, Claim],
        names: Mapping[str, Path],
        fault: FaultReporter,
        values: ReadValues,
        *,
        fits: bool,
    ) -> None:
        """
        Take what is known of the claims.

        Args:
            known: The claims of the schema.
            names: Their paths by the names that relations call them.
            fault: Reports a fault.
            values: Reads values.
            fits: Whether each claim is known to have the values that relations give it.
        """
        self._known = known
        self._names = names
        self._fault = fault
        self._values = values
        self._fits = fits

    def read(self, about: Mapping[str, Any], place: Place) -> Relation:
        """Return a relation, after reporting what is wrong with it at its place."""
        return Relation(
            when=self._conditions(about.get("when", {}), (*place, "when")),
            then=self._conditions(about["then"], (*place, "then")),
            description=about["description"],
            guaranteed=bool(about.get("guaranteed")),
            usual=bool(about.get("usual")),
            source=about.get("source", ""),
        )

    def _conditions(
        self, about: Mapping[str, Any], place: Place
    ) -> tuple[tuple[Path, Constraint], ...]:
        found: list[tuple[Path, Constraint]] = []
        for name, constraint in about.items():
            path = self._names.get(name)
            if path is None:
                self._fault(
                    (*place, name),
                    f"there is no claim `{name}`",
                    did_you_mean(name, self._names, ""),
                )
            else:
                if not self._fits:
                    self._check_possible(name, constraint, (*place, name))
                found.append((path, self._constraint(constraint, (*place, name))))
        return tuple(found)

    def _check_possible(self, name: str, about: Mapping[str, Any], place: Place) -> None:
        """Report a value that the claim itself can never have."""
        claim = self._known[self._names[name]]
        values = claim.items if claim.type == "list" else claim.values
        for at, one in enumerate(about.get("enum", ())):
            if not values.can_equal(one):
                near = nearest(values, one)
                hint = f"did you mean {near!r}?" if near is not None else ""
                self._fault((*place, "enum", at), f"`{name}` is never {one!r}", hint)
        pattern = about.get("pattern")
        if pattern is not None:
            asked = self._values(about, place, guaranteed=False)
            if asked.pattern and not values.can_be_in(asked.language):
                self._fault(
                    (*place, "pattern"),
                    f"no value of `{name}` matches the pattern",
                    f"it is {values.described()}",
                )
        if "not" in about:
            self._check_possible(name, about["not"], (*place, "not"))

    def _constraint(self, about: Mapping[str, Any], place: Place) -> Constraint:
        limited = "enum" in about or "pattern" in about
        sequence = about.get("sequence", {})
        return Constraint(
            present=about.get("present"),
            null=about.get("null"),
            values=self._values(about, place, guaranteed=False) if limited else None,
            templates=tuple(
                self._template(one, (*place, "template", at))
                for at, one in enumerate(about.get("template", ()))
            ),
            parts=tuple(
                self._template(one, (*place, "sequence", "parts", at))
                for at, one in enumerate(sequence.get("parts", ()))
            ),
            separator=sequence.get("separator", ""),
            escape=tuple(about.get("escape", {}).items()),
            negated=self._constraint(about["not"], (*place, "not")) if "not" in about else None,
        )

    def _template(self, about: str | Mapping[str, Any], place: Place) -> Template:
        text = about if isinstance(about, str) else str(about["text"])
        when = {} if isinstance(about, str) else about.get("when", {})
        pieces: list[Piece] = []
        at = 0
        for found in _PLACEHOLDER.finditer(text):
            if text[at : found.start()]:
                pieces.append(text[at : found.start()])
            piece = AnyText() if found[1] == "*" else self._reference(found[1], place)
            pieces.extend([] if piece is None else [piece])
            at = found.end()
        if text[at:]:
            pieces.append(text[at:])
        form = "" if isinstance(about, str) else about.get("form", "")
        return Template(text, tuple(pieces), self._conditions(when, (*place, "when")), form)

    def _reference(self, name: str, place: Place) -> ClaimReference | None:
        if name in self._names:
            path = self._names[name]
            return ClaimReference(path, self._known[path].always)
        whole, _, group = name.rpartition(".")
        at = self._names.get(whole)
        pattern = self._known[at].values.pattern if at is not None else ""
        if at is None:
            self._fault(place, f"there is no claim `{name}`", did_you_mean(name, self._names, ""))
        elif not pattern or group not in re2.compile(pattern, quiet()).groupindex:
            self._fault(
                place,
                f"the pattern of `{whole}` has no group `{group}`",
                f"write it as (?P<{group}>...)",
            )
        else:
            return ClaimReference(at, self._known[at].always, group, pattern)
        return None


def quiet() -> "re2.Options":
    """Return options with which RE2 does not write to the process's standard error."""
    options = re2.Options()
    options.log_errors = False
    return options
