"""
`policytest why` and `can`: the answers.

What lives here: asking the engine and showing what it says.  Not here: finding the token and the
policy (`questions`), and the explanation itself, which is the engine's
(`regauth.engine.explaining`).
"""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import Final

from msgspec.structs import replace

from regauth.engine.access.outcomes import Reason, Refusal
from regauth.engine.access.scope import (
    CATALOG,
    REGISTRY,
    REPOSITORY,
    REPOSITORY_ACTIONS,
    Access,
    Resource,
    ScopeError,
    accesses,
    is_repository_name,
    parse_scopes,
    repository_access,
    repository_accesses,
)
from regauth.engine.cel import CelError
from regauth.engine.decisions.authentication import Authenticated
from regauth.engine.decisions.decide import Request, TooCostlyError, Unseen
from regauth.engine.decisions.exchange import (
    Credentials,
    Keys,
    KeysUnavailable,
    login,
    login_verified,
    run,
)
from regauth.engine.explaining.explanation import Explanation, explain, explain_verified
from regauth.engine.explaining.narration import narrate
from regauth.engine.policy.patterns.names import Pattern, Wildcard
from regauth.engine.policy.policy import Grant, Policy
from regauth.engine.source.foreign_text import visible
from regauth.engine.tokens.jwt import parse, supposed
from regauth.policytests.execution.access_table import DEPENDS, AccessTable, Row
from regauth.policytests.execution.evaluation import AccessAnswer, ask, within_steps
from regauth.policytests.exit_codes import USAGE
from regauth.policytests.suites.suite import Mark

from .questions import Options, QuestionError, Subject

_LAYOUT: Final = "\n\t"
_UNROUTED: Final = (Reason.AMBIGUOUS_PROVIDER, Reason.UNKNOWN_PROVIDER)
_CATALOG: Final = Access(Resource(REGISTRY, CATALOG), "*")


def show(lines: Iterator[str]) -> int:
    """Write an answer to standard output; return the exit code."""
    try:
        for line in lines:
            sys.stdout.write(f"{visible(line, keep=_LAYOUT)}\n")
    except QuestionError as error:
        sys.stderr.write(f"policytest: {visible(str(error), keep=_LAYOUT)}\n")
        return USAGE
    return 0


# --- why -----------------------------------------------------------------------------------------


def why(options: Options, token: str, scopes: Sequence[str]) -> Iterator[str]:
    """Explain a decision."""
    try:
        written = [_scope(word) for text in scopes for word in text.split()]
        asked = [_with_reference(one) for one in accesses(parse_scopes(written))]
    except ScopeError as error:
        raise QuestionError(str(error)) from error
    yield narrate(_explanation(options.subject(token), asked))


def _scope(text: str) -> str:
    """Return a scope of which `repository:`, or the actions too, may have been left out."""
    kind = text.partition(":")[0].partition("(")[0]
    if kind in (REPOSITORY, REGISTRY):
        return text
    actions = text.rpartition(":")[2].split(",")
    known = (*REPOSITORY_ACTIONS, "*")
    if ":" in text and all(action in known for action in actions):
        return f"{REPOSITORY}:{text}"
    if repository_access(text, REPOSITORY_ACTIONS[0]) is not None:
        return f"{REPOSITORY}:{text}:{','.join(REPOSITORY_ACTIONS)}"
    return text


def _with_reference(access: Access) -> Access:
    """Read a repository's tag or digest, which no scope has: `repository:acme/app:v1:push`."""
    resource = access.resource
    found = repository_access(resource.name, access.action)
    if resource.type != REPOSITORY or found is None:
        return access
    return replace(found, resource=replace(found.resource, class_=resource.class_))


