"""
Checks of what the prover keeps: what is found again is what would be made anew.

Whatever is kept is found by a key.  A key that leaves out something that the result depends on gives
one result for two questions, which may be a false proof.  Each check here asks two questions that
differ in one part of one key, in the order in which a mistake would matter.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import product

from regauth.engine.policy.policy import Policy
from regauth.policytests.proofs import About, Answer, Question, Status, comparison, more_access
from regauth.policytests.proofs.evaluation import evaluator
from regauth.policytests.proofs.languages import language as languages
from regauth.policytests.proofs.languages.cells import cut
from regauth.policytests.proofs.logic import atoms, formulas
from regauth.policytests.proofs.logic.patterns import Ways, fits
from tests.policytests.proofs.adversarial import (
    ATTACKS,
    COMPARED,
    HOUR,
    Document,
    compiled,
    grant,
    policy,
    provider,
    when,
)
from tests.policytests.proofs.random_policies import ISSUER, NOW

ANY, CONFORMING = About.ANY_JSON, About.SCHEMA
STEPS = 3_000_000
OLD = 'claims.d == "y"'
"""A condition that gives something, so that a grant is not seen to be of nothing."""


def asked(new: Policy, bound: Policy, about: About = ANY) -> Answer:
    return more_access(Question(new, bound, universes=(about,), steps=STEPS))


def is_more(new: Document, bound: Document, about: About = ANY) -> None:
    """Check that a policy is seen to give more, also when it is asked about again."""
    first, second = compiled(new), compiled(bound)
    for _ in range(2):
        answer = asked(first, second, about)
        assert answer.witnesses, answer


def is_no_more(new: Document, bound: Document, about: About = ANY) -> None:
    """Check that a policy is proved to give no more, also when it is asked about again."""
    first, second = compiled(new), compiled(bound)
    for _ in range(2):
        answer = asked(first, second, about)
        assert answer.status is Status.PROVED, answer


def two_grants(condition: str, second: Document, **more: object) -> Document:
    """Return a policy with two grants under one definition."""
    return policy(
        grant("defs.asked", "first"), {**second, "when": "defs.asked"},
        definitions={"asked": condition}, **more,
    )  # fmt: skip


# -- outcomes, by universe, context and lists


def divided(claim: str, **more: object) -> None:
    """Check that two grants give the schema's tokens what one gives, and not those of any JSON."""
    part = f'claims.{claim}.contains("x")'
    # Grants with tags are not compared by their formulas for any token first.
    whole = [grant(f"has(claims.{claim})", tags=["*"])]
    parts = [grant(part, "with", tags=["*"]), grant(f"!{part}", "without", tags=["*"])]
    new, bound = (compiled({**policy(), "grants": one, **more}) for one in (whole, parts))
    assert asked(new, bound, ANY).status is Status.WITNESS
    # One question about both: what is kept of any token is not found for the schema's.
    answer = more_access(Question(new, bound, steps=STEPS))
    assert (answer.status, answer.about) == (Status.PROVED, CONFORMING)
    # Nor the other way round, where the schema's tokens gain something else.
    wider = compiled(
        {**policy(), "grants": [*whole, grant('claims.sub == "else"', "else")], **more}
    )
    turned = more_access(Question(wider, bound, (CONFORMING, ANY), steps=STEPS))
    assert {one.source for one in turned.witnesses} == {"g", "else"}


def check_universe() -> None:
    """The issuer guarantees that the claim is a text: the outcome is never an error."""
    issuer = "https://token.actions.githubusercontent.com"
    divided("ref", providers={"o": provider(claims="github-actions", issuer=issuer)})


def check_universe_of_solved() -> None:
    """By the schema the claim is a text or absent, and the formula is the same for any token."""
    divided("c")


def check_schema() -> None:
    """What one schema has not, another has."""
    providers = {"o": provider(), "q": provider(claims="generic", issuer=f"{ISSUER}/q")}
    conditions = ("has(claims.more)", 'has(claims.more) && claims.more == "x"')
    new, bound = (policy(grant(one, providers=["q"]), providers=providers) for one in conditions)
    is_more(new, bound, CONFORMING)


