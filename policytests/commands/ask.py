"""
`policytest why`, `can` and `who-can`: questions about concrete tokens.

What lives here: finding the token and the policy, and showing the answer.  What must not: the
explanation itself, which is the engine's.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, cast

from regauth.engine.access.outcomes import Refusal
from regauth.engine.access.scope import (
    REPOSITORY,
    Access,
    ScopeError,
    accesses,
    is_repository_name,
    parse_scopes,
    repository_access,
    repository_accesses,
)
from regauth.engine.cel import CelError
from regauth.engine.decisions.authentication import Authenticated, authenticate
from regauth.engine.decisions.decide import Request, Unseen
from regauth.engine.decisions.exchange import Credentials, Keys, KeysUnavailable, NeedKeys, run
from regauth.engine.explaining.explanation import Explanation, explain, explain_verified
from regauth.engine.explaining.narration import narrate
from regauth.engine.policy.patterns.names import Pattern, Wildcard
from regauth.engine.policy.policy import Policy, Provider
from regauth.engine.source.nearest import did_you_mean
from regauth.engine.source.rendering import render_text
from regauth.engine.tokens.jwks import parse_jwks
from regauth.engine.tokens.jwt import MalformedTokenError, parse, supposed
from regauth.engine.tokens.keys import KeysError, KeySet, require_keys
from regauth.policytests.execution.access_table import DEPENDS, AccessTable, Row
from regauth.policytests.execution.judging import depends_on_reference
from regauth.policytests.execution.policies import FOLDER, compile_folder
from regauth.policytests.execution.run import Loaded, Run, SuiteError
from regauth.policytests.exit_codes import USAGE
from regauth.policytests.suites.suite import SUFFIX
from regauth.policytests.suites.times import parse_time

STANDARD_INPUT: Final = "-"
"""The name of the token that is read from standard input."""

UNVERIFIED: Final = (
    "warning: no keys were given, so the signature was not verified; anybody can write this"
)


class QuestionError(Exception):
    """A question cannot be asked: no such token, no policy; the caller's fault."""


@dataclass(frozen=True, slots=True)
class _Login:
    """A token and the policy that is asked about it."""

    policy: Policy
    service: str
    now: datetime
    text: str
    username: str
    keys: KeySet | None
    names: tuple[str, ...]
    """Repositories that the suites mention."""


