"""
Random policies, edits of them, and tokens: what tries to refute what the prover says.

The grammar is nasty on purpose: claims of every kind and of unknown kind, texts that are alike but
for case, lists and maps with wrong elements, conditions that fail, names and tags made of claims, of
one claim both, and values that are too long for a tag, for a name or for both.
"""

import json
import random
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta

from msgspec import structs

from regauth.engine.access.outcomes import Identity
from regauth.engine.access.references import TagState, is_tag
from regauth.engine.access.scope import (
    CATALOG,
    REGISTRY,
    REPOSITORY,
    Access,
    Resource,
    is_repository_name,
)
from regauth.engine.compiler.compiler import compile_policy
from regauth.engine.decisions.authentication import Authenticated
from regauth.engine.decisions.decide import Request
from regauth.engine.policy.policy import Policy
from regauth.engine.source.addresses import IpAddress, parse_ip
from regauth.engine.tokens.jwt import NO_CLAIMS
from regauth.policytests.proofs.confirmation import Asked, logins

ZERO = timedelta(0)
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
ISSUER, AUDIENCE, SERVICE = "https://issuer.example.com", "https://registry.example.com", "r"


def _claim(kind: str, presence: str = "sometimes", **more: object) -> dict[str, object]:
    return {"type": kind, "presence": presence, "description": "x", **more}


SCHEMA = json.dumps(
    {
        "name": "ours",
        "title": "Ours",
        "documentation": "https://example.com",
        "claims": {
            "iss": _claim("string", "always"),
            "sub": _claim("string", "always"),
            "aud": _claim("list", "always", items={"type": "string"}),
            "exp": _claim("int", "always"),
            "iat": _claim("int"),
            "nbf": _claim("int"),
            "a": _claim("string", "always"),
            "d": _claim("string", "always"),
            "c": _claim("string"),
            "l": _claim("list", items={"type": "string"}),
            "n": _claim("int", "always"),
            "b": _claim("bool", "always"),
            "y": _claim("dyn"),
            "x": _claim("double"),
            "m": _claim("object", claims={"k": _claim("string", "always"), "o": _claim("string")}),
            "p": _claim("map", values={"type": "string"}),
        },
    }
)

LITERALS = ["x", "xy", "acme", "acme/x", "Acme", "y", "x/y", "xx", "", "x-y", "é"]
NAMES = [
    *("acme/x", "acme/y", "x", "x/y", "acme", "acme/x/y", "acme/xx", "y", "acme/x-x", "a/y", "x/x"),
    *("xy", "acme/acme", "xx/x", "acme/y-x"),
]
REFERENCES = ["", "x", "xy", "acme", "x-y", "y1", f"sha256:{'a' * 64}", "*", "@upload"]
PATTERNS = [
    *("acme/**", "acme/*", "acme/x", "x", "x/*", "**/y", "acme/x*", "**", "*", "a*/x"),
    *("${claims.a}", "${claims.a.lowerAscii()}/**", "${claims.a}/${claims.d}", "${claims.c}/*"),
    *(
        "acme/${claims.d}-x",
        "*/${claims.a}",
        "acme/${claims.a}/**",
        "${claims.a}/x*",
        "${claims.y}",
    ),
    *("acme/${claims.l[0]}", "${claims.a.replace('x', 'acme')}/**", "${scope.name}"),
    *("${claims.a.split('/')[0]}/**", "${claims.c + '/' + claims.d}"),
    *("acme/${claims.a in defs.t ? defs.t[claims.a] : claims.d}", "acme/${claims.a}/${claims.a}"),
]
TAGS = [
    *("*", "x", "x*", "${claims.a}", "v-${claims.c}", "*y", "${claims.y}*", "${claims.a}"),
    *("v${claims.a.lowerAscii()}", "${claims.a}-${claims.d}", "${claims.a.trim()}"),
]
NETWORKS = ["10.0.0.0/8", "10.0.0.0/9", "10.128.0.0/9", "0.0.0.0/0", "2001:db8::/32", "::/0"]
CLIENTS: list[IpAddress | None] = [
    None,
    *map(parse_ip, ["10.0.0.1", "10.200.0.1", "192.0.2.7", "2001:db8::5", "::1"]),
]
TABLE = {"x": "x", "acme": "acme/x", "y": "x", "Acme": "y", "é": "é", "": "x"}
LISTS = {"x": ["x", "y"], "acme": ["acme"], "y": []}
MANY = {**{f"{letter}{number}": letter for letter in "vwxy" for number in range(6)}, "acme": "x"}
TABLES = {"t": TABLE, "u": LISTS, "m": MANY}
LONG = [
    letter * size for letter in ("x", "Y") for size in (100, 127, 128, 129, 150, 254, 255, 256, 300)
]


