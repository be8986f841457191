"""A condition that grows stays in the style of its author, and so do the ends of lines."""

import pytest

from regauth.engine.source.nodes import MappingNode, ScalarNode
from regauth.policytests.usage.tightening.conditions import Splice
from regauth.policytests.usage.tightening.edits import TextEdit, apply, document

ADDED = ' && b == "it\'s"'
STYLES = {
    "escapes": (r'"a == \"x\""', r'''"a == \"x\" && b == \"it's\""'''),
    "other escapes": (r'"\u0061 == \"\x78\""', r'''"\u0061 == \"\x78\" && b == \"it's\""'''),
    "single quotes": ("""'a == "x''y"'""", """'a == "x''y" && b == "it''s"'"""),
    "plain": ('a == "x"', """a == "x" && b == "it's\""""),
    "literal": ('|\n    a == "x"', """|\n    a == "x" && b == "it's\""""),
    "folded": (">-\n    a &&\n    true", """>-\n    a &&\n    true && b == "it's\""""),
}


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize(("when", "grown"), STYLES.values(), ids=STYLES)
def test_a_condition_grows_in_its_own_style(when: str, grown: str, end: str) -> None:
    text = f"# why\ngrant:\n  when: {when}\n  # end\n  name: x\n"
    grant = document(text.replace("\n", end), "f").get("grant")
    assert isinstance(grant, MappingNode)
    entry = grant.entries["when"]
    assert isinstance(entry.value, ScalarNode)
    upto = len(entry.value.text.rstrip("\n"))
    edit = TextEdit(entry.value, [Splice(upto, upto, ADDED)], entry.key, "of alice")
    expected = f"# why\ngrant:\n  # Seen: of alice\n  when: {grown}\n  # end\n  name: x\n"

    assert apply(text.replace("\n", end), "f", [edit]) == expected.replace("\n", end)
