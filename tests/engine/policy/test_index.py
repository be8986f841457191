"""
The index changes no decision: what it rules out could not have matched.

Whoever finds a policy, claims and a scope for which the index and the walk over every statement
differ has found a way around a denial, or a grant that is lost.
"""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regauth.engine import Access, Identity, Policy, Resource, compile_policy, decide
from regauth.engine.decisions.decide import Request
from regauth.engine.policy.index import build
from regauth.engine.policy.policy import Denial, Statement
from regauth.engine.tokens.jwt import Claims
from tests.generated import PART

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
SERVICES = ("registry.example.com", "mirror.example.com")
WORDS = ("x", "y", "z", "x/y")
PATHS = ("claims.a", "claims.b", "claims.n.m", 'claims["a"]', 'claims.n["m"]')

literals = st.sampled_from(WORDS).map(json.dumps)
paths = st.sampled_from(PATHS)
atoms = st.one_of(
    st.builds("{} == {}".format, paths, literals),
    st.builds("{1} == {0}".format, paths, literals),
    st.builds("{} != {}".format, paths, literals),
    st.builds("{} in [{}, {}]".format, paths, literals, literals),
    st.builds("{} == {}".format, paths, paths),
    st.builds("{}.startsWith({})".format, paths, literals),
    st.sampled_from(
        [
            "has(claims.a)",
            "has(claims.n.m)",
            '"b" in claims',
            "claims.flag",
            "true",
            "false",
            "claims.missing == 1",
            'scope.name == "x/y"',
            "scope.name.startsWith(claims.a)",
            'scope.action == "pull"',
            'service == "registry.example.com"',
            'provider == "one"',
            '"x" in claims.list',
            'claims.list.exists(a, a == "x")',
            'claims.list.all(claims, claims == "x")',
            "defs.first",
            "defs.second",
        ]
    ),
)
conditions = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.builds("({} && {})".format, inner, inner),
        st.builds("({} && {} && {})".format, inner, inner, inner),
        st.builds("({} || {})".format, inner, inner),
        st.builds("!({})".format, inner),
        st.builds("({} ? {} : {})".format, inner, inner, inner),
    ),
    max_leaves=5,
)
patterns = st.sampled_from(
    [
        *("**", "*", "x", "x/y", "x/**", "x/*", "x/y/**", "*/y", "**/y", "x*", "x/y*", "x/**/z"),
        *("${claims.a}", "${claims.a}/**", "x/${claims.b}", "x/${claims.n.m}/*", "x-${claims.a}"),
    ]
)
names = st.sampled_from(
    ["x", "y", "x/y", "x/y/z", "x/x", "x/y/x/y", "xx", "x-y", "y/y", "x/z", "z/y/z", "x-x/y"]
)
moments = st.sampled_from(["2026-01-01", "2027-01-01", "2026-11-01T12:00:00Z"])
repositories = st.fixed_dictionaries(
    {
        "repositories": st.lists(patterns, min_size=1, max_size=3, unique=True),
        "actions": st.lists(st.sampled_from(["pull", "push"]), min_size=1, max_size=2, unique=True),
    },
    optional={
        "when": conditions,
        "providers": st.lists(st.sampled_from(["one", "two"]), min_size=1, unique=True),
        "services": st.lists(st.sampled_from(SERVICES), min_size=1, unique=True),
        "class": st.just("plugin"),
        "expires": moments,
    },
)
catalogs = st.fixed_dictionaries(
    {"catalog": st.just(True)},
    optional={
        "when": conditions,
        "providers": st.lists(st.sampled_from(["one", "two"]), min_size=1, unique=True),
    },
)
statements = st.lists(st.one_of(repositories, repositories, repositories, catalogs), max_size=8)
values = st.one_of(
    st.sampled_from(WORDS),
    st.sampled_from(WORDS),
    st.sampled_from([7, None, True, [], ["x"], {}, {"m": "x"}, 1.5, ""]),
)
tokens = st.fixed_dictionaries(
    {},
    optional={
        "a": values,
        "b": values,
        "n": st.one_of(st.fixed_dictionaries({}, optional={"m": values}), values),
        "flag": st.sampled_from([True, False, "true", None]),
        "list": st.sampled_from([["x"], ["y", "x"], [], "x", [7], None]),
    },
)
asked = st.lists(
    st.one_of(
        st.builds(
            Access,
            st.builds(Resource, st.just("repository"), names, st.sampled_from(["", "", "plugin"])),
            st.sampled_from(["pull", "push"]),
        ),
        st.just(Access(Resource("registry", "catalog"), "*")),
    ),
    min_size=1,
    max_size=6,
)
identities = st.sampled_from([Identity("one", "s"), Identity("two", "s"), Identity()])
requests = st.lists(
    st.tuples(identities, tokens, st.sampled_from(SERVICES), asked), min_size=1, max_size=8
)


def policy(grants: Sequence[dict[str, object]], denials: Sequence[dict[str, object]]) -> Policy:
    document: dict[str, object] = {
        "version": 1,
        "services": list(SERVICES),
        "definitions": {
            "first": 'claims.a == "x"',
            "second": '(defs.first || claims.b == "y") && claims.n.m in ["x", "z"]',
        },
        "providers": {
            "one": {"issuer": "https://one.example.com", "audience": "me"},
            "two": {"issuer": "https://two.example.com", "audience": "me"},
        },
        "anonymous": {"repositories": ["x/**", "y"]},
    }
    for kind, listed in (("grants", grants), ("denials", denials)):
        if listed:
            document[kind] = [
                {"name": f"{kind}-{at}", **statement} for at, statement in enumerate(listed)
            ]
    compilation = compile_policy({"policy.yaml": json.dumps(document)}, now=NOW)

    assert compilation.policy is not None, [str(problem) for problem in compilation.problems]
    return compilation.policy


