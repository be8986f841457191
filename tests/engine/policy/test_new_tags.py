"""New tags only: what `newTagsOnly` means, and that it allows nothing while that is not known."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from regauth.engine.access.outcomes import Identity, Verdict, Why
from regauth.engine.access.references import ALL_TAGS, UPLOAD, TagState
from regauth.engine.access.scope import (
    REPOSITORY,
    Access,
    Resource,
    ScopeError,
    parse_access,
    repository_access,
)
from regauth.engine.compiler.compiler import compile_policy
from regauth.engine.decisions.authentication import Authenticated
from regauth.engine.decisions.decide import decide
from regauth.engine.decisions.workload import choose, decide_open
from regauth.engine.explaining.disclosure import reasons_told
from regauth.engine.explaining.explanation import explain_verified
from regauth.engine.explaining.narration import narrate
from regauth.engine.policy.policy import Policy
from regauth.engine.tokens.jwt import Claims
from regauth.engine.tokens.workload_claim import Workload

HEAD = """
version: 1
services: [registry.example.com]
providers:
  ci: {issuer: "https://ci.example.com", audience: me}
"""
CREATE = "{name: create, repositories: [acme/app], tags: ['v*'], actions: [pull, push], newTagsOnly: true}"
MOVE = "{name: move, repositories: [acme/app], tags: [v1], actions: [push]}"
DENY = "denials: [{name: frozen, repositories: [acme/app], tags: [v9], actions: [push]}]"
DIGEST = "sha256:" + "0" * 64
SERVICE = "registry.example.com"
Compile = Callable[..., Policy]


def grants(*written: str) -> str:
    return HEAD + "grants: [" + ", ".join(written) + "]\n"


def verdict(policy: Policy, place: str, now: datetime, action: str = "push") -> Verdict:
    access = repository_access(place, action)
    assert access is not None
    who, claims = Identity("ci", "s"), Claims({"sub": "s"})
    [found] = decide(policy, who, claims, SERVICE, [access], now).verdicts
    [whole] = decide(policy, who, claims, SERVICE, [access], now, exhaustive=True).verdicts
    assert found == whole
    return found


@pytest.mark.parametrize(
    ("place", "action", "why"),
    [
        ("acme/app:v1=new", "push", Why.GRANTED),
        ("acme/app:v1=existing", "push", Why.TAG_EXISTS),
        ("acme/app:v1", "push", Why.DEPENDS_ON_NEW_TAG),
        ("acme/app:latest=new", "push", Why.NO_GRANT),
        ("acme/app:latest=existing", "push", Why.NO_GRANT),
        ("acme/app:latest", "push", Why.NO_GRANT),
        ("acme/other:v1=new", "push", Why.NO_GRANT),
        ("acme/app:v9=new", "push", Why.DENIED),
        ("acme/app:v9=existing", "push", Why.DENIED),
        ("acme/app:v9", "push", Why.DENIED),
        ("acme/app", "push", Why.DEPENDS_ON_REFERENCE),
        (f"acme/app@{DIGEST}", "push", Why.GRANTED),  # it moves no tag
        ("acme/app@upload", "push", Why.GRANTED),
        ("acme/app:v1=new", "pull", Why.GRANTED),
        ("acme/app:v1=existing", "pull", Why.GRANTED),
        ("acme/app:v1", "pull", Why.GRANTED),
        ("acme/app:v1=existing", "delete", Why.NO_GRANT),
        ("acme/app:v1=new", "delete", Why.NO_GRANT),
    ],
)
def test_a_tag_is_pushed_only_where_it_is_new(
    compiled: Compile, now: datetime, place: str, action: str, why: Why
) -> None:
    policy = compiled(grants(CREATE) + DENY)

    found = verdict(policy, place, now, action)

    assert (found.why, found.allowed) == (why, why is Why.GRANTED)
    assert [one.name for one in policy.by_new_tag] == ["create"]


@pytest.mark.parametrize("written", [(CREATE, MOVE), (MOVE, CREATE)])
def test_another_grant_that_moves_the_tag_wins(
    compiled: Compile, now: datetime, written: tuple[str, str]
) -> None:
    policy = compiled(grants(*written))

    for state in ("", "=new", "=existing"):
        assert verdict(policy, f"acme/app:v1{state}", now).allowed
    assert verdict(policy, "acme/app:v1=existing", now).source == "move"
    assert verdict(policy, "acme/app:v2=existing", now).why is Why.TAG_EXISTS


def test_an_error_of_the_condition_is_an_error_whatever_the_tag_is(
    compiled: Compile, now: datetime
) -> None:
    policy = compiled(grants(CREATE.replace("{name", "{when: 'size(claims.x) > 1', name")))

    for state in ("", "=new", "=existing"):
        found = verdict(policy, f"acme/app:v1{state}", now)
        assert (found.why, [one.source for one in found.errors]) == (Why.NO_GRANT, ["create"])


@given(
    flags=st.lists(st.booleans(), min_size=1, max_size=4),
    tags=st.lists(st.sampled_from(["v*", "v1", "*", "other"]), min_size=4, max_size=4),
    denied=st.sampled_from(["", "v1", "v2", "*"]),
    tag=st.sampled_from(["v1", "v2", "other"]),
    action=st.sampled_from(["pull", "push", "delete"]),
)
def test_what_is_allowed_of_a_tag_that_exists_is_what_all_other_grants_allow(
    flags: list[bool], tags: list[str], denied: str, tag: str, action: str
) -> None:
    """Unknown is never more than existing, existing never more than new."""
    now = datetime(2026, 11, 1, 12, tzinfo=UTC)

    def policy_of(*, flagged: bool, without: bool = False) -> Policy:
        listed = []
        for number, (flag, one) in enumerate(zip(flags, tags, strict=False)):
            if flag and without:
                continue
            more = ", newTagsOnly: true" if flag and flagged else ""
            actions = "[pull, push]" if flag else "[pull, push, delete]"
            listed.append(
                f"{{name: g{number}, repositories: [acme/app], tags: ['{one}'], actions: {actions}{more}}}"
            )
        text = (
            grants(*listed)
            if listed
            else HEAD + "grants: [{name: n, repositories: [n], actions: [pull]}]\n"
        )
        if denied:
            text += f"denials: [{{name: d, repositories: [acme/app], tags: ['{denied}'], actions: [push]}}]"
        found = compile_policy({"policy.yaml": text}).policy
        assert found is not None
        return found

    flagged = policy_of(flagged=True)
    allowed = {
        state: verdict(flagged, f"acme/app:{tag}{'=' * bool(state)}{state}", now, action).allowed
        for state in TagState
    }
    plain = verdict(policy_of(flagged=False), f"acme/app:{tag}", now, action).allowed
    rest = verdict(policy_of(flagged=True, without=True), f"acme/app:{tag}", now, action).allowed

    assert allowed[TagState.NEW] == plain
    if action == "push":
        assert allowed[TagState.EXISTING] == allowed[TagState.UNKNOWN] == rest
    else:
        assert set(allowed.values()) == {plain}


class TestNotation:
    @pytest.mark.parametrize("state", list(TagState))
    def test_the_state_stands_behind_the_tag(self, state: TagState) -> None:
        access = Access(Resource(REPOSITORY, "acme/app", "plugin"), "push", "v1", state)

        assert parse_access(str(access)) == access
        assert str(access) == f"repository(plugin):acme/app:v1{'=' * bool(state)}{state}:push"

    @pytest.mark.parametrize(
        "text",
        ["acme/app=new", "acme/app:*=new", "acme/app@upload=new", "acme/app:v1=old",
         "acme/app:v1=", "acme/app:v1=new=new", "acme/app:=new",
         f"acme/app@{DIGEST}=existing"],
    )  # fmt: skip
    def test_only_a_tag_has_a_state(self, text: str) -> None:
        assert repository_access(text, "push") is None
        with pytest.raises(ScopeError):
            parse_access(f"repository:{text}:push")

    def test_a_digest_that_ends_like_one_is_a_digest(self) -> None:
        text = f"acme/app@other:{'a' * 40}=new"

        access = repository_access(text, "push")

        assert access is not None
        assert (access.tag_state, access.place) == (TagState.UNKNOWN, text)

    @pytest.mark.parametrize("reference", ["", ALL_TAGS, UPLOAD, DIGEST])
    def test_a_state_of_no_tag_is_refused(
        self, compiled: Compile, now: datetime, reference: str
    ) -> None:
        access = Access(Resource(REPOSITORY, "acme/app"), "push", reference, TagState.NEW)
        who, claims = Identity("ci", "s"), Claims({"sub": "s"})

        [found] = decide(compiled(grants(CREATE)), who, claims, SERVICE, [access], now).verdicts

        assert found.why is Why.INVALID_REFERENCE


class TestShape:
    @pytest.mark.parametrize(
        ("statement", "code"),
        [
            ("grants: [{name: g, repositories: [a], actions: [push, pull], newTagsOnly: true}]",
             "new-tags-only"),
            ("grants: [{name: g, repositories: [a], tags: [v1], actions: [push, pull, delete], newTagsOnly: true}]",
             "new-tags-only"),
            ("grants: [{name: g, repositories: [a], tags: [v1], actions: [pull, push], newTagsOnly: false}]",
             "wrong-value"),
            ("grants: [{name: g, repositories: [a], tags: [v1], actions: [pull, push], newTagsOnly: 'true'}]",
             "wrong-value"),
            ("denials: [{name: d, repositories: [a], tags: [v1], actions: [push], newTagsOnly: true}]",
             "unknown-key"),
            ("anonymous: {repositories: [a], newTagsOnly: true}", "unknown-key"),
        ],
    )  # fmt: skip
    def test_where_it_cannot_stand(self, statement: str, code: str) -> None:
        found = compile_policy({"policy.yaml": HEAD + statement})

        assert found.policy is None
        assert code in [one.code for one in found.problems]

    def test_a_grant_without_push_is_warned_of(self) -> None:
        grant = CREATE.replace("[pull, push]", "[pull]")

        found = compile_policy({"policy.yaml": grants(grant)})

        assert found.policy is not None
        assert "new-tags-without-push" in [one.code for one in found.problems]

    def test_a_grant_of_new_tags_does_not_shadow_one_that_moves_them(self) -> None:
        same = CREATE.replace("create", "move").replace(", newTagsOnly: true", "")

        def codes(*written: str) -> list[str]:
            return [one.code for one in compile_policy({"p.yaml": grants(*written)}).problems]

        assert codes(CREATE, same) == []
        assert codes(same, CREATE) == ["shadowed-grant"]
        assert codes(CREATE, CREATE.replace("create", "again")) == ["shadowed-grant"]
        assert codes(CREATE, MOVE.replace("[push]", "[pull, push]")) == []

    def test_a_statement_of_new_tags_names_tags(self, compiled: Compile) -> None:
        grant = compiled(grants(CREATE)).grants[0]

        with pytest.raises(ValueError, match="names none"):
            replace(grant, tags=())


class TestWorkload:
    def test_of_several_choices_that_counts_which_a_new_tag_would_allow(
        self, compiled: Compile, now: datetime
    ) -> None:
        policy = compiled(grants(CREATE.replace("{name", "{class: plugin, name")))
        plain = Access(Resource(REPOSITORY, "acme/app"), "push", "v1")
        plugin = Access(Resource(REPOSITORY, "acme/app", "plugin"), "push", "v1")
        claims = Claims({"sub": "s", "iss": "https://ci.example.com", "aud": "me",
                         "exp": now.timestamp() + 60})  # fmt: skip
        workload = Workload("ci", claims, now)

        def why(state: TagState) -> Why:
            asked = [[structs.replace(one, tag_state=state) for one in (plain, plugin)]]
            found = decide_open(policy, workload, SERVICE, asked, now)
            return found.verdicts[0].why

        assert [why(state) for state in TagState] == [
            Why.DEPENDS_ON_NEW_TAG,
            Why.GRANTED,
            Why.NO_GRANT,
        ]

    def test_the_first_that_allows_counts_most(self) -> None:
        access = Access(Resource(REPOSITORY, "a"), "push", "v1")
        listed = [Why.NO_GRANT, Why.DEPENDS_ON_NEW_TAG, Why.GRANTED, Why.GRANTED]
        verdicts = [Verdict(access, why, str(n)) for n, why in enumerate(listed)]

        assert choose(verdicts, [[access] * 4])[0].source == "2"


class TestTelling:
    @pytest.mark.parametrize(
        ("place", "expected"),
        [
            ("acme/app:v1", ["create allows it if the tag is new [depends-on-new-tag]",
                             "matches if the tag is new, which is not known here",
                             "newTagsOnly: whether the tag exists is not known here"]),
            ("acme/app:v1=existing", ["REFUSED, the tag exists, and create allows new tags only",
                                      "newTagsOnly: the tag exists", "does not match"]),
            ("acme/app:v1=new", ["ALLOWED by create", "newTagsOnly: the tag is new"]),
        ],
    )  # fmt: skip
    def test_an_explanation_says_what_is_known_of_the_tag(
        self, compiled: Compile, now: datetime, place: str, expected: list[str]
    ) -> None:
        policy = compiled(grants(CREATE))
        access = repository_access(place, "push")
        assert access is not None
        login = Authenticated(
            Identity("ci", "s"), policy.providers["ci"], Claims({"sub": "s"}), now, now
        )

        text = narrate(explain_verified(policy, login, SERVICE, [access], now))

        for line in expected:
            assert line in text

    def test_a_caller_is_told_a_denial_where_a_new_tag_would_be_allowed(
        self, compiled: Compile, now: datetime
    ) -> None:
        policy = compiled(grants(CREATE) + DENY)
        claims = Claims({"sub": "s"})
        access = repository_access("acme/app:v9", "push")
        assert access is not None
        decision = decide(policy, Identity("ci", "s"), claims, SERVICE, [access], now)

        assert reasons_told(policy, decision, claims, now) == (Why.DENIED,)
