"""
Repository patterns that match more than one that is written.

What lives here: every small widening of a pattern.  What must not: where the pattern stands in a
policy (`mutants`).
"""

from collections.abc import Iterator

from ..engine.cel import Program
from ..engine.patterns import Part, Pattern, Wildcard


def wider_patterns(pattern: Pattern) -> Iterator[tuple[str, Pattern]]:
    """Yield patterns that match more than this one."""
    parts = pattern.parts
    for number, part in enumerate(parts):
        before, after = parts[:number], parts[number + 1 :]
        if part is Wildcard.STAR and (not before or _ends(before[-1])) and not after:
            yield "widen-star", _pattern((*before, Wildcard.REST))
        elif isinstance(part, Program):
            yield "widen-expression", _pattern((*before, Wildcard.STAR, *after))
    if pattern.text == "**":
        return
    last = parts[-1]
    if isinstance(last, str):
        head, slash, tail = last.rpartition("/")
        if tail:
            yield "widen-last-segment", _pattern((*parts[:-1], *_text(head + slash), Wildcard.STAR))
            yield "widen-suffix", _pattern((*parts, Wildcard.STAR))
    elif isinstance(last, Program):
        yield "widen-suffix", _pattern((*parts, Wildcard.STAR))
    first = parts[0]
    if isinstance(first, str) and last is Wildcard.REST and len(parts) > 1:
        yield "widen-to-all", _pattern((Wildcard.REST,))


def _ends(part: Part) -> bool:
    return isinstance(part, str) and part.endswith("/")


def _text(text: str) -> tuple[Part, ...]:
    return (text,) if text else ()


def _pattern(parts: tuple[Part, ...]) -> Pattern:
    def shown(part: Part) -> str:
        if isinstance(part, Wildcard):
            return part.value
        return f"${{{part.text}}}" if isinstance(part, Program) else part

    return Pattern("".join(map(shown, parts)), parts)
