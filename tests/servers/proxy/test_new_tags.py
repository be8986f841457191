"""New tags only: the proxy asks the registry, under a lock, and refuses what it cannot know."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner

from regauth.policytests.cli import main as policytest
from regauth.servers.commands.registry_auth_proxy import main
from regauth.servers.proxy import new_tags
from regauth.servers.proxy.new_tags import Tag, TagLocks, TagStateError
from regauth.servers.state.policy import PolicyProblemsError, load_policy
from regauth.servers.upstream import registry as upstream_registry

from .standing import PATIENCE, Received, Reply, plain
from .test_policy import Site, make_folder, serving

DIGEST = "sha256:" + "0" * 64
REFERRERS = "sha256-" + "0" * 64
APP = "repository:acme/app:pull,push"
OTHER = "repository:acme/other:pull,push"
POLICY = """
grants:
  - name: create
    repositories: ["acme/*"]
    tags: ["v*", "V*", "sha256-*"]
    actions: [pull, push]
    newTagsOnly: true
  - {name: move, repositories: ["acme/*"], tags: ["latest"], actions: [pull, push]}
  - name: move-all
    when: claims.actor == "maintainer"
    repositories: ["acme/*"]
    tags: ["v*"]
    actions: [pull, push]
denials:
  - {name: frozen, repositories: ["acme/*"], tags: ["v-frozen"], actions: [push]}
"""


@dataclass
class Tags:
    """A registry that keeps tags, as Distribution's manifests do; nothing else is kept."""

    known: set[tuple[str, str]] = field(default_factory=set)
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Methods and what they were about, in the order that the requests came."""
    moved: list[tuple[str, str]] = field(default_factory=list)
    """Tags that were there already when somebody pushed them."""
    before_put: Callable[[str], None] = lambda _: None
    head: Callable[[BaseHTTPRequestHandler, Received], bool] = lambda _handler, _got: False
    """Answers HEAD in another way, and says that it has."""
    accepted: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, handler: BaseHTTPRequestHandler, got: Received) -> None:
        parts = urlsplit(got.target)
        name, _, reference = parts.path.removeprefix("/v2/").partition("/manifests/")
        if not reference:
            plain(202)(handler, got)
            return
        self.asked.append((got.method, reference))
        if got.method == "HEAD":
            self.accepted.append(got.headers.get("accept", ""))
            if not self.head(handler, got):
                plain(200 if (name, reference) in self.known else 404)(handler, got)
            return
        if got.method == "PUT":
            self.before_put(reference)
            written = [(name, one) for one in (reference, *parse_qs(parts.query).get("tag", []))]
            with self.lock:
                self.moved += [one for one in written if one in self.known]
                self.known |= {one for one in written if ":" not in one[1]}
        plain(201)(handler, got)

    @property
    def put(self) -> list[str]:
        return [reference for method, reference in self.asked if method == "PUT"]

    @property
    def looked_for(self) -> list[str]:
        return [reference for method, reference in self.asked if method == "HEAD"]


@dataclass
class Place:
    """A proxy with the policy, its registry and the locks that it holds."""

    site: Site
    tags: Tags
    locks: TagLocks

    def push(self, target: str, token: str | None = None, **headers: str) -> Reply:
        given = self.site.token(APP) if token is None else token
        return self.site.ask("PUT", f"/v2/acme/app/manifests/{target}", given, **headers)


@contextmanager
def placed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float = new_tags.MAX_SECONDS,
) -> Iterator[Place]:
    made: list[TagLocks] = []

    def keep() -> TagLocks:
        made.append(TagLocks(seconds))
        return made[-1]

    monkeypatch.setattr(new_tags, "TagLocks", keep)
    with serving(tmp_path, POLICY) as site:
        tags = Tags()
        site.registry.behaviour = tags
        yield Place(site, tags, made[-1])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with (
        pytest.MonkeyPatch.context() as patch,
        placed(tmp_path_factory.mktemp("created"), patch) as made,
    ):
        yield made


@pytest.fixture
def place(served: Place) -> Iterator[Place]:
    """The proxy with an empty registry; whatever a test did, no lock is left behind."""
    served.tags = served.site.registry.behaviour = Tags()
    (served.site.folder / "decisions.jsonl").write_text("")
    yield served
    until(lambda: len(served.locks) == 0)


def until(condition: Callable[[], bool]) -> None:
    """Wait until something holds; a test that waits for it in vain fails."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        threading.Event().wait(0.005)


