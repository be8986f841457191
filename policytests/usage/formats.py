"""
The formats of a usage report: text, JSON, Markdown and HTML.

What lives here: how what was counted is said.  Not here: counting (`counting`).
"""

import html as escaping
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

from regauth.engine.policy.policy import Statement
from regauth.engine.source.foreign_text import visible
from regauth.policytests.replay.view import MATTER, stamp
from regauth.policytests.usage.tightening.conditions import outermost
from regauth.policytests.usage.tightening.plans import TighteningPlan
from regauth.policytests.wording import counted

from .uses import NOTHING, GrantUse, UnusedParts, Usage

SOON: Final = timedelta(days=30)
"""A grant that ends within this time after the log does is about to refuse its users."""

Row = tuple[str, str]


def _moment(moment: datetime | None) -> str:
    return "never" if moment is None else stamp(moment)


def span(usage: Usage) -> str:
    """Say which requests a report is about."""
    if usage.first is None or usage.last is None:
        return "no request of the log could be decided"
    days = (usage.last - usage.first).days
    return (
        f"{counted(usage.requests, 'request')} from {stamp(usage.first)} to {stamp(usage.last)} "
        f"({days} day{'' if days == 1 else 's'})"
    )


def _pattern(grant: Statement, number: int) -> str:
    return "the catalog" if number < 0 else grant.patterns[number].text


def _grants(usage: Usage) -> Iterator[Row]:
    for grant in usage.policy.grants:
        use = usage.grants.get(grant.name)
        if use is None:
            yield grant.name, "never used"
            continue
        actions = ", ".join(f"{name} {number:,}" for name, number in use.actions.most_common())
        providers = ", ".join(name or "anonymous" for name in sorted(use.providers))
        yield grant.name, f"{actions}; by {providers}; last {_moment(use.last)}"


def _unused(usage: Usage) -> Iterator[Row]:
    for grant in usage.unused_grants():
        yield "grant", f"{grant.name} ({grant.location})"
    for grant, parts in usage.unused_parts():
        for kind, name in _parts(grant, parts):
            yield kind, f"{name} of {grant.name} ({grant.location})"
    for name in usage.unused_providers():
        yield "provider", name
    for name in usage.unused_definitions():
        yield "definition", name


def _parts(grant: Statement, parts: UnusedParts) -> Iterator[Row]:
    yield from (("action", one) for one in parts.actions)
    yield from (("pattern", _pattern(grant, number)) for number in parts.patterns)
    yield from (("tags", grant.tags[number].text) for number in parts.tags)
    yield from (("provider of a grant", one) for one in parts.providers)
    if grant.when is not None:
        for start, end in outermost(parts.alternatives):
            yield "alternative", " ".join(grant.when.text[start:end].split())


def changes(plan: TighteningPlan, usage: Usage) -> Iterator[str]:
    """Say what a plan does to each grant, and how often the grant was used."""
    named = {one.name: one for one in usage.policy.grants}
    yield from (f"{name}: nobody used it" for name in plan.removed)
    for name, grant in named.items():
        told = [
            f"without the {kind} {text}"
            for kind, text in _parts(grant, plan.parts.get(name, NOTHING))
        ]
        told += [
            f"{', '.join(names)} for {_pattern(grant, number)}"
            for number, names in plan.names.get(name, {}).items()
        ]
        told += [f"only for {', '.join(plan.providers[name])}"] if name in plan.providers else []
        told += [f"only where {one.condition}" for one in plan.claims.get(name, ())]
        if told:
            use = usage.grants[name]
            yield f"{name}: {'; '.join(told)} (used {use.count:,} times, last {_moment(use.last)})"


def ending(usage: Usage) -> list[tuple[Statement, GrantUse]]:
    """Return the used grants that end soon after the log does."""
    last = usage.last
    return [
        (grant, usage.grants[grant.name])
        for grant in usage.policy.grants
        if grant.name in usage.grants
        and grant.expires is not None
        and last is not None
        and grant.expires <= last + SOON
    ]


