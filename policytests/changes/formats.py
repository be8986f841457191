"""
The formats of a comparison: text, JSON, Markdown, GitHub annotations.

What lives here: their text, and the list of all formats.  Not here: the HTML page (`page`), and
anything that is not in the view (`view`).
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import click

from regauth.engine.policy.policy import Policy
from regauth.engine.source.foreign_text import visible
from regauth.engine.source.problems import Location, Problem, Severity
from regauth.policytests.execution.examples import read_claims, token, who
from regauth.policytests.proofs import Answer, Longer, Unknown, Witness
from regauth.policytests.reports.github import problem_annotations
from regauth.policytests.reports.markdown import cell
from regauth.policytests.suites.writing import yaml_value

from .comparison import Comparison
from .page import html
from .view import (
    ChangeView,
    columns,
    compared,
    doubt,
    named,
    place_of,
    title,
    unknown_words,
    witnesses,
)

MARKER: Final = "<!-- policytest diff -->"
"""The action finds its earlier comment by this mark."""

SCHEMA_VERSION: Final = 1
"""The version of the JSON report's shape."""


# --- text ----------------------------------------------------------------------------------------


def text(view: ChangeView) -> str:
    """Return the comparison as text for a terminal."""

    def paint(words: str, colour: str) -> str:
        return click.style(words, fg=colour, bold=True) if view.color else words

    out = [f"{visible(view.base)} -> {visible(view.head)}"]
    for one in view.comparisons:
        out += ["", paint(visible(title(one)), "cyan"), *_direction(view, one, paint, gained=True)]
        out += _direction(view, one, paint, gained=False)
    out += ["", *(paint(line, "red" if view.code else "green") for line in view.verdict())]
    return "".join(f"{line}\n" for line in out)


def _direction(
    view: ChangeView, one: Comparison, paint: Callable[[str, str], str], *, gained: bool
) -> Iterator[str]:
    answer = one.gained if gained else one.lost
    head = "GAINED" if gained else "LOST"
    if answer.proved:
        yield f"  {head}  proved none: {compared(one, answer)}"
        if view.explained is not None:
            yield from (f"    {visible(line)}" for line in view.explained.get(id(answer), ()))
        return
    yield f"  {paint(head, 'red' if gained else 'yellow')}  {compared(one, answer)}"
    for witness in witnesses(answer)[: view.limit or None]:
        yield from _witness(view, one, witness, gained=gained)
    for longer in answer.longer[: view.limit or None]:
        yield from _longer(view, one, longer, gained=gained)
    if left := view.left_out(answer):
        yield f"    and {left} more; --limit 0 shows all"
    for unknown in answer.unknown:
        yield f"    {paint('?', 'yellow')} {visible(unknown_words(unknown))}"


def _longer(view: ChangeView, one: Comparison, longer: Longer, *, gained: bool) -> Iterator[str]:
    yield f"    {visible(str(longer))}{'' if gained else ' (shorter after the change)'}"
    if longer.witness is not None:
        yield from _asked(longer.witness)
        yield from _claims(one, longer.witness)
        yield from _doubt(one.head if gained else one.base, longer.witness)
        yield from _steps(view, longer.witness)


def _witness(view: ChangeView, one: Comparison, witness: Witness, *, gained: bool) -> Iterator[str]:
    allows, refuses = (one.head, one.base) if gained else (one.base, one.head)
    yield f"    {visible(str(witness.access))}  by {visible(who(witness))}"
    yield from _asked(witness)
    now, then = ("now", "before") if gained else ("before", "now")
    yield f"      {now:<8} allowed by {visible(named(allows, witness.source))}"
    yield f"      {then:<8} {visible(named(refuses, witness.obstacle))}"
    yield from _claims(one, witness)
    yield from _doubt(allows, witness)
    yield from _steps(view, witness)