def check_provider() -> None:
    providers = {"o": provider(), "q": provider(maxTokenAge="10m")}
    is_more(
        policy(grant(f'provider == "q" || {OLD}'), providers=providers),
        policy(grant(OLD), providers=providers),
    )


def check_service() -> None:
    services = ["r", "s"]
    is_more(
        policy(grant(f'service == "s" || {OLD}'), services=services),
        policy(grant(OLD), services=services),
    )


def check_class() -> None:
    second = grant(name="second", **{"class": "plugin"})
    is_more(two_grants(f'scope.class == "plugin" || {OLD}', second), two_grants(OLD, second))


def check_action() -> None:
    second = grant(name="second", actions=["push"])
    is_more(two_grants(f'scope.action == "push" || {OLD}', second), two_grants(OLD, second))


def check_name() -> None:
    new = grant('scope.name.startsWith("x/")', repositories=["q/${claims.a}"])
    is_no_more(policy(new), when("false"))


def check_reference() -> None:
    """What is asked of a tag is not asked of a digest, and of an upload without one."""
    tags = ["q-*", "v*"]
    new = policy(grant(f'scope.reference.startsWith("v") || {OLD}', tags=tags))
    is_more(new, policy(grant(OLD, tags=tags)))
    is_no_more(new, policy(grant(OLD, tags=tags), grant(name="h", tags=["v*"])))


def check_slots() -> None:
    both = 'claims.l.exists(g, g == "x") && claims.l.exists(g, g == "y")'
    is_more(when(both), when(f"{both} && {OLD}"))


def check_ahead() -> None:
    """One expression is asked of a list of which no position is read, and of one of which one is."""
    definitions = {"both": 'claims.l.exists(g, g == "x") && claims.l.exists(g, g == "y")'}
    new, bound = (
        policy(
            grant(f"defs.both && {first}"),
            grant(f'claims.l[0] == "x" && defs.both && {second}', "second", actions=["push"]),
            definitions=definitions,
        )
        for first, second in (("claims.a == 'x'", "claims.b"), ("claims.b", "size(claims.l) > 2"))
    )
    answer = asked(compiled(new), compiled(bound))
    assert "push" in {one.access.action for one in answer.witnesses}, answer


# -- what a result asks of lists, and asks again when it is found


def check_asked_sizes() -> None:
    is_no_more(when("size(claims.l) < 0"), when("false"), CONFORMING)


def check_asked_positions() -> None:
    is_no_more(when('claims.l[0] == "x" && claims.l.all(g, g != "x")'), when("false"))


def check_asked_seconds() -> None:
    is_no_more(when("timestamp(claims.exp) < now - duration('10s')"), when("false"))


def check_asked_counts() -> None:
    is_no_more(when('claims.l.filter(g, g == "x").size() < 0'), when("false"), CONFORMING)


# -- expressions, logins and statements


def check_before() -> None:
    """What is evaluated before an expression takes steps, too."""
    costly = f"claims.l.all(g, !(g.contains(claims.d) || {COMPARED}))"
    whole = compiled(
        policy(
            grant("defs.costly", "alone"),
            grant(f"claims.l.exists(g, {COMPARED}) || defs.costly", "after"),
            definitions={"costly": costly},
        )
    )
    alone, after = (
        replace(whole, grants=tuple(one for one in whole.grants if one.name == name))
        for name in ("alone", "after")
    )
    assert asked(alone, after).status is not Status.PROVED


def check_definition() -> None:
    """Two policies have a definition of one name."""
    new, bound = (
        policy(grant("defs.asked"), definitions={"asked": condition})
        for condition in ('claims.d.startsWith("x")', 'claims.d == "x"')
    )
    is_more(new, bound)


def check_scope() -> None:
    definitions = {"asked": 'scope.action == "push"'}
    is_no_more(policy(grant("defs.asked"), definitions=definitions), when("false"))


