"""The real program against an API server: leadership, failover, endpoints, and its end."""

import base64
import json
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from regauth.controller import running
from regauth.controller.configuration import read_configuration
from regauth.controller.event_log import ControllerLog
from regauth.controller.kube_controller import _configuration
from regauth.controller.running import Process
from tests.conftest import REPOSITORY
from tests.deploy.expressions import Scrape, asked
from tests.forkserver.programs import forked
from tests.ports import free_ports

from .api_server import ApiServer
from .conftest import PATIENCE, Api, connection, only_own, only_real, run_main, run_module, wait_for
from .installation import install, token_of
from .kube_apiserver import KubeApiServer
from .listening import Request, StatusError

SECRET = "builder-pull-secret"
MONITORING = REPOSITORY / "deploy" / "monitoring"
PROGRAM = forked("kube-controller")
OWN_PROCESS = (sys.executable, "-m", "regauth.controller.kube_controller")
"""
For a test that kills it: of what the fork server starts, the one that stands in dies at once, and
the program when the fork server hears of it.
"""
POLICY = """\
version: 1
services: [registry.example.com]
providers:
  cluster:
    issuer: https://kubernetes.default.svc.cluster.local
    audience: https://registry.example.com
    keys: {jwksUri: https://kubernetes.default.svc.cluster.local/openid/v1/jwks}
    claims: kubernetes
grants:
  - name: own
    when: claims["kubernetes.io"].namespace.startsWith("team-")
    repositories: ['${claims["kubernetes.io"].namespace}/**']
    actions: [pull]
"""


class Site:
    """A folder with everything that a controller process needs, and the processes."""

    def __init__(self, folder: Path, api: Api, stack: ExitStack) -> None:
        self.folder, self.api, self.stack = folder, api, stack
        (folder / "policy").mkdir()
        (folder / "policy" / "policy.yaml").write_text(POLICY)
        [self.port] = free_ports(1)
        (folder / "controller.yaml").write_text(
            "policy: policy\n"
            "registries: [{host: registry.example.com, provider: cluster, tokenDuration: 1h}]\n"
            "election: {duration: 9s}\n"
        )
        # In a real cluster it runs with the permissions of its manifests, and no other.
        own = isinstance(api, ApiServer)
        self.bearer = api.bearer if own else install(api, folder / "controller.yaml")
        with (folder / "controller.yaml").open("a") as settings:
            settings.write(f"listen: localhost:{self.port}\n")
        self.log_in()

    def log_in(self) -> None:
        """Write how to reach the API server; in a real cluster, as the account of the manifests."""
        cluster = {"name": "c", "cluster": {"server": self.api.url}}
        context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
        kubeconfig = {
            "clusters": [cluster],
            "contexts": [context],
            "current-context": "c",
            "users": [{"name": "u", "user": {"token": self.bearer}}],
        }
        (self.folder / "kubeconfig").write_text(json.dumps(kubeconfig))

    def arguments(self) -> list[str]:
        return [
            "--config",
            str(self.folder / "controller.yaml"),
            "--kubeconfig",
            str(self.folder / "kubeconfig"),
        ]

    def replace(self, name: str, text: str) -> None:
        """Put a file in the place of another at once, as the kubelet does: no half of it is read."""
        (self.folder / "new").write_text(text)
        (self.folder / "new").replace(self.folder / name)

    def start(self, command: tuple[str, ...] = PROGRAM) -> "subprocess.Popen[bytes]":
        log = self.stack.enter_context((self.folder / "log").open("ab"))
        process = subprocess.Popen(
            [*command, *self.arguments()],
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
        self.stack.callback(process.wait, PATIENCE)
        self.stack.callback(process.kill)
        return process

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def settled(self) -> bool:
        """Whether every account has what it should have."""
        accounts = of_namespace(self.api, "serviceaccounts", "team-a")
        return bool(accounts) and all(
            {"name": f"{one['metadata']['name']}-pull-secret"} in one.get("imagePullSecrets", [])
            for one in accounts
        )

    def get(self, path: str) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(
                f"http://localhost:{self.port}{path}", timeout=PATIENCE
            ) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()


class Now:
    """The clock of the tests' own API server: these programs live in real time."""

    timestamp = staticmethod(time.time)


@pytest.fixture
def clock() -> Now:
    return Now()


@pytest.fixture
def site(tmp_path: Path, api: Api) -> Iterator[Site]:
    for name in ("team-a", "kube-builders", "other", "regauth"):
        api.create("namespaces", name)
    with ExitStack() as stack:
        yield Site(tmp_path, api, stack)


def of_namespace(api: Api, kind: str, namespace: str) -> list[dict[str, Any]]:
    return [one for one in api.all(kind) if one["metadata"]["namespace"] == namespace]


def state(api: Api, namespace: str = "team-a") -> list[tuple[str, object]]:
    """What there is at the end, without what differs from run to run."""
    found: list[tuple[str, object]] = [
        (one["metadata"]["name"], (one.get("imagePullSecrets"), one.get("secrets")))
        for one in of_namespace(api, "serviceaccounts", namespace)
    ]
    secrets = of_namespace(api, "secrets", namespace)
    return found + [(one["metadata"]["name"], content(one)) for one in secrets]


def content(secret: dict[str, Any]) -> object:
    """A secret's registries, whether its token is bound to it, and how many own it."""
    auths = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))["auths"]
    part = auths["registry.example.com"]["password"].split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    bound = claims["kubernetes.io"]["secret"]["uid"] == secret["metadata"]["uid"]
    return list(auths), bound, len(secret["metadata"]["ownerReferences"])


