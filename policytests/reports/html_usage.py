"""
The section of the HTML report about decision logs.

What lives here: its structure.  Not here: the page (`html`), and what was counted
(`usage.reporting`).
"""

from collections.abc import Iterator
from html import escape

from .report import Report


def usage_section(report: Report) -> Iterator[str]:
    """Yield what decision logs never used of each policy, and who is near a refusal."""
    if not report.uses:
        return
    yield "<section id='usage' aria-labelledby='usage-title'><h2 id='usage-title'>Usage</h2>"
    for use in report.uses:
        yield f"<h3>{escape(use.folder)}</h3><p>{escape(use.span)}</p>"
        for title, rows in use.sections:
            yield from _rows(f"{title}: {use.folder}", rows)
    yield "</section>"


def _rows(caption: str, rows: tuple[tuple[str, str], ...]) -> Iterator[str]:
    if not rows:
        yield f"<p>{escape(caption)}: none</p>"
        return
    yield f"<div class='scroll' tabindex='0' role='region' aria-label='{escape(caption)}'>"
    yield f"<table><caption>{escape(caption)}</caption><tbody>"
    for first, rest in rows:
        yield f"<tr><th scope='row'>{escape(first)}</th><td>{escape(rest)}</td></tr>"
    yield "</tbody></table></div>"
