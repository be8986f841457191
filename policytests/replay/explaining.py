"""
A recorded request explained: decided again, with every step.

What lives here: which of the engine's explanations a record gets.
Not here: deciding again (`deciding`), and the explanation's text, which is the engine's
(`regauth.engine.explaining.narration`).
"""

from regauth.engine.access.outcomes import Refusal
from regauth.engine.decisions.exchange import Keys, KeysUnavailable, NeedKeys, run
from regauth.engine.explaining.explanation import (
    Explanation,
    explain,
    explain_refused,
    explain_verified,
)

from .deciding import Replay, UndecidedReason
from .questions import asked_of
from .records import Record


def explain_record(replay: Replay, record: Record) -> Explanation | UndecidedReason | None:
    """
    Decide a record again and keep every step.

    Returns:
        The explanation, why the record is not decided again, or None when its login is refused as
        it was before its claims were believed.

    Raises:
        IncoherentError: The record contradicts itself.
    """
    if record.redacted or record.cut:
        return UndecidedReason.REDACTED if record.redacted else UndecidedReason.CUT
    policy, service = replay.policy, record.service
    if policy.reads_client and not record.addressed:
        return UndecidedReason.NO_ADDRESS
    asked, now = asked_of(record), replay.at or record.time
    login = replay.login(record)
    if login is None and record.answered:
        return UndecidedReason.NO_CLAIMS
    if login is None or isinstance(login, UndecidedReason):
        return login
    if isinstance(login, Refusal):
        return explain_refused(policy, login, service, record.time)
    if login.authenticated is None:
        return run(explain(policy, None, service, asked.accesses, now, record.address), _no_keys)
    return explain_verified(
        policy, login.authenticated, service, asked.accesses, now, record.address
    )


def _no_keys(_: NeedKeys) -> Keys:
    return KeysUnavailable("nobody logged in")