def _asked(witness: Witness) -> Iterator[str]:
    yield f"      service  {visible(witness.service)}, at {witness.now:%Y-%m-%dT%H:%M:%SZ}"


def _claims(one: Comparison, witness: Witness) -> Iterator[str]:
    read = read_claims(one.head, one.base)
    shown = [
        f"{name}: {yaml_value(witness.claims[name])}"
        for name in sorted(read)
        if name in witness.claims
    ]
    for number, line in enumerate(shown):
        yield f"      {'token' if number == 0 else '':<8} {line}"


def _doubt(allows: Policy | None, witness: Witness) -> Iterator[str]:
    if said := doubt(allows, witness):
        yield f"      {'':<8} ({said})"


def _steps(view: ChangeView, witness: Witness) -> Iterator[str]:
    if view.explained is not None:
        yield "      as a suite writes it"
        yield from (f"        {line}" for line in token(witness))
        yield from (f"      {visible(line)}".rstrip() for line in view.explained[id(witness)])


# --- JSON ----------------------------------------------------------------------------------------


def json_text(view: ChangeView) -> str:
    """Return the comparison as JSON."""
    document = {
        "version": SCHEMA_VERSION,
        "base": view.base,
        "head": view.head,
        "exitCode": view.code,
        "accepted": {"widening": view.accepted.widening, "undecided": view.accepted.undecided},
        "policies": [
            {
                "base": None if one.base is None else one.base_folder,
                "head": None if one.head is None else one.head_folder,
                "assumptions": [each.name for each in one.assumptions],
                "gained": _json(one, one.gained, gained=True),
                "lost": _json(one, one.lost, gained=False),
            }
            for one in view.comparisons
        ],
    }
    return json.dumps(document, indent=2) + "\n"


def _json(one: Comparison, answer: Answer, *, gained: bool) -> dict[str, object]:
    allows, refuses = (one.head, one.base) if gained else (one.base, one.head)
    return {
        "status": answer.status.value,
        "about": answer.about.value,
        "compared": answer.compared,
        "identical": answer.identical,
        "steps": answer.steps,
        "witnesses": [
            {
                **_request(allows, witness),
                "refusedBy": witness.obstacle,
                "refusedAt": str(place_of(refuses, witness.obstacle)) or None,
            }
            for witness in witnesses(answer)
        ],
        "longer": [
            {
                "provider": each.provider,
                "what": each.what,
                "from": each.before,
                "to": each.after,
                **_request(allows, each.witness),
            }
            for each in answer.longer
        ],
        "unknown": [_undecided(each) for each in answer.unknown],
    }


def _undecided(unknown: Unknown) -> dict[str, object]:
    return {
        "provider": unknown.provider or None,
        "statement": unknown.statement or None,
        "action": unknown.action or None,
        "construct": unknown.construct,
    }


def _request(allows: Policy | None, witness: Witness | None) -> dict[str, object]:
    """Return what is asked for and who asks; nothing where a lifetime is a provider's setting."""
    if witness is None:
        return {}
    return {
        "access": str(witness.access),
        "provider": witness.provider or None,
        "service": witness.service,
        "at": witness.now.isoformat(),
        "login": witness.at.isoformat(),
        "client": witness.client or None,
        "claims": dict(witness.claims),
        "possible": not doubt(allows, witness),
        "allowedBy": witness.source,
        "allowedAt": str(place_of(allows, witness.source)) or None,
    }


# --- Markdown ------------------------------------------------------------------------------------


def markdown(view: ChangeView) -> str:
    """Return the comparison as Markdown, for a job summary or a comment on a pull request."""
    return "\n".join(_markdown(view)) + "\n"


def _markdown(view: ChangeView) -> Iterator[str]:
    yield MARKER
    yield f"### policytest diff: {'passed' if view.code == 0 else 'failed'}"
    yield ""
    yield f"{cell(visible(view.base))} → {cell(visible(view.head))}"
    yield from (cell(line) for line in view.verdict())
    for one in view.comparisons:
        yield from ("", f"**{cell(visible(title(one)))}**")
        for gained in (True, False):
            yield from _markdown_direction(view, one, gained=gained)


