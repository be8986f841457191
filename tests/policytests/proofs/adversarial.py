"""
Attacks on the prover: pairs of policies of which the first gives more, made to be proved equal.

Each attack names a request that the first policy allows and the second refuses; the engine says
so.  They were made from `docs/proofs.md` alone, sentence by sentence: what could be untrue there?
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from regauth.engine.access.references import TagState
from regauth.engine.access.scope import CATALOG, REGISTRY, REPOSITORY, Access, Resource
from regauth.engine.compiler.compiler import compile_policy
from regauth.engine.policy.policy import Policy
from regauth.engine.source.addresses import IpAddress
from tests.policytests.proofs.random_policies import AUDIENCE, ISSUER, NOW, SCHEMA, SERVICE

Document = dict[str, object]

SECONDS = int(NOW.timestamp())
PULL = Access(Resource(REPOSITORY, "acme/x"), "pull")
HALF = timedelta(microseconds=500_000)


def pull(name: str, reference: str = "", class_: str = "", action: str = "pull") -> Access:
    return Access(Resource(REPOSITORY, name, class_), action, reference)


CATALOGUE = Access(Resource(REGISTRY, CATALOG), "*")


def provider(**more: object) -> Document:
    return {
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "algorithms": ["RS256"],
        "claims": "ours.json",
        "clockSkew": "0s",
        **more,
    }


def grant(when: str = "", name: str = "g", **more: object) -> Document:
    found: Document = {"name": name, "repositories": ["acme/x"], "actions": ["pull"], **more}
    if when:
        found["when"] = when
    return found


def looked_up(condition: str, **more: object) -> Document:
    """Return a policy with tables and one grant."""
    return policy(grant(condition, **more), definitions=TABLES)


def tagged(*tags: str, **more: object) -> Document:
    """Return a policy that lets push some tags."""
    return policy(grant("", tags=list(tags), actions=["push"], **more))


def _name_and_tag(in_name: str, in_tag: str, named: str) -> "Attack":
    """
    Return an attack by a value that is too long for a tag and not for a name.

    A denial whose tag cannot be made refuses; one by another tag does not.
    """
    given = grant(
        'claims.a.matches("^[a-z]+$")', repositories=[f"r/${{{in_name}}}"], actions=["push"]
    )

    def denied(tag: str) -> Document:
        denials = [denial(repositories=["**"], actions=["push"], tags=[tag])]
        return policy(given, denials=denials)

    access = Access(Resource(REPOSITORY, f"r/{named}"), "push", "t", TagState.UNKNOWN)
    return Attack(denied("v*"), denied(f"v${{{in_tag}}}"), token(a="x" * 150), access)


def push(tag: str, state: TagState = TagState.UNKNOWN) -> Access:
    return Access(Resource(REPOSITORY, "acme/x"), "push", tag, state)


def pair(new: str, bound: str, **claims: object) -> "Attack":
    """Return an attack by two conditions of one grant."""
    return Attack(when(new), when(bound), token(**claims))


def denial(when: str = "", name: str = "d", **more: object) -> Document:
    return grant(when, name, **{"repositories": ["acme/**"], **more})


def policy(
    *statements: Document, denials: list[Document] | None = None, **more: object
) -> Document:
    unused = grant('claims.a == "never-at-all"', "unused", repositories=["unused"])
    found: Document = {
        "version": 1,
        "services": [SERVICE],
        "providers": {"o": provider()},
        "grants": [unused, *statements],
        **({"denials": denials} if denials else {}),
        **more,
    }
    return found


def when(condition: str) -> Document:
    """Return a policy with one grant, under a condition."""
    return policy(grant(condition))


def refused(condition: str) -> Document:
    """Return a policy whose one grant is denied under a condition."""
    return policy(grant(), denials=[denial(condition)])


def token(**claims: object) -> dict[str, object]:
    found = {
        "iss": ISSUER,
        "sub": "s",
        "aud": [AUDIENCE],
        "exp": SECONDS + 300,
        "a": "x",
        "d": "x",
        "n": 1,
        "b": True,
        **claims,
    }
    return {name: value for name, value in found.items() if value is not ...}


@dataclass(frozen=True, slots=True)
class Attack:
    """What NEW and BOUND are, and a request that NEW alone allows (`claims` None: no token)."""

    new: Document
    bound: Document
    claims: Mapping[str, object] | None
    access: Access = PULL
    after: timedelta = timedelta(0)
    session: timedelta = timedelta(0)
    """How long ago the login was."""
    client: IpAddress | None = None

    @property
    def now(self) -> datetime:
        return NOW + self.after


NOTHING = policy()


def compiled(document: Document) -> Policy:
    compilation = compile_policy({"policy.yaml": json.dumps(document), "ours.json": SCHEMA})
    assert compilation.policy is not None, [str(one) for one in compilation.problems]
    return compilation.policy


def _two(name: str, **more: object) -> dict[str, object]:
    return {"providers": {"o": provider(), name: provider(**more)}}


WITH_TAGS = grant("", "tagged", repositories=["tagged"], tags=["x"])
TABLES: Document = {
    "t": {"x": "acme", "y": "acme/x", "K": "k", "": "e", "é": "é"},
    "u": {"x": ["a", "b"], "y": []},
}
SHA = "sha256:" + "a" * 64
HOUR = {"refreshTokens": {"maxSession": "1h"}}

# 320 keys of 1,000 characters, matched eleven times, take more than 200,000 steps.
LONG_KEYS = {"t": {f"{number:04}{'a' * 996}": "x" for number in range(320)}}
MATCHED = " || ".join(f'k.matches("[b-d]{{1,{most}}}$")' for most in range(1, 12))
# 2,500 elements, each compared 15 times, take about 115,000 of the 200,000 steps.
COMPARED = " || ".join(f'g == "{letter}"' for letter in "abcdefghijklmno")

ATTACKS: dict[str, Callable[[], Attack]] = {
    # -- times: conditions see whole seconds, logins see fractions
    "exp-with-a-fraction": lambda: Attack(
        when("timestamp(claims.exp) <= now"), NOTHING, token(exp=SECONDS + 0.9), after=HALF
    ),
    "iat-with-a-fraction": lambda: Attack(
        when("has(claims.iat) && timestamp(claims.iat) + duration('1s') > now"),
        when("has(claims.iat) && timestamp(claims.iat) + duration('1s') > now && claims.iat < 9"),
        token(iat=SECONDS + 0.25),
        after=HALF,
    ),
    "nbf-as-a-number": lambda: Attack(
        when("has(claims.nbf) && claims.nbf + 1 > 0"), NOTHING, token(nbf=SECONDS - 1.5)
    ),
    "denial-of-a-fraction": lambda: Attack(
        refused(f"has(claims.iat) && claims.iat >= {SECONDS}"),
        refused(""),
        token(iat=SECONDS - 0.5),
    ),
    "grant-ends-this-second": lambda: Attack(
        policy(grant("now == timestamp('2026-11-01T12:00:00Z')", expires="2026-11-01T12:00:01Z")),
        policy(grant("now == timestamp('2026-11-01T12:00:00Z')", expires="2026-11-01T12:00:00Z")),
        token(),
    ),
    "denial-ends-this-second": lambda: Attack(
        policy(grant(), denials=[denial(expires="2026-11-01T12:00:00Z")]),
        policy(grant(), denials=[denial(expires="2026-11-01T12:00:01Z")]),
        token(),
    ),
    "denial-ends-within-a-second": lambda: Attack(
        policy(grant(), denials=[denial(expires="2026-11-01T12:00:00Z")]),
        policy(grant(), denials=[denial(), denial(expires="2026-11-01T12:00:00Z", name="e")]),
        token(),
        after=timedelta(microseconds=1),
    ),
    "token-ends-this-second": lambda: Attack(
        policy(grant(), providers={"o": provider(clockSkew="1s")}),
        policy(grant()),
        token(exp=SECONDS),
    ),
    "token-of-an-age": lambda: Attack(
        policy(
            grant(f"claims.iat == {SECONDS - 60}"), providers={"o": provider(maxTokenAge="60s")}
        ),
        policy(
            grant(f"claims.iat == {SECONDS - 60}"), providers={"o": provider(maxTokenAge="59s")}
        ),
        token(iat=SECONDS - 60),
    ),
    "session-of-an-expired-token": lambda: Attack(
        policy(
            grant("now - timestamp(claims.exp) > duration('10m')"),
            providers={"o": provider(**HOUR)},
        ),
        policy(grant("now - timestamp(claims.exp) > duration('10m')")),
        token(exp=SECONDS - 1500),
        session=timedelta(seconds=1600),
    ),
    # -- numbers
    "minus-zero": lambda: Attack(when('string(-0.0) == "-0"'), NOTHING, token()),
    "minus-zero-differs": lambda: Attack(when('string(-0.0) != "0"'), NOTHING, token()),
    "largest-int": lambda: Attack(
        when("claims.n + 1 > 0 || claims.n == 9223372036854775807"),
        when("claims.n + 1 > 0"),
        token(n=2**63 - 1),
    ),
    "overflow-in-a-denial": lambda: Attack(
        refused("claims.n == 5"), refused("claims.n + 1 == 6"), token(n=2**63 - 1)
    ),
    "smallest-int-negated": lambda: Attack(
        when("claims.n < 0"), when("claims.n < 0 && -claims.n > 0"), token(n=-(2**63))
    ),
    "int-against-double": lambda: Attack(when("claims.y < 2.5"), when("claims.y < 2"), token(y=2)),
    "double-beyond-int": lambda: Attack(
        when("claims.y < 9007199254740993"), when("claims.y < 9007199254740992"), token(y=2**53)
    ),
    "true-is-no-number": lambda: Attack(
        when("claims.y == true"), when("claims.y == 1"), token(y=True)
    ),
    # -- errors
    "error-or-true": lambda: Attack(
        when('claims.c == "x" || claims.b'),
        when('has(claims.c) && (claims.c == "x" || claims.b)'),
        token(),
    ),
    "error-and-false": lambda: Attack(
        refused('claims.c == "x" && !claims.b'), refused('claims.c == "x" && claims.b'), token()
    ),
    "denial-that-fails": lambda: Attack(
        refused('has(claims.c) && claims.c == "x"'), refused('claims.c == "x"'), token()
    ),
    "not-of-an-error": lambda: Attack(
        refused('has(claims.c) && !(claims.c == "x") && claims.b'),
        refused('!(claims.c != "x")'),
        token(),
    ),
    "conditional-of-an-error": lambda: Attack(
        when('(has(claims.c) ? claims.c : "z") == "z"'), when('claims.c == "z"'), token()
    ),
    "all-with-an-error": lambda: Attack(
        when("claims.l.all(e, e != claims.a)"),
        when("claims.l.all(e, e != claims.a && claims.c != claims.a)"),
        token(l=["y"]),
    ),
    "exists-with-an-error": lambda: Attack(
        when('claims.y.exists(e, e == "x")'), when('claims.y.all(e, e == "x")'), token(y=[1, "x"])
    ),
    "division": lambda: Attack(
        when("1 / claims.n == 1 || claims.n == 0"), when("1 / claims.n == 1"), token(n=0)
    ),
    "error-in-a-denials-name": lambda: Attack(
        policy(grant(repositories=["**"])),
        policy(grant(repositories=["**"]), denials=[denial(repositories=["x-${claims.c}/y"])]),
        token(),
        pull("x-q/y"),
    ),
    "error-past-the-beginning-alone": lambda: Attack(
        policy(grant(repositories=["**"]), denials=[denial(repositories=["acme/${claims.c}"])]),
        policy(grant(repositories=["**"]), denials=[denial(repositories=["**"])]),
        token(),
        pull("other"),
    ),
    "error-in-a-denials-tag": lambda: Attack(
        policy(grant(tags=["*"])),
        policy(grant(tags=["*"]), denials=[denial(tags=["v-${claims.c}"])]),
        token(),
        pull("acme/x", "y"),
    ),
    # -- null, missing, kinds
    "null": lambda: Attack(
        when("claims.y == null"), when('has(claims.y) && claims.y == "a"'), token(y=None)
    ),
    "null-differs": lambda: Attack(
        when('claims.y != "x"'), when('claims.y == "z" || claims.y == "w"'), token(y=None)
    ),
    "null-in-a-list": lambda: Attack(when("claims.y in [null]"), NOTHING, token(y=None)),
    "null-is-there": lambda: Attack(
        when("has(claims.y)"), when('claims.y == "x" || claims.y != "x"'), token(y=[])
    ),
    "null-element": lambda: Attack(
        when("claims.y.exists(e, e == null)"), when("claims.y[0] == null"), token(y=["x", None])
    ),
    "member-of-null": lambda: Attack(
        refused('claims.y == null ? false : claims.y.k == "x"'),
        refused('claims.y.k == "x"'),
        token(y=None),
    ),
    "text-for-a-map": lambda: Attack(
        refused("has(claims.c)"), refused("has(claims.m.o)"), token(m="x")
    ),
    # -- lists
    "empty-list": lambda: Attack(when("claims.l.all(e, false)"), NOTHING, token(l=[])),
    "empty-exists": lambda: Attack(
        refused('claims.l.exists(e, e == "x")'),
        refused('!claims.l.exists(e, e == "y")'),
        token(l=[]),
    ),
    "one-of-two": lambda: Attack(
        when('claims.l.exists_one(e, e == "x")'),
        when('claims.l.exists_one(e, e == "x") && claims.l.all(e, e == "x")'),
        token(l=["x", "y"]),
    ),
    "the-same-twice": lambda: Attack(
        when('claims.l.exists(e, e == "x")'),
        when('claims.l.exists_one(e, e == "x")'),
        token(l=["x", "x"]),
    ),
    "two-alike-of-three": lambda: Attack(
        when("size(claims.l) == 3 && claims.l.all(e, e == claims.l[0])"),
        NOTHING,
        token(l=["x"] * 3),
    ),
    "third-element": lambda: Attack(
        when('claims.l[2] == "x"'),
        when('claims.l[2] == "x" && claims.l.exists(e, e == "y")'),
        token(l=["x", "x", "x"]),
    ),
    "pairs-in-a-list": lambda: Attack(
        when("claims.l.exists(e, claims.l.exists(f, e != f))"),
        when("claims.l.exists(e, claims.l.exists(f, e != f && e == claims.a))"),
        token(l=["y", "z"]),
    ),
    "audience-twice": lambda: Attack(
        when("size(claims.aud) == 2"), NOTHING, token(aud=[AUDIENCE, AUDIENCE])
    ),
    "audience-as-text": lambda: Attack(when("size(claims.aud) == 1"), NOTHING, token(aud=AUDIENCE)),
    "another-audience-first": lambda: Attack(
        when('claims.aud[0] == "y"'), NOTHING, token(aud=["y", AUDIENCE])
    ),
    "equal-lists": lambda: Attack(
        when('claims.l == ["x"]'), when('claims.l == ["y"]'), token(l=["x"])
    ),
    "in-a-list-of-claims": lambda: Attack(
        when("claims.a in [claims.d, claims.m.k]"),
        when("claims.a == claims.d"),
        token(d="y", m={"k": "x"}),
    ),
    # -- the bound on steps
    "steps-of-a-table": lambda: Attack(
        policy(grant('claims.l.exists(g, g == "a")'), definitions=LONG_KEYS),
        policy(
            grant(f'defs.t.exists(k, {MATCHED}) || claims.l.exists(g, g == "a")'),
            definitions=LONG_KEYS,
        ),
        token(l=["b", "a"]),
    ),
    "steps-of-what-is-before": lambda: Attack(
        when(f"claims.l.all(g, !(g.contains(claims.d) || {COMPARED}))"),
        when(
            f"claims.l.exists(g, {COMPARED}) || "
            f"claims.l.all(g, !(g.contains(claims.d) || {COMPARED}))"
        ),
        token(l=["y"] * 2_500),
    ),
    # -- Unicode and texts
    "kelvin-sign": lambda: Attack(
        when('claims.a.matches("(?i)^k$")'), when('claims.a.lowerAscii() == "k"'), token(a="\u212a")
    ),
    "case-beyond-ascii": lambda: Attack(
        when('claims.a.lowerAscii() != "é"'),
        when('claims.a != "é" && claims.a != "É"'),
        token(a="É"),
    ),
    "beyond-the-basic-plane": lambda: Attack(
        when("size(claims.a) == 1"),
        when('claims.a.matches("^[\\\\x00-\\\\x{ffff}]$")'),
        token(a="😀"),
    ),
    "combining-is-not-composed": lambda: Attack(
        when('claims.a != "é"'),
        when('claims.a != "é" && claims.a != "e\u0301"'),
        token(a="e\u0301"),
    ),
    "line-end": lambda: Attack(
        when('claims.a.matches("x$")'), when('claims.a.matches("^[a-z]*x$")'), token(a="\nx")
    ),
    "no-break-space": lambda: Attack(
        when('claims.a.trim() == "x"'),
        when('claims.a.matches("^[ \\\\t\\\\n\\\\r]*x[ \\\\t\\\\n\\\\r]*$")'),
        token(a="\u00a0x"),
    ),
    "zero-character": lambda: Attack(
        when('claims.a != "x"'), when('claims.a != "x" && claims.a != "\\u0000"'), token(a="\0")
    ),
    "alike-but-for-case": lambda: Attack(
        when("claims.a.lowerAscii() == claims.d.lowerAscii()"),
        when("claims.a == claims.d"),
        token(a="X"),
    ),
    "two-names-one-lower-case": lambda: Attack(
        policy(grant(repositories=["${claims.a.lowerAscii()}/x"])),
        policy(grant(repositories=["${claims.a}/x"])),
        token(a="ACME"),
    ),
    "pieces-between": lambda: Attack(
        when('claims.a.split("/")[1] == ""'), when('claims.a.endsWith("/")'), token(a="x//y")
    ),
    "overlapping-replacement": lambda: Attack(
        when('claims.a.replace("aa", "b") == "ba"'), NOTHING, token(a="aaa")
    ),
    "joined-otherwise": lambda: Attack(
        when('claims.a + ":" + claims.d == "x:y:z"'),
        when('claims.a == "x" && claims.d == "y:z"'),
        token(a="x:y", d="z"),
    ),
    "key-with-a-dot": lambda: Attack(
        when('has(claims.p.k) && claims.p["a.b"] == "x"'),
        when('has(claims.p.k) && claims.p["a"] == "x"'),
        token(p={"k": "y", "a.b": "x"}),
    ),
    # -- names, tags, classes, the catalog
    "template-with-two-segments": lambda: Attack(
        policy(grant(repositories=["${claims.a}/x"])),
        policy(grant(repositories=["*/x"])),
        token(a="acme/y"),
        pull("acme/y/x"),
    ),
    "longer-than-a-name": lambda: Attack(
        policy(grant('claims.a.matches("^x+$")')),
        policy(
            grant('claims.a.matches("^x+$")'),
            denials=[denial("", repositories=["acme/${claims.a}/y", "acme/${claims.a}"])],
        ),
        token(a="x" * 300),
    ),
    "host-in-a-name": lambda: Attack(
        policy(grant(repositories=["**"])),
        policy(grant(repositories=["*", "*/*", "acme/**"], when="!scope.name.contains(':')")),
        token(),
        pull("example.com:5000/acme/x"),
    ),
    "class-of-a-denial": lambda: Attack(
        policy(
            grant(**{"class": "plugin"}), denials=[denial("claims.n == 7", **{"class": "plugin"})]
        ),
        policy(grant(**{"class": "plugin"}), denials=[denial()]),
        token(),
        pull("acme/x", class_="plugin"),
    ),
    "class-alone": lambda: Attack(
        policy(grant(**{"class": "plugin"})),
        policy(grant()),
        token(),
        pull("acme/x", class_="plugin"),
    ),
    "catalog": lambda: Attack(
        policy({"name": "c", "catalog": True}),
        policy({"name": "c", "catalog": True, "when": "has(claims.c)"}),
        token(),
        CATALOGUE,
    ),
    "catalog-denied-otherwise": lambda: Attack(
        policy({"name": "c", "catalog": True}, denials=[denial("", repositories=["**"])]),
        policy(
            {"name": "c", "catalog": True},
            denials=[{"name": "d", "catalog": True, "when": "claims.b"}],
        ),
        token(),
        CATALOGUE,
    ),
    "digest-under-tags": lambda: Attack(
        policy(grant(tags=["x"])), policy(WITH_TAGS), token(), pull("acme/x", SHA)
    ),
    "deleting-a-digest": lambda: Attack(
        policy(
            grant(actions=["delete"]),
            denials=[denial(actions=["delete"], tags=["x"])],
            grants=[grant(actions=["delete"])],
        ),
        policy(grants=[grant(actions=["delete"])], denials=[denial(actions=["delete"])]),
        token(),
        pull("acme/x", "y", action="delete"),
    ),
    "upload-under-a-denial-of-tags": lambda: Attack(
        policy(grants=[grant(actions=["push"])], denials=[denial(actions=["push"], tags=["*"])]),
        policy(grants=[grant(actions=["push"])], denials=[denial(actions=["push"])]),
        token(),
        pull("acme/x", "@upload", action="push"),
    ),
    "listing-tags": lambda: Attack(
        policy(grant(tags=["*"])),
        policy(grant(tags=["x", "*x", "x*"])),
        token(),
        pull("acme/x", "*"),
    ),
    "reference-in-a-condition": lambda: Attack(
        policy(grant('scope.reference.contains(":")', tags=["*"])),
        policy(grant('scope.reference.startsWith("sha256:")', tags=["*"])),
        token(),
        pull("acme/x", "sha512:" + "a" * 128),
    ),
    # -- definitions, providers, services, anonymous
    "definition-that-changed": lambda: Attack(
        policy(grant("defs.q"), definitions={"q": "claims.b"}),
        policy(grant("defs.q"), definitions={"q": "claims.b && has(claims.c)"}),
        token(),
    ),
    "definition-within-a-definition": lambda: Attack(
        policy(grant("defs.p"), definitions={"q": "claims.b", "p": "defs.q"}),
        policy(grant("defs.p"), definitions={"q": "!claims.b", "p": "defs.q"}),
        token(),
    ),
    "definition-of-a-provider": lambda: Attack(
        policy(grant(), denials=[denial("defs.q")], definitions={"q": 'provider == "q"'}),
        policy(
            grant(),
            denials=[denial("defs.q")],
            definitions={"q": 'provider == "q"'},
            providers={"q": provider()},
        ),
        token(),
    ),
    "definition-in-a-macro": lambda: Attack(
        policy(grant("claims.l.exists(b, defs.q && b == claims.a)"), definitions={"q": "claims.b"}),
        policy(
            grant("claims.l.exists(b, defs.q && b == claims.a)"), definitions={"q": "claims.n == 3"}
        ),
        token(l=["x"]),
    ),
    "variable-like-a-claim": lambda: Attack(
        when('claims.l.exists(claims, claims == "x")'),
        when('claims.l[0] == "x"'),
        token(l=["y", "x"]),
    ),
    "second-provider-of-an-issuer": lambda: Attack(
        policy(grant(), **_two("q", rules=[{"name": "r", "check": "!claims.b"}])),
        policy(grant(providers=["q"]), **_two("q", rules=[{"name": "r", "check": "!claims.b"}])),
        token(),
    ),
    "denial-of-another-provider": lambda: Attack(
        policy(grant(providers=["o"]), denials=[denial(providers=["q"])], **_two("q")),
        policy(grant(providers=["q"]), denials=[denial(providers=["q"])], **_two("q")),
        token(),
    ),
    "rule-that-fails": lambda: Attack(
        policy(grant()),
        policy(
            grant(), providers={"o": provider(rules=[{"name": "r", "check": 'claims.c != "bad"'}])}
        ),
        token(),
    ),
    "subject-that-is-empty": lambda: Attack(
        policy(grant()), policy(grant(), providers={"o": provider(subject="claims.d")}), token(d="")
    ),
    "service": lambda: Attack(
        policy(grant(), services=[SERVICE, "s"]),
        policy(grant(services=["s"]), services=[SERVICE, "s"]),
        token(),
    ),
    "anonymous": lambda: Attack(
        policy(anonymous={"repositories": ["acme/*"]}), policy(grant()), None
    ),
    "anonymous-denied-by-error": lambda: Attack(
        policy(anonymous={"repositories": ["acme/*"]}, denials=[denial(providers=["o"])]),
        policy(anonymous={"repositories": ["acme/*"]}, denials=[denial()]),
        None,
    ),
    "anonymous-is-no-login": lambda: Attack(
        policy(grant('provider == "o"')), policy(anonymous={"repositories": ["acme/*"]}), token()
    ),
    # -- by what is newest: positions, filters, written lists, trim, words, wholes, tables, tags
    "filter-of-three": lambda: pair(
        'claims.l.filter(e, e == "x").size() == 3',
        'claims.l.filter(e, e == "x").size() == 2',
        l=["x"] * 3,
    ),
    "filter-two-and-another": lambda: pair(
        'claims.l.filter(e, e == "x").size() == 2',
        'claims.l.filter(e, e == "x").size() == 2 && claims.l.all(e, e == "x")',
        l=["x", "y", "x"],
    ),
    "filter-that-fails": lambda: pair(
        'claims.y.filter(e, e == "x").size() == 1 || claims.b',
        'claims.y.filter(e, e == "x").size() == 1',
        y=["x", 1],
    ),
    "filter-of-nothing": lambda: pair(
        'claims.l.filter(e, e == "x").size() == 0',
        'claims.l.filter(e, e == "x").size() == 0 && size(claims.l) > 0',
        l=[],
    ),
    "filter-and-position": lambda: pair(
        'claims.l[1] == "x" && claims.l.filter(e, e == "x").size() == 1',
        'claims.l[1] == "x" && claims.l.filter(e, e == "x").size() == 1 && claims.l.exists_one(e, e != "x") && size(claims.l) == 2',
        l=["y", "x", "z"],
    ),
    "position-beyond": lambda: pair(
        '!(claims.l[1] == "x") || claims.b', '!(claims.l[1] == "x")', l=["x"]
    ),
    "position-past-what-is-followed": lambda: pair(
        'claims.l[25] == "x"', "false", l=["y"] * 25 + ["x"]
    ),
    "positions-twice": lambda: pair(
        "claims.l[0] == claims.l[2] && claims.l[1] != claims.l[0]",
        "claims.l[0] == claims.l[1]",
        l=["x", "y", "x"],
    ),
    "position-of-a-text": lambda: Attack(
        refused("claims.b == false"), refused('claims.y[0] == "x"'), token(y="x")
    ),
    "written-list-differs-despite-error": lambda: pair(
        'claims.y != ["x", "z"]', 'claims.y != ["x", "z"] && claims.y.all(e, e != "w")', y=[1, "w"]
    ),
    "written-list-empty": lambda: pair(
        "claims.l == []", "claims.l == [] && claims.l.exists(e, true)", l=[]
    ),
    "written-list-of-claims": lambda: pair(
        "claims.l == [claims.a, claims.d]",
        "claims.l == [claims.a, claims.d] && claims.a == claims.d",
        l=["x", "y"],
        d="y",
    ),
    "pieces-equal-a-list": lambda: pair(
        'claims.a.split("/") == ["x", "y"]',
        'claims.a.split("/") == ["x", "y"] && claims.a != "x/y"',
        a="x/y",
    ),
    "exists-one-with-two-others": lambda: pair(
        'claims.l.exists_one(e, e.startsWith("x"))',
        'claims.l.exists_one(e, e.startsWith("x")) && size(claims.l) < 3',
        l=["x", "y", "z"],
    ),
    "audience-filter": lambda: pair(
        'claims.aud.filter(e, e != "q").size() == 2', "false", aud=[AUDIENCE, "z"]
    ),
    "trim-of-vertical-tab": lambda: pair(
        'claims.a.trim() == "x"',
        'claims.a.matches("^[ \\\\t\\\\n\\\\r]*x[ \\\\t\\\\n\\\\r]*$")',
        a="\u000bx",
    ),
    "trim-of-ideographic-space": lambda: pair(
        'claims.a.trim() == "x"', 'claims.a == "x" || claims.a.contains(" ")', a="\u3000x"
    ),
    "trim-of-a-zero-width-space": lambda: pair(
        'claims.a.trim() != "x"', 'claims.a.trim() != "x" && !claims.a.contains("x")', a="\u200bx"
    ),
    "word-boundary": lambda: pair('claims.a.matches("\\\\bx\\\\b")', 'claims.a == "x"', a="é-x"),
    "word-boundary-unicode": lambda: pair(
        'claims.a.matches("\\\\bx")', 'claims.a.matches("(^|[^a-zA-Z0-9_é])x")', a="éx"
    ),
    "word-boundary-underscore": lambda: pair(
        '!claims.a.matches("\\\\bx")', '!claims.a.contains("x")', a="_x"
    ),
    "compound-shifted": lambda: pair(
        'claims.a + "x" == "x" + claims.a', 'claims.a == "" || claims.a == "x"', a="xx"
    ),
    "starts-with-itself-and-more": lambda: pair(
        "claims.d.startsWith(claims.a)", "claims.d == claims.a", a="x", d="xy"
    ),
    "does-not-start": lambda: pair(
        "!claims.d.startsWith(claims.a)",
        '!claims.d.startsWith(claims.a) && claims.d != ""',
        a="x",
        d="",
    ),
    "ends-with-a-compound": lambda: pair(
        'claims.d.endsWith(claims.a + "/x")', 'claims.d == claims.a + "/x"', a="x", d="y/x/x"
    ),
    "substring-beyond-the-plane": lambda: pair(
        'claims.a.substring(1) == "x"',
        'claims.a.substring(1) == "x" && claims.a.matches("^[\\\\x00-\\\\x{ffff}]x$")',
        a="😀x",
    ),
    "replace-with-what-is-sought": lambda: pair(
        'claims.a.replace("xy", "y").contains("xy")', 'claims.a.contains("xxyy")', a="xxy"
    ),
    "listed-preimage": lambda: pair(
        'claims.a.lowerAscii() == "ab" && claims.a != "ab"',
        'claims.a.lowerAscii() == "ab" && claims.a in ["ab", "AB", "Ab"]',
        a="aB",
    ),
    "listed-of-thirty-two": lambda: pair(
        'claims.a.lowerAscii() == "abcde"',
        'claims.a.lowerAscii() == "abcde" && claims.a != "ABCDE"',
        a="ABCDE",
    ),
    "listed-class": lambda: pair(
        'claims.a.matches("^[!-0]$")', 'claims.a.matches("^[!-0]$") && claims.a != "0"', a="0"
    ),
    "listed-joined": lambda: pair(
        'claims.a + claims.d == "xyx"',
        'claims.a == "" || claims.d == "" || claims.a == "x"',
        a="xy",
        d="x",
    ),
    "template-or-literal": lambda: Attack(
        policy(grant(repositories=["acme/${claims.a}", "acme/x"])),
        policy(grant(repositories=["acme/${claims.a}"])),
        token(a="X"),
    ),
    "template-fails-and-another-fits": lambda: Attack(
        policy(grant(repositories=["${claims.c}/x", "acme/*"])),
        policy(grant(repositories=["${claims.c}/x"])),
        token(),
    ),
    "own-name": lambda: Attack(
        policy(grant(repositories=["**"])),
        policy(grant(repositories=["${scope.name}"])),
        token(),
        pull("example.com:5000/acme/x"),
    ),
    "short-value-of-a-long-claim": lambda: Attack(
        policy(grant(repositories=['acme/${claims.a.replace("x", "")}'])),
        policy(grant("size(claims.a) <= 255", repositories=['acme/${claims.a.replace("x", "")}'])),
        token(a="x" * 300 + "y"),
        pull("acme/y"),
    ),
    "long-value-in-a-denial": lambda: Attack(
        policy(
            grant(repositories=["acme/*"]),
            denials=[
                denial(
                    'claims.a.matches("^x*$") && size(claims.a) < 200',
                    repositories=["acme/${claims.a}"],
                )
            ],
        ),
        policy(grant(repositories=["acme/*"]), denials=[denial(repositories=["acme/${claims.a}"])]),
        token(a="x" * 300),
    ),
    "two-templates-one-name": lambda: Attack(
        policy(grant(repositories=["${claims.a}${claims.d}"])),
        policy(grant(repositories=["${claims.a}/${claims.d}"])),
        token(a="x", d="y"),
        pull("xy"),
    ),
    "tag-template-with-dash": lambda: Attack(
        tagged("v-${claims.a}"), tagged("v-x", "v-${claims.d}"), token(a="y"), push("v-y")
    ),
    **{
        f"name-and-tag-of-{name}": partial(_name_and_tag, in_name, in_tag, named)
        for name, in_name, in_tag, named in (
            ("one-claim", "claims.a", "claims.a", "x" * 150),
            (
                "one-claim-in-lower-case",
                "claims.a.lowerAscii()",
                "claims.a.lowerAscii()",
                "x" * 150,
            ),
            ("one-claim-and-its-lower-case", "claims.a", "claims.a.lowerAscii()", "x" * 150),
            ("one-joined-text", "'q' + claims.a", "'q' + claims.a", "q" + "x" * 150),
            ("one-trimmed-claim", "claims.a.trim()", "claims.a.trim()", "x" * 150),
        )
    },
    "tag-of-128": lambda: Attack(
        tagged("${claims.a}"), tagged("x", "y*"), token(a="z" * 128), push("z" * 128)
    ),
    "new-tag-against-existing": lambda: Attack(
        tagged("x"), tagged("x", newTagsOnly=True), token(), push("x", TagState.EXISTING)
    ),
    "new-tag-unknown": lambda: Attack(
        tagged("x"), tagged("x", newTagsOnly=True), token(), push("x", TagState.UNKNOWN)
    ),
    "new-tags-without-tags": lambda: Attack(
        policy(grant("", newTagsOnly=True, tags=["*"], actions=["push", "pull"])),
        policy(grant("", newTagsOnly=True, tags=["*"], actions=["push"])),
        token(),
        pull("acme/x", "q"),
    ),
    "new-tag-denied-later": lambda: Attack(
        tagged("x", newTagsOnly=True),
        policy(
            grant("", tags=["x"], actions=["push"]),
            denials=[
                denial("has(claims.c)", actions=["push"], tags=["x"]),
                denial("!has(claims.c)", "e", actions=["push"]),
            ],
        ),
        token(),
        push("x", TagState.NEW),
    ),
    "table-key-by-case": lambda: Attack(
        looked_up('defs.t[claims.a.lowerAscii()] == "acme"'),
        looked_up('defs.t[claims.a] == "acme"'),
        token(a="X"),
    ),
    "table-of-the-empty-key": lambda: Attack(
        looked_up('defs.t[claims.a] == "e"'),
        looked_up('claims.a != "" && defs.t[claims.a] == "e"'),
        token(a=""),
    ),
    "table-of-an-empty-list": lambda: Attack(
        looked_up("defs.u[claims.a].all(e, e == claims.d)"),
        looked_up("defs.u[claims.a].exists(e, e == claims.d)"),
        token(a="y"),
    ),
    "table-as-a-name": lambda: Attack(
        looked_up("", repositories=["${defs.t[claims.a]}/x"]),
        looked_up("", repositories=["acme/x"]),
        token(a="y"),
        pull("acme/x/x"),
    ),
    "client-both-ways": lambda: Attack(
        when("true == true"),
        when('client.inNetwork("0.0.0.0/0") || client.inNetwork("::/0")'),
        token(),
    ),
    "client-denied-by-error": lambda: Attack(
        policy(grant()),
        policy(
            grant(),
            denials=[denial('client.inNetwork("10.0.0.0/8") && !client.inNetwork("10.0.0.0/8")')],
        ),
        token(),
    ),
    "longer-session-of-a-young-login": lambda: Attack(
        policy(grant(), providers={"o": provider(refreshTokens={"maxSession": "2h"})}),
        policy(grant(), providers={"o": provider(**HOUR)}),
        token(exp=SECONDS - 5000),
        session=timedelta(seconds=5400),
    ),
    "rule-as-of-now": lambda: Attack(
        policy(
            grant(),
            providers={
                "o": provider(
                    rules=[{"name": "r", "check": "now >= timestamp(claims.exp)"}], **HOUR
                )
            },
        ),
        policy(
            grant("now < timestamp(claims.exp)"),
            providers={
                "o": provider(
                    rules=[{"name": "r", "check": "now >= timestamp(claims.exp)"}], **HOUR
                )
            },
        ),
        token(exp=SECONDS - 1000),
        session=timedelta(seconds=1800),
    ),
    "sum-of-times": lambda: pair(
        "claims.exp - claims.iat == 300",
        f"claims.exp - claims.iat == 300 && claims.iat != {SECONDS}",
        exp=SECONDS + 300,
        iat=SECONDS,
    ),
    "map-size": lambda: pair(
        "size(claims.m) == 2",
        "has(claims.m.k) && has(claims.m.o) && size(claims.m) == 2",
        m={"q": 1, "r": 2},
    ),
    "class-in-scope": lambda: Attack(
        policy(grant('scope.class == "plugin"', **{"class": "plugin"})),
        policy(grant('scope.class == ""', **{"class": "plugin"})),
        token(),
        pull("acme/x", class_="plugin"),
    ),
}