class Random(random.Random):
    """The choices of one seed."""

    providers: tuple[str, ...] = ("o",)
    """The providers that statements may name."""
    services: tuple[str, ...] = ("r",)

    def text(self) -> str:
        return self.choice(
            [
                *("claims.a", "claims.a", "claims.c", "claims.d", "claims.m.k", "claims.m.o"),
                *("claims.y", "claims.p.k", 'claims["p"]["x"]', "claims.l[0]"),
                *("claims.a.lowerAscii()", 'claims.d.replace("x", "y")', "claims.c.upperAscii()"),
                *('claims.a.split("/")[0]', 'claims.d.split("x")[1]', "claims.a.substring(1)"),
                *("claims.d.substring(0, 1)", "claims.a.charAt(0)", "claims.c.trim()"),
                *("(claims.b ? claims.a : claims.d)", '(claims.a + "x")', "(claims.a + claims.d)"),
                *('claims.a.replace("x", "xx")', "claims.d.lowerAscii().upperAscii()"),
                '(claims.a in defs.t ? defs.t[claims.a] : "x")',
            ]
        )

    def literal(self) -> str:
        return json.dumps(self.choice(LITERALS), ensure_ascii=False)

    def number(self) -> str:
        return self.choice(
            [
                *("claims.n", "claims.n", "dyn(claims.x)", "claims.y", "size(claims.l)"),
                *(
                    f"size({self.text()})",
                    "claims.n + 1",
                    "size(claims.a.split('/'))",
                    "claims.exp",
                ),
                *("-claims.n", "int(claims.a)", 'claims.a.indexOf("x")', "claims.n * 2"),
            ]
        )

    def atom(self) -> str:
        text, literal = self.text(), self.literal()
        order = self.choice(["<", ">", "==", "<=", ">=", "!="])
        regex = self.choice(
            ["^x+$", "x|^y", "^[a-c]+/", "e$", "^.y", "(?i)^ACME", "[^x]$", "x\\\\b"]
        )
        return self.choice(
            [
                f"{text} == {literal}",
                f"{text} == {literal}",
                f"{text} != {literal}",
                f"{text}.startsWith({literal})",
                f"{text}.endsWith({literal})",
                f"{text}.contains({literal})",
                f'{text}.matches("{regex}")',
                f"{text} in [{literal}, {self.literal()}]",
                f"{text} == {self.text()}",
                f"{text} != {self.text()}",
                f"{text}.startsWith({self.text()})",
                f"{self.number()} {order} {self.randrange(4)}",
                f"dyn(claims.n) {order} {self.randrange(3)}.5",
                f"claims.x {order} {self.randrange(3)}.5",
                f"{literal} in claims.l",
                f"{text} in claims.l",
                f"claims.l.exists(g, g == {literal} || g.startsWith({self.literal()}))",
                f"claims.l.all(g, g != {literal} {self.choice(['&&', '||'])} g == claims.a)",
                f"claims.l.exists(g, g.contains({literal}) && g != claims.d)",
                f"claims.l.exists_one(g, g == {literal})",
                f"claims.y.exists(g, g == {literal})",
                f'["x", claims.a].exists(g, g == {text})',
                f'[claims.a, "y"].all(g, g != {literal})',
                f"claims.l.filter(g, g != {literal}).size() > 0",
                *("claims.b", "claims.y", "claims.y == true", "!claims.b", "claims.b == claims.y"),
                f"has(claims.{self.choice(['c', 'l', 'm', 'y', 'm.o', 'p.k'])})",
                f"{literal} in claims.m",
                f"{literal} in claims.p",
                f"scope.name.{self.choice(['startsWith', 'endsWith', 'contains'])}({literal})",
                f"scope.name == {text}",
                "scope.name.startsWith(claims.a)",
                f'scope.action == "{self.choice(["pull", "push"])}"',
                f"claims.y == {self.choice(['null', '1', '1.5', literal])}",
                f"claims.y != {self.choice(['null', literal])}",
                f"claims.l == [{literal}]",
                f"size(claims.l) {order} {self.randrange(3)}",
                f"claims.l[{self.randrange(2)}] == {literal}",
                f"claims.exp {order} {int(NOW.timestamp()) + self.choice([-60, 0, 300, 3600])}",
                f"now {self.choice(['<', '>='])} timestamp(claims.exp)",
                f'now - timestamp(claims.iat) < duration("{self.choice(["1m", "10m", "1h"])}")',
                f'now < timestamp("2026-11-01T12:00:0{self.randrange(3)}Z")',
                f'provider == "{self.choice(["o", "q"])}"',
                f'service == "{self.choice(["r", "s"])}"',
                f'(has(claims.c) ? claims.c : "x") == {literal}',
                self.looked_up(),
                self.client(),
                self.client(),
                f"size(claims.a) {order} {self.choice([128, 129, 255, 256])}",
                self.choice(["true", "false", "1 / 0 == 1", "claims.n / 0 == 1"]),
            ]
        )

    def client(self) -> str:
        return f'client.inNetwork("{self.choice(NETWORKS)}")'

    def looked_up(self) -> str:
        """Return a condition on a table, which has the key in most cases."""
        key, literal = (
            self.choice(["claims.a", "claims.d.lowerAscii()", "claims.y"]),
            self.literal(),
        )
        return self.choice(
            [
                f"({key} in defs.t && defs.t[{key}] == {literal})",
                f"({key} in defs.t && defs.t[{key}] == claims.d)",
                f"({key} in defs.u && {literal} in defs.u[{key}])",
                f"({key} in defs.u && defs.u[{key}].exists(g, g == claims.a))",
                f"!({key} in defs.t)",
                f"({key} in defs.m && defs.m[{key}] == {literal})",
                f'({key} in defs.m ? defs.m[{key}] : "x") == {self.text()}',
            ]
        )

    def condition(self, depth: int = 2) -> str:
        if depth == 0 or self.random() < 0.3:
            return self.atom()
        operator = self.choice([" && ", " && ", " || "])
        parts = operator.join(self.condition(depth - 1) for _ in range(self.choice([2, 2, 3])))
        return ("!" if self.random() < 0.15 else "") + f"({parts})"

    def rule(self) -> str:
        text = self.condition(1).replace("scope.name", "claims.a")
        for network in NETWORKS:  # a login does not see the client
            text = text.replace(f'client.inNetwork("{network}")', "claims.b")
        return text.replace("scope.action", "claims.d")

    def statement(self, kind: str, number: int) -> dict[str, object]:
        found: dict[str, object] = {"name": f"{kind}{number}"}
        if self.random() < 0.06:
            found["catalog"] = True
        else:
            found["repositories"] = self.sample(PATTERNS, self.choice([1, 1, 2]))
            found["actions"] = self.sample(["pull", "push", "delete"], self.choice([1, 2]))
        if self.random() < 0.9:
            found["when"] = self.condition()
        if self.random() < 0.1 and "catalog" not in found:
            found["class"] = "plugin"
        if self.random() < 0.12:
            found["providers"] = self.sample(self.providers, 1)
        if self.random() < 0.1:
            found["services"] = [self.choice(self.services)]
        if kind == "g" and self.random() < 0.15:
            found["tokenLifetime"] = self.choice(["1m", "2m", "5m"])
        if self.random() < 0.1:
            found["expires"] = self.choice(["2026-11-01T12:00:00Z", "2026-11-02", "2026-10-01"])
        if self.random() < 0.12 and "catalog" not in found:
            found["tags"] = self.sample(TAGS, self.choice([1, 2]))
            pushes = "push" in found["actions"] and "delete" not in found["actions"]
            if kind == "g" and pushes and self.random() < 0.6:
                found["newTagsOnly"] = True
        return found

    def provider(self) -> dict[str, object]:
        found: dict[str, object] = {
            "issuer": ISSUER,
            "audience": AUDIENCE,
            "algorithms": ["RS256"],
            "claims": "ours.json",
        }
        rules = [self.rule() for _ in range(self.choice([0, 1, 1]))]
        if rules:
            found["rules"] = [
                {"name": f"r{number}", "check": check} for number, check in enumerate(rules)
            ]
        if self.random() < 0.3:
            found["maxTokenAge"] = self.choice(["1m", "10m"])
        if self.random() < 0.15:
            found["subject"] = self.choice(["claims.a", "claims.c", 'claims.a + ":" + claims.d'])
        if self.random() < 0.1:
            found["refreshTokens"] = {"maxSession": self.choice(["1h", "2h"])}
        return found

    def policy(self) -> dict[str, object]:
        providers = {"o": self.provider()}
        if self.random() < 0.15:
            providers["q"] = self.provider()
        self.providers = tuple(providers)
        self.services = ("r", "s") if self.random() < 0.15 else ("r",)
        found: dict[str, object] = {
            "version": 1,
            "services": list(self.services),
            "providers": providers,
            "grants": [self.statement("g", one) for one in range(self.choice([1, 2, 3]))],
        }
        denials = [self.statement("d", one) for one in range(self.choice([0, 0, 1, 2]))]
        if denials:
            found["denials"] = denials
        if self.random() < 0.15:
            found["anonymous"] = {"repositories": self.sample(["acme/**", "x", "**/y", "*"], 1)}
        return with_tables(found)

    def edited(self, policy: dict[str, object]) -> dict[str, object]:
        """Return a policy changed a little, so that much of the two is alike."""
        found = deepcopy(policy)
        tables: dict[str, dict[str, object]] = {**deepcopy(TABLES), **found.get("definitions", {})}
        grants: list[dict[str, object]] = found["grants"]
        denials: list[dict[str, object]] = found.get("denials", [])
        kind = self.randrange(14)
        if kind == 0:
            self.choice([one for one in grants if "repositories" in one] or [{}])[
                "repositories"
            ] = self.sample(PATTERNS, 1)
        elif kind == 1 and len(grants) > 1:
            grants.pop(self.randrange(len(grants)))
        elif kind == 2:
            found["denials"] = [*denials, self.statement("d", 7)]
        elif kind == 3 and len(denials) > 1:
            denials.pop()
        elif kind == 4:
            found["providers"]["o"]["rules"] = [{"name": "r9", "check": self.rule()}]
        elif kind == 5:
            grants.append({**self.choice(grants), "name": "n", "when": self.condition(1)})
        elif kind < 11:
            self._edit_less_common(kind, found, tables)
        else:
            one = self.choice([*grants, *denials])
            if "when" in one:
                joined = f"({one['when']}) {self.choice(['&&', '||'])} {self.atom()}"
                one["when"] = joined if self.random() < 0.6 else self.condition()
        return with_tables(found, tables)

    def _edit_less_common(
        self, kind: int, found: dict[str, object], tables: dict[str, dict[str, object]]
    ) -> None:
        """Change anonymous access, an age, an entry of a table, a lifetime or a network."""
        grants: list[dict[str, object]] = found["grants"]
        if kind == 6:
            found["anonymous"] = {"repositories": ["acme/*"]}
        elif kind == 7:
            found["providers"]["o"]["maxTokenAge"] = "5m"
        elif kind == 8:
            table = self.choice("tum")
            entry = {"t": "acme", "u": ["acme", "x"], "m": "acme"}[table]
            tables[table][self.choice(["x", "acme", "y", "v3", "q"])] = entry
        elif kind == 9:
            grants[-1].pop("tokenLifetime", None)
            if self.random() < 0.7:
                grants[0]["tokenLifetime"] = self.choice(["1m", "2m", "5m"])
        else:
            one = self.choice([*grants, *found.get("denials", [])])
            one["when"] = f"({one.get('when', 'true')}) {self.choice(['&&', '||'])} {self.client()}"

    # -- tokens

    def value(self) -> object:
        texts = [*LITERALS, "ACME", "Acme/x", "acme/y", "z", "xz", "/y", "e", "yy", "X", "a/", "xe"]
        return self.choice(LONG) if self.random() < 0.15 else self.choice([*texts, "v3", "x5"])

    def anything(self) -> object:
        return self.choice(
            [None, 1, True, False, "x", [], ["x", 1], ["x"], {}, {"k": 1}, {"x": "x"}, 0.5, 1.0, -1]
        )

    def token(self, *, anything: bool) -> dict[str, object]:
        now = int(NOW.timestamp())
        claims: dict[str, object] = {
            "iss": ISSUER,
            "sub": "s",
            "aud": [AUDIENCE] if self.random() < 0.9 else AUDIENCE,
            "exp": now + self.choice([60, 300, 3600]),
            "a": self.value(),
            "d": self.value(),
            "n": self.randrange(5),
            "b": self.random() < 0.5,
        }
        optional: dict[str, object] = {
            "c": self.value(),
            "l": [self.value() for _ in range(self.randrange(4))],
            "m": {"k": self.value(), **({"o": self.value()} if self.random() < 0.5 else {})},
            "p": {self.choice(["k", "x"]): self.value()},
            "y": self.choice([self.value(), self.value(), self.anything()]),
            "x": self.choice([0.5, 1.0, 2.5]),
            "iat": now - self.choice([0, 30, 300, 3600]),
            "nbf": now - self.choice([0, 30]),
        }
        if self.random() < 0.2:  # a time may have a fraction, whatever a schema says
            claims["exp"] += self.choice([0.5, -0.25])
            optional["iat"] -= self.choice([0.5, 0.75])
        claims |= {name: value for name, value in optional.items() if self.random() < 0.7}
        if anything:
            for name in "abcdlnmpxy":
                if self.random() < 0.12:
                    if self.random() < 0.4:
                        claims.pop(name, None)
                    else:
                        claims[name] = self.anything()
        return claims


