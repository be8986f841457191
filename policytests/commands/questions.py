"""
The subject of `policytest why`, `can` and `who-can`: the token, the policy, the time.

What lives here: finding them by the command line's options.  Not here: the answers (`answers`).
"""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, cast

from regauth.engine.access.scope import REPOSITORY
from regauth.engine.compiler import json_faults
from regauth.engine.policy.policy import Policy, Provider
from regauth.engine.source.addresses import IpAddress, parse_ip
from regauth.engine.source.nearest import did_you_mean
from regauth.engine.source.rendering import render_text
from regauth.engine.tokens.algorithms import KeysError
from regauth.engine.tokens.jwks import parse_jwks
from regauth.engine.tokens.jwt import MalformedTokenError, parse
from regauth.engine.tokens.keys import KeySet, require_keys
from regauth.policytests.execution.policies import FOLDER, compile_folder
from regauth.policytests.execution.run import Loaded, Run, SuiteError
from regauth.policytests.suites.suite import ENDINGS, SUFFIX
from regauth.policytests.suites.times import parse_time

STANDARD_INPUT: Final = "-"
"""The name of the token that is read from standard input."""

_TOKEN: Final = re.compile(r"ey[A-Za-z0-9_-]{10,}\.ey[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*")

UNVERIFIED: Final = (
    "warning: no keys were given, so the signature was not verified; anybody can write this"
)


TOKEN_IN_ARGUMENTS: Final = (
    "this is a token itself, which the process list and the shell's history show; "
    f"give its file, or write {STANDARD_INPUT} and give it on standard input"
)


def is_token(argument: str) -> bool:
    """Tell whether an argument is a token itself."""
    return _TOKEN.fullmatch(argument) is not None