def told(policy: Policy, request: Sequence[object], *, exhaustive: bool) -> list[tuple[str, str]]:
    identity, claims, service, accesses = request
    decision = decide(
        policy, identity, Claims(claims), service, accesses, NOW, exhaustive=exhaustive
    )
    return [(str(verdict.why), verdict.source) for verdict in decision.verdicts]


@pytest.mark.fuzz
def test_a_decision_is_the_same_with_and_without_the_index(
    explore: Callable[[Callable[[], None], int], None],
) -> None:
    seen: set[str] = set()

    @given(statements, statements, requests)
    def holds(
        grants: Sequence[dict[str, object]],
        denials: Sequence[dict[str, object]],
        many: Sequence[Sequence[object]],
    ) -> None:
        made = policy(grants, denials)
        for request in many:
            with_index = told(made, request, exhaustive=False)
            seen.update(why for why, _ in with_index)

            assert told(made, request, exhaustive=True) == with_index

    explore(holds, 250)
    # A property that only ever saw refusals would prove nothing.
    assert seen == {"granted", "no-grant", "denied"}


@pytest.mark.fuzz
def test_the_candidates_miss_nothing(
    explore: Callable[[Callable[[], None], int], None],
) -> None:
    ruled_out = 0

    @given(statements, statements, requests)
    def holds(
        grants: Sequence[dict[str, object]],
        denials: Sequence[dict[str, object]],
        many: Sequence[Sequence[object]],
    ) -> None:
        nonlocal ruled_out
        made = policy(grants, denials)
        for identity, claims, service, accesses in many:
            some = made.index[identity.provider].grants.any_for(claims)
            request = Request(made, identity, Claims(claims), service, NOW)
            for access in accesses:
                found = [*request.denials(access), *request.grants(access)]
                every: Sequence[Statement] = made.denials
                if identity != Identity():
                    every = [*made.denials, *made.grants]
                for statement in every:
                    match = request.match(statement, access)
                    matters = match is not False if isinstance(statement, Denial) else match is True

                    assert statement in found or not matters
                    assert some or statement not in made.grants or not matters or statement.catalog
                    ruled_out += statement not in found
                assert [one.name for one in found if one in request.denials(access)] == [
                    one.name for one in made.denials if one in found
                ]

    explore(holds, 150)
    assert ruled_out > 1000 / PART


class TestFiling:
    """The index is of use: what cannot match is not looked at."""

    def many(self, when: str, pattern: str) -> Policy:
        grants: list[dict[str, object]] = [
            {"when": when % at, "repositories": [pattern % at], "actions": ["pull"]}
            for at in range(300)
        ]
        return policy(grants, [])

    @pytest.mark.parametrize(
        ("when", "pattern", "expected"),
        [
            ('claims.a == "t%d" && claims.b == "main"', "x/**%.0s", 1),
            ('claims.b == "main" && claims.a == "t%d"', "x/**%.0s", 1),
            ('claims.a in ["t%d", "other"]', "x/**%.0s", 1),
            ("%.0strue", "t%d/**", 1),
            ("%.0strue", "t%d", 0),
            ('claims.a == "t%d"', "t%d/**", 1),
            ("%.0sclaims.flag", "**%.0s", 300),
        ],
    )
    def test_few_of_many_are_candidates(self, when: str, pattern: str, expected: int) -> None:
        made = self.many(when, pattern)
        name = "t7/app" if pattern.startswith("t%d") else "x/app"
        claims = Claims({"a": "t7", "b": "main"})
        request = Request(made, Identity("one", "s"), claims, SERVICES[0], NOW)
        found = request.grants(Access(Resource("repository", name), "pull"))

        assert len(found) == expected

    def test_an_unreadable_claim_keeps_the_denials_and_drops_the_grants(self) -> None:
        one: dict[str, object] = {
            "when": 'claims.a == "x"',
            "repositories": ["x/**"],
            "actions": ["pull"],
        }
        made = policy([one], [one])
        request = Request(made, Identity("one", "s"), Claims({}), SERVICES[0], NOW)
        access = Access(Resource("repository", "x/y"), "pull")

        assert [denial.name for denial in request.denials(access)] == ["denials-0"]
        assert request.grants(access) == []

    def test_nothing_is_filed_of_nothing(self) -> None:
        lookup = build([], [], errors_match=True)

        assert lookup.candidates({"a": "x"}, "x/y") == []

    @pytest.mark.parametrize(
        "when", ['claims.a == "x" && claims.a == "y"', "claims.a in []", "claims.n.m in []"]
    )
    def test_a_denial_that_no_value_meets_still_fails_without_the_claim(self, when: str) -> None:
        denial: dict[str, object] = {"when": when, "repositories": ["**"], "actions": ["pull"]}
        grant: dict[str, object] = {"repositories": ["**"], "actions": ["pull"]}
        made = policy([grant], [denial])
        request = (
            Identity("one", "s"),
            {},
            SERVICES[0],
            [Access(Resource("repository", "x"), "pull")],
        )

        assert told(made, request, exhaustive=False) == [("denied", "denials-0")]
        assert told(made, request, exhaustive=True) == [("denied", "denials-0")]
