"""
Walks: which modules a run passes, in order, and whether it ever goes back to a room.

A profiler of Python's own sees every call of the project's functions, in every thread.  A room is a
folder of `engine`, `servers`, `policytests` or `controller`; a module beside the rooms stands alone.
"""

import sys
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

PACKAGES = ("regauth.controller", "regauth.engine", "regauth.policytests", "regauth.servers")


@dataclass
class Walk:
    """What a run passed; `imports` has the rooms that each room imports."""

    imports: Mapping[str, Collection[str]]

    rooms: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """What each kind of thread passed: the modules of each room, rooms in the order of their first call."""

    returns: dict[tuple[str, str], None] = field(default_factory=dict)
    """
    Calls into a room that waits for the caller: who called whom, without `regauth` and package.

    A room that the caller does not import cannot be called by its name: it has handed a function or
    an object down, and calling that is a return to it.
    """

    stacks: threading.local = field(default_factory=threading.local)
    over: bool = False

    def begin(self) -> None:
        """Forget what was passed so far: it led to the walk."""
        self.rooms.clear()
        self.returns.clear()

    def end(self) -> None:
        """Take note of nothing more: what comes ends the server."""
        self.over = True

    def profile(self, frame: FrameType, event: str, _: object) -> None:
        """Take note of a call or a return; Python calls this."""
        if event not in ("call", "return"):
            return
        name = frame.f_globals.get("__name__", "")
        if not name.startswith(PACKAGES) or frame.f_code.co_name == "<module>":
            return
        stack: list[tuple[str, list[str]]] = self.stacks.__dict__.setdefault("stack", [])
        if event == "return":
            if stack:
                stack.pop()
            return
        # A frame knows the rooms that wait for it, in order.
        room = placed(name)[0]
        caller, waiting = stack[-1] if stack else (name, [])
        if room in waiting:
            if room not in self.imports.get(placed(caller)[0], ()):
                waiting = waiting[: waiting.index(room)]
            elif room != waiting[-1] and not self.over:
                self.returns[short(caller), short(name)] = None
        stack.append((name, [*waiting, room] if waiting[-1:] != [room] else waiting))
        if not self.over:
            # Threads of one target share what they do: which of them does it is chance.
            kind = threading.current_thread().name.partition("(")[2]
            # The walk may begin while a thread is in the caller, which is then in front.
            for one in (caller, name):
                self._note(kind, *placed(one))

    def _note(self, kind: str, room: str, module: str) -> None:
        modules = self.rooms.setdefault(kind, {}).setdefault(room, [])
        if module not in modules:
            modules.append(module)

    def table(self) -> str:
        """Return the rooms and their modules as a table in Markdown, the main thread's rooms first."""
        rooms: dict[str, list[str]] = {}
        for kind in sorted(self.rooms):
            for room, found in self.rooms[kind].items():
                rooms.setdefault(room, []).extend(set(found).difference(rooms.get(room, ())))
        rows = (
            f"| `{room}/` | {', '.join(sorted(found))} |"
            if found != [room.rpartition("/")[2]]
            else f"| `{room}` | |"
            for room, found in rooms.items()
        )
        return "\n".join(["| room | modules |", "| --- | --- |", *rows, ""])


def short(name: str) -> str:
    """Return a module's name without `regauth` and the package."""
    return name.split(".", 2)[-1]


def placed(name: str) -> tuple[str, str]:
    """Return the room of a module, such as `servers/token`, and its name within the room."""
    _, package, *rest = name.split(".")
    if len(rest) < 2:
        return "/".join((package, *rest)), rest[-1] if rest else package
    return f"{package}/{rest[0]}", "/".join(rest[1:])


@contextmanager
def walked(imports: Mapping[str, Collection[str]]) -> Iterator[Walk]:
    """Take note of what is called until the block ends, in this thread and in those it starts."""
    walk = Walk(imports)
    threading.setprofile(walk.profile)
    sys.setprofile(walk.profile)
    try:
        yield walk
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