class QuestionError(Exception):
    """A question cannot be asked: no such token, no policy; the caller's fault."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A token and the policy that is asked about it."""

    policy: Policy
    service: str
    now: datetime
    text: str
    username: str
    keys: KeySet | None
    """The keys to verify the token with; None when the token is not verified."""
    repositories: tuple[str, ...]
    """Repositories that the token's suite mentions."""
    client: IpAddress | None = None
    """The address that it is used from; None: it is not known."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a question."""

    suite: Path | None = None
    policy: Path | None = None
    keys: Path | None = None
    at: str | None = None
    service: str | None = None
    provider: str | None = None
    client: str | None = None

    @classmethod
    def of(cls, options: Mapping[str, object]) -> "Options":
        """Make them of the command line's options."""
        return cls(**cast("dict[str, str]", dict(options)))  # type: ignore[arg-type]  # click made each option of its field's type

    def suites(self) -> list[Loaded]:
        """
        Read the suite that was named, or every suite below the current folder.

        Raises:
            QuestionError: There is none, or one cannot be read.
        """
        run = Run.at(Path.cwd())
        paths: Sequence[Path] = [self.suite] if self.suite else _suites_below(Path.cwd())
        try:
            loaded = [run.load(path) for path in paths]
        except SuiteError as error:
            raise QuestionError(error.render()) from error
        if not loaded:
            raise QuestionError(f"there is no *{SUFFIX} here; name one with --suite")
        return loaded

    def suites_if_any(self) -> list[Loaded]:
        """
        Read the suite that was named, or every suite below the current folder; there may be none.

        Raises:
            QuestionError: One cannot be read.
        """
        return self.suites() if self.suite or _suites_below(Path.cwd()) else []

    def subject(self, token: str) -> Subject:
        """
        Find a token: by its name in a suite, in a file, or on standard input.

        Raises:
            QuestionError: There is no such token, or it is not clear what is asked about it.
        """
        if is_token(token):
            raise QuestionError(TOKEN_IN_ARGUMENTS)
        if token == STANDARD_INPUT or Path(token).is_file():
            return self._real(token)
        suites = self.suites()
        found = [one for one in suites if token in one.evaluation.linked.samples]
        if not found:
            known = {name for one in suites for name in one.evaluation.linked.samples}
            hint = did_you_mean(token, known)
            raise QuestionError(f"no suite has a token {token!r}; {hint}")
        if len(found) > 1:
            files = ", ".join(one.suite.file for one in found)
            raise QuestionError(f"{files} each have a token {token!r}; choose with --suite")
        return self._sample(token, found[0])

    def _sample(self, token: str, loaded: Loaded) -> Subject:
        linked = loaded.evaluation.linked
        sample = linked.samples[token]
        policy = self.chosen_policy() if self.policy else linked.policy
        if self.keys:
            raise QuestionError("--keys is for a real token; those of a suite bring their own")
        named = self._named(policy)
        provider = named or sample.provider or next(iter(policy.providers.values()))
        return Subject(
            policy,
            self._service(policy, linked.suite.service),
            self.time() or sample.now,
            sample.text,
            named.name if named else sample.username,
            sample.key_set(provider),
            _mentioned(loaded),
            self._client() if self.client else sample.client,
        )

    def _real(self, token: str) -> Subject:
        text = (sys.stdin.read() if token == STANDARD_INPUT else Path(token).read_text()).strip()
        policy = self.chosen_policy()
        try:
            claims = parse(text).claims
        except MalformedTokenError as error:
            raise QuestionError(f"this is no token: {error}") from error
        keys = self._keys()
        if keys is None:
            sys.stderr.write(f"{UNVERIFIED}\n")
        issued = claims.get("iat")
        own = datetime.fromtimestamp(issued, UTC) if isinstance(issued, int | float) else None
        now = self.time() or own or datetime.now(UTC)
        named = self._named(policy)
        username = named.name if named else ""
        return Subject(
            policy, self._service(policy, None), now, text, username, keys, (), self._client()
        )

    def _client(self) -> IpAddress | None:
        if self.client is None:
            return None
        found = parse_ip(self.client)
        if found is None:
            raise QuestionError(f"--client {self.client!r} is no IP address")
        return found

    def _named(self, policy: Policy) -> Provider | None:
        """
        Return the provider that was asked for.

        An unknown name is an error, because `exchange` would choose a provider by issuer.
        """
        if not self.provider:
            return None
        if self.provider not in policy.providers:
            hint = did_you_mean(self.provider, policy.providers)
            raise QuestionError(f"the policy has no provider {self.provider!r}; {hint}")
        return policy.providers[self.provider]

    def chosen_policy(self) -> Policy:
        """
        Compile the policy that was named, or the one of the default folder.

        Raises:
            QuestionError: It does not compile.
        """
        folder = self.policy or Path(FOLDER)
        compilation = compile_folder(folder, folder.as_posix()).compilation
        if compilation.policy is None:
            raise QuestionError(render_text(compilation.problems, compilation.sources))
        return compilation.policy

    def _service(self, policy: Policy, suite: str | None) -> str:
        service = self.service or suite
        if service is None and len(policy.services) > 1:
            names = ", ".join(sorted(policy.services))
            raise QuestionError(f"the policy answers for {names}; choose with --service")
        return service or next(iter(policy.services))

    def time(self) -> datetime | None:
        """
        Return the time that was named.

        Raises:
            QuestionError: It is none.
        """
        if self.at is None:
            return None
        time = parse_time(self.at)
        if time is None:
            raise QuestionError(f"{self.at!r} is not a time, as 2026-11-01T12:00:00Z is")
        return time

    def _keys(self) -> KeySet | None:
        if self.keys is None:
            return None
        try:
            text = self.keys.read_bytes()
        except OSError as error:
            raise QuestionError(f"{self.keys}: {error}") from error
        try:
            return require_keys(parse_jwks(text))
        except KeysError as error:
            fault = json_faults.located(text, str(self.keys))
            raise QuestionError(fault or f"{self.keys}: {error}") from error


def _suites_below(folder: Path) -> list[Path]:
    """Return the suites that pytest would collect, and the misnamed ones."""
    found = (path for path in folder.rglob("*") if path.name.lower().endswith(ENDINGS))
    depth = len(folder.parts)
    return sorted(
        path for path in found if not any(part.startswith(".") for part in path.parts[depth:])
    )


def _mentioned(loaded: Loaded) -> tuple[str, ...]:
    return tuple(
        sorted(
            {
                access.place
                for case in loaded.cases
                for _, access in case.accesses()
                if access.resource.type == REPOSITORY
            }
        )
    )
