"""
More attacks on the prover (`adversarial`), by the parts of the language where few were tried.

Clients, tables, services, anonymous requests, bounds of names and tags, new tags, Unicode, errors.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from ipaddress import IPv4Address, IPv6Address

from regauth.engine.access.references import TagState
from regauth.engine.access.scope import REPOSITORY, Access, Resource
from tests.policytests.proofs.adversarial import (
    CATALOGUE,
    HOUR,
    NOTHING,
    PULL,
    SECONDS,
    SHA,
    Attack,
    Document,
    denial,
    grant,
    pair,
    policy,
    provider,
    pull,
    push,
    refused,
    tagged,
    token,
    when,
)

OFFICE = IPv4Address("10.200.0.1")
HOME = IPv4Address("192.0.2.7")
SIX = IPv6Address("2001:db8::5")
LOW, HIGH = 'client.inNetwork("10.0.0.0/9")', 'client.inNetwork("10.128.0.0/9")'
ANY4, ANY6 = 'client.inNetwork("0.0.0.0/0")', 'client.inNetwork("::/0")'


def _from(
    client: IPv4Address | IPv6Address | None, new: str, bound: str, **claims: object
) -> Attack:
    return Attack(when(new), when(bound), token(**claims), client=client)


LARGE = {f"team-{number}": f"group-{number // 2}" for number in range(400)}
LISTS = {f"team-{number}": [f"g-{number}", "all"] for number in range(260)}
CHANGED = {**LARGE, "team-399": "root"}


def _tables(new: str, bound: str, tables: Document | None = None, **claims: object) -> Attack:
    definitions = tables or {"t": LARGE, "u": LISTS, "s": {"x": "1", "y": "2", "X": "3"}}
    return Attack(
        policy(grant(new), definitions=definitions),
        policy(grant(bound), definitions=definitions),
        token(**claims),
    )


def _services(new: Document, bound: Document, **more: object) -> Attack:
    both = {"services": ["r", "s"], **more}
    return Attack(policy(new, **both), policy(bound, **both), token())


def _anonymous(new: list[Document], bound: list[Document], **more: object) -> Attack:
    given: Document = {"anonymous": {"repositories": ["acme/*"]}, **more}
    return Attack(policy(denials=new, **given), policy(denials=bound, **given), None)


def _anything(new: list[Document], bound: list[Document], name: str, **claims: object) -> Attack:
    """Return an attack by denials of a grant of every name."""
    every = grant(repositories=["**"])
    return Attack(
        policy(every, denials=new), policy(every, denials=bound), token(**claims), pull(name)
    )


def _sessions(longest: str, shortest: str, ago: timedelta) -> Attack:
    new, bound = (
        policy(grant(), providers={"o": provider(refreshTokens={"maxSession": one})})
        for one in (longest, shortest)
    )
    return Attack(new, bound, token(exp=SECONDS - int(ago.total_seconds()) + 60), session=ago)


CLIENTS: dict[str, Callable[[], Attack]] = {
    "client-in-the-other-half": partial(_from, OFFICE, HIGH, LOW),
    "client-in-the-whole": partial(_from, OFFICE, 'client.inNetwork("10.0.0.0/8")', LOW),
    "client-outside": partial(_from, HOME, f"!{LOW}", f"{HIGH} || {LOW}"),
    "client-of-the-other-family": partial(_from, SIX, f"{ANY4} || {ANY6}", ANY4),
    "client-of-neither-network": partial(_from, SIX, f"!{ANY4}", f"!{ANY6}"),
    "client-unknown": partial(_from, None, "claims.b", f"claims.b && ({LOW} || !{LOW})"),
    "client-unknown-and-forgiven": partial(_from, None, f"{LOW} || claims.b", f"({LOW} || true) && {ANY4}"),
    "client-unknown-in-a-conditional": partial(
        _from, None, f"claims.b ? true : {LOW}", f"{LOW} ? true : claims.b"
    ),
    "client-unknown-negated": partial(_from, None, "true == true", f"!{LOW} || {LOW}"),
    "client-last-address": partial(
        _from, IPv4Address("255.255.255.255"), ANY4, f'{ANY4} && !client.inNetwork("255.255.255.255/32")'
    ),
    "client-first-address": partial(
        _from, IPv6Address("::"), ANY6, f'{ANY6} && !client.inNetwork("::/128")'
    ),
    "client-mapped-network": partial(
        _from, OFFICE, 'client.inNetwork("::ffff:10.200.0.0/112")', f"{ANY6} || {LOW}"
    ),
    "client-beside-the-mapped": partial(
        _from, IPv6Address("::fffe:a00:1"), 'client.inNetwork("::fffe:0:0/95")', 'client.inNetwork("::ffff:0:0/96")'
    ),
    "client-in-a-macro": partial(
        _from, OFFICE, f'claims.l.exists(g, g == "x" && {HIGH})', f'claims.l.all(g, g == "x" && {HIGH})', l=["y", "x"]
    ),
    "client-like-a-variable": partial(
        _from, None, 'claims.l.exists(client, client == "x")', f'{ANY4} && claims.l.exists(e, e == "x")', l=["x"]
    ),
    "client-by-a-definition": lambda: Attack(
        policy(grant("defs.office"), definitions={"office": f"{LOW} || {HIGH}"}),
        policy(grant("defs.office"), definitions={"office": LOW}),
        token(),
        client=OFFICE,
    ),
    "client-in-two-denials": lambda: Attack(
        policy(grant(), denials=[denial(LOW)]),
        policy(grant(), denials=[denial(LOW), denial(HIGH, "e")]),
        token(),
        client=OFFICE,
    ),
    "client-that-a-denial-forgives": lambda: Attack(
        policy(grant(), denials=[denial(f"claims.b == false && {LOW}")]),
        policy(grant(), denials=[denial(f"{LOW} || !{LOW}")]),
        token(),
    ),
    "client-anonymous": lambda: Attack(
        policy(anonymous={"repositories": ["acme/*"]}, denials=[denial(LOW)]),
        policy(anonymous={"repositories": ["acme/*"]}, denials=[denial(ANY4)]),
        None,
        client=OFFICE,
    ),
    "client-and-the-catalog": lambda: Attack(
        policy({"name": "c", "catalog": True, "when": ANY6}),
        policy({"name": "c", "catalog": True, "when": 'client.inNetwork("2001:db8::/126")'}),
        token(),
        CATALOGUE,
        client=SIX,
    ),
    "client-in-a-session": lambda: Attack(
        policy(grant(HIGH), providers={"o": provider(**HOUR)}),
        policy(grant(LOW), providers={"o": provider(**HOUR)}),
        token(exp=SECONDS - 600),
        session=timedelta(seconds=1200),
        client=OFFICE,
    ),
}  # fmt: skip

IN_TABLES: dict[str, Callable[[], Attack]] = {
    "table-of-many": partial(
        _tables, 'defs.t[claims.a] == "group-199"', 'claims.a == "team-399"', a="team-398"
    ),
    "table-of-many-without-a-key": partial(
        _tables, "!(claims.a in defs.t)", '!(claims.a in defs.t) && claims.a.startsWith("team-")'
    ),
    "table-of-many-has-a-key": partial(
        _tables, "claims.a in defs.t", 'claims.a in defs.t && claims.a != "team-250"', a="team-250"
    ),
    "table-of-many-and-a-claim": partial(
        _tables,
        "defs.t[claims.a] == claims.d",
        'defs.t[claims.a] == claims.d && claims.d != "group-7"',
        a="team-15",
        d="group-7",
    ),
    "table-of-many-lists": partial(
        _tables,
        "claims.d in defs.u[claims.a]",
        'claims.d in defs.u[claims.a] && claims.d == "all"',
        a="team-9",
        d="g-9",
    ),
    "table-of-many-that-changed": lambda: Attack(
        policy(grant("defs.t[claims.a] == claims.d"), definitions={"t": CHANGED}),
        policy(grant("defs.t[claims.a] == claims.d"), definitions={"t": LARGE}),
        token(a="team-399", d="root"),
    ),
    "table-of-many-with-one-more": lambda: Attack(
        policy(grant("claims.a in defs.t"), definitions={"t": {**LARGE, "Team-1": "x"}}),
        policy(grant("claims.a in defs.t"), definitions={"t": LARGE}),
        token(a="Team-1"),
    ),
    "table-of-many-by-case": partial(
        _tables,
        'defs.t[claims.a.lowerAscii()] == "group-0"',
        'defs.t[claims.a] == "group-0"',
        a="TEAM-1",
    ),
    "table-that-misses-in-a-denial": lambda: Attack(
        policy(
            grant(),
            denials=[denial('claims.a in defs.t && defs.t[claims.a] == "group-1"')],
            definitions={"t": LARGE},
        ),
        policy(grant(), denials=[denial("!(claims.a in defs.t)")], definitions={"t": LARGE}),
        token(a="nobody"),
    ),
    "table-of-a-number": partial(
        _tables, "!(claims.y in defs.s) || claims.b", "!(claims.y in defs.s)", y=1
    ),
    "table-of-one-of-two": partial(
        _tables, "defs.s[claims.a] != defs.s[claims.d]", 'defs.s[claims.a] == "1"', a="y", d="x"
    ),
    "table-as-a-large-name": lambda: Attack(
        policy(grant(repositories=["acme/${defs.t[claims.a]}"]), definitions={"t": LARGE}),
        policy(grant(repositories=["acme/group-1*"]), definitions={"t": LARGE}),
        token(a="team-40"),
        pull("acme/group-20"),
    ),
    "table-as-a-large-denied-name": lambda: Attack(
        policy(grant(repositories=["acme/*"]), definitions={"t": LARGE}),
        policy(
            grant(repositories=["acme/*"]),
            denials=[
                denial(repositories=["acme/${claims.a in defs.t ? defs.t[claims.a] : claims.c}"])
            ],
            definitions={"t": LARGE},
        ),
        token(a="nobody"),
    ),
}  # fmt: skip

WHO_AND_WHERE: dict[str, Callable[[], Attack]] = {
    "service-of-a-denial": partial(
        _services,
        grant(),
        grant('service == "s"'),
        denials=[denial(services=["s"])],
    ),
    "service-of-anonymous": lambda: Attack(
        policy(anonymous={"repositories": ["acme/*"]}, services=["r", "s"]),
        policy(
            anonymous={"repositories": ["acme/*"]},
            services=["r", "s"],
            denials=[denial('service == "r"')],
        ),
        None,
    ),
    "service-that-only-one-denial-knows": lambda: Attack(
        policy(grant(), services=["r", "s"], denials=[denial(services=["s"])]),
        policy(grant(), services=["r", "s"], denials=[denial(services=["r"])]),
        token(),
    ),
    "anonymous-is-no-provider": partial(
        _anonymous, [denial('provider == "o"')], [denial('provider != "q"')]
    ),
    "anonymous-has-no-claims": partial(
        _anonymous, [denial("has(claims.a)")], [denial('claims.a == "x"')]
    ),
    "anonymous-has-no-template": partial(
        _anonymous,
        [denial(repositories=["other/${claims.a}"])],
        [denial(repositories=["acme/${claims.a}"])],
    ),
    "anonymous-and-a-grant-of-all": lambda: Attack(
        policy(grant(repositories=["**"]), anonymous={"repositories": ["acme/x"]}),
        policy(grant(repositories=["**"])),
        None,
    ),
    "anonymous-of-another-name": lambda: Attack(
        policy(anonymous={"repositories": ["acme/**"]}),
        policy(anonymous={"repositories": ["acme/*"]}),
        None,
        pull("acme/x/y"),
    ),
    "provider-that-was-renamed": lambda: Attack(
        policy(grant(), denials=[denial('provider == "o"')], providers={"p": provider()}),
        policy(grant(), denials=[denial('provider == "o"')]),
        token(),
    ),
    "provider-whose-denial-it-is": lambda: Attack(
        policy(
            grant(providers=["q"]),
            denials=[denial(providers=["o"])],
            providers={"o": provider(), "q": provider()},
        ),
        policy(
            grant(),
            denials=[denial()],
            providers={"o": provider(), "q": provider()},
        ),
        token(),
    ),
    "subject-that-fails": lambda: Attack(
        policy(grant()),
        policy(grant(), providers={"o": provider(subject="claims.c + claims.a")}),
        token(),
    ),
    "rule-by-a-definition": lambda: Attack(
        policy(
            grant(),
            providers={"o": provider(rules=[{"name": "r", "check": "defs.q"}])},
            definitions={"q": "claims.n > 0"},
        ),
        policy(
            grant(),
            providers={"o": provider(rules=[{"name": "r", "check": "defs.q"}])},
            definitions={"q": "claims.n > 1"},
        ),
        token(n=1),
    ),
    "session-of-exactly-an-hour": partial(_sessions, "3601s", "1h", timedelta(seconds=3600)),
    "session-of-an-hour-and-a-little": partial(
        _sessions, "3601s", "1h", timedelta(seconds=3600, microseconds=1)
    ),
    "session-that-ends-later": lambda: Attack(
        policy(
            grant(expires="2026-11-01T12:00:01Z"),
            providers={"o": provider(**HOUR)},
        ),
        policy(
            grant(expires="2026-11-01T12:00:00Z"),
            providers={"o": provider(**HOUR)},
        ),
        token(exp=SECONDS - 60),
        session=timedelta(seconds=600),
    ),
    "class-of-one-denial-alone": lambda: Attack(
        policy(grant(), denials=[denial(**{"class": "plugin"})]),
        policy(grant(), denials=[denial()]),
        token(),
    ),
    "class-of-the-catalog": lambda: Attack(
        policy(
            {"name": "c", "catalog": True}, denials=[denial(repositories=["**"], actions=["pull"])]
        ),
        policy({"name": "c", "catalog": True}, denials=[{"name": "d", "catalog": True}]),
        token(),
        CATALOGUE,
    ),
    "catalog-denied-by-error": lambda: Attack(
        policy(
            {"name": "c", "catalog": True},
            denials=[{"name": "d", "catalog": True, "when": "has(claims.c) && claims.c == 'x'"}],
        ),
        policy(
            {"name": "c", "catalog": True},
            denials=[{"name": "d", "catalog": True, "when": "claims.c == 'x'"}],
        ),
        token(),
        CATALOGUE,
    ),
    "expires-with-the-denial": lambda: Attack(
        policy(grant(), denials=[denial("claims.b", expires="2026-11-01T12:00:00Z")]),
        policy(
            grant(expires="2026-11-01T12:00:00Z"),
            denials=[denial("claims.b", expires="2026-11-01T12:00:00Z")],
        ),
        token(),
    ),
    "not-before-with-skew": lambda: Attack(
        policy(grant(), providers={"o": provider(clockSkew="5s")}),
        policy(grant(), providers={"o": provider(clockSkew="4s")}),
        token(nbf=SECONDS + 5, exp=SECONDS + 300),
    ),
    "age-that-rounds": lambda: Attack(
        policy(grant(), providers={"o": provider(maxTokenAge="60s")}),
        policy(grant("claims.iat > 0"), providers={"o": provider(maxTokenAge="59s")}),
        token(iat=SECONDS - 60 - 0.0000003),
    ),
}

NAMES_AND_TAGS: dict[str, Callable[[], Attack]] = {
    "digest-under-a-failing-tag": lambda: Attack(
        policy(grant(tags=["*"])),
        policy(grant(tags=["x", "${claims.c}"])),
        token(),
        pull("acme/x", "y"),
    ),
    "list-under-a-failing-tag": lambda: Attack(
        policy(grant(tags=["*"]), denials=[denial(tags=["x"], actions=["delete"])]),
        policy(grant(tags=["*"]), denials=[denial(tags=["v${claims.c}"])]),
        token(),
        pull("acme/x", "*"),
    ),
    "name-of-two-long-claims": lambda: _anything(
        [denial('claims.a.matches("^x*$")', repositories=["${claims.a}"])],
        [denial('claims.a.matches("^x*$")', repositories=["${claims.a}/${claims.d}"])],
        "acme/x",
        a="x" * 100,
        d="y" * 300,
    ),
    "name-beside-a-claim-in-upper-case": lambda: _anything(
        [denial(repositories=["${claims.a.lowerAscii()}"])],
        [denial(repositories=["${claims.a}"])],
        "acme/x",
        a="Acme",
    ),
    "duplicate-by-case": lambda: Attack(
        policy(grant(repositories=["${claims.a.lowerAscii()}/x"])),
        policy(grant(repositories=["${claims.a}/x"])),
        token(a="ACME"),
    ),
    "duplicate-by-case-in-a-list": lambda: Attack(
        policy(grant('claims.l.exists(g, scope.name == g.lowerAscii() + "/x")')),
        policy(grant('claims.l.exists(g, scope.name == g + "/x")')),
        token(l=["Acme"]),
    ),
    "claim-that-is-a-whole-name": lambda: Attack(
        policy(grant(repositories=["${claims.a}"])),
        policy(grant(repositories=["${claims.a}"], when="!claims.a.contains('/')")),
        token(a="acme/x"),
    ),
    "claim-that-is-empty-in-a-denial": lambda: _anything(
        [denial('claims.a != ""', repositories=["q${claims.a}"])],
        [denial(repositories=["q${claims.a}"])],
        "q/x",
        a="",
    ),
    "star-is-not-nothing-between-slashes": lambda: Attack(
        policy(grant(repositories=["acme/*", "*/x"])),
        policy(grant(repositories=["acme/**"], when="scope.name != 'acme/x'")),
        token(),
    ),
    "two-stars-at-the-beginning": lambda: Attack(
        policy(grant(repositories=["**/x"])),
        policy(grant(repositories=["*/x"])),
        token(),
        pull("x"),
    ),
    "two-stars-in-the-middle": lambda: Attack(
        policy(grant(repositories=["acme/**/x"])),
        policy(grant(repositories=["acme/*/x", "acme/*/*/x"])),
        token(),
        pull("acme/x"),
    ),
    "tag-of-a-long-claim-alone": lambda: Attack(
        policy(grant(tags=["*"]), denials=[denial("size(claims.a) < 129", tags=["${claims.a}"])]),
        policy(grant(tags=["*"]), denials=[denial(tags=["${claims.a}"])]),
        token(a="z" * 129),
        pull("acme/x", "y"),
    ),
    "tag-of-two-claims": lambda: Attack(
        policy(grant(tags=["${claims.a}-${claims.d}"])),
        policy(grant(tags=["${claims.a}-*"], when="claims.d != 'y'")),
        token(a="x", d="y"),
        pull("acme/x", "x-y"),
    ),
    "tag-that-begins-with-a-dash": lambda: Attack(
        policy(grant(tags=["*"]), denials=[denial(tags=["x"])]),
        policy(grant(tags=["*"]), denials=[denial(tags=["_*"])]),
        token(),
        pull("acme/x", "_y"),
    ),
    "tag-and-name-of-one-claim": lambda: Attack(
        policy(grant(repositories=["acme/${claims.a}"], tags=["${claims.a}"])),
        policy(grant(repositories=["acme/x"], tags=["x"])),
        token(a="y"),
        pull("acme/y", "y"),
    ),
    "new-tag-of-another-grant": lambda: Attack(
        policy(
            grant("", tags=["v*"], actions=["push"], newTagsOnly=True),
            grant("claims.b", "h", tags=["v1"], actions=["push"]),
        ),
        policy(
            grant("", tags=["v*"], actions=["push"], newTagsOnly=True),
            grant("claims.b", "h", tags=["v1"], actions=["push"], newTagsOnly=True),
        ),
        token(),
        push("v1", TagState.EXISTING),
    ),
    "new-tag-of-a-claim": lambda: Attack(
        tagged("${claims.a}", newTagsOnly=True),
        tagged("${claims.d}", newTagsOnly=True),
        token(a="q", d="r"),
        push("q", TagState.NEW),
    ),
    "new-tag-and-its-upload": lambda: Attack(
        tagged("v*", newTagsOnly=True),
        policy(grant('scope.reference != ""', tags=["v*"], actions=["push"], newTagsOnly=True)),
        token(),
        push("@upload"),
    ),
    "new-tag-and-a-digest": lambda: Attack(
        tagged("v*", newTagsOnly=True),
        policy(
            grant('!scope.reference.startsWith("sha256:")', tags=["v*"], actions=["push"], newTagsOnly=True)
        ),
        token(),
        push(SHA),
    ),
    "existing-tag-denied-alone": lambda: Attack(
        policy(grant("", tags=["*"], actions=["push"]), denials=[denial(tags=["w"], actions=["push"])]),
        policy(grant("", tags=["*"], actions=["push"], newTagsOnly=True), denials=[denial(tags=["w"], actions=["push"])]),
        token(),
        push("v", TagState.EXISTING),
    ),
    "delete-by-a-digest": lambda: Attack(
        policy(grant(actions=["delete"]), denials=[denial(actions=["delete"], tags=["x"], when="claims.n == 5")]),
        policy(grant(actions=["delete"]), denials=[denial(actions=["delete"], tags=["x"])]),
        token(),
        pull("acme/x", SHA, action="delete"),
    ),
    "upload-is-a-push": lambda: Attack(
        policy(grant(actions=["push"])),
        policy(grant(actions=["push"], when='scope.reference != ""', tags=["*"])),
        token(),
        Access(Resource(REPOSITORY, "acme/x"), "push", "@upload", TagState.UNKNOWN),
    ),
}  # fmt: skip

TEXTS_AND_ERRORS: dict[str, Callable[[], Attack]] = {
    "long-s-folds": lambda: pair('claims.a.matches("(?i)^s$")', 'claims.a in ["s", "S"]', a="\u017f"),
    "final-sigma-folds": lambda: pair(
        'claims.a.matches("(?i)^σ$")', 'claims.a in ["σ", "Σ"]', a="ς"
    ),
    "sharp-s-does-not-fold": lambda: pair(
        'claims.a.upperAscii() == "ß"', 'claims.a.upperAscii() == "SS"', a="ß"
    ),
    "dotted-i-does-not-fold": lambda: pair(
        'claims.a.lowerAscii() != "i"', 'claims.a.lowerAscii() != "i" && !claims.a.matches("^İ")', a="İ"
    ),
    "accents-are-not-composed": lambda: pair(
        'claims.a != "é" && size(claims.a) == 2', 'claims.a.matches("^[a-z]{2}$")', a="e\u0301"
    ),
    "one-character-beyond-the-plane": lambda: pair(
        "size(claims.a) == 1", 'claims.a.matches("^[\\\\x00-\\\\x{ffff}]$")', a="😀"
    ),
    "end-of-a-text-is-no-end-of-a-line": lambda: pair(
        '!claims.a.matches("^x$")', '!claims.a.matches("^x\\\\n?$")', a="x\n"
    ),
    "many-lines": lambda: pair('claims.a.matches("(?m)^x$")', 'claims.a == "x"', a="y\nx"),
    "negated-class-takes-a-newline": lambda: pair(
        'claims.a.matches("^[^a]$")', 'claims.a.matches("^.$")', a="\n"
    ),
    "space-of-posix": lambda: pair(
        'claims.a.matches("^[[:space:]]$")', 'claims.a.matches("^\\\\s$")', a="\u000b"
    ),
    "digits-are-of-ascii": lambda: pair(
        '!claims.a.matches("^\\\\d$")', '!claims.a.matches("^[0-9٣]$")', a="٣"
    ),
    "empty-before-a-comma": lambda: pair(
        'claims.a.matches("^x{,3}$")', 'claims.a.matches("^x{0,3}$")', a="x{,3}"
    ),
    "next-line-is-trimmed": lambda: pair(
        'claims.a.trim() == "x"', 'claims.a.trim() == "x" && !claims.a.contains("\\u0085")', a="\u0085x"
    ),
    "ends-with-nothing": lambda: pair(
        'claims.a.endsWith("") && claims.a.contains("")', 'claims.a != ""', a=""
    ),
    "split-of-nothing": lambda: pair(
        'size(claims.a.split("/")) == 1', 'size(claims.a.split("/")) == 1 && claims.a != ""', a=""
    ),
    "join-is-no-split": lambda: pair(
        'claims.a.split("/").join("/") == claims.a', "false", a="x/y"
    ),
    "char-at-the-end": lambda: pair('claims.a.charAt(1) == ""', 'claims.a == ""', a="x"),
    "part-that-is-too-long": lambda: Attack(
        refused('size(claims.a) > 2 && claims.a.substring(0, 3) == "xyz"'),
        refused('claims.a.substring(0, 3) == "xyz"'),
        token(a="xy"),
    ),
    "order-of-texts": lambda: pair('claims.a < "b"', 'claims.a == "a"', a="Z"),
    "one-is-a-double": lambda: pair("1.0 in claims.y", "claims.y.all(e, e != 1)", y=[1]),
    "largest-double": lambda: pair("claims.x > 1.7e308", "claims.x > 1.75e308", x=1.72e308),
    "smallest-double": lambda: pair("claims.x > 0.0", "claims.x > 5e-324", x=5e-324),
    "double-and-its-int": lambda: pair(
        "claims.y == 9007199254740992.0", "claims.y == 9007199254740992", y=2**53 + 1
    ),
    "bool-is-no-number": lambda: Attack(
        refused("claims.y == false"), refused("claims.y == 0"), token(y=True)
    ),
    "size-of-a-map": lambda: pair("size(claims.y) == 1", "size(claims.y) == 1 && claims.y[0] == 1", y={"k": 1}),
    "list-in-a-list": lambda: pair(
        'claims.y.exists(e, e.exists(f, f == "x"))', 'claims.y.all(e, e.exists(f, f == "x"))', y=[["y"], ["x"]]
    ),
    "member-of-a-list": lambda: Attack(
        refused("has(claims.b) && !claims.b"), refused('claims.y.k == "x"'), token(y=[{"k": "y"}])
    ),
    "has-of-a-member-of-null": lambda: Attack(
        refused("claims.y != null && has(claims.y.k)"), refused("has(claims.y.k)"), token(y=None)
    ),
    "key-in-a-text": lambda: Attack(
        refused("claims.b == false"), refused('"x" in claims.y'), token(y="x")
    ),
    "exists-one-that-fails": lambda: pair(
        'claims.y.exists_one(e, e == "x") || claims.b', 'claims.y.exists_one(e, e == "x")', y=["x", 1]
    ),
    "all-of-a-text": lambda: Attack(
        refused("claims.b == false"), refused("claims.y.all(e, false)"), token(y="")
    ),
    "conditional-whose-test-is-null": lambda: Attack(
        refused("claims.y == true"), refused("claims.y ? true : false"), token(y=None)
    ),
    "not-of-a-text": lambda: Attack(refused("claims.b == false"), refused("!claims.y"), token(y="true")),
    "time-of-a-text": lambda: Attack(
        refused("claims.b == false"), refused("timestamp(claims.a) < now"), token(a="yesterday")
    ),
    "time-without-iat": lambda: Attack(
        when("!has(claims.iat) || timestamp(claims.iat) <= now"),
        when("timestamp(claims.iat) <= now"),
        token(),
    ),
    "now-within-a-second": lambda: Attack(
        when('now > timestamp("2026-11-01T12:00:00Z") && now < timestamp("2026-11-01T12:00:01Z")'),
        NOTHING,
        token(),
        after=timedelta(microseconds=1),
    ),
    "expiry-that-conditions-see": lambda: Attack(
        when(f"claims.exp <= {SECONDS + 10}"),
        when(f"claims.exp < {SECONDS + 10}"),
        token(exp=SECONDS + 10.75),
    ),
    "audience-without-ours": lambda: Attack(
        policy(grant(), providers={"o": provider(audience=["https://registry.example.com", "https://other.example.com"])}),
        policy(grant()),
        token(aud=["https://other.example.com"]),
    ),
    "condition-on-the-issuer": lambda: Attack(
        when('claims.iss.startsWith("https://issuer.")'), when('claims.iss == "https://issuer."'), token()
    ),
    "action-in-a-denial": lambda: Attack(
        policy(grant(actions=["pull", "push"]), denials=[denial('scope.action == "push"', actions=["pull", "push"])]),
        policy(grant(actions=["pull", "push"]), denials=[denial("scope.action != ''", actions=["pull", "push"])]),
        token(),
        PULL,
    ),
}  # fmt: skip

MORE_ATTACKS = {**CLIENTS, **IN_TABLES, **WHO_AND_WHERE, **NAMES_AND_TAGS, **TEXTS_AND_ERRORS}
