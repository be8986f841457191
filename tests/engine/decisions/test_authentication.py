"""Verified claims against what a provider asks of them, to the second (policy language, 2)."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone

import pytest

from regauth.engine import Authenticated, Policy, Reason, Refusal
from regauth.engine.decisions.authentication import CHECKS, MESSAGES, authenticate
from regauth.engine.decisions.decide import Request
from regauth.engine.tokens.jwt import Claims

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
T = int(NOW.timestamp())
CLAIMS: Mapping[str, object] = {
    "iss": "https://ci.example.com",
    "aud": ["registry"],
    "sub": "someone",
    "exp": T + 300,
    "iat": T,
    "nbf": T,
}
TEXT = """
version: 1
services: [registry.example.com]
providers:
  ci:
    issuer: https://ci.example.com
    audience: [registry, https://registry.example.com]
"""
ABSENT = object()


@pytest.fixture
def ask(compiled: Callable[..., Policy]) -> Callable[..., Authenticated | Refusal]:
    """Authenticate with the claims changed and with more in the provider."""

    def authenticate_(
        more: str = "", now: datetime = NOW, **changed: object
    ) -> Authenticated | Refusal:
        provider = compiled(TEXT + more).providers["ci"]
        claims = {**CLAIMS, **changed}
        present = {name: value for name, value in claims.items() if value is not ABSENT}
        return authenticate(provider, Claims(present), "registry.example.com", now)

    return authenticate_


Ask = Callable[..., Authenticated | Refusal]


def reason(answer: Authenticated | Refusal) -> str | None:
    return answer.reason if isinstance(answer, Refusal) else None


def test_every_reason_says_something_to_the_client() -> None:
    assert set(MESSAGES) == set(Reason)
    assert all(MESSAGES.values())


def test_each_check_has_a_name_of_its_own() -> None:
    names = [check.name for check in CHECKS]

    assert sorted(set(names)) == sorted(names)


class TestIssuer:
    @pytest.mark.parametrize(
        "issuer",
        [
            "https://ci.example.com/",
            "https://CI.example.com",
            "https://ci.example.com ",
            "http://ci.example.com",
            "",
            None,
            7,
            ["https://ci.example.com"],
            {"https://ci.example.com": True},
            ABSENT,
        ],
    )
    def test_it_must_be_equal_byte_for_byte(self, ask: Ask, issuer: object) -> None:
        assert reason(ask(iss=issuer)) == "wrong-issuer"

    def test_the_equal_one_is_good(self, ask: Ask) -> None:
        assert isinstance(ask(), Authenticated)


class TestAudience:
    @pytest.mark.parametrize(
        "audience",
        [
            "registry",
            "https://registry.example.com",
            ["registry"],
            ["other", "registry"],
            ["registry", "https://registry.example.com"],
        ],
    )
    def test_one_of_the_providers_is_enough(self, ask: Ask, audience: object) -> None:
        found = ask(aud=audience)

        assert isinstance(found, Authenticated)
        assert isinstance(found.claims["aud"], list)

    @pytest.mark.parametrize(
        "audience",
        [
            "other",
            "registry ",
            "Registry",
            "registry,https://registry.example.com",
            "",
            [],
            [["registry"]],
            ["registry", 7],
            {"registry": True},
            None,
            True,
            ABSENT,
        ],
    )
    def test_anything_else_is_refused(self, ask: Ask, audience: object) -> None:
        assert reason(ask(aud=audience)) == "wrong-audience"


class TestTimes:
    """The default clock skew is thirty seconds, either way."""

    @pytest.mark.parametrize(
        ("exp", "good"),
        [
            (T, True),
            (T - 29, True),
            (T - 29.5, True),
            (T - 30, False),
            (T - 31, False),
            (ABSENT, False),
        ],
    )
    def test_a_token_ends_at_exp(self, ask: Ask, exp: object, good: bool) -> None:
        assert reason(ask(exp=exp, iat=T - 60, nbf=T - 60)) == (None if good else "expired")

    @pytest.mark.parametrize("name", ["nbf", "iat"])
    @pytest.mark.parametrize(
        ("offset", "good"), [(0, True), (30, True), (30.5, False), (31, False)]
    )
    def test_a_token_begins_at_nbf_and_at_iat(
        self, ask: Ask, name: str, offset: float, good: bool
    ) -> None:
        assert reason(ask(**{name: T + offset})) == (None if good else "not-yet-valid")

    @pytest.mark.parametrize("name", ["nbf", "iat"])
    def test_neither_need_be_there(self, ask: Ask, name: str) -> None:
        assert reason(ask(**{name: ABSENT})) is None

    @pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
    @pytest.mark.parametrize(
        "value",
        [
            "1793534700",
            None,
            True,
            [T],
            {},
            -1,
            float("nan"),
            float("inf"),
            1e300,
            2**63 - 1,
            253_402_300_800,
        ],
    )
    def test_a_time_is_a_number_of_seconds(self, ask: Ask, name: str, value: object) -> None:
        assert reason(ask(**{name: value})) == "malformed-token"

    def test_the_last_second_there_is(self, ask: Ask) -> None:
        assert reason(ask(exp=253_402_300_799)) is None
        assert reason(ask(exp=253_402_300_799.99)) is None

    @pytest.mark.parametrize(("skew", "last"), [("0s", -1), ("1s", -2), ("5m", -301)])
    def test_the_clock_skew_can_be_chosen(self, ask: Ask, skew: str, last: int) -> None:
        more = f"    clockSkew: {skew}\n"
        edge = T + last + 1

        assert reason(ask(more, exp=edge, iat=T - 600, nbf=T - 600)) == "expired"
        assert reason(ask(more, exp=edge + 1, iat=T - 600, nbf=T - 600)) is None
        assert reason(ask(more, nbf=T - last)) == "not-yet-valid"
        assert reason(ask(more, nbf=T - last - 1)) is None

    @pytest.mark.parametrize(
        ("age", "good"), [(0, True), (900, True), (930, True), (931, False), (100_000, False)]
    )
    def test_a_token_can_be_too_old(self, ask: Ask, age: int, good: bool) -> None:
        more = "    maxTokenAge: 15m\n"

        assert reason(ask(more, iat=T - age)) == (None if good else "too-old")

    def test_without_iat_the_age_is_not_known(self, ask: Ask) -> None:
        assert reason(ask("    maxTokenAge: 15m\n", iat=ABSENT)) == "too-old"

    def test_it_is_said_when_the_token_expires(self, ask: Ask) -> None:
        found = ask()

        assert isinstance(found, Authenticated)
        assert found.expires == NOW + timedelta(seconds=300)

    def test_the_zone_of_now_does_not_matter(self, ask: Ask) -> None:
        there = NOW.astimezone(timezone(timedelta(hours=5)))

        assert reason(ask(now=there, exp=T - 29, iat=T - 60, nbf=T - 60)) is None
        assert reason(ask(now=there, exp=T - 30, iat=T - 60, nbf=T - 60)) == "expired"

    @pytest.mark.parametrize(
        "now", [datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 54, 59, tzinfo=UTC)]
    )
    def test_the_ends_of_time_are_no_error(self, ask: Ask, now: datetime) -> None:
        more = "    maxTokenAge: 36500d\n    clockSkew: 5m\n"

        assert isinstance(ask(more, now=now, exp=0, iat=0, nbf=0), Refusal | Authenticated)
        assert isinstance(ask(more, now=now, exp=253_402_300_799), Refusal | Authenticated)


RULES = """
    rules:
      - {name: first, check: claims.team == "blue", message: only the blue team}
      - {name: second, check: claims.level > 2}
"""


class TestRules:
    def test_every_rule_must_hold(self, ask: Ask) -> None:
        assert isinstance(ask(RULES, team="blue", level=3), Authenticated)
        assert reason(ask(RULES, team="red", level=3)) == "rule:first"
        assert reason(ask(RULES, team="blue", level=2)) == "rule:second"

    @pytest.mark.parametrize("value", [ABSENT, 7, None, ["blue"], {"blue": 1}, True])
    def test_a_rule_that_fails_refuses(self, ask: Ask, value: object) -> None:
        assert reason(ask(RULES, team=value, level=3)) == "rule:first"

    @pytest.mark.parametrize("value", ["true", 1, [True], {"true": True}, None, 1.0])
    def test_nothing_but_true_is_true(self, ask: Ask, value: object) -> None:
        more = "    rules: [{name: r, check: claims.good}]\n"

        assert reason(ask(more, good=value)) == "rule:r"
        assert reason(ask(more, good=False)) == "rule:r"
        assert reason(ask(more, good=True)) is None

    def test_the_message_is_the_policys(self, ask: Ask) -> None:
        refused = ask(RULES, team="red", level=3)

        assert isinstance(refused, Refusal)
        assert refused.message == "only the blue team"
        assert refused.provider == "ci"
        assert str(refused.identity) == "ci:someone"

    def test_without_a_message_the_rule_is_named_and_no_value(self, ask: Ask) -> None:
        refused = ask(RULES, team="blue", level=2)

        assert isinstance(refused, Refusal)
        assert refused.message == "the token does not meet the rule 'second'"
        assert "claims.level > 2" in refused.detail

    def test_a_rule_sees_the_service_the_provider_and_the_time(self, ask: Ask) -> None:
        more = """
    rules:
      - {name: s, check: service == "registry.example.com"}
      - {name: p, check: provider == "ci"}
      - {name: t, check: 'now == timestamp("2026-11-01T12:00:00Z")'}
      - {name: a, check: 'claims.aud == ["registry"]'}
"""
        assert reason(ask(more, aud="registry")) is None


class TestSubject:
    @pytest.mark.parametrize("sub", ["", 7, None, ABSENT, ["someone"]])
    def test_there_must_be_one(self, ask: Ask, sub: object) -> None:
        assert reason(ask(sub=sub)) == "no-subject"

    def test_it_is_what_the_policy_says(self, ask: Ask) -> None:
        found = ask('    subject: claims.team + "/" + claims.sub\n', team="blue")

        assert isinstance(found, Authenticated)
        assert str(found.identity) == "ci:blue/someone"


class TestOrder:
    def test_the_first_check_that_refuses_is_the_reason(self, ask: Ask) -> None:
        wrong = {"iss": "x", "aud": "x", "exp": 0, "nbf": T + 999, "iat": 0, "sub": 7}
        order = ["wrong-issuer", "wrong-audience", "expired", "not-yet-valid", "too-old"]
        right = ["iss", "aud", "exp", "nbf", "iat", "sub"]
        seen = []
        for count in range(len(right)):
            changed = {name: value for name, value in wrong.items() if name not in right[:count]}
            seen.append(reason(ask("    maxTokenAge: 15m\n", **changed)))

        assert seen == [*order, "no-subject"]


class TestFractions:
    """fractional-iat: a NumericDate may have a fraction (RFC 7519, section 2)."""

    @pytest.mark.parametrize("fraction", [0.0, 0.5, 0.999])
    def test_conditions_see_whole_seconds(
        self, ask: Ask, compiled: Callable[..., Policy], fraction: float
    ) -> None:
        rules = (
            "    rules:\n"
            "      - name: age\n"
            "        check: now - timestamp(claims.iat) < duration('10m')\n"
            "      - {name: life, check: claims.exp - claims.iat <= 7200}\n"
        )
        times = {name: CLAIMS[name] + fraction for name in ("exp", "iat", "nbf")}

        answer = ask(rules, **times)

        assert isinstance(answer, Authenticated)
        assert {name: answer.claims[name] for name in times} == times  # as the issuer sent them
        request = Request(compiled(TEXT), answer.identity, answer.claims, "registry", NOW)
        seen = request.variables["claims"]
        assert isinstance(seen, dict)
        for name, sent in times.items():
            assert seen[name] == int(sent)
            assert type(seen[name]) is int

    def test_what_is_remembered_of_a_login_is_decided_as_the_login_was(self, ask: Ask) -> None:
        """A replay sees the remembered claims alone, up to the last moment of the token."""
        for late in range(-30, 31):
            sent = {"exp": T + 0.5, "iat": T - 600.5, "nbf": T - 0.5}
            now = NOW + timedelta(seconds=late / 10 + 60)
            first = ask("    maxTokenAge: 10m\n", now, **sent)
            if isinstance(first, Authenticated):
                again = ask("    maxTokenAge: 10m\n", now, **first.claims)
                assert isinstance(again, Authenticated)

    @pytest.mark.parametrize("value", [float("inf"), float("nan"), -0.5, 1e300, True, "1"])
    def test_what_is_no_date_is_refused_as_before(self, ask: Ask, value: object) -> None:
        assert reason(ask(iat=value)) == Reason.MALFORMED_TOKEN
