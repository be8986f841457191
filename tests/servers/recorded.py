"""
Requests of real clients as they were seen on the wire, and what each client needs of the answer.

`{basic}` stands for Basic credentials with the token, `{form}` for its form encoding, `{length}`
for the body's length, `{size}` for the same as the size of a chunk.  Headers are in the clients'
order.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recorded:
    """
    A request, and what its client needs: the status and the scope that is granted.

    `bad` says that its token is one that must be refused.
    """

    client: str
    request: str
    status: int = 200
    scope: str = ""
    username: str = "github"
    bad: bool = False


FORM = "application/x-www-form-urlencoded"
FORM_UTF_8 = f"{FORM}; charset=utf-8"


def _get(query: str, agent: str, *headers: str, close: bool = False) -> str:
    lines = [f"GET /auth/token?{query} HTTP/1.1", "Host: localhost:5001", f"User-Agent: {agent}"]
    ends = ["Accept-Encoding: gzip", *(["Connection: close"] * close)]
    return "\r\n".join([*lines, *headers, *ends, "", ""])


def _post(form: str, agent: str, kind: str = FORM, *, close: bool = False) -> str:
    lines = ["POST /auth/token HTTP/1.1", "Host: localhost:5001", f"User-Agent: {agent}"]
    headers = ["Content-Length: {length}", f"Content-Type: {kind}", "Accept-Encoding: gzip"]
    return "\r\n".join([*lines, *headers, *(["Connection: close"] * close), "", form])


def _post_in_chunks(form: str, agent: str) -> str:
    """Return a POST as containers/image sends it, which does not say the form's length."""
    lines = ["POST /auth/token HTTP/1.1", "Host: localhost:5001", f"User-Agent: {agent}"]
    headers = ["Transfer-Encoding: chunked", f"Content-Type: {FORM}", "Accept-Encoding: gzip"]
    body = f"{{size}}\r\n{form}\r\n0\r\n\r\n"
    return "\r\n".join([*lines, *headers, "Connection: close", "", body])


BASIC = "Authorization: Basic {basic}"
SERVICE = "registry.example.com"
APP = "repository%3Aacme%2Fapp%3A"

REFRESH = "grant_type=refresh_token&refresh_token={form}"
PASSWORD = "grant_type=password&password={form}"
CONTAINERD, DOCKER, HELM = "containerd/1.6.20~ds1", "Docker-Client/28.2.2 (linux)", "Helm/3.22"
SKOPEO, ORAS, CRANE = "skopeo/1.9.3", "oras/1.3.6", "crane/v0.22.1 go-containerregistry/v0.22.1"
PUSHED = "repository:acme/app:pull,push"