def _explanation(subject: Subject, asked: Sequence[Access]) -> Explanation:
    if subject.keys is not None:
        credentials = Credentials(subject.username, subject.text)
        steps = explain(
            subject.policy, credentials, subject.service, asked, subject.now, subject.client
        )
        return run(steps, lambda _: _keys(subject))
    outcome = _log_in(subject)
    if isinstance(outcome, Refusal):
        return Explanation(outcome, None, ())
    return explain_verified(
        subject.policy, outcome, subject.service, asked, subject.now, subject.client
    )


def _log_in(subject: Subject) -> Authenticated | Refusal:
    """
    Log the token in; without keys its signature is taken as verified, of which the caller warned.

    Raises:
        QuestionError: The token does not say which provider's it is, and nobody else did.
    """
    policy, service, now = subject.policy, subject.service, subject.now
    if subject.keys is not None:
        credentials = Credentials(subject.username, subject.text)
        return run(login(policy, credentials, service, now), lambda _: _keys(subject))
    claims = supposed(parse(subject.text).claims)
    outcome = login_verified(policy, subject.username, claims, service, now)
    if isinstance(outcome, Refusal) and outcome.reason in _UNROUTED:
        names = ", ".join(policy.providers)
        raise QuestionError(f"choose the provider with --provider: {names}")
    return outcome


def _keys(subject: Subject) -> Keys:
    return subject.keys if subject.keys is not None else KeysUnavailable("no keys were given")


# --- can -----------------------------------------------------------------------------------------


def can(options: Options, token: str, places: Sequence[str]) -> Iterator[str]:
    """Show what a token can do: with the places that are named, or with all of the policy's."""
    subject = options.subject(token)
    outcome = _log_in(subject)
    if isinstance(outcome, Refusal):
        yield f"nothing: the login is refused, {outcome.reason}: {outcome.message}"
        return
    login = outcome.from_client(subject.client)
    bounded = _Bounded(subject, login)
    rows = []
    named = [_place(place) for place in places]
    for name, class_ in named or _places(subject, outcome):
        if name == CATALOG_PLACE:
            continue
        row = Row(token, _written(name, class_))
        for access in _accesses(name, class_):
            row.add(access.action, bounded.answer(access))
        if places or any(map(_is_told, row.cells.values())):
            rows.append(row)
    catalog = bounded.answer(_CATALOG)
    listed = (CATALOG_PLACE, "") in named if places else _mark(catalog)[:1] == Mark.ALLOWED.value
    yield f"{outcome.identity} at {subject.service}"
    if rows:
        yield str(AccessTable(tuple(rows)))
    elif not listed:
        yield "nothing of what the policy names"
    if listed:
        yield f"{_CATALOG}  {_mark(catalog)}"
    if not places:
        yield "by the patterns:"
        yield from _patterns(subject.policy, bounded, outcome)


class _Bounded:
    """Requests for one access each, with the steps that a server gives a request."""

    def __init__(self, subject: Subject, login: Authenticated) -> None:
        self._subject = subject
        self._login = login
        self._request = self._new()

    def _new(self) -> Request:
        subject = self._subject
        return ask(subject.policy, self._login, subject.service, subject.now, bounded=True)

    def answer(self, access: Access) -> AccessAnswer:
        """Decide an access."""
        policy, service = self._subject.policy, self._subject.service
        return within_steps(policy, self._login, service, self._request, [access])[0]

    def matches(self, grant: Grant, access: Access) -> bool:
        """Tell whether a grant gives an access; if its condition costs too much, it does not."""
        self._request.count_anew()
        # What the conditions before have cost counts too, so a new request has the last word.
        for request in (self._request, self._new()):
            with contextlib.suppress(TooCostlyError):
                return request.match(grant, access) in (True, Unseen.REFERENCE)
        return False


MAX_PLACE: Final = 48
"""The widest column of patterns."""

CATALOG_PLACE: Final = f"{REGISTRY}:{CATALOG}"
"""The names of the catalog in a question, with or without its one action `*`."""