def reason(answer: Reply) -> str:
    return str(json.loads(answer.body)["errors"][0]["detail"].get("reason"))


class TestOneClient:
    def test_a_new_tag_is_created_and_not_moved_afterwards(self, place: Place) -> None:
        first, second = place.push("v1"), place.push("v1")

        assert (first.status, second.status) == (201, 403)
        assert reason(second) == "tag-exists"
        assert b"new tags only, and there is one already: push of acme/app:v1" in second.body
        assert place.tags.asked == [("HEAD", "v1"), ("PUT", "v1"), ("HEAD", "v1")]
        assert place.tags.moved == []

    def test_the_registry_is_asked_for_every_kind_of_manifest_and_no_cache(
        self, place: Place
    ) -> None:
        place.push("v1", Accept="text/plain", If_None_Match='"x"')

        [accepted] = place.tags.accepted
        assert "application/vnd.oci.image.index.v1+json" in accepted
        assert "application/vnd.docker.distribution.manifest.v2+json" in accepted
        assert "application/vnd.docker.distribution.manifest.v1+prettyjws" in accepted
        assert accepted.endswith("*/*")
        head = next(one for one in reversed(place.site.registry.received) if one.method == "HEAD")
        assert head.headers["cache-control"] == "no-cache"
        assert "if-none-match" not in head.headers
        assert "authorization" not in head.headers  # the client's own token stays here

    @pytest.mark.parametrize(
        ("target", "status"),
        [("latest", 201), (DIGEST, 201), ("other", 403), ("v-frozen", 403)],
    )
    def test_it_is_not_asked_where_the_answer_does_not_matter(
        self, place: Place, target: str, status: int
    ) -> None:
        for _ in range(2):
            assert place.push(target).status == status
        assert place.tags.looked_for == []

    def test_uploads_and_reading_are_as_with_tags(self, place: Place) -> None:
        token = place.site.token(APP)

        assert place.site.ask("POST", "/v2/acme/app/blobs/uploads/", token).status == 202
        # A `tag` there means nothing: it does not go upstream.
        answer = place.site.ask("POST", "/v2/acme/app/blobs/uploads/?tag=v1", token)
        assert answer.status == 202
        assert place.site.registry.received[-1].target == "/v2/acme/app/blobs/uploads/"
        assert place.site.ask("GET", "/v2/acme/app/manifests/v1", token).status == 201
        assert place.tags.looked_for == []

    @pytest.mark.parametrize(
        ("method", "target", "status"),
        [
            ("POST", "manifests/v1", 405),
            ("PATCH", "manifests/v1", 405),
            ("PUT", "manifests/v%31", 404),
            ("PUT", "manifests/%761", 404),
            ("PUT", "manifests/v1/", 404),
            ("PUT", "manifests//v1", 404),
            ("PUT", "manifests/v1%00", 404),
            ("PUT", f"manifests/{DIGEST}?tag=v1%2f", 400),
            ("PUT", f"manifests/{DIGEST}?tag=", 400),
            ("PUT", "tags/v1", 404),
        ],
    )
    def test_no_other_request_writes_a_tag(
        self, place: Place, method: str, target: str, status: int
    ) -> None:
        token = place.site.token(APP)

        assert place.site.ask(method, f"/v2/acme/app/{target}", token).status == status
        assert place.tags.asked == []

    def test_nobody_deletes_a_tag_by_it(self, place: Place) -> None:
        token = place.site.token("repository:acme/app:pull,push,delete")
        place.push("v1")

        for target in ("v1", DIGEST):
            answer = place.site.ask("DELETE", f"/v2/acme/app/manifests/{target}", token)
            assert answer.status in (401, 403)
        assert place.push("v1").status == 403

    def test_upper_and_lower_case_are_two_tags(self, place: Place) -> None:
        assert [place.push(one).status for one in ("v1", "V1", "v1", "V1")] == [201, 201, 403, 403]