def with_tables(
    policy: dict[str, object], tables: dict[str, dict[str, object]] = TABLES
) -> dict[str, object]:
    """Return a policy with the tables that it reads."""
    text = json.dumps(policy)
    read = {name: table for name, table in tables.items() if f"defs.{name}" in text}
    return {**policy, "definitions": read} if read else policy


def compiled(policy: dict[str, object]) -> Policy | None:
    """Compile a random policy; None for one that the compiler refuses."""
    files = {"policy.yaml": json.dumps(policy), "ours.json": SCHEMA}
    return compile_policy(files).policy


def accesses(*, tagged: bool, stated: bool = False) -> Iterator[Access]:
    for name in NAMES:
        for action in ("pull", "push", "delete"):
            for reference in REFERENCES if tagged else [""]:
                states = TagState if stated and is_tag(reference) else (TagState.UNKNOWN,)
                for state in states:
                    yield Access(Resource(REPOSITORY, name), action, reference, state)
        yield Access(Resource(REPOSITORY, name, "plugin"), "pull")
    yield Access(Resource(REGISTRY, CATALOG), "*")


def own_accesses(choose: Random, claims: dict[str, object], *, tagged: bool) -> Iterator[Access]:
    """Yield accesses to what is called like a token's own values, however long they are."""
    texts = [value for name in "adc" if isinstance(value := claims.get(name), str)]
    for text in texts:
        for own in {text, text.lower()}:
            names = [own, f"acme/{own}", f"{own}/x", f"acme/{own}/{own}", f"acme/{own}/x"]
            for name in filter(is_repository_name, names):
                references = [*("", f"{own}", f"v{own}", f"v-{own}"), choose.choice(REFERENCES)]
                for reference in references if tagged else [""]:
                    if ":" in reference or reference in ("", "*", "@upload") or is_tag(reference):
                        yield Access(Resource(REPOSITORY, name), choose.choice(ACTIONS), reference)