SETTLED = [
    ("builder", ([{"name": SECRET}], [{"name": SECRET}])),
    (SECRET, (["registry.example.com"], True, 1)),
]


def test_it_works_tells_of_itself_and_ends_when_asked(api: Api, site: Site) -> None:
    api.create("serviceaccounts", "builder", "team-a")
    api.create("serviceaccounts", "token-cleaner", "kube-builders")
    process = site.start()
    wait_for(lambda: api.get("secrets", SECRET, "team-a"), "the secret")
    wait_for(
        lambda: (api.get("serviceaccounts", "builder", "team-a") or {}).get("secrets"),
        "the reference",
    )
    page = site.get("/metrics")[1].decode()
    scrape = Scrape(page)
    monitored = [one for one in asked(MONITORING) if "kube_controller" in one.programs]

    assert len(monitored) > 10
    assert [fault for one in monitored for fault in scrape.lacks(one)] == []
    assert (200, 200, 200, 404) == tuple(
        site.get(path)[0] for path in ("/healthz", "/readyz", "/leader", "/other")
    )
    assert 'kube_controller_tokens_issued_total{cause="creation"} 1.0' in page
    assert "kube_controller_leader 1.0" in page
    assert "team-a" not in page
    values = dict(line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#"))
    assert float(values["kube_controller_soonest_expiry_timestamp_seconds"]) > time.time()
    assert 0 <= float(values["kube_controller_queue_wait_seconds"]) < PATIENCE
    zero = ("expired", "failing", "reload_failed", "queue_namespaces")
    states = [f'accounts{{state="{one}"}}' for one in ("conflict", "undone", "refused", "failed")]
    assert {values[f"kube_controller_{one}"] for one in (*zero, *states)} == {"0.0"}
    for kind in ("namespaces", "secrets", "serviceaccounts"):
        assert float(values[f'kube_controller_watch_age_seconds{{kind="{kind}"}}']) >= 0
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    lease = api.get("leases", "regauth-controller", "regauth")
    assert lease is not None
    assert lease["spec"]["holderIdentity"] == ""
    assert [one["metadata"]["name"] for one in api.all("secrets")] == [SECRET]
    assert not any(word in site.log for word in ("eyJ", site.bearer, "Traceback"))
    assert {json.loads(line)["event"] for line in site.log.splitlines()} >= {
        "leading",
        "issue",
        "attach",
        "ended",
    }


@only_own
def test_k14_a_policy_with_errors_is_an_event_and_a_metric_and_the_old_one_stays(
    api: ApiServer, site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It was plain text in a log of JSON, and no metric told of it."""
    monkeypatch.setattr(running, "RELOAD_SECONDS", 0.05)
    monkeypatch.setattr(running, "_IDLE_SECONDS", 0.05)
    text = (site.folder / "controller.yaml").read_text().replace("duration: 9s", "enabled: false")
    (site.folder / "controller.yaml").write_text(text)
    configuration, reload = _configuration(
        {
            "config": site.folder / "controller.yaml",
            "registry_host": None,
            "registry_username": None,
        }
    )
    with (tmp_path / "events").open("wb") as log:
        process = Process(
            connection(api), configuration, reload, "one", ControllerLog(log.fileno())
        )
        thread = threading.Thread(target=process._lead, daemon=True)
        thread.start()
        good = (site.folder / "policy" / "policy.yaml").read_text()
        site.replace("policy/policy.yaml", "nonsense: true")
        wait_for(lambda: b"not-reloaded" in (tmp_path / "events").read_bytes(), "the event")
        assert b"kube_controller_reload_failed 1.0" in process._page()
        site.replace("policy/policy.yaml", good)
        wait_for(lambda: b"kube_controller_reload_failed 0.0" in process._page(), "the metric")
        process._stop(0, None)
        thread.join(PATIENCE)
    said = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]

    (event,) = [one for one in said if one["event"] == "not-reloaded"]
    assert event["level"] == "error"
    assert any("unknown key `nonsense`" in one for one in event["problems"])


@only_own
def test_other_namespaces_end_the_process_which_begins_anew_with_them(
    api: ApiServer, site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A watch of a namespace that was added would be missing; a Deployment starts it again."""
    monkeypatch.setattr(running, "RELOAD_SECONDS", 0.05)
    monkeypatch.setattr(running, "_IDLE_SECONDS", 0.05)
    file = site.folder / "controller.yaml"
    text = file.read_text().replace("duration: 9s", "enabled: false")
    file.write_text(text + "select: {namespaces: [team-a]}\n")
    options = {"config": file, "registry_host": None, "registry_username": None}
    configuration, reload = _configuration(options)
    with (tmp_path / "events").open("wb") as log:
        process = Process(
            connection(api), configuration, reload, "one", ControllerLog(log.fileno())
        )
        thread = threading.Thread(target=process._lead, daemon=True)
        thread.start()
        site.replace("controller.yaml", text + "select: {namespaces: [team-a, team-b]}\n")
        thread.join(PATIENCE)
    said = [json.loads(line)["event"] for line in (tmp_path / "events").read_text().splitlines()]

    assert not thread.is_alive()
    assert said[-1] == "namespaces-changed"


@only_own
def test_what_happens_in_the_cluster_is_followed_through_bookmarks_breaks_and_a_forgotten_past(
    api: ApiServer, site: Site
) -> None:
    site.start()
    wait_for(lambda: len(api.watches) == 3, "three watches")
    api.create("serviceaccounts", "first", "team-a")
    wait_for(site.settled, "the first account")
    lists = api.count()["GET serviceaccounts"]
    api.bump()
    api.bookmark()
    wait_for(lambda: all(not watch.bookmarks for watch in api.watches), "the bookmarks")
    api.disconnect()
    wait_for(lambda: len([one for one in api.watches if not one.ended]) == 3, "the watches again")
    api.create("serviceaccounts", "second", "team-a")
    wait_for(site.settled, "the second account")

    assert api.count()["GET serviceaccounts"] == lists
    with api.changed:
        api.disconnect()
        api.create("serviceaccounts", "third", "team-a")
        api.compact()
    wait_for(site.settled, "the third account")
    assert api.count()["GET serviceaccounts"] == lists + 1
    assert api.count()["POST serviceaccounts/token"] == 3


@only_real
def test_a_past_that_a_real_api_server_has_forgotten_is_a_new_list_and_no_new_token(
    api: KubeApiServer, site: Site
) -> None:
    """etcd is compacted and the API server killed: the watches break and their versions are gone."""
    settings = site.folder / "controller.yaml"
    settings.write_text(settings.read_text().replace("duration: 9s", "enabled: false"))
    process = site.start()
    api.create("serviceaccounts", "first", "team-a")
    wait_for(site.settled, "the first account")
    wait_for(lambda: len(api.watches) == 3, "three watches")
    before = state(api)
    api.create("secrets", "other", "other", type="Opaque")
    api.compact()
    api.create("serviceaccounts", "second", "team-a")
    wait_for(site.settled, "the second account")

    assert [one for one in state(api) if one in before] == before
    asked = [one.query["limit"] for one in api.seen if one.what == "GET serviceaccounts"]
    # With one object it is no list: after an outage, it asks for the store's version.
    assert [limit for limit in asked if limit != "1"] == ["50", "50"]
    assert api.count()["POST serviceaccounts/token"] == 2
    assert '"status":410' in site.log
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0


@only_real
def test_k12_a_real_store_that_was_restored_is_noticed_and_its_accounts_are_served(
    api: KubeApiServer, site: Site
) -> None:
    """The versions go back: what is watched begins in the future, where nothing happens."""
    settings = site.folder / "controller.yaml"
    settings.write_text(settings.read_text().replace("duration: 9s", "enabled: false"))
    site.start()
    api.create("serviceaccounts", "first", "team-a")
    wait_for(site.settled, "the first account")
    before = state(api)
    api.back_up()
    api.create("serviceaccounts", "second", "team-a")
    wait_for(site.settled, "the second account")
    for number in range(60):
        api.create("configmaps", f"c{number}", "other")
    api.restore()
    assert state(api) == before
    api.create("serviceaccounts", "third", "team-a")
    wait_for(site.settled, "the third account")

    assert '"event":"store-restored"' in site.log
    assert {name for name, _ in state(api)} == {
        *("first", "first-pull-secret", "third", "third-pull-secret")
    }
    assert '"account":"team-a/second"' in site.log


@only_real
def test_a_key_that_a_real_api_server_has_no_longer_replaces_its_tokens(
    api: KubeApiServer, site: Site
) -> None:
    api.create("serviceaccounts", "builder", "team-a")
    once = (*site.arguments(), "--once")
    assert [run_main(*once).exit_code for _ in range(2)] == [0, 0]
    assert api.count()["POST serviceaccounts/token"] == 1
    api.change_key()
    site.bearer = token_of(api, "regauth", "regauth-controller")
    site.log_in()

    assert [run_main(*once).exit_code for _ in range(2)] == [0, 0]
    assert api.count()["POST serviceaccounts/token"] == 2
    (secret,) = of_namespace(api, "secrets", "team-a")
    auths = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))["auths"]
    password = auths["registry.example.com"]["password"]
    assert api.review(password, "https://registry.example.com")