class TestTagsOfADigest:
    """`PUT manifests/DIGEST?tag=...` (OCI Distribution Spec 1.1, end-7b) writes several tags."""

    def test_each_of_them_must_be_new(self, place: Place) -> None:
        assert place.push(f"{DIGEST}?tag=v1&tag=v2").status == 201
        assert place.tags.looked_for == ["v1", "v2"]

        refused = place.push(f"{DIGEST}?tag=v3&tag=v2")

        assert (refused.status, reason(refused)) == (403, "tag-exists")
        assert ("acme/app", "v3") not in place.tags.known
        assert place.tags.moved == []

    def test_a_tag_in_the_path_counts_with_those_of_the_query(self, place: Place) -> None:
        place.push("v2")

        assert place.push("v1?tag=v2").status == 403
        assert place.push("v3?tag=v4").status == 201
        assert place.push("v5?tag=v5&tag=v5").status == 201  # once
        assert place.tags.looked_for == ["v2", "v1", "v2", "v3", "v4", "v5"]

    def test_a_written_escape_is_the_same_tag(self, place: Place) -> None:
        place.push("v1")

        assert place.push(f"{DIGEST}?tag=%761").status == 403
        assert place.push(f"{DIGEST}?%74ag=v%31").status == 403

    def test_a_tag_that_may_be_moved_needs_no_question(self, place: Place) -> None:
        assert place.push(f"{DIGEST}?tag=latest&tag=v1").status == 201
        assert place.tags.looked_for == ["v1"]
        assert place.push(f"{DIGEST}?tag=latest&tag=v1").status == 403

    def test_the_fallback_tag_of_referrers_is_a_tag(self, place: Place) -> None:
        """Clients write their index again for each signature (OCI Distribution Spec 1.1)."""
        assert [place.push(REFERRERS).status for _ in range(2)] == [201, 403]


def answering(status: int, **headers: str) -> Callable[[BaseHTTPRequestHandler, Received], bool]:
    def answer(handler: BaseHTTPRequestHandler, got: Received) -> bool:
        plain(status, **headers)(handler, got)
        return True

    return answer


def cut(handler: BaseHTTPRequestHandler, _: Received) -> bool:
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)
    return True


def half(handler: BaseHTTPRequestHandler, _: Received) -> bool:
    handler.wfile.write(b"HTTP/1.1 404 Not")
    handler.close_connection = True
    return True


