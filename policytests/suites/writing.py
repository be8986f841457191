"""
Values as a suite writes them.

What lives here: one value as YAML.  Not here: which values; and whole suites
(`regauth.policytests.replay.suite`).
"""

import json


def yaml_value(value: object) -> str:
    """Return JSON, which YAML reads too, without characters that YAML does not let through."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(one if one.isprintable() else f"\\U{ord(one):08x}" for one in text)
