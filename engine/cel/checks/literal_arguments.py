"""
Arguments that are literals, and what can be said about them before anything runs.

What lives here: patterns, which must be literals that RE2 takes; time zones, which must be written
out; and conversions of literals, which must succeed.  Not here: types (`checking`).
"""

from collections.abc import Iterator

from regauth.engine.cel.library.networks import read_network
from regauth.engine.cel.library.overloads import Function
from regauth.engine.cel.library.regex import PatternError, compile_pattern
from regauth.engine.cel.library.times import zone_offset
from regauth.engine.cel.syntax.errors import CelError, Finding, FindingCode
from regauth.engine.cel.syntax.nodes import Call, Constant, Node

from . import wording


def check_pattern(pattern: Node) -> Iterator[Finding]:
    """Say what is wrong with the pattern of `matches()`."""
    if not isinstance(pattern, Constant) or not isinstance(pattern.value, str):
        message = "the pattern of matches() must be a literal string"
        yield _unsupported(pattern, message, "it is compiled with the policy")
        return
    try:
        compile_pattern(pattern.value)
    except PatternError as error:
        yield wording.bad_pattern(pattern, error)


def check_literals(node: Call, function: Function, parts: tuple[Node, ...]) -> Iterator[Finding]:
    """Say what is wrong with the time zone of an accessor, or with the text of a conversion."""
    if node.function.startswith("get") and len(parts) > 1:
        yield from _check_zone(parts[1])
    if node.function == "inNetwork":
        yield from _check_network(parts[-1])
    if node.target is not None or not isinstance(parts[0], Constant):
        return
    value = parts[0].value
    implementation = function.select(type(value))
    try:
        if implementation is not None:
            implementation(value)
    except CelError as error:
        code = FindingCode.TYPE.value
        yield Finding(parts[0].start, parts[0].end, code, error.message)


def _check_network(network: Node) -> Iterator[Finding]:
    if not isinstance(network, Constant) or not isinstance(network.value, str):
        message = "the network of inNetwork() must be a literal string"
        yield _unsupported(network, message, "write one inNetwork() for each network, with `||`")
        return
    try:
        read_network(network.value)
    except CelError as error:
        hint = "the bits behind the prefix are 0"
        code = FindingCode.TYPE.value
        yield Finding(network.start, network.end, code, error.message, hint)


def _check_zone(zone: Node) -> Iterator[Finding]:
    message = "the time zone must be written out: UTC or a fixed offset such as '+02:00'"
    hint = "named zones change with the host's database, so a policy cannot use them"
    if not isinstance(zone, Constant) or not isinstance(zone.value, str):
        yield _unsupported(zone, message, hint)
        return
    try:
        zone_offset(zone.value)
    except CelError:
        yield _unsupported(zone, message, hint)


def _unsupported(node: Node, message: str, hint: str) -> Finding:
    return Finding(node.start, node.end, FindingCode.UNSUPPORTED.value, message, hint)