def start_and_kill(api: Api, site: Site, what: str, number: int) -> None:
    """Start a process and kill it at its n-th request of a kind, carried out but not answered."""
    left, started = [number], threading.Event()
    processes: list[subprocess.Popen[bytes]] = []

    def kill(request: Request) -> None:
        if request.what == what:
            left[0] -= 1
            if not left[0]:
                assert started.wait(PATIENCE)
                processes[0].kill()
                processes[0].wait(PATIENCE)
                raise ConnectionAbortedError

    api.after = kill
    processes.append(site.start(OWN_PROCESS))
    started.set()
    assert processes[0].wait(PATIENCE) == -signal.SIGKILL
    api.after = lambda _request: None


@pytest.mark.parametrize(
    ("what", "number", "tokens"),
    [
        ("PATCH secrets", 1, 1),
        ("POST serviceaccounts/token", 1, 2),
        ("PATCH secrets", 2, 1),
        ("PATCH serviceaccounts", 1, 1),
    ],
    ids=["after the empty secret", "between TokenRequest and apply", "between apply and patch", "after the patch"],
)  # fmt: skip
def test_a_leader_that_is_killed_between_two_requests_is_gone_on_with(
    api: Api, site: Site, what: str, number: int, tokens: int
) -> None:
    api.create("serviceaccounts", "builder", "team-a")
    start_and_kill(api, site, what, number)
    api.delete("leases", "regauth", "regauth-controller", None)  # as after its time
    site.start()
    wait_for(site.settled, "the next leader's work")
    wait_for(lambda: state(api) == SETTLED, "the same state")

    assert api.count()["POST serviceaccounts/token"] == tokens, site.log