def _is_told(cell: str) -> bool:
    return cell[:1] in (Mark.ALLOWED.value, DEPENDS) or cell.endswith(Reason.TOO_COSTLY)


def _mark(answer: AccessAnswer) -> str:
    row = Row("", "")
    row.add("*", answer)
    return row.cells["*"]


def _place(text: str) -> tuple[str, str]:
    """Return the name and the class that `NAME` or `repository(CLASS):NAME` says."""
    if text.removesuffix(":*") == CATALOG_PLACE:
        return CATALOG_PLACE, ""
    kind, colon, name = text.partition(":")
    head, bracket, class_ = kind.partition("(")
    if head != REPOSITORY or not colon or not name:
        return text, ""
    return name, class_.removesuffix(")") if bracket else ""


def _written(name: str, class_: str) -> str:
    return f"{REPOSITORY}({class_}):{name}" if class_ else name


def _accesses(name: str, class_: str = "") -> list[Access]:
    try:
        found = repository_accesses([name])
    except ScopeError as error:
        raise QuestionError(str(error)) from error
    return [replace(one, resource=replace(one.resource, class_=class_)) for one in found]


def _places(subject: Subject, outcome: Authenticated) -> Iterator[tuple[str, str]]:
    """Yield repositories that the suite mentions, and one for each pattern, with its class."""
    found = dict.fromkeys((name, "") for name in subject.repositories)
    for grant in subject.policy.grants:
        for pattern in grant.patterns:
            spelled = _spelled(pattern, outcome)
            if spelled is not None:
                found[spelled, grant.class_] = None
    yield from (one for one in found if repository_access(one[0], "pull") is not None)


def _patterns(policy: Policy, request: "_Bounded", outcome: Authenticated) -> Iterator[str]:
    """Yield what each grant gives, with the token's values in its patterns, in columns."""
    found = list(_given(policy, request, outcome))
    actions = max((len(gets) for gets, _, _ in found), default=0)
    places = max((len(place) for _, place, _ in found), default=0)
    for gets, place, grant in found:
        # A long name would push the grants of all others out of sight.
        column = min(places, MAX_PLACE)
        yield f"  {gets:<{actions}}  {place:<{column}}  {grant.name} ({grant.location})"


def _given(
    policy: Policy, request: "_Bounded", outcome: Authenticated
) -> Iterator[tuple[str, str, Grant]]:
    for grant in policy.grants:
        if grant.catalog and request.matches(grant, _CATALOG):
            yield "*", CATALOG_PLACE, grant
        for pattern in grant.patterns:
            gets = _gets(grant, pattern, request, outcome)
            if gets:
                tags = ",".join(tag.text for tag in grant.tags)
                tags += " (new tags only)" if grant.new_tags_only and "push" in gets else ""
                shown = f"{_shown(pattern, outcome)}{':' * bool(tags)}{tags}"
                yield ",".join(gets), _written(shown, grant.class_), grant


def _gets(grant: Grant, pattern: Pattern, request: "_Bounded", outcome: Authenticated) -> list[str]:
    """Return the actions that a grant gives on a name of one of its patterns."""
    name = _spelled(pattern, outcome)
    if name is None or not is_repository_name(name):
        return []
    return [
        access.action for access in _accesses(name, grant.class_) if request.matches(grant, access)
    ]


def _spelled(pattern: Pattern, outcome: Authenticated) -> str | None:
    shown = _shown(pattern, outcome)
    if shown is None:
        return None
    return shown.replace("**/", "some/").replace("**", "some").replace("*", "some")


def _shown(pattern: Pattern, outcome: Authenticated) -> str | None:
    text = ""
    for part in pattern.parts:
        if isinstance(part, str):
            text += part
        elif isinstance(part, Wildcard):
            text += part.value
        elif "scope" in part.variables:
            return None
        else:
            try:
                text += str(part.evaluate({"claims": outcome.claims}))
            except CelError:
                return None
    return text