class TestNoAnswer:
    """Any answer but 200 and 404 refuses: whether the tag exists is not known."""

    @pytest.mark.parametrize(
        "head",
        [
            *(answering(one) for one in (201, 202, 204, 206, 400, 403, 405, 410, 429, 500, 503)),
            answering(301, Location="/v2/acme/app/manifests/v2"),
            answering(307, Location="https://elsewhere.example.com/v2/acme/app/manifests/v1"),
            answering(304),
            answering(401),
            answering(401, WWW_Authenticate='Basic realm="r"'),
            answering(404, Transfer_Encoding="gzip"),
            cut,
            half,
        ],
    )
    def test_it_refuses(
        self, place: Place, head: Callable[[BaseHTTPRequestHandler, Received], bool]
    ) -> None:
        place.tags.head = head

        answer = place.push("v1")

        assert (answer.status, reason(answer)) == (502, "tag-state-unknown")
        assert b"does not say whether acme/app:v1 exists" in answer.body
        assert place.tags.put == []
        assert len(place.locks) == 0
        record = place.site.records()[-1]
        assert [one["why"] for one in record["accesses"]] == ["granted", "depends-on-new-tag"]
        place.tags.head = lambda _handler, _got: False
        assert place.push("v1").status == 201

    def test_a_slow_registry_is_given_up(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(upstream_registry, "TAG_SECONDS", 0.2)
        ended = threading.Event()

        def slow(handler: BaseHTTPRequestHandler, got: Received) -> bool:
            ended.wait(PATIENCE)
            return answering(404)(handler, got)

        with placed(tmp_path, monkeypatch) as place:
            place.tags.head = slow
            answer = place.push("v1")
            ended.set()

            assert (answer.status, reason(answer)) == (504, "tag-state-unknown")
            assert (len(place.locks), place.tags.put) == (0, [])

    def test_the_log_says_why_and_the_client_is_not_told(self, place: Place) -> None:
        place.tags.head = answering(429)

        answer = place.push("v1")

        assert b"429" not in answer.body
        lines = [json.loads(one) for one in place.site.proxy.log.read_text().splitlines()]
        said = [one["reason"] for one in lines if one["event"] == "turned-away"]
        assert said[-1] == "tag-state-unknown: it answers 429"

    def test_one_of_several_tags_is_enough(self, place: Place) -> None:
        def second(handler: BaseHTTPRequestHandler, got: Received) -> bool:
            return got.target.endswith("v2") and answering(500)(handler, got)

        place.tags.head = second

        assert place.push(f"{DIGEST}?tag=v1&tag=v2").status == 502
        assert place.tags.put == []


@dataclass
class Slow:
    """Holds the first push of a tag in the registry until a test lets it go."""

    tag: str = "v1"
    entered: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def __call__(self, reference: str) -> None:
        if reference == self.tag and not self.entered.is_set():
            self.entered.set()
            assert self.go_on.wait(PATIENCE)


def waiting(locks: TagLocks) -> int:
    return locks._waiting


class TestRaces:
    def test_of_two_clients_exactly_one_creates_the_tag(self, place: Place) -> None:
        place.tags.before_put = slow = Slow()
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(place.push, "v1")
            assert slow.entered.wait(PATIENCE)
            second = pool.submit(place.push, "v1")
            until(lambda: waiting(place.locks) == 1)
            assert place.tags.looked_for == ["v1"]  # the second has not even asked
            slow.go_on.set()
            statuses = [one.result().status for one in (first, second)]

        assert statuses == [201, 403]
        assert (place.tags.put, place.tags.moved) == (["v1"], [])

    def test_of_many_clients_exactly_one_creates_the_tag(self, place: Place) -> None:
        token = place.site.token(APP)
        with ThreadPoolExecutor(6) as pool:
            for round_ in range(10):
                tag = f"v{round_}"
                targets = (tag, f"{DIGEST}?tag={tag}", f"{DIGEST}?tag=v-a{round_}&tag={tag}")
                answers = [pool.submit(place.push, targets[n % 3], token) for n in range(6)]
                statuses = sorted(one.result().status for one in answers)
                assert statuses == [201, 403, 403, 403, 403, 403]
        assert place.tags.moved == []

    @pytest.mark.parametrize("target", ["v1", f"{DIGEST}?tag=latest&tag=v1"])
    def test_who_may_move_a_tag_does_not_create_it_between_the_question_and_the_push(
        self, place: Place, target: str
    ) -> None:
        mover = place.site.token(APP, actor="maintainer")
        place.tags.before_put = slow = Slow()
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(place.push, "v1")
            assert slow.entered.wait(PATIENCE)
            second = pool.submit(place.push, target, mover)
            until(lambda: waiting(place.locks) == 1 or second.done())
            assert not second.done()
            slow.go_on.set()
            assert [one.result().status for one in (first, second)] == [201, 201]

        assert place.tags.asked[:2] == [("HEAD", "v1"), ("PUT", "v1")]
        assert place.tags.moved == [("acme/app", "v1")]  # by who may move it, afterwards

    def test_the_question_waits_for_who_may_move_the_tag(self, place: Place) -> None:
        mover = place.site.token(APP, actor="maintainer")
        place.tags.before_put = slow = Slow()
        with ThreadPoolExecutor(3) as pool:
            first = pool.submit(place.push, "v1", mover)
            assert slow.entered.wait(PATIENCE)
            second = pool.submit(place.push, "v1")
            until(lambda: waiting(place.locks) == 1 or second.done())
            # Others that may move it wait for nobody.
            assert place.push("v1", mover).status == 201
            slow.go_on.set()
            assert [one.result().status for one in (first, second)] == [201, 403]

        assert ("PUT", "v1") not in place.tags.asked[place.tags.asked.index(("HEAD", "v1")) :]

    def test_a_slow_push_holds_back_no_other_tag_and_no_other_repository(
        self, place: Place
    ) -> None:
        place.tags.before_put = slow = Slow()
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(place.push, "v1")
            assert slow.entered.wait(PATIENCE)
            other = place.site.token(OTHER)
            assert place.push("v2").status == 201
            assert place.site.ask("PUT", "/v2/acme/other/manifests/v1", other).status == 201
            assert place.push("latest").status == 201
            slow.go_on.set()
            assert first.result().status == 201

    def test_a_client_that_vanishes_keeps_no_lock(self, place: Place) -> None:
        place.tags.before_put = slow = Slow()
        token = place.site.token(APP)
        request = (
            "PUT /v2/acme/app/manifests/v1 HTTP/1.1\r\nHost: registry.example.com\r\n"
            f"Authorization: Bearer {token}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", place.site.proxy.port), PATIENCE) as gone:
            gone.sendall(request.encode())
            assert slow.entered.wait(PATIENCE)
        slow.go_on.set()

        assert place.push("v1").status == 403  # what it sent was whole, so the registry has it
        assert len(place.locks) == 0

    def test_a_registry_that_breaks_off_keeps_no_lock(self, place: Place) -> None:
        def broken(_: str) -> None:
            raise ConnectionError

        place.tags.before_put = broken
        with contextlib.suppress(ConnectionError):
            assert place.push("v1").status == 502
        assert len(place.locks) == 0
        place.tags.before_put = lambda _: None
        assert place.push("v1").status == 201

    def test_who_waits_too_long_is_told_to_come_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with placed(tmp_path, monkeypatch, seconds=0.2) as place, ThreadPoolExecutor(1) as pool:
            place.tags.before_put = slow = Slow()
            first = pool.submit(place.push, "v1")
            assert slow.entered.wait(PATIENCE)
            late = place.push("v1")
            slow.go_on.set()

            assert (late.status, reason(late)) == (503, "tag-busy")
            assert late.header("Retry-After") == "5"
            assert (first.result().status, place.tags.moved) == (201, [])