def test_a_leader_that_is_killed_in_the_middle_of_a_watch_is_followed_by_the_one_that_waits(
    api: Api, site: Site
) -> None:
    """The Lease ends by itself, by the clock of the one that waits."""
    text = (site.folder / "controller.yaml").read_text().replace("duration: 9s", "duration: 5s")
    (site.folder / "controller.yaml").write_text(text)
    first = site.start(OWN_PROCESS)
    wait_for(lambda: len(api.watches) == 3, "the first leader's watches")
    wait_for(lambda: site.get("/leader")[0] == 200, "the first leader")
    (site.folder / "controller.yaml").write_text(text.replace(str(site.port), "0"))
    site.start()
    wait_for(lambda: len(api.watches) == 6, "the watches of the one that waits")
    first.kill()
    first.wait(PATIENCE)
    api.create("serviceaccounts", "builder", "team-a")
    wait_for(site.settled, "the next leader's work")

    assert state(api) == SETTLED
    assert api.count()["POST serviceaccounts/token"] == 1


def test_a_leader_that_loses_the_lease_ends_and_says_so(api: Api, site: Site) -> None:
    process = site.start()
    wait_for(lambda: api.get("leases", "regauth-controller", "regauth"), "the lease")
    api.edit(
        "leases",
        "regauth-controller",
        "regauth",
        lambda one: one["spec"].update(holderIdentity="somebody"),
    )

    assert process.wait(PATIENCE) == 1
    assert '"lost_lease":true' in site.log


