"""One reading of a request, or none; and the access that Distribution asks for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regauth.engine.access.scope import is_repository_path
from regauth.servers.protocol.errors import ErrorCode
from regauth.servers.protocol.reading import METHODS, PARAMETERS, read_route
from regauth.servers.protocol.routes import Route, RouteFault, RouteKind

from .corpus import Line, targets

DIGEST = "sha256:" + "a" * 64
LINES = targets()


def described(found: Route | RouteFault) -> str:
    """Say what a request was read as, in the words of the corpus."""
    if isinstance(found, RouteFault):
        return str(found.status)
    given = dict(found.query).get("from")
    source = f"from={given}" if given else ""
    undecided = "undecided" if found.undecided else ""
    return " ".join(filter(None, [found.kind, found.name, found.reference, source, undecided]))


def test_the_corpus_is_large_enough() -> None:
    assert len(LINES) >= 200
    assert sum(line.refused for line in LINES) >= 200


@pytest.mark.parametrize("line", LINES, ids=lambda one: f"{one.method} {one.target}"[:60])
def test_a_request_is_read_in_the_one_way_or_refused(line: Line) -> None:
    assert line.expected == described(read_route(line.method, line.target))


@pytest.mark.parametrize(
    "line", [one for one in LINES if not one.refused], ids=lambda one: one.target[:60]
)
def test_what_is_written_anew_is_read_the_same(line: Line) -> None:
    first = read_route(line.method, line.target)
    assert isinstance(first, Route)
    second = read_route(line.method, first.target)

    assert isinstance(second, Route)
    assert (first.kind, first.name, first.reference) == (second.kind, second.name, second.reference)
    assert (first.query, first.needs, "") == (second.query, second.needs, second.undecided)


KNOWN = {
    ("GET", "/v2/"): "",
    ("GET", "/v2/_catalog"): "n last next_page",
    ("GET", "/v2/a/tags/list"): "n last next_page",
    ("GET", "/v2/a/manifests/latest"): "",
    ("PUT", "/v2/a/manifests/latest"): "tag",
    ("GET", f"/v2/a/blobs/{DIGEST}"): "",
    ("POST", "/v2/a/blobs/uploads/"): "digest digest-algorithm mount",
    ("PATCH", "/v2/a/blobs/uploads/u"): "digest digest-algorithm _state _nouploadcache",
    ("PUT", "/v2/a/blobs/uploads/u"): "digest digest-algorithm _state _nouploadcache",
    ("GET", f"/v2/a/referrers/{DIGEST}"): "n last next_page artifactType",
}
NAMES = ["n", "last", "next_page", "tag", "digest", "digest-algorithm", "mount", "_state", "_nouploadcache",
         "artifactType", "ns", "x", "N", "Digest", "_method", "force", "signature", "access_token", ""]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), KNOWN)
@pytest.mark.parametrize("name", NAMES)
def test_s12_a_parameter_goes_upstream_when_it_is_known(method: str, path: str, name: str) -> None:
    value = DIGEST if name in ("digest", "mount") else "v1"
    source = "&from=a/b" if name == "mount" else ""
    found = read_route(method, f"{path}?{name}={value}&unknown=1{source}")
    assert isinstance(found, Route)

    passed = {key: one for key, one in found.query if key != "from"}
    assert passed == ({name: value} if name in KNOWN[method, path].split() else {})


def test_s12_every_kind_has_its_list() -> None:
    assert set(PARAMETERS) == set(RouteKind)


SEVERAL_TAGS = [
    ([], []),
    (["v1"], ["v1"]),
    (["v1", "latest"], ["v1", "latest"]),
    ([f"t{number}" for number in range(10)], [f"t{number}" for number in range(10)]),
]


@pytest.mark.parametrize(("given_tags", "decided"), SEVERAL_TAGS)
def test_manifest_several_tags_are_all_decided_and_passed_on(
    given_tags: list[str], decided: list[str]
) -> None:
    """Row `manifest-several-tags`: end-7b of the specification."""
    query = "&".join(f"tag={tag}" for tag in given_tags)
    found = read_route("PUT", f"/v2/a/manifests/{DIGEST}?{query}")
    assert isinstance(found, Route)

    assert [value for _, value in found.query] == given_tags
    assert found.target == f"/v2/a/manifests/{DIGEST}" + (f"?{query}" if query else "")
    assert {one.reference for one in found.placed} == {DIGEST, *decided}


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", f"/v2/a/manifests/{DIGEST}?tag=a&tag=b"),
        ("PUT", f"/v2/a/manifests/{DIGEST}?tag=a&tag=-b"),
        ("PUT", f"/v2/a/manifests/{DIGEST}?tag=a&tag="),
        ("PUT", f"/v2/a/manifests/{DIGEST}?tag=a&Tag=b&Tag=c"),
        ("PUT", f"/v2/a/manifests/{DIGEST}?" + "&".join(["tag=a"] * 17)),
        ("PUT", f"/v2/a/blobs/uploads/u?tag=a&tag=b&digest={DIGEST}"),
    ],
)
def test_anything_else_is_given_once(method: str, target: str) -> None:
    found = read_route(method, target)
    assert isinstance(found, RouteFault)
    assert found.status == 400


ACCESS = [
    ("GET", "/v2/", []),
    ("GET", "/v2/_catalog", ["registry:catalog:*"]),
    ("GET", "/v2/a/tags/list", ["repository:a:pull"]),
    ("HEAD", "/v2/a/manifests/latest", ["repository:a:pull"]),
    ("PUT", "/v2/a/manifests/latest", ["repository:a:pull,push"]),
    ("DELETE", "/v2/a/manifests/latest", ["repository:a:delete"]),
    ("GET", f"/v2/a/blobs/{DIGEST}", ["repository:a:pull"]),
    ("DELETE", f"/v2/a/blobs/{DIGEST}", ["repository:a:delete"]),
    ("POST", "/v2/a/blobs/uploads/", ["repository:a:pull,push"]),
    ("PATCH", "/v2/a/blobs/uploads/u", ["repository:a:pull,push"]),
    ("PUT", f"/v2/a/blobs/uploads/u?digest={DIGEST}", ["repository:a:pull,push"]),
    ("GET", "/v2/a/blobs/uploads/u", ["repository:a:pull"]),
    ("DELETE", "/v2/a/blobs/uploads/u", ["repository:a:delete"]),
    (
        "POST",
        f"/v2/a/blobs/uploads/?mount={DIGEST}&from=b",
        ["repository:a:pull,push", "repository:b:pull"],
    ),
    ("GET", f"/v2/a/referrers/{DIGEST}", ["repository:a:pull"]),
]


@pytest.mark.parametrize(("method", "target", "needs"), ACCESS)
def test_the_access_is_that_of_distribution(method: str, target: str, needs: list[str]) -> None:
    found = read_route(method, target)

    assert isinstance(found, Route)
    assert needs == [str(scope) for scope in found.needs]


def test_every_method_of_every_kind_but_the_base_needs_access() -> None:
    sample = {
        RouteKind.CATALOG: "/v2/_catalog",
        RouteKind.TAGS: "/v2/a/tags/list",
        RouteKind.MANIFEST: "/v2/a/manifests/x",
        RouteKind.BLOB: f"/v2/a/blobs/{DIGEST}",
        RouteKind.UPLOADS: "/v2/a/blobs/uploads/",
        RouteKind.UPLOAD: "/v2/a/blobs/uploads/u",
        RouteKind.REFERRERS: f"/v2/a/referrers/{DIGEST}",
    }
    assert {RouteKind.BASE, *sample} == set(METHODS)
    for kind, target in sample.items():
        for method in METHODS[kind]:
            found = read_route(method, target)
            assert isinstance(found, Route)
            assert found.accesses


def test_a_mount_without_from_goes_upstream_as_an_upload() -> None:
    found = read_route("POST", f"/v2/a/blobs/uploads/?mount={DIGEST}&digest-algorithm=sha512")

    assert isinstance(found, Route)
    assert found.target == "/v2/a/blobs/uploads/?digest-algorithm=sha512"
    assert found.undecided


FORMS = [
    "application/x-www-form-urlencoded",
    "Multipart/Form-Data; b=c",
    "text/plain, application/x-www-form-urlencoded",
    # a header's bytes as WSGI gives them; Go takes the letter for an i
    "appl\u0130cation/x-www-form-urlencoded".encode().decode("latin-1"),
    "mult\u0130part/form-data; boundary=x".encode().decode("latin-1"),
    "\u00a0application/x-www-form-urlencoded",
]


@pytest.mark.parametrize("kind", FORMS, ids=ascii)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_an_upload_of_a_form_is_refused(method: str, kind: str) -> None:
    session = "" if method == "POST" else "u"
    found = read_route(method, f"/v2/a/blobs/uploads/{session}", kind)

    assert isinstance(found, RouteFault)
    assert found.status == 400


@given(st.text(alphabet="ab/.:-_%?=&;ALv2tgsmnifeblopudr", max_size=40))
def test_whatever_is_read_has_a_name_of_the_grammar_and_is_written_as_it_was(text: str) -> None:
    found = read_route("GET", f"/v2/{text}")

    if isinstance(found, Route) and found.kind is not RouteKind.BASE:
        assert not found.name or is_repository_path(found.name)
        assert found.path == f"/v2/{text}".partition("?")[0]


@pytest.mark.parametrize(
    "reference",
    ["v1:" + "a" * 32, "latest:" + "0" * 64, "sha384:" + "0" * 32, "blake3:" + "0" * 64],
)
@pytest.mark.parametrize("query", ["", "?tag=v1"])
def test_a_digest_that_a_registry_may_take_for_a_tag_is_not_pushed(
    reference: str, query: str
) -> None:
    """Distribution 2 (registry/handlers/manifests.go) takes for a tag what it cannot parse."""
    found = read_route("PUT", f"/v2/a/manifests/{reference}{query}")

    assert isinstance(found, RouteFault)
    assert (found.status, found.code) == (400, ErrorCode.DIGEST_INVALID)
    assert isinstance(read_route("GET", f"/v2/a/manifests/{reference}"), Route)
