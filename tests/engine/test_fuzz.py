"""
Whatever an author, a stranger or an issuer writes: problems, refusals and `ScopeError`, no crash.

The examples in a run of the tests are fixed; `make fuzz` goes on with new ones.
"""

import base64
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from regauth import schemas
from regauth.engine import (
    Compilation,
    Credentials,
    Decision,
    KeySet,
    Policy,
    Problem,
    Refusal,
    ScopeError,
    Severity,
    SigningKey,
    accesses,
    compile_policy,
    exchange,
    parse_scopes,
    render_text,
    run,
)
from regauth.engine.tokens.jwt import sign
from regauth.engine.tokens.keys import Key, PrivateKey, algorithms_of

pytestmark = pytest.mark.fuzz

Explore = Callable[[Callable[[], None], int], None]

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
T = int(NOW.timestamp())
CASES = Path(__file__).parent / "compiler" / "cases"
SEEDS = sorted(path.read_text(encoding="utf-8") for path in CASES.glob("*.yaml"))

# Text as files have it, and now and then what only a Python string can hold.
characters = st.one_of(st.characters(exclude_categories=["Cs"]), st.characters())
words = st.sampled_from(
    [
        *("version", "services", "providers", "grants", "denials", "definitions", "anonymous"),
        *("name", "when", "repositories", "actions", "catalog", "class", "expires", "issuer"),
        *("audience", "keys", "jwks", "pem", "rules", "check", "subject", "claims", "defs"),
        *(": ", "- ", "\n", "\n  ", "\n    ", "{", "}", "[", "]", ", ", "|", ">-", "#", "&a", "*a"),
        *(
            "'",
            '"',
            "\\",
            "${",
            "**",
            "*",
            "/",
            "!!",
            "---",
            "?",
            "%",
            "\t",
            "\r",
            "\x00",
            "\ufeff",
        ),
        *(
            "1",
            "-1",
            "0x" + "f" * 4000,
            "9" * 5000,
            "1e999",
            ".nan",
            "true",
            "null",
            "~",
            "2027-01-31",
        ),
        *("claims.a", ' == "x"', " && ", "has(", ")", ".startsWith(", ".matches(", "scope.name"),
    ]
)
yaml_texts = st.one_of(
    st.lists(st.one_of(words, st.text(characters, max_size=5)), max_size=40).map("".join),
    st.binary(max_size=200),
)


def check(files: Mapping[str, bytes | str]) -> Compilation:
    """Compile, and show what is wrong: neither may fail, and one of the two must come out."""
    compilation = compile_policy(files, now=NOW)
    errors = [one for one in compilation.problems if one.severity is Severity.ERROR]

    assert all(isinstance(one, Problem) for one in compilation.problems)
    assert (compilation.policy is None) == bool(errors)
    assert compile_policy(files, now=NOW).problems == compilation.problems
    assert isinstance(render_text(compilation.problems, compilation.sources, color=True), str)
    for problem in compilation.problems:
        assert problem.location.line >= 1
        assert problem.location.column >= 1
        assert problem.message
    return compilation


def test_any_text_is_a_policy_or_has_problems(explore: Explore) -> None:
    @given(yaml_texts)
    def holds(text: str | bytes) -> None:
        check({"policy.yaml": text})

    explore(holds, 300)


def test_a_policy_that_was_cut_and_patched_is_a_policy_or_has_problems(explore: Explore) -> None:
    @given(
        st.sampled_from(SEEDS),
        st.lists(
            st.tuples(
                st.floats(0, 1),
                st.integers(0, 12),
                st.one_of(words, st.text(characters, max_size=4)),
            ),
            max_size=4,
        ),
    )
    def holds(text: str, changes: list[tuple[float, int, str]]) -> None:
        for where, length, patch in changes:
            at = int(where * len(text))
            text = text[:at] + patch + text[at + length :]
        check({"policy.yaml": text})

    explore(holds, 300)


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(characters, max_size=12),
    st.sampled_from(
        ["**", "a/b", "${claims.a}", "claims.a == 'x'", "pull", "generic", "kubernetes", "x.json"]
    ),
)
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(characters, max_size=6), inner, max_size=3),
    ),
    max_leaves=6,
)