@only_own
def test_a_leader_whose_renewal_is_late_ends_and_does_not_keep_the_lease_without_working(
    api: ApiServer, site: Site, tmp_path: Path
) -> None:
    """A worker saw that the Lease had lapsed, and ended; the renewal that came made up for it."""
    configuration = read_configuration(site.folder / "controller.yaml")
    said: list[bool] = []
    with (tmp_path / "events").open("wb") as events:
        log = ControllerLog(events.fileno())
        process = Process(connection(api), configuration, lambda: None, "one", log)
        for watcher in process._controller.watches.watchers.values():
            process._start(watcher.run, "watch")
        thread = threading.Thread(target=lambda: said.append(process._lead()), daemon=True)
        thread.start()
        api.create("serviceaccounts", "first", "team-a")
        wait_for(site.settled, "the first account")
        elector = process._elector
        assert elector is not None
        late = threading.Event()

        def lapse(request: Request) -> None:
            if request.what == "PUT leases" and not late.is_set():
                elector._renewed = None  # as when its answer takes longer than the Lease
                api.create("serviceaccounts", "second", "team-a")
                assert process._lapsed.wait(PATIENCE)
                late.set()

        api.before = lapse
        thread.join(PATIENCE)
        process._end(None)

    assert late.is_set()
    assert said == [True]


def test_a_process_that_breaks_ends_and_does_not_say_that_it_is_healthy(
    api: Api, site: Site, tmp_path: Path
) -> None:
    """Whatever it is: here what reads the settings again."""

    def broken() -> None:
        raise RuntimeError("with a secret")

    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    configuration = read_configuration(site.folder / "controller.yaml")
    with (tmp_path / "events").open("wb") as events:
        log = ControllerLog(events.fileno())
        code = Process(connection(api, site.bearer), configuration, broken, "test", log).run()
    for number, handler in handlers.items():
        signal.signal(number, handler)
    said = (tmp_path / "events").read_text()

    assert code == 1
    assert '"event":"broken","thread":"main","error":"RuntimeError"' in said
    assert "with a secret" not in said
    with pytest.raises(urllib.error.URLError):
        site.get("/healthz")