def check_claim() -> None:
    is_more(when('claims.a == "x"'), when('claims.a == "x" && claims.d == "x"'))


def ruled(check: str) -> Document:
    rules = [{"name": "rule", "check": check}]
    return policy(grant(), providers={"o": provider(rules=rules)})


def check_login() -> None:
    is_more(ruled('claims.d.startsWith("x")'), ruled('claims.d == "x"'))


def check_sessions() -> None:
    """
    A login of the bound is one of now for a provider without sessions, and of before for another.

    The second provider's session goes on, which the bound does not know.
    """
    new = {"p": provider(), "q": provider(**HOUR)}
    bound = {"p": provider(), "q": provider(), "o": provider()}
    fresh = "timestamp(claims.exp) > now"
    answer = asked(
        compiled(policy(grant(f"{fresh} && claims.b"), providers=new)),
        compiled(policy(grant(fresh), providers=bound)),
    )
    assert "g" in {one.source for one in answer.witnesses}, answer


def check_lasting() -> None:
    """A session of one provider goes on, and is none of another that has sessions, too."""
    rules = [{"name": "rule", "check": 'claims.a == "x"'}]
    new = {"o": provider(rules=rules, **HOUR), "q": provider(**HOUR)}
    bound = {"o": provider(**HOUR), "q": provider()}
    is_more(policy(grant(), providers=new), policy(grant(), providers=bound))


def check_statement() -> None:
    is_more(
        policy(grant('claims.a == "x"'), grant('claims.d == "x"', "h")),
        policy(grant('claims.a == "x"'), grant('claims.d == "x" && claims.b', "h")),
    )


def check_kind_of_reference() -> None:
    """Whoever has not seen the reference is not granted what needs a tag, and an upload is."""
    new = policy(grant(OLD, actions=["push"]))
    bound = policy(grant(tags=["x"], actions=["push"]))
    answer = asked(compiled(new), compiled(bound))
    assert answer.witnesses
    assert not answer.unknown


def check_targets() -> None:
    """Two grants are asked about: each is about its own names."""
    other = grant(name="h", repositories=["other/*"])
    is_more(policy(grant(OLD), other), policy(grant()))


def check_ways() -> None:
    """Two patterns that begin alike; each claim stands for itself."""
    is_more(
        policy(grant(repositories=["q/${claims.a}"])),
        policy(grant(repositories=["q/${claims.d}"])),
    )


def check_ways_within() -> None:
    """What stands in a name may have a slash, and what stands in a tag may not."""
    new = grant('claims.a == "x/y"', repositories=["x/y"], tags=["v1"])
    is_no_more(policy(new), policy(grant(repositories=["${claims.a}"], tags=["v1", "${claims.a}"])))
    new = grant('claims.a == "x.Y"', repositories=["q/r"], tags=["x.Y"])
    is_no_more(
        policy(new), policy(grant(repositories=["q/r", "${claims.a}"], tags=["${claims.a}"]))
    )


def check_ways_of_scopes() -> None:
    """What an expression in a pattern makes of an action is made of this action alone."""
    new = grant(repositories=["q/pull"])
    is_no_more(policy(new), policy(grant(repositories=["q/${scope.action}"])))


def check_fitting() -> None:
    """Of many patterns, those that a text may fit are found as if each were tried."""
    claim, other = (atoms.Variable((name,)) for name in ("a", "d"))
    star, rest = atoms.Wild("*"), atoms.Wild("**")
    starts = ["", "x", "x/", "x/y", "x/y/", "x/z/", "xx/", "y/", "y"]
    endings: list[tuple[atoms.Part, ...]] = [(), (star,), (atoms.Literal_("/"), rest), (other,)]
    texts: list[atoms.Part] = [atoms.Literal_(start) for start in starts]
    for first in ((), (claim,), (claim, atoms.Literal_("/"), other)):
        patterns = [(*first, text, *ending) for text in texts for ending in endings]
        whens = [formulas.atom(("when", number)) for number in range(len(patterns))]
        for mixed in ([], [(star,), (other, star), (rest, atoms.Literal_("y"))]):
            both = [*zip(whens, patterns, strict=True), *((formulas.TRUE, one) for one in mixed)]
            ways = Ways(both)
            for start in ((), first, (claim,), (other,)):
                for text, ending in product(texts, [(), (claim,), (other, atoms.Literal_("/q"))]):
                    name = atoms.joined([*start, text, *ending])  # type: ignore[list-item]  # no wildcard
                    wanted = formulas.some(
                        formulas.both(when, fits(name, one)) for when, one in both
                    )
                    assert ways.fit(name) is wanted, name


