"""
Compiling providers: from the policy as written to `Provider` values.

What lives here: issuers, audiences, keys, algorithms, rules.  Not here: grants and denials
(`regauth.engine.compiler.statements`), and fetching keys (`regauth.servers.provider_keys`).
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from regauth.engine.cel import BOOL, STRING, Program
from regauth.engine.issuers import ClaimSchema
from regauth.engine.policy.policy import (
    Discovery,
    JwksFile,
    JwksUri,
    KeySource,
    Provider,
    RemoteAccess,
    Rule,
    StaticKeys,
)
from regauth.engine.source.addresses import is_loopback
from regauth.engine.source.nodes import Entry, MappingNode, Node, ScalarNode, SequenceNode
from regauth.engine.source.problems import Location, Problems
from regauth.engine.source.quantities import parse_duration
from regauth.engine.tokens.algorithms import ALGORITHMS, KeysError

from .claim_schemas import ClaimSchemas
from .expressions import Expressions, VisibleNames

DEFAULT_CLOCK_SKEW: Final = timedelta(seconds=30)
MAX_CLOCK_SKEW: Final = timedelta(minutes=5)
MIN_SESSION: Final = timedelta(minutes=1)
MAX_SESSION: Final = timedelta(days=30)
GENERIC: Final = "generic"
"""The claim schema of a provider that names none."""


@dataclass(slots=True)
class Providers:
    """Compiles the providers of one policy."""

    schemas: ClaimSchemas
    problems: Problems
    expressions: Expressions

    def claims(self, entry: Entry) -> ClaimSchema | None:
        """Return a provider's claim schema, or None after a problem."""
        node = _mapping(entry).get("claims")
        if isinstance(node, ScalarNode):
            return self.schemas.find(node.text, node.location)
        return self.schemas.find(GENERIC, entry.key.location)

    def compile(self, name: str, entry: Entry) -> Provider | None:
        """Compile one provider, or report what is wrong with it."""
        body = _mapping(entry)
        issuer = _text(body, "issuer")
        claims = self.claims(entry)
        keys = self._keys(body, issuer)
        algorithms = self._algorithms(body, keys)
        clock_skew = self._clock_skew(body)
        max_age = body.get("maxTokenAge")
        max_session = self._max_session(body)
        if claims is None:
            return None
        visible = VisibleNames(claims, scope=False)
        rules = self._rules(body, visible)
        subject = self._subject(entry, visible)
        age = self._duration(max_age) if max_age is not None else None
        if self.problems.error_count or keys is None or rules is None or subject is None:
            return None  # with an error anywhere there will be no policy
        return Provider(
            name=name,
            issuer=issuer,
            audiences=_audiences(body["audience"]),
            keys=keys,
            algorithms=algorithms,
            claims=claims,
            rules=rules,
            subject=subject,
            clock_skew=clock_skew,
            location=entry.key.location,
            max_token_age=age,
            max_session=max_session,
        )

    def _keys(self, body: MappingNode, issuer: str) -> KeySource | None:
        node = body.get("keys")
        if (node is None and body.unfit) or (isinstance(node, MappingNode) and node.unfit):
            return None
        keys = node if isinstance(node, MappingNode) else None
        access = RemoteAccess(
            _optional(keys, "caFile"),
            _optional(keys, "bearerTokenFile"),
            bool(keys is not None and keys.get("allowHttp") and keys["allowHttp"].plain()),
        )
        if keys is not None and (uri := keys.get("jwksUri")) is not None:
            source = JwksUri(str(uri.plain()), access)
            return (
                source
                if self._check_url(source.uri, access, uri, "`jwksUri`", query=True)
                else None
            )
        if keys is not None and (path := keys.get("jwksFile")) is not None:
            return JwksFile(str(path.plain()))
        if keys is not None and (inline := keys.get("jwks")) is not None:
            return self._static(inline)
        if keys is not None and (pem := keys.get("pem")) is not None:
            return self._static(pem)
        node = body.get("issuer")
        if node is None:
            return None
        good = self._check_url(issuer, access, node, "an issuer with discovery")
        return Discovery(access) if good else None

    def _static(self, node: Node) -> StaticKeys | None:
        # On demand: few policies hold keys, and the libraries that read them load slowly.
        from regauth.engine.tokens.jwks import parse_jwks  # noqa: PLC0415 - on demand
        from regauth.engine.tokens.keys import KeySet, require_keys  # noqa: PLC0415 - on demand
        from regauth.engine.tokens.pem import parse_pem  # noqa: PLC0415 - on demand

        try:
            if isinstance(node, MappingNode):
                document: Any = node.plain()
                return StaticKeys(require_keys(parse_jwks(document)))
            listed = node.items if isinstance(node, SequenceNode) else (node,)
            texts = [item.text for item in listed if isinstance(item, ScalarNode)]
            return StaticKeys(KeySet(tuple(key for text in texts for key in parse_pem(text).keys)))
        except KeysError as error:
            self.problems.error(node.location, "bad-key", str(error), "")
            return None

    def _check_url(
        self, url: str, access: RemoteAccess, node: Node, what: str, *, query: bool = False
    ) -> bool:
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            host = None
        if host is None or parts.scheme not in ("https", "http"):
            self.problems.error(
                node.location,
                "bad-url",
                f"{what} must be an https address, with a host and perhaps a port",
                "write it such as https://ci.example.com:8443/keys",
            )
            return False
        # Some issuers tell key sets apart by a query; an issuer's own address has none
        # (OpenID Connect Discovery 1.0, section 3).
        if parts.username is not None or parts.fragment or (parts.query and not query):
            self.problems.error(
                node.location,
                "bad-url",
                f"{what} must not hold a user name{'' if query else ', a query'} or a fragment",
                "remove it; `bearerTokenFile` is for a server that asks who fetches the keys",
            )
            return False
        if parts.scheme == "http" and not access.allow_http and not is_loopback(host):
            self.problems.error(
                node.location,
                "bad-url",
                f"{what} uses http, so anybody in the network between can replace the keys",
                "use https; `allowHttp: true` in `keys` accepts the danger",
            )
            return False
        return True

    def _algorithms(self, body: MappingNode, keys: KeySource | None) -> tuple[str, ...]:
        node = body.get("algorithms")
        named = tuple(map(str, node.plain())) if isinstance(node, SequenceNode) else ALGORITHMS  # type: ignore[arg-type]  # the schema lets only strings through
        if not isinstance(keys, StaticKeys):
            return named
        fitting = {algorithm for key in keys.key_set.keys for algorithm in key.algorithms}
        allowed = tuple(algorithm for algorithm in named if algorithm in fitting)
        if not allowed:
            self.problems.error(
                (node or body).location,
                "bad-key",
                f"no key of this provider can verify {' or '.join(named)}",
                f"its keys verify {', '.join(sorted(fitting))}",
            )
        return allowed

    def _clock_skew(self, body: MappingNode) -> timedelta:
        node = body.get("clockSkew")
        if node is None:
            return DEFAULT_CLOCK_SKEW
        skew = self._duration(node)
        if skew > MAX_CLOCK_SKEW:
            self.problems.error(
                node.location,
                "wrong-value",
                "`clockSkew` is more than 5 minutes",
                "set the clocks right; an expired token stays good for this long",
            )
        return skew

    def _max_session(self, body: MappingNode) -> timedelta | None:
        refresh = body.get("refreshTokens")
        node = refresh.get("maxSession") if isinstance(refresh, MappingNode) else None
        if node is None:
            return None
        longest = self._duration(node)
        if not MIN_SESSION <= longest <= MAX_SESSION:
            self.problems.error(
                node.location,
                "wrong-value",
                "`maxSession` is between 1 minute and 30 days",
                "write it such as `8h`; without `refreshTokens` there are no sessions",
            )
        return longest

    def _duration(self, node: Node) -> timedelta:
        try:
            return parse_duration(str(node.plain()))
        except ValueError as error:
            self.problems.error(node.location, "wrong-value", str(error))
            return timedelta()

    def _rules(self, body: MappingNode, visible: VisibleNames) -> tuple[Rule, ...] | None:
        node = body.get("rules")
        rules: list[Rule] = []
        names: dict[str, Location] = {}
        good = True
        for item in node.items if isinstance(node, SequenceNode) else ():
            if not isinstance(item, MappingNode):
                continue
            name, check = item.get("name"), item.get("check")
            if isinstance(name, ScalarNode):
                self._check_rule_name(name, names)
            if not isinstance(check, ScalarNode):
                continue
            program = self.expressions.compile(check, [visible], BOOL)
            if program is None or not isinstance(name, ScalarNode):
                good = False
                continue
            message = _optional(item, "message") or ""
            rules.append(Rule(name.text, program, message, item.location))
        return tuple(rules) if good else None

    def _check_rule_name(self, name: ScalarNode, names: dict[str, Location]) -> None:
        first = names.setdefault(name.text, name.location)
        if first is not name.location:
            self.problems.error(
                name.location,
                "duplicate-name",
                f"this provider has a rule `{name.text}` in line {first.line} already",
                "a refusal tells the rule by its name; rename one",
            )

    def _subject(self, entry: Entry, visible: VisibleNames) -> Program | None:
        node = _mapping(entry).get("subject")
        if not isinstance(node, ScalarNode):
            known = visible.claims.type.field("sub") if visible.claims else None
            if known is None or not known.required or known.type != STRING:
                self.problems.error(
                    entry.key.location,
                    "missing-key",
                    "`subject` is missing: not every token of this provider has a text `sub`",
                    "add `subject:` with the claim that says who it is",
                )
                return None
            node = ScalarNode("claims.sub", entry.key.location, "claims.sub")
        return self.expressions.compile(node, [visible], STRING)


def _mapping(entry: Entry) -> MappingNode:
    if not isinstance(entry.value, MappingNode):
        raise TypeError("the schema lets only mappings through")
    return entry.value


def _text(body: MappingNode, name: str) -> str:
    return _optional(body, name) or ""


def _optional(body: MappingNode | None, name: str) -> str | None:
    node = body.get(name) if body is not None else None
    return node.text if isinstance(node, ScalarNode) else None


def _audiences(node: Node) -> frozenset[str]:
    plain = node.plain()
    return frozenset(map(str, plain)) if isinstance(plain, list) else frozenset({str(plain)})