@only_own
def test_a_signal_takes_no_lock_that_the_interrupted_thread_may_hold(
    api: ApiServer, site: Site
) -> None:
    configuration = read_configuration(site.folder / "controller.yaml")
    process = Process(connection(api), configuration, lambda: None, "test", ControllerLog(-1))

    def interrupted() -> None:
        with process._ending._cond:
            process._stop(signal.SIGTERM, None)

    thread = threading.Thread(target=interrupted, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert not process._ending.is_set()
    process._rest(PATIENCE)
    assert process._ending.is_set()


def test_a_dry_run_prints_the_plan_and_writes_nothing(api: Api, site: Site) -> None:
    api.create("serviceaccounts", "builder", "team-a")
    api.create("serviceaccounts", "builder", "other")
    api.seen.clear()
    done = run_main(*site.arguments(), "--dry-run")

    assert done.exit_code == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"team-a/builder: write {SECRET} (creation): registry.example.com as cluster",
        f"team-a/builder: imagePullSecrets: {SECRET}",
    ]
    assert {one.method for one in api.seen} == {"GET"}


def test_once_does_what_is_to_be_done_and_ends(api: Api, site: Site) -> None:
    api.create("serviceaccounts", "builder", "team-a")
    done = run_main(*site.arguments(), "--once")

    assert done.exit_code == 0, done.stderr
    assert state(api) == SETTLED
    assert not any(one.what.startswith("WATCH") for one in api.seen)


def test_the_flags_of_the_proof_of_concept_do_without_a_policy(api: Api, site: Site) -> None:
    api.create("serviceaccounts", "builder", "other")
    flags = [
        "--registry-host",
        "registry.example.com",
        "--registry-username",
        "cluster",
        "--token-duration",
        "30m",
    ]
    done = run_main(*flags, "--kubeconfig", str(site.folder / "kubeconfig"), "--once")

    assert done.exit_code == 0, done.stderr
    assert state(api, "other") == SETTLED
    (asked,) = [
        one.body["spec"]
        for one in api.seen
        if one.path.endswith("/other/serviceaccounts/builder/token")
    ]
    assert (asked["audiences"], asked["expirationSeconds"]) == (
        ["https://registry.example.com"],
        1800,
    )


def test_once_ends_with_an_error_when_something_failed(api: Api, site: Site) -> None:

    api.create("serviceaccounts", "builder", "team-a")

    def forbid(request: Request) -> None:
        if request.what == "POST serviceaccounts/token":
            raise StatusError(403, "Forbidden", "serviceaccounts/token is forbidden")

    api.before = forbid
    done = run_module("kube_controller", *site.arguments(), "--once")

    assert done.returncode == 1
    assert b"serviceaccounts/token is forbidden" in done.stderr


@only_own
def test_an_api_server_that_is_away_is_said_and_no_traceback(site: Site, api: ApiServer) -> None:
    api.close()
    done = run_main(*site.arguments(), "--once")

    assert done.exit_code == 1
    assert done.stderr.startswith("kube-controller: the cluster cannot be asked: ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--registry-host", "a"], "--registry-username"),
        (
            ["--registry-host", "a", "--registry-username", "b", "--token-duration", "1m"],
            "10m to 48h",
        ),
        (["--registry-host", "a", "--registry-username", "b", "--token-duration", "x"], "duration"),
        (
            ["--registry-host", "a", "--registry-username", "b", "--kubeconfig", "/no/such"],
            "no way to the cluster",
        ),
        (["--config", "/no/such", "--registry-host", "a"], "exclude each other"),
    ],
)
def test_wrong_flags_are_said_with_exit_code_2(arguments: list[str], said: str) -> None:
    done = run_main(*arguments)

    assert done.exit_code == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