def _markdown_direction(view: ChangeView, one: Comparison, *, gained: bool) -> Iterator[str]:
    answer = one.gained if gained else one.lost
    head = "access gained" if gained else "access lost"
    if answer.proved:
        yield from ("", f"{head}: **proved none** ({compared(one, answer)})")
        return
    yield from ("", f"{head} ({compared(one, answer)}):")
    allows, refuses = (one.head, one.base) if gained else (one.base, one.head)
    shown = witnesses(answer)[: view.limit or None]
    if shown:
        yield from ("", f"| {' | '.join(columns(gained=gained))} |", "|---|---|---|---|")
    for witness in shown:
        cells = (
            str(witness.access),
            who(witness),
            named(allows, witness.source),
            named(refuses, witness.obstacle),
        )
        yield f"| {' | '.join(cell(visible(each)) for each in cells)} |"
    longer = answer.longer[: view.limit or None]
    if left := view.left_out(answer):
        yield from ("", f"and {left} more")
    rest = [*map(str, longer), *map(unknown_words, answer.unknown)]
    if rest:
        yield ""
    yield from (f"* {cell(visible(line))}" for line in rest)
    asked = [each.witness for each in longer if each.witness is not None]
    for witness in (*shown, *asked):
        if witness.provider:
            yield from _markdown_token(witness, doubt(allows, witness))


def _markdown_token(witness: Witness, said: str) -> Iterator[str]:
    summary = f"the token of {cell(visible(str(witness.access)))}"
    yield from ("", f"<details><summary>{summary}</summary>", "", "```yaml")
    yield from (line.replace("```", "` ` `") for line in token(witness))
    yield "```"
    if said:
        yield from ("", said)
    yield from ("", "</details>")


# --- GitHub --------------------------------------------------------------------------------------


def github(view: ChangeView) -> str:
    """Return the comparison as workflow commands, at the statements of the policy that changed."""
    return "".join(f"{line}\n" for line in problem_annotations(_problems(view)))


def _problems(view: ChangeView) -> Iterator[Problem]:
    widening = Severity.WARNING if view.accepted.widening else Severity.ERROR
    undecided = Severity.WARNING if view.accepted.undecided else Severity.ERROR
    for one in view.comparisons:
        folder = Location(one.head_folder)
        for witness in witnesses(one.gained):
            place = place_of(one.head, witness.source)
            words = (
                f"{witness.access} by {who(witness)} is allowed by {witness.source}; "
                f"before: {named(one.base, witness.obstacle)}"
            )
            where = place if place.file else folder
            yield Problem(where, "access-gained", visible(words), severity=widening)
        for longer in one.gained.longer:
            source = longer.witness.source if longer.witness is not None else ""
            place = place_of(one.head, source)
            where = place if place.file else folder
            yield Problem(where, "access-gained", visible(str(longer)), severity=widening)
        for unknown in one.gained.unknown:
            place = place_of(one.head, unknown.statement)
            where = place if place.file else folder
            words = visible(unknown_words(unknown))
            yield Problem(where, "access-not-excluded", words, severity=undecided)
        for witness in witnesses(one.lost):
            place = place_of(one.head, witness.obstacle)
            words = (
                f"{witness.access} by {who(witness)} was allowed by {witness.source}; "
                f"now: {named(one.head, witness.obstacle)}"
            )
            where = place if place.file else folder
            yield Problem(where, "access-lost", visible(words), severity=Severity.WARNING)


FORMATS: Final[Mapping[str, Callable[[ChangeView], str]]] = {
    "text": text,
    "json": json_text,
    "markdown": markdown,
    "github": github,
    "html": html,
}
"""Every format by the name that `--format` takes."""