ACTIONS = ("pull", "push", "delete")


def _requests(policy: Policy, asked: Asked, providers: list[str]) -> list[Request]:
    """Return a request for each login that succeeds; one counts for all that is asked for."""
    if asked.service not in policy.services:
        return []
    if asked.claims is None:
        found = [(Identity(), NO_CLAIMS)] if policy.anonymous is not None else []
    else:
        found = [
            (one.identity, one.claims)
            for _, one in logins(policy, asked, providers)
            if isinstance(one, Authenticated)
        ]
    return [
        Request(
            policy,
            identity.from_client(asked.client),
            claims,
            asked.service,
            asked.now,
            exhaustive=True,
        )
        for identity, claims in found
    ]


def _is_allowed(requests: list[Request], access: Access) -> bool:
    """Tell whether one of some logins allows an access."""
    return any(one.verdict(access).allowed for one in requests)


def _longest(requests: list[Request], access: Access) -> timedelta:
    """
    Return for how long a token for an access is valid at most; nothing where there is none.

    It is asked for without the reference, and for what depends on it, too.
    """
    asked = structs.replace(access, reference="", tag_state=TagState.UNKNOWN)
    verdicts = [one.verdict(asked) for one in requests]
    given = [one for one in verdicts if one.allowed or one.why.is_open]
    return max(
        (timedelta.max if one.lifetime is None else one.lifetime for one in given), default=ZERO
    )


