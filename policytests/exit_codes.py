"""
Exit codes: those of `policytest`, beside pytest's own 0 to 5.

What lives here: the numbers that scripts rely on.  Not here: when each is due, which is decided in
`collection.recorder` for a run of suites, in `changes.view` for `policytest diff`, in
`replay.report` for `policytest replay`, and in its module of `commands` for any other command.
"""

from typing import Final

LOST_ACCESS: Final = 1
"""With `--fail-on-narrowing`: a token loses access that it had before."""

INTERRUPTED: Final = 2
"""The user stopped the run (pytest's)."""

NOTHING_RUN: Final = 5
"""There was nothing to judge, so nothing passed (pytest's)."""

USAGE: Final = 4
"""The command line asks for something impossible; the caller's fault (pytest's)."""

POLICY_BROKEN: Final = 10
"""A policy does not compile."""

GATE_MISSED: Final = 11
"""Coverage or mutation score is under what was asked for."""

NEW_ACCESS: Final = 12
"""A token gets access that it did not get before, and the change was not accepted."""

NOT_EXCLUDED: Final = 13
"""No token is known to get more than before, but for some the answer is unknown."""
