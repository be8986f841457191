"""
Patterns of repositories and tags that match more than one that is written.

What lives here: every small widening of a pattern.  What must not: where the pattern stands in a
policy (`mutants`).
"""

from collections.abc import Iterator

from regauth.engine.cel import Program
from regauth.engine.policy.patterns.names import Part, Pattern, Wildcard
from regauth.engine.policy.patterns.tags import STAR, TagPattern


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


def wider_tags(tag: TagPattern) -> Iterator[tuple[str, TagPattern]]:
    """Yield tag patterns that match more than this one."""
    parts = tag.parts
    for number, part in enumerate(parts):
        if isinstance(part, Program):
            yield "widen-expression", _tag((*parts[:number], STAR, *parts[number + 1 :]))
    if parts[-1] != STAR:
        yield "widen-suffix", _tag((*parts, STAR))
    if len(parts) > 1:
        yield "widen-to-all", _tag((STAR,))


def _tag(parts: tuple[str | Program, ...]) -> TagPattern:
    shown = (f"${{{part.text}}}" if isinstance(part, Program) else part for part in parts)
    return TagPattern("".join(shown), parts)


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