def check_identities() -> None:
    """Where an identity is part of a key, its object is kept: no other one gets its place."""
    is_more(ruled('claims.d.startsWith("x")'), ruled('claims.d == "x"'))
    is_more(when('claims.d.startsWith("x")'), when('claims.d == "x"'))
    found = [
        (key[1], about)
        for known in evaluator._known.values()
        for key, (about, *_) in known.items()
        if key[0] in ("login", "statement", "targets")
    ]
    found += [(identity, about) for identity, (about, _) in comparison._keys.items()]
    assert len(found) > 4
    assert all(identity == id(about) for identity, about in found)


# -- solved parts


def check_wishes() -> None:
    """What is kept is a model of the time that was wished for."""
    new, bound = compiled(when('claims.d == "x"')), compiled(when("false"))
    for days in (0, 400):
        at = NOW + timedelta(days=days)
        [witness] = more_access(Question(new, bound, steps=STEPS, at=at, first=True)).witnesses
        assert witness.now == at


def check_steps() -> None:
    """What is found again takes as many steps as what is made anew."""
    new, bound = compiled(when('claims.d.startsWith("x")')), compiled(when('claims.d == "x"'))
    first, second = (asked(new, bound) for _ in range(2))
    assert first.steps == second.steps


def check_questions_before() -> None:
    """The same question takes the same steps and finds the same, whatever was asked before it."""
    attacks = [ATTACKS[name]() for name in ORDERED]
    asked_about = [(compiled(one.new), compiled(one.bound)) for one in attacks]

    def told(number: int) -> tuple[object, ...]:
        answer = asked(*asked_about[number])
        return answer.steps, answer.unknown, [(str(one), one.claims) for one in answer.witnesses]

    numbers = range(len(ORDERED))
    first = [told(number) for number in numbers]
    for number in [*reversed(numbers), *numbers[::2], *numbers[1::2]]:
        assert told(number) == first[number], ORDERED[number]


def check_formulas() -> None:
    """A question finds no formula that another made, so it numbers all of its formulas itself."""
    before = formulas.atom("asked before")
    is_more(when('claims.d.startsWith("x")'), when('claims.d == "x"'))
    assert formulas.atom("asked before") is not before


ORDERED = [
    *(
        "error-or-true",
        "exists-with-an-error",
        "template-fails-and-another-fits",
        "table-as-a-name",
    ),
    *("session-of-an-expired-token", "compound-shifted", "filter-of-nothing", "tag-of-128"),
    *("two-templates-one-name", "third-element", "sum-of-times", "replace-with-what-is-sought"),
]


def check_cells() -> None:
    """Cells have as many samples as are wanted, a bound, and the examples that are preferred."""
    asked_of = [languages.starts_with("x")]
    few, more = (cut(asked_of, wanted) for wanted in (3, 5))
    assert {len(one.samples) for one in few} == {3}
    assert {len(one.samples) for one in more} == {5}
    assert any(one.long for one in cut(asked_of, 3, 10))
    assert any("x-ample" in one.samples for one in cut(asked_of, 3, None, ["x-ample"]))
    other = cut([languages.starts_with("y")], 3)
    assert {one.languages for one in other} == {
        frozenset(),
        frozenset([languages.starts_with("y")]),
    }


CHECKS: dict[str, Callable[[], None]] = {
    name.removeprefix("check_"): check
    for name, check in list(globals().items())
    if name.startswith("check_")
}
"""Every check, by name."""