def _against(new: Policy, bound: Policy, asked: Asked, provider: str, some: list[Access]) -> str:
    """Return an access that one policy gives, or for longer, and the other does not, if any."""
    ours = _requests(new, asked, [provider])
    theirs = _requests(bound, asked, list(bound.providers)) if ours else []
    for access in some if ours else []:
        if not _is_allowed(ours, access):
            continue
        if not _is_allowed(theirs, access):
            return str(access)
        if _longest(ours, access) > _longest(theirs, access) > ZERO:
            return f"{access}, for longer"
    return ""


def refutation(
    choose: Random, new: Policy, bound: Policy, tokens: int, *, anything: bool
) -> str | None:
    """Return a request that `new` allows and `bound` refuses, or for longer, if a random one is."""
    tagged = any(one.tags for policy in (new, bound) for one in (*policy.grants, *policy.denials))
    stated = any(policy.by_new_tag for policy in (new, bound))
    asked_for = list(accesses(tagged=tagged, stated=stated))
    services = sorted(new.services)
    for _ in range(tokens):
        claims = choose.token(anything=anything)
        moment = NOW + timedelta(seconds=choose.choice([0, 0, 0.5, 1, 2, 90_000]))
        ago = timedelta(seconds=choose.choice([0, 60, 3000, 5400]))
        client, service = choose.choice(CLIENTS), choose.choice(services)
        some = choose.sample(asked_for, min(len(asked_for), 40))
        own = list(own_accesses(choose, claims, tagged=tagged))
        some += choose.sample(own, min(len(own), 20))
        for name in new.providers:
            lasting = new.providers[name].max_session is not None and ago
            session = name if lasting else ""
            begun = moment - (lasting or ZERO)
            asked = Asked(claims, service, some[0], moment, begun, session, client)
            against = _against(new, bound, asked, name, some)
            if against:
                who = f"{json.dumps(claims)} from {client} at {service}"
                return f"{against} at {moment}, login {begun}, by {who}"
        bare = Asked(None, service, some[0], moment, moment, client=client)
        against = _against(new, bound, bare, "", some)
        if against:
            return f"{against} without credentials, from {client}"
    return None
