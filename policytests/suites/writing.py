"""
Values as a suite writes them.

What lives here: one value as YAML.  Not here: which values; and whole suites
(`regauth.policytests.replay.suite`).
"""

import json

from regauth.engine.source.foreign_text import INVISIBLE


def yaml_value(value: object) -> str:
    """Return JSON, which YAML reads too, with an escape for each character that it refuses."""
    text = INVISIBLE.sub(lambda found: _escaped(found[0]), json.dumps(value, ensure_ascii=False))
    return "".join(one if one.isprintable() else _escaped(one) for one in text)


def _escaped(character: str) -> str:
    return f"\\U{ord(character):08x}"