@dataclass(frozen=True, slots=True)
class Asking:
    """The options of a question."""

    suite: Path | None = None
    policy: Path | None = None
    keys: Path | None = None
    at: str | None = None
    service: str | None = None
    provider: str | None = None

    @classmethod
    def of(cls, options: Mapping[str, object]) -> "Asking":
        """Make it of the command line's options."""
        return cls(**cast("dict[str, str]", dict(options)))  # type: ignore[arg-type]

    # -- commands

    def why(self, token: str, scopes: Sequence[str]) -> int:
        """Explain a decision."""
        return _answered(self._why(token, scopes))

    def can(self, token: str, repositories: Sequence[str]) -> int:
        """Show what a token can do."""
        return _answered(self._can(token, repositories))

    def who_can(self, action: str, repository: str) -> int:
        """Show which tokens may do something."""
        return _answered(self._who_can(action, repository))

    # -- answers

    def _why(self, token: str, scopes: Sequence[str]) -> Iterator[str]:
        try:
            asked = [_with_reference(one) for one in accesses(parse_scopes(scopes))]
        except ScopeError as error:
            raise QuestionError(str(error)) from error
        login = self._login(token)
        yield narrate(_explanation(login, asked))

    def _can(self, token: str, repositories: Sequence[str]) -> Iterator[str]:
        login = self._login(token)
        outcome = _authenticated(login)
        if isinstance(outcome, Refusal):
            yield f"nothing: the login is refused, {outcome.reason}: {outcome.message}"
            return
        request = Request(
            login.policy,
            outcome.identity,
            outcome.claims,
            login.service,
            login.now,
            exhaustive=True,
        )
        names = repositories or list(_names(login, outcome))
        rows = []
        for name in names:
            row = Row(token, name)
            for access in _accesses(name):
                row.add(access.action, request.verdict(access))
            if repositories or any(cell[:1] in ("A", DEPENDS) for cell in row.cells.values()):
                rows.append(row)
        yield f"{outcome.identity} at {login.service}"
        yield str(AccessTable(tuple(rows))) if rows else "nothing of what the policy names"
        if not repositories:
            yield "by the patterns:"
            yield from _patterns(login, outcome)

    def _who_can(self, action: str, repository: str) -> Iterator[str]:
        [access] = [one for one in _accesses(repository) if one.action == action]
        found = 0
        for loaded in self._suites():
            services = loaded.evaluation.linked.policy.services
            service = self.service or min(services)
            if service not in services:
                hint = did_you_mean(service, list(services))
                raise QuestionError(f"no policy answers for the service {service!r}; {hint}")
            for name, sample in loaded.evaluation.linked.samples.items():
                answer = loaded.evaluation.answer(name, service, access)
                if isinstance(answer, Refusal):
                    continue
                waits = depends_on_reference(answer)
                if answer.allowed or waits:
                    found += 1
                    subject = sample.claims.get("sub")
                    some = "  for some tags" if waits else ""
                    yield f"{loaded.suite.file}: {name}  by {answer.source}  {subject}{some}"
        if not found:
            yield f"no token of the suites may {action} {repository}"

    # -- finding

    def _suites(self) -> list[Loaded]:
        state = Run.at(Path.cwd())
        paths = [self.suite] if self.suite else sorted(Path.cwd().rglob(f"*{SUFFIX}"))
        loaded = []
        for path in paths:
            if any(part.startswith(".") for part in path.parts[len(Path.cwd().parts) :]):
                continue
            try:
                loaded.append(state.load(path.absolute()))
            except SuiteError as error:
                raise QuestionError(error.render()) from error
        if not loaded:
            raise QuestionError(f"there is no *{SUFFIX} here; name one with --suite")
        return loaded

    def _login(self, token: str) -> _Login:
        if token == STANDARD_INPUT or Path(token).is_file():
            return self._real(token)
        found = [one for one in self._suites() if token in one.evaluation.linked.samples]
        if not found:
            known = sorted(
                {name for one in self._suites() for name in one.evaluation.linked.samples}
            )
            raise QuestionError(f"no suite has a token {token!r}; there are {', '.join(known)}")
        if len(found) > 1:
            files = ", ".join(one.suite.file for one in found)
            raise QuestionError(f"{files} each have a token {token!r}; choose with --suite")
        linked = found[0].evaluation.linked
        sample = linked.samples[token]
        policy = self._policy() if self.policy else linked.policy
        if self.keys:
            raise QuestionError("--keys is for a real token; those of a suite bring their own")
        named = self._named(policy)
        provider = named or sample.provider or next(iter(policy.providers.values()))
        return _Login(
            policy,
            self._service(policy, linked.suite.service),
            self._time() or sample.now,
            sample.text,
            named.name if named else sample.username,
            sample.key_set(provider),
            tuple(_mentioned(found[0])),
        )

    def _real(self, token: str) -> _Login:
        text = (sys.stdin.read() if token == STANDARD_INPUT else Path(token).read_text()).strip()
        policy = self._policy()
        try:
            claims = parse(text).claims
        except MalformedTokenError as error:
            raise QuestionError(f"this is no token: {error}") from error
        keys = self._keys()
        if keys is None:
            sys.stderr.write(f"{UNVERIFIED}\n")
        issued = claims.get("iat")
        own = datetime.fromtimestamp(issued, UTC) if isinstance(issued, int | float) else None
        now = self._time() or own or datetime.now(UTC)
        named = self._named(policy)
        username = named.name if named else ""
        return _Login(policy, self._service(policy, None), now, text, username, keys, ())

    def _named(self, policy: Policy) -> Provider | None:
        """Return the provider that was asked for: a name that is none would route by issuer."""
        if not self.provider:
            return None
        if self.provider not in policy.providers:
            hint = did_you_mean(self.provider, list(policy.providers))
            raise QuestionError(f"the policy has no provider {self.provider!r}; {hint}")
        return policy.providers[self.provider]

    def _policy(self) -> Policy:
        folder = self.policy or Path(FOLDER)
        compiled = compile_folder(folder, folder.as_posix())
        policy = compiled.compilation.policy
        if policy is None:
            raise QuestionError(
                render_text(compiled.compilation.problems, compiled.compilation.sources)
            )
        return policy

    def _service(self, policy: Policy, suite: str | None) -> str:
        service = self.service or suite
        if service is None and len(policy.services) > 1:
            names = ", ".join(sorted(policy.services))
            raise QuestionError(f"the policy answers for {names}; choose with --service")
        return service or next(iter(policy.services))

    def _time(self) -> datetime | None:
        if self.at is None:
            return None
        moment = parse_time(self.at)
        if moment is None:
            raise QuestionError(f"{self.at!r} is not a time, as 2026-11-01T12:00:00Z is")
        return moment

    def _keys(self) -> KeySet | None:
        if self.keys is None:
            return None
        try:
            return require_keys(parse_jwks(self.keys.read_text()))
        except (OSError, KeysError) as error:
            raise QuestionError(f"{self.keys}: {error}") from error


