"""
A comparison as one HTML page.

What lives here: the page.  Not here: the other formats (`formats`).
"""

from collections.abc import Iterator
from html import escape
from importlib.resources import files
from typing import Final

from regauth.engine.policy.policy import Policy
from regauth.engine.source.foreign_text import visible
from regauth.policytests.execution.examples import token, who
from regauth.policytests.proofs import Longer, Witness

from .comparison import Comparison
from .view import ChangeView, columns, compared, doubt, named, title, unknown_words, witnesses

_SECURITY: Final = "default-src 'none'; style-src 'unsafe-inline'"


def html(view: ChangeView) -> str:
    """Return the comparison as one HTML page, without a script and without the network."""
    style = (files("regauth.policytests.reports") / "report.css").read_text(encoding="utf-8")
    outcome = "failed" if view.code else "passed"
    body = "\n".join(_page(view))
    return f"""<!DOCTYPE html>
<html lang="en" data-outcome="{outcome}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{_SECURITY}">
<title>policytest diff: {outcome}</title>
<style>
{style}</style>
</head>
<body>
<header><h1>policytest diff</h1></header>
<main>
{body}
</main>
</body>
</html>
"""


def _page(view: ChangeView) -> Iterator[str]:
    yield f"<p>{escape(visible(view.base))} → {escape(visible(view.head))}</p>"
    yield "<ul>"
    yield from (f"<li><strong>{escape(line)}</strong></li>" for line in view.verdict())
    yield "</ul>"
    for one in view.comparisons:
        yield f"<section><h2>{escape(visible(title(one)))}</h2>"
        for gained in (True, False):
            yield from _page_direction(one, gained=gained)
        yield "</section>"


def _page_direction(one: Comparison, *, gained: bool) -> Iterator[str]:
    answer = one.gained if gained else one.lost
    yield f"<h3>{'Access gained' if gained else 'Access lost'}</h3>"
    proved = "Proved none. " if answer.proved else ""
    yield f"<p>{proved}<small>{escape(compared(one, answer))}</small></p>"
    allows, refuses = (one.head, one.base) if gained else (one.base, one.head)
    rest = [_longer(each, allows) for each in answer.longer]
    rest += [escape(visible(unknown_words(each))) for each in answer.unknown]
    if rest:
        yield f"<ul>{''.join(f'<li>{line}</li>' for line in rest)}</ul>"
    if not answer.witnesses:
        return
    heads = "".join(f"<th scope='col'>{name}</th>" for name in columns(gained=gained))
    yield f"<div class='scroll'><table><thead><tr>{heads}</tr></thead><tbody>"
    for witness in witnesses(answer):
        details = _details(witness, allows)
        yield f"<tr><td class='{'bad' if gained else 'out'}'>{escape(visible(str(witness.access)))}"
        yield f"</td><td>{escape(visible(who(witness)))}{details if witness.provider else ''}</td>"
        yield f"<td>{escape(visible(named(allows, witness.source)))}</td>"
        yield f"<td>{escape(visible(named(refuses, witness.obstacle)))}</td></tr>"
    yield "</tbody></table></div>"


def _longer(longer: Longer, allows: Policy | None) -> str:
    witness = longer.witness
    details = _details(witness, allows) if witness is not None and witness.provider else ""
    return escape(visible(str(longer))) + details


def _details(witness: Witness, allows: Policy | None) -> str:
    said = doubt(allows, witness)
    lines = [*token(witness), *([f"# {said}"] if said else [])]
    written = escape("\n".join(lines))
    return f"<details><summary>token</summary><pre>{written}</pre></details>"
