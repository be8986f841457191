"""
Errors that keep a program from starting, or a command from doing its work.

What lives here: the one base of them, which says whose fault it is, so that a command catches them
in one place.  Not here: how they are shown (`regauth.servers.commands.terminal`), and errors that a
request meets (`regauth.servers.protocol.errors`).
"""

from collections.abc import Mapping
from enum import StrEnum

from .problems import Problem


class Fault(StrEnum):
    """Who can mend what is wrong."""

    SETTINGS = "settings"
    """Whoever wrote the configuration, or the files that it names."""
    POLICY = "policy"
    """The policy's author."""
    MACHINE = "machine"
    """Whoever looks after the machine: an address is taken, a disk is full."""


class StartupError(Exception):
    """
    A program cannot start as it is set up.

    `problems` say where and why, with `sources` as the texts, where it is about files that people
    write; else the message says it.
    """

    fault = Fault.SETTINGS
    problems: tuple[Problem, ...] = ()
    sources: Mapping[str, str] = {}
