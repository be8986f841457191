"""
Links of the site out of the documentation's folder, as a hook of mkdocs.

The pages link files of the repository as a forge shows them.  In the site, which has none of those
files, the same links lead to the repository (`extra.source` in mkdocs.yml).
"""

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Any

_LINK = re.compile(r"\]\((?P<target>\.\./[^)#\s]+)(?P<anchor>#[^)]*)?\)")


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: object) -> str:  # noqa: ANN401 - mkdocs has no types
    """Make links that leave the folder absolute; one that leads nowhere stays, and is reported."""
    docs = Path(config["docs_dir"])
    here = PurePosixPath(page.file.src_uri).parent

    def absolute(found: re.Match[str]) -> str:
        target = normpath(here / found["target"])
        if not target.startswith("../") or not (docs / target).exists():
            return found[0]
        return f"]({config['extra']['source']}{target.removeprefix('../')}{found['anchor'] or ''})"

    return _LINK.sub(absolute, markdown)