RECORDED = (
    Recorded(
        "docker login",
        _get(
            f"account=github&client_id=docker&offline_token=true&service={SERVICE}",
            *(DOCKER, BASIC),
            close=True,
        ),
    ),
    Recorded(
        "docker manifest inspect",
        _get(f"account=github&scope={APP}pull&service={SERVICE}", DOCKER, BASIC, close=True),
        scope="repository:acme/app:pull",
    ),
    Recorded(
        "docker with an identity token",
        _post(
            f"client_id=registry-client&{REFRESH}&scope={APP}pull&service={SERVICE}",
            DOCKER,
            close=True,
        ),
        scope="repository:acme/app:pull",
    ),
    Recorded(
        "dockerd, a push that mounts from another repository",
        _get(
            f"account=github&scope={APP}push%2Cpull&scope=repository%3Aacme%2Fbase%3Apull"
            f"&service={SERVICE}",
            "docker/28.2.2 go/go1.24.3 UpstreamClient(Docker-Client/28.2.2 \\(linux\\))",
            BASIC,
        ),
        scope="repository:acme/app:push,pull repository:acme/base:pull",
    ),
    Recorded(
        "skopeo login",
        _get(f"account=github&service={SERVICE}", SKOPEO, BASIC, close=True),
    ),
    Recorded(
        "skopeo, with a repository from its blob cache that the policy does not grant",
        _get(
            f"account=github&scope={APP}pull%2Cpush&scope=repository%3Aglobex%2Fapp%3Apull"
            f"&service={SERVICE}",
            *(SKOPEO, BASIC),
            close=True,
        ),
        scope=PUSHED,
    ),
    Recorded(
        "skopeo delete",
        _get(f"account=github&scope={APP}%2A&service={SERVICE}", SKOPEO, BASIC, close=True),
        scope=PUSHED,
    ),
    Recorded(
        "skopeo, asking again with its scope doubled",
        _get(
            f"account=github&scope={APP}pull%2Cpush&scope={APP}pull%2Cpush&service={SERVICE}",
            *(SKOPEO, BASIC),
            close=True,
        ),
        scope=PUSHED,
    ),
    Recorded(
        "skopeo with an identity token, in chunks",
        _post_in_chunks(
            f"client_id=containers%2Fimage&{REFRESH}&scope={APP}pull&service={SERVICE}", SKOPEO
        ),
        scope="repository:acme/app:pull",
    ),
    Recorded(
        "podman with an identity token, in chunks, scopes repeated in the form",
        _post_in_chunks(
            f"client_id=containers%2Fimage&{REFRESH}&scope={APP}pull"
            f"&scope=repository%3Aacme%2Fbase%3Apull&service={SERVICE}",
            "libpod/4.3.1",
        ),
        scope="repository:acme/app:pull repository:acme/base:pull",
    ),
    Recorded(
        "crane push",
        _get(f"scope={APP}push%2Cpull&service={SERVICE}", CRANE, BASIC),
        scope="repository:acme/app:push,pull",
    ),
    Recorded(
        "crane, two scopes in one parameter",
        _get(f"scope={APP}pull+repository%3Aacme%2Fbase%3Apull&service={SERVICE}", CRANE, BASIC),
        scope="repository:acme/app:pull repository:acme/base:pull",
    ),
    Recorded(
        "crane delete",
        _get(f"scope={APP}push%2Cpull%2Cdelete&service={SERVICE}", CRANE, BASIC),
        scope="repository:acme/app:push,pull",
    ),
    Recorded(
        "crane with an identity token",
        _post(f"client_id=go-containerregistry&{REFRESH}&scope={APP}pull&service={SERVICE}", CRANE),
        scope="repository:acme/app:pull",
    ),
    Recorded("oras login", _get(f"service={SERVICE}", ORAS, BASIC)),
    Recorded(
        "oras delete",
        _get(f"scope={APP}delete%2Cpull&service={SERVICE}", ORAS, BASIC),
        scope="repository:acme/app:pull",
    ),
    Recorded(
        "oras repo ls",
        _get(f"scope=registry%3Acatalog%3A%2A&service={SERVICE}", ORAS, BASIC),
    ),
    Recorded(
        "oras with an identity token",
        _post(f"client_id=oras-go&{REFRESH}&scope={APP}pull&service={SERVICE}", ORAS),
        scope="repository:acme/app:pull",
    ),
    Recorded(
        "helm registry login",
        _post(f"client_id=oras-go&{PASSWORD}&service={SERVICE}&username=github", HELM),
    ),
    Recorded(
        "helm push",
        _get(f"scope={APP}pull%2Cpush&service={SERVICE}", HELM, BASIC),
        scope=PUSHED,
    ),
    Recorded(
        "helm with an identity token",
        _post(f"client_id=oras-go&{REFRESH}&scope={APP}pull&service={SERVICE}", HELM),
        scope="repository:acme/app:pull",
    ),
    Recorded(
        "containerd, a pull",
        _post(
            f"client_id=containerd-client&{PASSWORD}&scope={APP}pull&service={SERVICE}"
            "&username=github",
            *(CONTAINERD, FORM_UTF_8),
        ),
        scope="repository:acme/app:pull",
    ),
    Recorded(
        "containerd, a push",
        _post(
            f"client_id=containerd-client&{PASSWORD}&scope={APP}pull+{APP}pull%2Cpush"
            f"&service={SERVICE}&username=github",
            *(CONTAINERD, FORM_UTF_8),
        ),
        scope=PUSHED,
    ),
    Recorded(
        "containerd with an identity token",
        _post(
            f"client_id=containerd-client&{REFRESH}&scope={APP}pull&service={SERVICE}",
            *(CONTAINERD, FORM_UTF_8),
        ),
        scope="repository:acme/app:pull",
    ),
    Recorded(
        "buildkit",
        _post(
            f"client_id=buildkit-client&{PASSWORD}&scope={APP}pull%2Cpush&service={SERVICE}"
            "&username=github",
            *("buildkit/v0.13", FORM_UTF_8),
        ),
        scope=PUSHED,
    ),
    Recorded(
        "kubelet's credential provider, any user name",
        _get(f"scope={APP}pull&service={SERVICE}", CONTAINERD, BASIC),
        scope="repository:acme/app:pull",
        username="<token>",
    ),
    Recorded(
        "a client of zot, whose challenge has an empty scope",
        _get(f"account=github&scope=&service={SERVICE}", "skopeo/1.18.0", BASIC, close=True),
    ),
    Recorded(
        "any client without credentials",
        _get(f"scope={APP}pull&service={SERVICE}", CONTAINERD),
        status=401,
    ),
    Recorded(
        "a client of a registry that asks for all repositories",
        _get(f"account=github&scope=registry%3Acatalog%3A%2A&service={SERVICE}", "reg/0.16", BASIC),
    ),
)

