"""
The formats of a report, by name.

What lives here: the table of them.  Not here: any of them; each has a module of its own in this
folder.
"""

from collections.abc import Callable, Mapping
from typing import Final

from regauth.engine.source.foreign_text import visible

from .coverage import cobertura, lcov
from .github import github
from .html import html
from .json import json_text
from .junit import junit
from .markdown import markdown
from .report import Report
from .sarif import sarif
from .tap import tap

FORMATS: Final[Mapping[str, Callable[[Report], str]]] = {
    "json": json_text,
    "junit": junit,
    "github": github,
    "sarif": sarif,
    "tap": tap,
    "markdown": markdown,
    "lcov": lcov,
    "cobertura": cobertura,
    "html": html,
}
"""Every format by the name that `--format` takes."""


def render(name: str, report: Report) -> str:
    """
    Write a report in a format; it steers no terminal that shows it, such as a job's log.

    Raises:
        KeyError: There is no such format; the command line has checked.
    """
    return visible(FORMATS[name](report), keep="\n\t")