def _answered(lines: Iterator[str]) -> int:
    try:
        for line in lines:
            sys.stdout.write(f"{line}\n")
    except QuestionError as error:
        sys.stderr.write(f"policytest: {error}\n")
        return USAGE
    return 0


def _explanation(login: _Login, asked: Sequence[Access]) -> Explanation:
    if login.keys is not None:
        credentials = Credentials(login.username, login.text)
        steps = explain(login.policy, credentials, login.service, asked, login.now)
        return run(steps, lambda need: _given(login, need))
    outcome = _authenticated(login)
    if isinstance(outcome, Refusal):
        return Explanation(outcome, None, ())
    return explain_verified(login.policy, outcome, login.service, asked, login.now)


def _given(login: _Login, need: NeedKeys) -> Keys:
    del need
    return login.keys if login.keys is not None else KeysUnavailable("no keys were given")


def _authenticated(login: _Login) -> Authenticated | Refusal:
    """Authenticate the claims; the signature was verified, or the caller was warned."""
    if login.keys is not None:
        credentials = Credentials(login.username, login.text)
        steps = explain(login.policy, credentials, login.service, (), login.now)
        outcome = run(steps, lambda need: _given(login, need)).outcome
        if isinstance(outcome, Refusal):
            return outcome
    claims = parse(login.text).claims
    provider = _provider(login, claims.get("iss"))
    return authenticate(provider, supposed(claims), login.service, login.now)


def _provider(login: _Login, issuer: object) -> Provider:
    named = login.policy.providers.get(login.username)
    fitting = [one for one in login.policy.providers.values() if one.issuer == issuer]
    if named is not None:
        return named
    if len(fitting) != 1:
        names = ", ".join(login.policy.providers)
        raise QuestionError(f"choose the provider with --provider: {names}")
    return fitting[0]


def _accesses(place: str) -> Sequence[Access]:
    try:
        return repository_accesses([place])
    except ScopeError as error:
        raise QuestionError(str(error)) from error


def _with_reference(access: Access) -> Access:
    """Read a repository's tag or digest, which no scope has: `repository:acme/app:v1:push`."""
    resource = access.resource
    found = repository_access(resource.name, access.action)
    if resource.type != REPOSITORY or found is None:
        return access
    return replace(found, resource=replace(found.resource, class_=resource.class_))


def _mentioned(loaded: Loaded) -> Iterator[str]:
    names = {
        access.place
        for case in loaded.cases
        for _, access in case.accesses()
        if access.resource.type == REPOSITORY
    }
    yield from sorted(names)


def _names(login: _Login, outcome: Authenticated) -> Iterator[str]:
    """Yield repositories that the suites mention, and one for each pattern."""
    names = dict.fromkeys(login.names)
    for pattern in (one for grant in login.policy.grants for one in grant.patterns):
        spelled = _spelled(pattern, outcome)
        if spelled is not None:
            names[spelled] = None
    yield from (name for name in names if repository_access(name, "pull") is not None)


def _patterns(login: _Login, outcome: Authenticated) -> Iterator[str]:
    """Yield what each grant gives, with the token's values in its patterns."""
    request = Request(
        login.policy, outcome.identity, outcome.claims, login.service, login.now, exhaustive=True
    )
    for grant in login.policy.grants:
        for pattern in grant.patterns:
            name = _spelled(pattern, outcome)
            if name is None:
                continue
            gets = [
                access.action
                for access in (_accesses(name) if is_repository_name(name) else ())
                if request.match(grant, access) in (True, Unseen.REFERENCE)
            ]
            if gets:
                tags = ",".join(tag.text for tag in grant.tags)
                shown = f"{_shown(pattern, outcome)}{':' * bool(tags)}{tags}"
                yield f"  {','.join(gets):<18} {shown}  {grant.name} ({grant.location})"


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
