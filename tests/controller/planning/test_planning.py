"""What has to change, as data: `plan` with values in and values out."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from regauth.controller.observing.observed import (
    Account,
    AccountKey,
    Credential,
    Namespace,
    Observed,
    PullSecret,
)
from regauth.controller.planning.entitlements import Entitlements, Wanted
from regauth.controller.planning.planning import (
    Attach,
    Change,
    Delete,
    Issue,
    IssueCause,
    Plan,
    ReportEvent,
    plan,
)
from regauth.controller.settings import Registry, Selection
from regauth.engine import Policy, compile_policy

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
KEY = AccountKey("team-a", "builder")
SECRET = "builder-pull-secret"
REGISTRY = Registry(
    "registry.example.com",
    "registry.example.com",
    "cluster",
    "cluster",
    "https://registry.example.com",
    HOUR,
)
WANTED = Wanted("registry.example.com", "cluster", "https://registry.example.com", HOUR)
PULLS = Entitlements((REGISTRY,))

ACCOUNT = Account(KEY, "uid-1", "7")
ATTACHED = replace(ACCOUNT, pull_secrets=(SECRET,), secrets=(SECRET,))
HOME = Namespace("team-a", {"tier": "dev"})
GOOD = Credential(
    "registry.example.com", "cluster", ("https://registry.example.com",), NOW, NOW + HOUR, "k1"
)
OURS = PullSecret("team-a", SECRET, "secret-1", "8", "default", KEY, "uid-1", (GOOD,))


def of(
    account: Account | None = ATTACHED,
    *secrets: PullSecret,
    home: Namespace | None = HOME,
    keys: frozenset[str] | None = None,
) -> Observed:
    return Observed(account.key if account else KEY, account, home, secrets, keys)


def changes(
    observed: Observed, pulls: Entitlements = PULLS, now: datetime = NOW
) -> tuple[Change, ...]:
    return plan(observed, pulls, now).changes


def issue(account: Account, uid: str, cause: IssueCause, *wanted: Wanted) -> Issue:
    return Issue(account, SECRET, uid, wanted or (WANTED,), cause)


def test_a_new_account_gets_a_secret_with_tokens_and_then_is_attached_to_it() -> None:
    assert changes(of(ACCOUNT)) == (
        issue(ACCOUNT, "", IssueCause.CREATION),
        Attach(ACCOUNT, (SECRET,), (SECRET,)),
    )


def test_what_is_as_it_should_be_is_left_alone_until_less_than_forty_percent_of_life_is_left() -> (
    None
):
    planned = plan(of(ATTACHED, OURS), PULLS, NOW)

    assert planned.changes == ()
    assert planned.again is not None
    assert timedelta(minutes=36) <= planned.again - NOW <= timedelta(minutes=42)
    assert changes(of(ATTACHED, OURS), now=planned.again - timedelta(seconds=1)) == ()
    assert changes(of(ATTACHED, OURS), now=planned.again) == (
        issue(ATTACHED, "secret-1", IssueCause.ROTATION),
    )


def test_accounts_are_not_all_rotated_at_the_same_moment() -> None:
    due = set()
    for number in range(50):
        account = replace(ATTACHED, uid=f"uid-{number}")
        due.add(plan(of(account, replace(OURS, owner_uid=account.uid)), PULLS, NOW).again)

    assert len(due) == 50


def test_names_that_others_have_put_into_the_lists_stay_in_their_order() -> None:
    account = replace(ACCOUNT, pull_secrets=("theirs", "more"), secrets=("mine",))

    assert changes(of(account, OURS)) == (
        Attach(account, ("theirs", "more", SECRET), ("mine", SECRET)),
    )


def test_an_interrupted_beginning_is_gone_on_with() -> None:
    """The secret was created, and the controller ended before the tokens were written."""
    assert changes(of(ACCOUNT, replace(OURS, credentials=()))) == (
        issue(ACCOUNT, "secret-1", IssueCause.INCOMPLETE),
        Attach(ACCOUNT, (SECRET,), (SECRET,)),
    )


def test_a_secret_that_another_process_of_ours_has_made_is_taken_over_without_new_tokens() -> None:
    """Adoption, and two controllers: what one has done the other finds done."""
    assert changes(of(ACCOUNT, OURS)) == (Attach(ACCOUNT, (SECRET,), (SECRET,)),)
    assert changes(of(ATTACHED, OURS)) == ()


@pytest.mark.parametrize("instance", ["", "other"])
def test_a_secret_of_somebody_else_s_is_left_alone_and_reported(instance: str) -> None:
    """Also when the other is a controller like this one, of another instance."""
    foreign = PullSecret("team-a", SECRET, "x", "8", instance, KEY if instance else None, "uid-1")
    (report,) = changes(of(ATTACHED, foreign))

    assert isinstance(report, ReportEvent)
    assert (report.account, report.reason) == (ATTACHED, "PullSecretConflict")
    assert f"the secret {SECRET} is not managed by this controller" in report.message


@pytest.mark.parametrize("owner", [None, AccountKey("team-a", "deployer")])
def test_k13_a_secret_of_ours_whose_owner_was_changed_is_made_anew(
    owner: AccountKey | None,
) -> None:
    """Somebody took the ownerReference away or forged another; it was left alone for ever."""
    changed = replace(OURS, owner=owner, owner_uid="" if owner is None else "uid-9")

    assert changes(of(ATTACHED, changed)) == (Delete(KEY, SECRET, "secret-1"),)


def test_k13_a_deleted_secret_that_a_finalizer_keeps_is_waited_for() -> None:
    """Its tokens have ended; to write into it, or to delete it again and again, helps nobody."""
    stuck = replace(OURS, terminating=True)
    (report,) = changes(of(ATTACHED, stuck))

    assert isinstance(report, ReportEvent)
    assert report.reason == "PullSecretStuck"
    assert changes(of(None, stuck)) == ()


def test_k1_an_account_that_lists_too_many_secrets_is_not_given_another() -> None:
    """Its lists are not read, so that they take no memory; its tokens are renewed all the same."""
    account = replace(ACCOUNT, overfull=True)
    (report,) = changes(of(account, OURS))
    renewed, again = changes(of(account, OURS), now=NOW + HOUR)

    assert isinstance(report, ReportEvent)
    assert report.reason == "TooManySecrets"
    assert isinstance(renewed, Issue)
    assert again == report
    assert changes(of(replace(account, mark=False), OURS)) == (Delete(KEY, SECRET, "secret-1"),)


def test_a_new_account_of_an_old_name_does_not_get_the_old_one_s_tokens() -> None:
    created_again = replace(ACCOUNT, uid="uid-2")

    assert changes(of(created_again, OURS)) == (Delete(KEY, SECRET, "secret-1"),)


def test_the_secret_goes_with_its_account() -> None:
    assert changes(of(None, OURS)) == (Delete(KEY, SECRET, "secret-1"),)
    assert changes(of(None, replace(OURS, instance=""))) == ()
    assert changes(of(None)) == ()


@pytest.mark.parametrize(
    "observed",
    [
        of(replace(ACCOUNT, terminating=True)),
        of(ACCOUNT, home=replace(HOME, terminating=True)),
    ],
)
def test_nothing_is_begun_for_what_is_being_deleted(observed: Observed) -> None:
    assert plan(observed, PULLS, NOW) == Plan()
    there = replace(observed, secrets=(replace(OURS, credentials=()),))
    assert plan(there, PULLS, NOW) == Plan()
    nobody = replace(PULLS, registries=())
    assert Delete(KEY, SECRET, "secret-1") in plan(there, nobody, NOW).changes


@pytest.mark.parametrize(
    ("held", "cause"),
    [
        (replace(GOOD, registry="old.example.com"), IssueCause.CHANGE),
        (replace(GOOD, username="old"), IssueCause.CHANGE),
        (replace(GOOD, audiences=("https://old.example.com",)), IssueCause.CHANGE),
        (replace(GOOD, audiences=()), IssueCause.CHANGE),
        (replace(GOOD, key_id="gone"), IssueCause.KEY_GONE),
        (replace(GOOD, key_id=None), IssueCause.KEY_GONE),
        (replace(GOOD, issued=NOW - HOUR, expires=NOW), IssueCause.ROTATION),
    ],
)
def test_tokens_are_replaced_when_they_no_longer_are_what_is_wanted(
    held: Credential, cause: IssueCause
) -> None:
    """A renamed registry, another provider name, another audience, a key that is gone, age."""
    observed = of(ATTACHED, replace(OURS, credentials=(held,)), keys=frozenset(("k1", "k2")))

    assert changes(observed) == (issue(ATTACHED, "secret-1", cause),)


def test_keys_that_are_not_known_are_no_reason_to_replace_anything() -> None:
    assert changes(of(ATTACHED, OURS, keys=None)) == ()


def test_several_registries_share_one_secret_and_one_that_is_added_or_dropped_changes_it() -> None:
    second = Registry(
        "other.example.com",
        "other.example.com",
        "cluster",
        "cluster",
        "https://other.example.com",
        HOUR,
    )
    other = Wanted("other.example.com", "cluster", "https://other.example.com", HOUR)
    both = Entitlements((REGISTRY, second))
    held = replace(GOOD, registry="other.example.com", audiences=("https://other.example.com",))
    full = replace(OURS, credentials=(held, GOOD))

    assert changes(of(ATTACHED, full), both) == ()
    assert changes(of(ATTACHED, OURS), both) == (
        issue(ATTACHED, "secret-1", IssueCause.CHANGE, other, WANTED),
    )
    assert changes(of(ATTACHED, full)) == (issue(ATTACHED, "secret-1", IssueCause.CHANGE),)


def test_one_token_that_is_due_replaces_all_of_its_secret() -> None:
    second = Registry("other.example.com", "", "", "cluster", "https://registry.example.com", HOUR)
    old = replace(
        GOOD, registry="other.example.com", issued=NOW - HOUR, expires=NOW + timedelta(minutes=5)
    )
    (change,) = changes(
        of(ATTACHED, replace(OURS, credentials=(old, GOOD))), Entitlements((REGISTRY, second))
    )

    assert isinstance(change, Issue)
    assert len(change.wanted) == 2


@pytest.mark.parametrize("jump", [timedelta(days=-400), timedelta(hours=-2), timedelta(minutes=-1)])
def test_a_clock_that_jumps_back_replaces_nothing(jump: timedelta) -> None:
    assert changes(of(ATTACHED, OURS), now=NOW + jump) == ()


@pytest.mark.parametrize("jump", [HOUR, timedelta(days=400)])
def test_a_clock_that_jumps_forward_replaces_the_tokens(jump: timedelta) -> None:
    assert changes(of(ATTACHED, OURS), now=NOW + jump) == (
        issue(ATTACHED, "secret-1", IssueCause.ROTATION),
    )


MARKED, UNMARKED, REFUSED = True, None, False


@pytest.mark.parametrize(
    ("account", "namespace", "selection", "taken"),
    [
        (UNMARKED, UNMARKED, Selection(), True),
        (REFUSED, UNMARKED, Selection(), False),
        (UNMARKED, REFUSED, Selection(), False),
        (MARKED, REFUSED, Selection(), True),
        (REFUSED, MARKED, Selection(), False),
        (UNMARKED, UNMARKED, Selection(opt_in=True), False),
        (MARKED, UNMARKED, Selection(opt_in=True), True),
        (UNMARKED, MARKED, Selection(opt_in=True), True),
        (REFUSED, MARKED, Selection(opt_in=True), False),
        (UNMARKED, UNMARKED, Selection(namespace_labels={"tier": "dev"}), True),
        (UNMARKED, UNMARKED, Selection(namespace_labels={"tier": "prod"}), False),
        (UNMARKED, UNMARKED, Selection(namespace_labels={"tier": "dev", "more": "x"}), False),
        (MARKED, UNMARKED, Selection(namespace_labels={"tier": "prod"}), True),
        (UNMARKED, MARKED, Selection(namespace_labels={"tier": "prod"}), True),
        (UNMARKED, REFUSED, Selection(namespaces=("team-a",)), True),
        (UNMARKED, MARKED, Selection(namespaces=("team-a",), opt_in=True), False),
        (MARKED, UNMARKED, Selection(namespaces=("team-a",), opt_in=True), True),
        (REFUSED, UNMARKED, Selection(namespaces=("team-a",)), False),
        (UNMARKED, UNMARKED, Selection(namespaces=("team-b",)), False),
        (MARKED, MARKED, Selection(namespaces=("team-b", "team")), False),
    ],
)
def test_accounts_and_namespaces_opt_in_and_out(
    account: bool | None, namespace: bool | None, selection: Selection, taken: bool
) -> None:
    observed = of(replace(ACCOUNT, mark=account), home=replace(HOME, mark=namespace))

    assert bool(changes(observed, replace(PULLS, selection=selection))) is taken


@pytest.mark.parametrize("mark", [MARKED, UNMARKED])
@pytest.mark.parametrize("name", ["kube-system", "openshift-ingress"])
def test_k14_system_namespaces_are_not_touched_unless_the_settings_say_so(
    name: str, mark: bool | None
) -> None:
    account = replace(ACCOUNT, key=AccountKey(name, "builder"), mark=mark)
    observed = of(account, home=Namespace(name, mark=mark))

    assert changes(observed) == ()
    assert changes(observed, replace(PULLS, selection=Selection(kube_namespaces=True))) != ()


def test_an_account_of_a_namespace_that_is_not_known_yet_is_left_alone() -> None:
    assert changes(of(ACCOUNT, home=None)) == ()


def test_opting_out_takes_the_secret_from_the_account_before_it_is_deleted() -> None:
    account = replace(ATTACHED, pull_secrets=("theirs", SECRET), mark=False)

    assert changes(of(account, OURS)) == (
        Attach(account, ("theirs",), ()),
        Delete(KEY, SECRET, "secret-1"),
    )
    taken = replace(account, pull_secrets=("theirs",), secrets=())
    assert changes(of(taken, OURS)) == (Delete(KEY, SECRET, "secret-1"),)


def test_opting_out_leaves_a_foreign_secret_of_the_name_attached() -> None:
    foreign = replace(OURS, instance="", owner=None)

    assert changes(of(replace(ATTACHED, mark=False), foreign)) == ()


def test_a_secret_by_another_name_of_ours_is_replaced() -> None:
    old = replace(OURS, name="builder-old", uid="secret-0")
    account = replace(ATTACHED, pull_secrets=("builder-old",), secrets=("builder-old",))

    assert changes(of(account, old)) == (
        issue(account, "", IssueCause.CREATION),
        Attach(account, (SECRET,), (SECRET,)),
        Delete(KEY, "builder-old", "secret-0"),
    )


POLICY = """
version: 1
services: [registry.example.com]
providers:
  cluster:
    issuer: https://kubernetes.default.svc.cluster.local
    audience: https://registry.example.com
    keys: {jwksUri: https://kubernetes.default.svc/openid/v1/jwks}
    claims: kubernetes
    MORE
grants:
  - name: own
    when: WHEN
    repositories: ['${claims["kubernetes.io"].namespace}/**']
    actions: [pull]
"""


def policy(when: str = "true", more: str = "") -> Policy:
    text = POLICY.replace("WHEN", f"'{when}'").replace("MORE", more)
    compilation = compile_policy({"policy.yaml": text}, now=NOW)

    assert compilation.policy is not None, compilation.problems
    return compilation.policy


@pytest.mark.parametrize(
    ("when", "more", "gets"),
    [
        ("true", "", True),
        ('claims["kubernetes.io"].namespace == "team-a"', "", True),
        ('claims["kubernetes.io"].serviceaccount.name == "builder"', "", True),
        ('claims["kubernetes.io"].serviceaccount.uid == "uid-1"', "", True),
        ('claims.sub == "system:serviceaccount:team-a:builder"', "", True),
        ('claims["kubernetes.io"].namespace == "team-b"', "", False),
        ('has(claims["kubernetes.io"].pod)', "", False),
        ('has(claims["kubernetes.io"].secret)', "", True),
        (
            "true",
            'rules: [{name: r, check: \'claims["kubernetes.io"].namespace == "team-b"\'}]',
            False,
        ),
    ],
)
def test_an_account_gets_a_secret_only_where_the_policy_gives_its_token_something(
    when: str, more: str, gets: bool
) -> None:
    assert bool(changes(of(ACCOUNT), replace(PULLS, policy=policy(when, more)))) is gets


def test_a_policy_that_no_longer_gives_anything_takes_the_secret_back() -> None:
    refusing = replace(PULLS, policy=policy('claims["kubernetes.io"].namespace == "team-b"'))

    assert changes(of(ATTACHED, OURS), refusing) == (
        Attach(ATTACHED, (), ()),
        Delete(KEY, SECRET, "secret-1"),
    )


def test_a_policy_that_goes_by_the_time_is_asked_again_even_if_nothing_happens() -> None:
    later = replace(PULLS, policy=policy('now >= timestamp("2026-11-01T12:10:00Z")'))
    planned = plan(of(ACCOUNT), later, NOW)

    assert planned.changes == ()
    assert planned.again is not None
    assert changes(of(ACCOUNT), later, planned.again) != ()


def test_a_policy_that_changes_elsewhere_replaces_nothing() -> None:
    assert changes(of(ATTACHED, OURS), replace(PULLS, policy=policy())) == ()
    assert changes(of(ATTACHED, OURS), replace(PULLS, policy=policy("1 == 1"))) == ()


def test_a_token_is_replaced_before_the_policy_finds_it_too_old() -> None:
    pulls = replace(PULLS, policy=policy(more="maxTokenAge: 20m"))
    planned = plan(of(ATTACHED, OURS), pulls, NOW)
    (asked, _) = changes(of(ACCOUNT), pulls)

    assert planned.again is not None
    assert planned.again - NOW <= timedelta(minutes=14)
    assert isinstance(asked, Issue)
    assert asked.wanted[0].duration == timedelta(minutes=20)
