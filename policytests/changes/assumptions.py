"""
The assumptions of the suites of a compared policy.

What lives here: which suites are about a policy, and which of their assumptions the proofs may use.
Not here: what an assumption means (`regauth.policytests.suites.invariants`).

A change must not excuse itself: an assumption counts only if both sides state it, word for word.
What the change adds proves nothing, and what it removes or alters is no longer known.
"""

import posixpath
from collections.abc import Hashable, Iterator
from typing import Final

from regauth.engine.policy.policy import Policy
from regauth.engine.source import nodes, schema
from regauth.engine.source.nodes import MappingNode, ScalarNode
from regauth.engine.source.problems import Problems
from regauth.policytests.execution.invariants import are_possible
from regauth.policytests.execution.policies import FOLDER
from regauth.policytests.proofs.evaluation.closed_text import key_of
from regauth.policytests.suites.invariants import (
    ASSUME,
    SuiteAssumption,
    compile_invariants,
    read_invariants,
)

from .sides import ChangeSide

MAX_SUITE_BYTES: Final = 4 * 1024 * 1024
"""The size over which a suite is not read."""


def shared_assumptions(
    sides: tuple[ChangeSide, ChangeSide], folders: tuple[str, str], policies: tuple[Policy, Policy]
) -> tuple[SuiteAssumption, ...]:
    """Return the assumptions about a policy that the suites of both sides state."""
    base, head = (
        {_key(one): one for one in _assumptions(side, folder, policy)}
        for side, folder, policy in zip(sides, folders, policies, strict=True)
    )
    shared = tuple(one for key, one in base.items() if key in head)
    return shared if not shared or are_possible(shared, policies[0]) else ()


def _key(assumption: SuiteAssumption) -> Hashable:
    when = None if assumption.when is None else key_of(assumption.when)
    return when, key_of(assumption.then), assumption.providers


def _assumptions(side: ChangeSide, folder: str, policy: Policy) -> Iterator[SuiteAssumption]:
    """Yield the assumptions of the suites about a policy; a suite of the wrong shape has none."""
    files = side.suites(folder)
    for name in sorted(files):
        # Most suites have no assumption, and are not worth reading.
        if len(files[name]) > MAX_SUITE_BYTES or ASSUME.encode() not in files[name]:
            continue
        problems = Problems()
        root = nodes.parse(files[name].decode(errors="replace"), name, problems)
        if not isinstance(root, MappingNode) or not schema.check(root, "suite", problems):
            continue
        if not _is_about(root, name, folder):
            continue
        read = read_invariants(root.get("invariants"), {}, problems)
        written = tuple(one for one in read if one.kind == ASSUME)
        _, assumptions = compile_invariants(written, policy, problems)
        if not problems.error_count:
            yield from assumptions


def _is_about(suite: MappingNode, file: str, folder: str) -> bool:
    """Tell whether a suite is about the policy in a folder, by the paths alone."""
    own = posixpath.normpath(folder or ".")
    above = posixpath.dirname(file)
    written = suite.get("policy")
    if isinstance(written, ScalarNode):
        return posixpath.normpath(posixpath.join(above, written.text)) == own
    while True:
        if posixpath.normpath(posixpath.join(above, FOLDER)) == own:
            return True
        if not above:
            return False
        above = posixpath.dirname(above)
