"""
Sample tokens as records: what a suite's tokens may do, as a server would have logged it.

What lives here: records of a suite's allowed accesses.  Not here: what is made of them (`counting`,
`gathering`).
"""

from collections.abc import Iterator

from regauth.engine.access.outcomes import Verdict
from regauth.engine.decisions.authentication import Authenticated
from regauth.policytests.execution.run import Loaded
from regauth.policytests.replay.records import Answered, Record


def records_of(loaded: Loaded) -> Iterator[Record]:
    """Yield a record of each access that a suite's policy allows to one of its tokens."""
    linked = loaded.evaluation.linked
    seen: set[tuple[str, str]] = set()
    service = loaded.suite.service or min(linked.policy.services)
    for case in loaded.cases:
        for token, access in case.accesses():
            key = (token, str(access))
            if key in seen or token not in linked.samples:
                continue
            seen.add(key)
            login = loaded.evaluation.session(token, service).outcome
            answer = loaded.evaluation.answer(token, service, access)
            if isinstance(login, Authenticated) and isinstance(answer, Verdict) and answer.allowed:
                yield _record(
                    login, service, str(access), loaded.suite.file, by_tag=bool(access.reference)
                )


def _record(login: Authenticated, service: str, access: str, file: str, *, by_tag: bool) -> Record:
    answered = Answered(allowed=True, why="granted")
    return Record(
        time=login.at,
        request_id=file,
        policy="",
        service=service,
        asked=(access,),
        outcome="decided" if by_tag else "issued",
        reason="",
        anonymous=False,
        provider=login.identity.provider,
        subject=login.identity.subject,
        accesses={access: answered},
        claims=login.claims,
        checked=None,
        routing="workload" if by_tag else "",
        trust="",
        redacted=False,
    )
