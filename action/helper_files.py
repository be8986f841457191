"""
Write what the credential helper needs: docker's config.json and the helper's own file.

What lives here: adding a registry to both files and taking it out again.  Not here: tokens;
none is written.

    helper_files.py add    CONFIG.JSON HELPER.JSON REGISTRY USERNAME AUDIENCE
    helper_files.py remove CONFIG.JSON HELPER.JSON REGISTRY
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

HELPER = "regauth"


def add(config: Path, helper: Path, registry: str, username: str, audience: str) -> None:
    """Have clients ask the helper for a registry, and the helper GitHub."""
    document = read(config)
    document.setdefault("credHelpers", {})[registry] = HELPER
    # A login from before would be found by clients that look here first.
    document.get("auths", {}).pop(registry, None)
    write(config, document)
    sources = read(helper)
    source = {"githubActions": {"audience": audience}}
    sources.setdefault("registries", {})[registry] = {"username": username, "source": source}
    write(helper, sources)


def remove(config: Path, helper: Path, registry: str) -> None:
    """Undo `add`; other registries stay."""
    document = read(config)
    if document.get("credHelpers", {}).get(registry) == HELPER:
        del document["credHelpers"][registry]
        write(config, document)
    sources = read(helper)
    sources.get("registries", {}).pop(registry, None)
    if sources.get("registries"):
        write(helper, sources)
    else:
        helper.unlink(missing_ok=True)


def read(path: Path) -> dict[str, Any]:
    """Return a file's JSON object; an empty one when there is no file."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        sys.exit(f"{path} is not a JSON object")
    return document


def write(path: Path, document: dict[str, Any]) -> None:
    """Replace a file at once, readable by its owner alone."""
    new = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(json.dumps(document, indent=2) + "\n")
    new.replace(path)


if __name__ == "__main__":
    action, config, helper, *rest = sys.argv[1:]
    if action == "add":
        add(Path(config), Path(helper), *rest)
    else:
        remove(Path(config), Path(helper), *rest)