def _near(usage: Usage) -> Iterator[Row]:
    for grant, use in ending(usage):
        assert grant.expires is not None  # noqa: S101 - `ending` says so
        yield f"users of {grant.name}", f"{use.count:,} times; it ends {stamp(grant.expires)}"
    for (who, reason), number in sorted(usage.near.items(), key=lambda one: (-one[1], one[0])):
        yield visible(who), f"{number:,} times; {reason}"


def _left_out(usage: Usage) -> Iterator[Row]:
    for reason, number in usage.refused.most_common():
        yield "login refused", f"{number:,} times: {reason}"
    for why, number in usage.undecided.most_common():
        yield "not counted", f"{counted(number, 'line')}: {MATTER[why]}"


FINDINGS: Final[tuple[tuple[str, Callable[[Usage], Iterator[Row]]], ...]] = (
    ("Never used", _unused),
    ("Near a refusal", _near),
)
"""What the owner of a policy can act on."""

SECTIONS: Final = (("Grants", _grants), *FINDINGS, ("Without access", _left_out))
"""What a report has, in its order."""


def text(usage: Usage) -> str:
    """Return the report for a terminal."""
    lines = [span(usage)]
    for title, rows in SECTIONS:
        found = list(rows(usage))
        width = max((len(first) for first, _ in found), default=0)
        lines += ["", f"{title}:", *(f"  {first:<{width}}  {rest}" for first, rest in found)]
        lines += [] if found else ["  none"]
    return "\n".join(lines) + "\n"


def as_json(usage: Usage) -> str:
    """Return the report as JSON."""
    grants = {
        name: {
            "uses": use.count,
            "last": _moment(use.last),
            "actions": dict(use.actions),
            "providers": dict(use.providers),
            "patterns": {
                _pattern(grant, number): count for number, count in sorted(use.patterns.items())
            },
        }
        for grant in usage.policy.grants
        if (use := usage.grants.get(name := grant.name)) is not None
    }
    unused: dict[str, list[str]] = {}
    for kind, name in _unused(usage):
        unused.setdefault(kind, []).append(name)
    report = {
        "policy": usage.policy.hash,
        "requests": usage.requests,
        "first": None if usage.first is None else stamp(usage.first),
        "last": None if usage.last is None else stamp(usage.last),
        "logins": dict(usage.logins),
        "grants": grants,
        "unused": unused,
        "nearRefusal": [{"who": who, "why": why} for who, why in _near(usage)],
        "refused": dict(usage.refused),
        "undecided": {str(why): number for why, number in usage.undecided.items()},
    }
    return json.dumps(report, indent=2) + "\n"


def markdown(usage: Usage) -> str:
    """Return the report as Markdown."""
    lines = ["### policytest usage", "", span(usage)]
    for title, rows in SECTIONS:
        lines += ["", f"#### {title}", ""]
        found = [f"| {_cell(first)} | {_cell(rest)} |" for first, rest in rows(usage)]
        lines += ["| | |", "| --- | --- |", *found] if found else ["none"]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Write a text of a log into a table: claims can hold any character of Markdown and HTML."""
    escaped = "".join(f"\\{one}" if one in "\\`*_{}[]()#+!|~<>&" else one for one in text)
    return escaped.replace("\n", " ")


_STYLE: Final = (
    "<style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui;margin:2rem auto;"
    "max-width:72rem;padding:0 1rem}table{border-collapse:collapse}td{border-top:1px solid #8885;"
    "padding:.25rem .75rem .25rem 0;vertical-align:top}</style></head><body>"
)


def html(usage: Usage) -> str:
    """Return the report as one HTML page, without a script and without the network."""
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8"><title>policytest usage</title>',
        _STYLE,
        f"<h1>policytest usage</h1><p>{escaping.escape(span(usage))}</p>",
    ]
    for title, rows in SECTIONS:
        cells = "".join(
            f"<tr><td>{escaping.escape(first)}</td><td>{escaping.escape(rest)}</td></tr>"
            for first, rest in rows(usage)
        )
        parts.append(f"<h2>{title}</h2>" + (f"<table>{cells}</table>" if cells else "<p>none</p>"))
    return "\n".join((*parts, "</body></html>")) + "\n"


FORMATS: Final[Mapping[str, Callable[[Usage], str]]] = {
    "text": text,
    "json": as_json,
    "markdown": markdown,
    "html": html,
}
"""Every format by its name."""