class TestLocks:
    V1, V2 = Tag("a", "v1"), Tag("a", "v2")

    def test_too_many_for_one_tag_are_refused_at_once_and_others_are_not(self) -> None:
        locks = TagLocks(for_one=2)
        done = threading.Event()
        with ThreadPoolExecutor(2) as pool, locks.hold([self.V1]):
            threads = [pool.submit(self.wait, locks, self.V1, done) for _ in range(2)]
            until(lambda: waiting(locks) == 2)
            with pytest.raises(TagStateError) as caught, locks.hold([self.V1]):
                raise AssertionError
            with locks.hold([self.V2]), locks.hold([Tag("b", "v1")]):
                assert len(locks) == 3
            done.set()
        assert caught.value.reason == "tag-busy"
        assert [one.result() for one in threads] == [True, True]
        assert (len(locks), waiting(locks)) == (0, 0)

    def test_too_many_for_all_tags_are_refused_and_who_need_not_wait_is_not(self) -> None:
        locks = TagLocks(waiting=1)
        done = threading.Event()
        with ThreadPoolExecutor(1) as pool, locks.hold([self.V1, self.V2]):
            first = pool.submit(self.wait, locks, self.V1, done)
            until(lambda: waiting(locks) == 1)
            with pytest.raises(TagStateError), locks.hold([self.V2]):
                raise AssertionError
            with locks.hold([Tag("a", "v3")]):
                pass
            done.set()
        assert first.result()
        assert (len(locks), waiting(locks)) == (0, 0)

    @staticmethod
    def wait(locks: TagLocks, tag: Tag, done: threading.Event) -> bool:
        with locks.hold([tag]):
            return done.wait(PATIENCE)

    def test_a_wait_that_is_over_leaves_nothing(self) -> None:
        locks = TagLocks(seconds=0.01)
        with locks.hold([self.V2]):
            with pytest.raises(TagStateError), locks.hold([self.V1, self.V2]):
                raise AssertionError
            assert (len(locks), waiting(locks)) == (1, 0)
            with locks.hold([self.V1]):
                pass
        assert len(locks) == 0

    def test_an_error_while_they_are_held_lets_them_go(self) -> None:
        locks = TagLocks()

        def fail() -> None:
            with locks.hold([self.V1, self.V2]):
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        assert (len(locks), waiting(locks)) == (0, 0)

    def test_tags_that_a_file_system_takes_for_one_share_a_lock(self) -> None:
        locks = TagLocks(seconds=0.01)
        with locks.hold([Tag("a", "V1"), Tag("a", "v1")]):
            assert len(locks) == 1
            with pytest.raises(TagStateError), locks.hold([self.V1]):
                raise AssertionError

    def test_who_shares_a_lock_keeps_out_who_would_hold_it_alone(self) -> None:
        locks = TagLocks(seconds=0.01)
        with locks.hold([], shared=[self.V1]), locks.hold([], shared=[self.V1, self.V2]):
            with pytest.raises(TagStateError), locks.hold([self.V1]):
                raise AssertionError
            assert (len(locks), waiting(locks)) == (2, 0)
        with locks.hold([self.V1], shared=[self.V1, self.V2]):
            with pytest.raises(TagStateError), locks.hold([], shared=[self.V1]):
                raise AssertionError
            with locks.hold([], shared=[self.V2]):
                pass
        assert len(locks) == 0

    def test_requests_for_several_tags_do_not_wait_for_each_other(self) -> None:
        locks, inside = TagLocks(for_one=64), []

        def both(number: int) -> None:
            tags = [self.V1, self.V2, Tag("a", "v3")]
            mine = tags if number % 2 else list(reversed(tags))
            with locks.hold(mine[number % 3 :], shared=mine):
                inside.append(number)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(both, range(200)))
        assert sorted(inside) == list(range(200))
        assert (len(locks), waiting(locks)) == (0, 0)


