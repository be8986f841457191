"""
The compiler: from the files of a policy to a `Policy`, or to all that is wrong with them.

What lives here: the order of the steps.  Not here: the steps themselves (`document`, `providers`,
`statements`, `lints`), and files (`regauth.engine.files`).
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from regauth.engine.issuers import ClaimSchema
from regauth.engine.policy import index
from regauth.engine.policy.index import ProviderIndex
from regauth.engine.policy.policy import Denial, Grant, Policy, Provider, Statement
from regauth.engine.source import nodes
from regauth.engine.source.problems import Problem, Problems, Severity

from . import document
from .claim_schemas import ClaimSchemas
from .document import Document
from .expressions import Expressions, VisibleNames
from .lints import SILENCEABLE, lint
from .providers import Providers
from .silencing import drafts, silence
from .statements import Statements


@dataclass(frozen=True, slots=True)
class Compilation:
    """
    The result of compiling.

    `policy` is None when there is an error among the problems.  `sources` are the texts of the
    files, for showing problems in them.
    """

    policy: Policy | None
    problems: tuple[Problem, ...]
    sources: Mapping[str, str]


def compile_policy(
    files: Mapping[str, bytes | str],
    *,
    now: datetime | None = None,
    folder: str = "",
    whole: bool = True,
) -> Compilation:
    """
    Compile a policy.

    Args:
        files: The contents of its files by name: `*.yaml` and `*.yml` are the policy, `*.json` are
            claim schemas that it names.
        now: The time, with its zone, for warnings about what has expired; without it there are
            none of those.
        whole: Whether these are all files of the policy.  Of others there is no policy, only the
            problems that they have by themselves.
        folder: What messages put before the files' names; the policy's hash is the same with any.
    """
    digest = _hash(files)
    files = {f"{folder}/{name}": content for name, content in files.items()} if folder else files
    problems = Problems()
    texts = dict(_decode(files, problems))
    written = document.read(texts, problems, whole=whole)
    complete = written.complete and len(texts) == len(files)
    expressions = Expressions(problems, written.definitions, complete)
    providers = Providers(ClaimSchemas(texts, problems, folder), problems, expressions)
    claims = {name: providers.claims(entry) for name, entry in written.providers.items()}
    statements = Statements(
        frozenset(node.text for node in written.services), claims, problems, expressions, complete
    )
    compiled = _compile(written, providers, statements)
    all_visible = _all_visible(claims)
    if whole:
        expressions.check_unused(all_visible)
    policy = None
    if whole and not problems.error_count:
        policy = _policy(compiled, statements.services, expressions, all_visible, digest)
        problems.extend(lint(policy, written, now))
    found = silence(texts, [*problems, *drafts(texts)], SILENCEABLE)
    if any(problem.severity is Severity.ERROR for problem in found):
        policy = None
    sources = {name: _bytes(content).decode(errors="replace") for name, content in files.items()}
    return Compilation(policy, _sorted(found), sources)


def _decode(files: Mapping[str, bytes | str], problems: Problems) -> Iterator[tuple[str, str]]:
    for name, content in files.items():
        text = nodes.decoded(_bytes(content), name, problems)
        if text is not None:
            yield name, text


def _bytes(content: bytes | str) -> bytes:
    # Half of a surrogate pair is not text; as bytes it is refused like all other invalid UTF-8.
    return content.encode(errors="surrogatepass") if isinstance(content, str) else content


@dataclass(frozen=True, slots=True)
class _Parts:
    providers: Sequence[Provider]
    grants: Sequence[Grant]
    denials: Sequence[Denial]
    anonymous: Grant | None


def _compile(written: Document, providers: Providers, statements: Statements) -> _Parts:
    return _Parts(
        [
            provider
            for name, entry in written.providers.items()
            if (provider := providers.compile(name, entry)) is not None
        ],
        [
            grant
            for node in written.grants
            if (grant := statements.compile(node, Grant)) is not None
        ],
        [
            denial
            for node in written.denials
            if (denial := statements.compile(node, Denial)) is not None
        ],
        statements.compile_anonymous(written.anonymous) if written.anonymous else None,
    )


def _all_visible(claims: Mapping[str, ClaimSchema | None]) -> list[VisibleNames]:
    known = {id(schema): schema for schema in claims.values() if schema is not None}
    # The fewest names come last, so that the program it compiles is the one that is kept.
    return [
        VisibleNames(schema, scope=True, reference=reference, client=client)
        for reference, client in ((True, True), (False, True), (False, False))
        for schema in known.values()
    ]


def _policy(
    parts: _Parts,
    services: frozenset[str],
    expressions: Expressions,
    all_visible: Sequence[VisibleNames],
    digest: str,
) -> Policy:
    definitions = {
        name: program
        for visible in all_visible
        for name, program in expressions.definitions_of(visible).items()
    }
    names = [provider.name for provider in parts.providers]
    return Policy(
        services=services,
        providers=MappingProxyType({provider.name: provider for provider in parts.providers}),
        grants=tuple(parts.grants),
        denials=tuple(parts.denials),
        anonymous=parts.anonymous,
        definitions=MappingProxyType(definitions),
        hash=digest,
        index=MappingProxyType(
            {name: _index(name, parts.grants, parts.denials) for name in names}
            | {"": _index("", [parts.anonymous] if parts.anonymous else [], parts.denials)}
        ),
    )


def _index(provider: str, grants: Sequence[Grant], denials: Sequence[Denial]) -> ProviderIndex:
    def concerning(statements: Sequence[Statement], *, catalog: bool) -> list[int]:
        return [
            position
            for position, statement in enumerate(statements)
            if (statement.providers is None or provider in statement.providers)
            and statement.catalog == catalog
        ]

    return ProviderIndex(
        index.build(grants, concerning(grants, catalog=False), errors_match=False),
        index.build(denials, concerning(denials, catalog=False), errors_match=True),
        tuple(concerning(grants, catalog=True)),
        tuple(concerning(denials, catalog=True)),
    )


def _hash(files: Mapping[str, bytes | str]) -> str:
    """Digest names and contents, each with its length, so that no two policies share one."""
    digest = hashlib.sha256()
    for name in sorted(files):
        data = _bytes(files[name])
        digest.update(f"{len(name.encode())}:{name}:{len(data)}:".encode())
        digest.update(data)
    return f"sha256:{digest.hexdigest()}"


def _sorted(found: Sequence[Problem]) -> tuple[Problem, ...]:
    ordered = Problems()
    ordered.extend(found)
    return tuple(ordered)