def object_of(*names: str, **good: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """A mapping with some of the language's names, mostly with values that could be meant."""
    values = {name: st.one_of(good.get(name, anything), anything) for name in names}
    likely = st.fixed_dictionaries(
        {name: values[name] for name in good},
        optional={n: v for n, v in values.items() if n not in good},
    )
    return st.one_of(likely, likely, anything)


expressions = st.one_of(
    st.sampled_from(
        [
            "claims.a == 'x'",
            "defs.d",
            "scope.name == claims.a",
            "true",
            "has(claims.a)",
            "claims.sub",
            "1",
        ]
    ),
    st.lists(st.one_of(words, st.text(characters, max_size=3)), max_size=8).map("".join),
)
short_lists = st.lists(
    st.sampled_from(["pull", "push", "a/b", "p", "s", "**", "${claims.a}"]), max_size=3
)
statement_shapes = object_of(
    *(
        "name",
        "providers",
        "services",
        "when",
        "repositories",
        "actions",
        "catalog",
        "class",
        "expires",
    ),
    name=st.sampled_from(["a", "b", "c"]),
    when=expressions,
    repositories=short_lists,
    actions=st.lists(st.sampled_from(["pull", "push", "delete"]), min_size=1, unique=True),
)
key_shapes = object_of(
    *("discovery", "jwksUri", "jwksFile", "jwks", "pem", "caFile", "bearerTokenFile", "allowHttp")
)
provider_shapes = object_of(
    *(
        "issuer",
        "audience",
        "keys",
        "algorithms",
        "claims",
        "maxTokenAge",
        "refreshTokens",
        "clockSkew",
        "rules",
        "subject",
    ),
    issuer=st.sampled_from(
        ["https://a.example.com", "http://a", "x", "https://[::1", "https://a:b"]
    ),
    audience=st.sampled_from(["me", ["a", "b"]]),
    keys=key_shapes,
    claims=st.sampled_from(["generic", "github-actions", "ours.json", "other"]),
)
policy_shapes = object_of(
    *("version", "services", "definitions", "providers", "grants", "denials", "anonymous"),
    version=st.just(1),
    services=st.just(["s"]),
    definitions=st.dictionaries(st.sampled_from(["d", "e"]), expressions, max_size=2),
    providers=st.dictionaries(st.sampled_from(["p", "q"]), provider_shapes, max_size=2),
    grants=st.lists(statement_shapes, max_size=3),
)


def test_any_structure_is_a_policy_or_has_problems(explore: Explore) -> None:
    @given(policy_shapes, anything)
    def holds(document: object, claims: object) -> None:
        text = yaml.safe_dump(document, allow_unicode=True)
        check({"policy.yaml": text, "ours.json": json.dumps(claims)})

    explore(holds, 300)


def test_any_claim_schema_is_one_or_has_problems(explore: Explore) -> None:
    text = (
        "version: 1\nservices: [s]\nproviders:\n"
        "  p: {issuer: https://a.example.com, audience: b, claims: c.json}\n"
        'grants: [{name: g, when: claims.a.b == "x", repositories: [a], actions: [pull]}]\n'
    )
    claim = object_of(
        *(
            "type",
            "presence",
            "description",
            "mutable",
            "twin",
            "within",
            "items",
            "values",
            "claims",
            "open",
        ),
        type=st.sampled_from(["string", "int", "list", "map", "object", "dyn", "bool", "double"]),
        presence=st.sampled_from(["always", "sometimes"]),
        description=st.just("x"),
    )
    document = object_of(
        *("name", "title", "claims", "families", "open", "issuers", "documentation"),
        name=st.just("ours"),
        title=st.just("Ours"),
        claims=st.dictionaries(st.sampled_from(["a", "sub", "b"]), claim, max_size=3),
    )

    @given(st.one_of(document.map(json.dumps), yaml_texts))
    def holds(schema: str | bytes) -> None:
        check({"policy.yaml": text, "c.json": schema})

    explore(holds, 200)


def test_any_expression_is_one_or_has_problems(explore: Explore) -> None:
    parts = st.one_of(
        words,
        st.text(characters, max_size=4),
        st.sampled_from(
            [
                *("claims", "claims.sub", "claims.aud", "now", "defs.d", "service", "scope.name"),
                *(
                    " == ",
                    " != ",
                    " < ",
                    " in ",
                    " + ",
                    " - ",
                    " / ",
                    " % ",
                    " && ",
                    " || ",
                    " ? ",
                    " : ",
                ),
                *(
                    "(",
                    ")",
                    "[",
                    "]",
                    "{",
                    "}",
                    ".",
                    ",",
                    "!",
                    "-",
                    '"a"',
                    "'b'",
                    "r'\\'",
                    "b'x'",
                    "1u",
                ),
                *("9223372036854775807", "-9223372036854775808", "1.5", "1e308", "null", "true"),
                *(".all(x, ", ".exists(x, ", ".map(x, ", ".filter(x, ", "timestamp(", "duration("),
                *(
                    '.matches("(a|b',
                    ".size()",
                    "has(claims.",
                    "//",
                    "\n",
                    "\\u0041",
                    '"""',
                    "\ud800",
                ),
            ]
        ),
    )

    @given(st.lists(parts, max_size=20).map("".join), st.sampled_from(["when", "pattern", "rule"]))
    def holds(text: str, place: str) -> None:
        grant: dict[str, object] = {"name": "g", "repositories": ["a"], "actions": ["pull"]}
        provider: dict[str, object] = {"issuer": "https://a.example.com", "audience": "b"}
        if place == "when":
            grant["when"] = text
        elif place == "pattern":
            grant["repositories"] = [f"a/${{{text}}}"]
        else:
            provider["rules"] = [{"name": "r", "check": text}]
        document = {
            "version": 1,
            "services": ["s"],
            "definitions": {"d": text} if place == "when" else {"d": "true"},
            "providers": {"p": provider},
            "grants": [grant],
        }
        check({"policy.yaml": json.dumps(document)})

    explore(holds, 400)


@pytest.fixture(scope="module")
def policy() -> Policy:
    text = """
version: 1
services: [s]
definitions:
  ours: claims.team == "blue" && claims.level > 2
providers:
  p:
    issuer: https://a.example.com
    audience: me
    maxTokenAge: 1h
    refreshTokens: {maxSession: 8h}
    rules: [{name: r, check: claims.sub.size() < 1000}]
    subject: claims.sub + string(claims.exp)
grants:
  - {name: a, when: defs.ours, repositories: ["${claims.repository}/**", "x/*"], actions: [pull, push]}
  - {name: b, when: 'claims.groups.exists(g, g.startsWith("a"))', repositories: ["**"], actions: [pull]}
  - {name: c, when: 'claims.nested.deep["x"].y[0] == scope.name', repositories: ["**"], actions: [push]}
  - {name: d, when: claims.sub.matches("^(a|b)+$"), catalog: true}
denials:
  - {name: e, when: now - timestamp(claims.since) < duration("1h"), repositories: ["z/**"], actions: [pull]}
"""
    compilation = compile_policy({"policy.yaml": text}, now=NOW)
    assert compilation.policy is not None, [str(problem) for problem in compilation.problems]
    return compilation.policy


json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.integers(T - 100, T + 100),
        st.floats(),
        st.text(characters, max_size=20),
        st.sampled_from(
            ["https://a.example.com", "me", "blue", "acme/app", "2026-11-01T00:00:00Z"]
        ),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
good_claims: Mapping[str, object] = {
    "iss": "https://a.example.com",
    "aud": "me",
    "sub": "someone",
    "exp": T + 300,
    "iat": T,
}
claim_sets = st.dictionaries(
    st.sampled_from(
        [
            *("iss", "aud", "sub", "exp", "iat", "nbf", "team", "level", "repository", "groups"),
            *("nested", "since", "__class__", ""),
        ]
    ),
    json_values,
    max_size=6,
).map(lambda claims: {**good_claims, **claims})
scope_texts = st.one_of(
    st.text(max_size=30),
    st.lists(
        st.sampled_from(
            [
                *(
                    "repository",
                    "registry",
                    "(",
                    ")",
                    "plugin",
                    ":",
                    ":",
                    "catalog",
                    "*",
                    ",",
                    "pull",
                ),
                *(
                    "push",
                    "delete",
                    "a",
                    "/",
                    "x/y",
                    "host:5000/",
                    " ",
                    "A",
                    "..",
                    "é",
                    "\x00",
                    "-" * 300,
                ),
            ]
        ),
        max_size=12,
    ).map("".join),
)


def answer(
    policy: Policy, token: str, keys: KeySet, username: str = "p", scopes: list[str] | None = None
) -> Decision | Refusal:
    try:
        asked = accesses(parse_scopes(scopes or ["repository:x/y:*", "registry:catalog:*"]))
    except ScopeError:
        asked = ()
    steps = exchange(policy, Credentials(username, token), "s", asked, NOW)
    found = run(steps, lambda _: keys)

    assert isinstance(found, Decision | Refusal)
    if len(token) > 20:
        assert token not in repr(found)
    return found


@pytest.fixture(scope="module")
def key(private_keys: Mapping[str, PrivateKey]) -> SigningKey:
    return SigningKey(private_keys["ed25519"], "EdDSA", "k")


def test_any_signed_claims_are_decided_or_refused(
    explore: Explore, policy: Policy, key: SigningKey
) -> None:
    keys = KeySet((Key(key.public_key, algorithms_of(key.public_key), "k"),))
    seen: set[str] = set()

    @given(claim_sets, st.lists(scope_texts, max_size=3))
    def holds(claims: Mapping[str, object], scopes: list[str]) -> None:
        try:
            token = sign(claims, key)
        except ValueError:  # NaN is not JSON: nobody can sign it either
            return
        found = answer(policy, token, keys, scopes=scopes)
        seen.add(found.reason if isinstance(found, Refusal) else "decided")

    explore(holds, 400)
    assert {"decided", "malformed-token", "wrong-issuer"} <= seen


def test_any_text_is_a_token_or_refused(explore: Explore, policy: Policy, key: SigningKey) -> None:
    keys = KeySet((Key(key.public_key, algorithms_of(key.public_key), "k"),))
    good = sign(good_claims, key)
    parts = st.one_of(
        st.text(max_size=20),
        st.sampled_from([*good.split("."), good, ".", "..", "e30", "bnVsbA", "W10", "=", "\n"]),
        json_values.map(
            lambda value: (
                base64.urlsafe_b64encode(json.dumps(value).encode(errors="replace"))
                .decode()
                .rstrip("=")
            )
        ),
        st.binary(max_size=20).map(
            lambda data: base64.urlsafe_b64encode(data).decode().rstrip("=")
        ),
    )

    @given(
        st.one_of(
            st.lists(parts, max_size=4).map(".".join), st.lists(parts, max_size=4).map("".join)
        ),
        st.one_of(st.sampled_from(["p", ""]), st.text(max_size=9)),
    )
    def holds(token: str, username: str) -> None:
        found = answer(policy, token, keys, username)

        assert isinstance(found, Refusal) or token == good

    explore(holds, 400)


def test_any_byte_of_a_token_counts(explore: Explore, policy: Policy, key: SigningKey) -> None:
    keys = KeySet((Key(key.public_key, algorithms_of(key.public_key), "k"),))
    good = sign(good_claims, key)

    @given(st.integers(0, len(good) - 1), st.characters(max_codepoint=127))
    def holds(at: int, character: str) -> None:
        changed = good[:at] + character + good[at + 1 :]

        assert isinstance(answer(policy, changed, keys), Refusal) is (changed != good)

    explore(holds, 300)


def test_any_scope_is_one_or_a_scope_error(explore: Explore) -> None:
    @given(st.lists(scope_texts, max_size=4))
    def holds(texts: list[str]) -> None:
        try:
            found = parse_scopes(texts)
        except ScopeError as error:
            assert str(error)
            return
        for scope in found:
            assert parse_scopes([str(scope)]) == (scope,)
            assert all(access.resource == scope.resource for access in scope.accesses)

    explore(holds, 500)


def test_the_claim_schemas_are_all_reached() -> None:
    """The structured policies name claim schemas that there are."""
    assert {"generic", "github-actions", "kubernetes"} <= set(schemas.claims_names())