class TestHosts:
    def test_a_gateway_moves_the_bytes_itself_so_nothing_can_be_promised(
        self, place: Place
    ) -> None:
        token = place.site.token(APP)
        answer = place.site.authorize("PUT", "/v2/acme/app/manifests/v1", token)

        assert (answer.status, answer.header("X-Reason")) == (403, "denied")
        assert reason(answer) == "depends-on-new-tag"
        assert b"nobody here sees whether it is" in answer.body
        assert place.tags.asked == []
        for good in ("latest", DIGEST):
            target = f"/v2/acme/app/manifests/{good}"
            assert place.site.authorize("PUT", target, token).status == 204

    def test_a_decision_endpoint_alone_refuses_the_policy(self, tmp_path: Path) -> None:
        make_folder(tmp_path / "site", POLICY)
        folder, file = tmp_path / "site" / "policy", tmp_path / "site" / "proxy.yaml"
        file.write_text(file.read_text().partition("\n")[2])  # without its upstream
        done = CliRunner().invoke(main, ["--config", str(file)])

        assert done.exit_code != 0
        assert "cannot tell that a tag is new, as `create` asks" in done.output
        assert "new-tags-without-upstream" in done.output
        with pytest.raises(PolicyProblemsError):
            load_policy(folder, sees_references=True)
        assert load_policy(folder, sees_references=True, creates_tags=True).by_new_tag

    def test_a_token_server_refuses_it_as_it_does_tags(self, tmp_path: Path) -> None:
        make_folder(tmp_path / "site", POLICY)
        with pytest.raises(PolicyProblemsError) as caught:
            load_policy(tmp_path / "site" / "policy", creates_tags=True)

        assert {problem.code for problem in caught.value.problems} == {"tags-without-proxy"}


class TestRecords:
    def test_the_decision_log_says_what_was_found(self, place: Place) -> None:
        place.push("v1")
        place.push("v1")
        place.push("latest")
        _, created, _, kept, _, moved = place.site.records()

        told = [
            [(a["action"], a.get("tagState"), a["why"], a.get("source")) for a in one["accesses"]]
            for one in (created, kept, moved)
        ]
        assert told == [
            [("pull", "new", "granted", "create"), ("push", "new", "granted", "create")],
            [("pull", "existing", "granted", "create"), ("push", "existing", "tag-exists", "create")],
            [("pull", None, "granted", "move"), ("push", None, "granted", "move")],
        ]  # fmt: skip
        assert created["asked"] == [
            "repository:acme/app:v1=new:pull",
            "repository:acme/app:v1=new:push",
        ]

    def test_a_replay_decides_by_what_was_found(
        self, place: Place, capsys: pytest.CaptureFixture[str]
    ) -> None:
        place.push("v1")
        place.push("v1")
        place.tags.head = answering(500)
        place.push("v2")
        log, folder = place.site.folder / "decisions.jsonl", place.site.folder / "changed"

        def replay(text: str) -> tuple[int, str]:
            folder.mkdir(exist_ok=True)
            (folder / "policy.yaml").write_text(text)
            code = policytest(["replay", str(log), "--policy", str(folder)])
            return code, capsys.readouterr().out

        text = (place.site.folder / "policy" / "policy.yaml").read_text()
        assert replay(text)[0] == 0
        code, told = replay(text.replace("    newTagsOnly: true\n", ""))
        assert code == 12
        assert "acme/app:v1=existing:push" in told
        assert "acme/app:v2:push" in told  # of which nobody knew: it is more than before, too
        assert "acme/app:v1=new:push" not in told