BAD_CONTAINERD = _post(
    f"client_id=containerd-client&{PASSWORD}&scope={APP}pull&service={SERVICE}&username=github",
    *(CONTAINERD, FORM_UTF_8),
)
BAD_REFRESH = _post(
    f"client_id=containerd-client&{REFRESH}&scope={APP}pull&service={SERVICE}",
    *(CONTAINERD, FORM_UTF_8),
)
BAD_HELM = _post(f"client_id=oras-go&{PASSWORD}&service={SERVICE}&username=github", HELM)
BAD_BUILDKIT = _post(
    f"client_id=buildkit-client&{PASSWORD}&scope={APP}pull&service={SERVICE}&username=github",
    *("buildkit/v0.13", FORM_UTF_8),
)
BY_GET = f"scope={APP}pull&service={SERVICE}"

FALLBACKS = {
    "containerd, by POST and then by GET": (
        Recorded("by POST", BAD_CONTAINERD, 401, bad=True),
        Recorded("by GET", _get(BY_GET, CONTAINERD, BASIC), 401, bad=True),
    ),
    "containerd with an identity token, then as a password without a user name": (
        Recorded("by POST", BAD_REFRESH, 401, bad=True),
        Recorded("by GET", _get(BY_GET, CONTAINERD, BASIC), 401, username="", bad=True),
    ),
    "containerd with an identity token that only GET takes": (
        Recorded("by POST", BAD_REFRESH, 401, bad=True),
        Recorded(
            *("by GET", _get(BY_GET, CONTAINERD, BASIC), 200, "repository:acme/app:pull"),
            username="",
        ),
    ),
    "helm registry login, by POST and then all of it by GET": (
        Recorded("by POST", BAD_HELM, 401, bad=True),
        Recorded("by GET", _get(f"service={SERVICE}", HELM, BASIC), 401, bad=True),
    ),
    "buildkit's client, by POST and then by GET": (
        Recorded("by POST", BAD_BUILDKIT, 401, bad=True),
        Recorded("by GET", _get(BY_GET, "buildkit/v0.13", BASIC), 401, bad=True),
    ),
    "buildkit's daemon, by GET and then by POST": (
        Recorded("by GET", _get(BY_GET, "buildkit/v0.13", BASIC), 401, bad=True),
        Recorded("by POST", BAD_BUILDKIT, 401, bad=True),
    ),
}
"""What clients send after a refusal, in their order: each must be refused in a way that lets them."""
