"""
`policytest hostile`: the forgeries, and sending them to a running token server.

What lives here: the requests and their judgement.  Not here: how a token is forged
(`tokens.forgeries`), and the hostile layer of a run (`execution.hostile`).

The server must trust a key that the tester has; with it the suite's tokens are signed as genuine
ones, for now, and forged.
"""

import sys
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, cast

import urllib3

from regauth.engine.access.scope import REPOSITORY_ACTIONS
from regauth.engine.source.foreign_text import visible
from regauth.engine.tokens.algorithms import KeysError
from regauth.engine.tokens.keys import SigningKey, algorithms_of
from regauth.engine.tokens.pem import load_private_key
from regauth.policytests.execution.run import Loaded, Run, SuiteError
from regauth.policytests.tokens.forgeries.known import FORGERIES
from regauth.policytests.tokens.issuing import IssuerKeys, Sample, make_sample

UNAUTHORIZED, TOO_MANY, OK = 401, 429, 200
SLACK: Final = timedelta(seconds=30)
"""
Seconds added to the clock skew for tokens that are just out of time, because sending takes time
too.
"""

PATIENCE: Final = 120
"""Seconds that a server may ask to wait, for all tokens together."""

TIMEOUT: Final = urllib3.Timeout(connect=5, read=15)


class HostileError(Exception):
    """The forgeries cannot be sent; the caller's fault or the server's."""


def run_hostile(options: Mapping[str, object]) -> int:
    """List the forgeries, or send them; return the exit code."""
    if options["listing"]:
        for forgery in FORGERIES.values():
            sys.stdout.write(
                f"{forgery.name:<26} {forgery.group:<10} a verifier that {forgery.about}\n"
            )
        return 0
    try:
        accepted = list(_attack(options))
    except HostileError as error:
        sys.stderr.write(f"policytest: {visible(str(error))}\n")
        return 4
    for line in accepted:
        sys.stdout.write(f"{line}\n")
    return int(bool(accepted))


def _attack(options: Mapping[str, object]) -> Iterator[str]:
    server, suite, key = options["server"], options["suite"], options["key"]
    if not (isinstance(server, str) and isinstance(suite, Path) and isinstance(key, Path)):
        raise HostileError("--list, or --server URL with --suite FILE and --key FILE")
    loaded = _load(suite)
    hostile = loaded.suite.hostile
    if hostile is None:
        raise HostileError(f"{loaded.suite.file} has no `hostile:`")
    scopes = [f"repository:{name}:{','.join(REPOSITORY_ACTIONS)}" for name in hostile.repositories]
    service = loaded.evaluation.linked.services[""]
    target = _Target(server, service, scopes)
    sent = 0
    for name in hostile.tokens:
        sample = _genuine(loaded.evaluation.linked.samples[name], key, options["key_id"])
        status = target.status(sample)
        if status != OK:
            raise HostileError(f"the genuine token `{name}` is answered {status}, not {OK}")
        for forgery in FORGERIES.values():
            spec = replace(sample.spec, forge=forgery.name)
            status = target.status(replace(sample, spec=spec))
            sent += 1
            if status == TOO_MANY:
                message = f"the server asks to wait more than {PATIENCE} s; raise its rate limits"
                raise HostileError(f"{message} ({sent} tokens sent)")
            if status != UNAUTHORIZED:
                yield f"{name} {forgery.name}: answered {status}: the server {forgery.about}"
    sys.stderr.write(f"{sent} forged tokens sent\n")


def _load(suite: Path) -> Loaded:
    try:
        return Run.at(Path.cwd()).load(suite.absolute())
    except SuiteError as error:
        raise HostileError(error.render()) from error


def _genuine(sample: Sample, key_file: Path, key_id: object) -> Sample:
    """Make a suite's token again: for now, and signed with a key that the server trusts."""
    provider = sample.provider
    if provider is None:
        raise HostileError(f"`{sample.spec.name}` is a captured token; it cannot be made again")
    try:
        material = load_private_key(key_file.read_bytes())
        fitting = [
            one for one in provider.algorithms if one in algorithms_of(material.public_key())
        ]
        if not fitting:
            raise HostileError(f"no algorithm of `{provider.name}` fits the key")
        key = SigningKey(material, fitting[0], cast("str | None", key_id))
    except (OSError, KeysError) as error:
        raise HostileError(f"{key_file}: {error}") from error
    keys = IssuerKeys()
    for algorithm in provider.algorithms:
        keys.use(provider.issuer, algorithm, key)
    slack = replace(provider, clock_skew=provider.clock_skew + SLACK)
    return make_sample(sample.spec, slack, datetime.now(UTC), keys)


class _Target:
    """A token endpoint."""

    def __init__(self, url: str, service: str, scopes: list[str]) -> None:
        self._url = url
        self._fields = [("service", service), *(("scope", scope) for scope in scopes)]
        self._pool = urllib3.PoolManager(retries=False, timeout=TIMEOUT)
        self._patience = PATIENCE

    def status(self, sample: Sample) -> int:
        """Log in with a token and return the status."""
        login = b64encode(f"{sample.username}:{sample.text}".encode("utf-8", "surrogatepass"))
        headers = {"Authorization": f"Basic {login.decode()}"}
        while True:
            try:
                answer = self._pool.request("GET", self._url, fields=self._fields, headers=headers)
            except urllib3.exceptions.HTTPError as error:
                raise HostileError(f"{self._url}: {type(error).__name__}") from error
            wait = answer.headers.get("Retry-After", "")
            seconds = int(wait) if wait.isdecimal() else 1
            if answer.status != TOO_MANY or seconds > self._patience:
                return int(answer.status)
            self._patience -= seconds
            time.sleep(seconds)
