"""
Requests of real clients as they were seen on the wire, and what each client needs of the answer.

`{jwt}` stands for the token, `{basic}` for Basic credentials with it, `{form}` for its form
encoding, `{length}` for the body's length.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recorded:
    """A request, and what its client needs: the status and the scope that is granted."""

    client: str
    request: str
    status: int = 200
    scope: str = ""
    username: str = "github"


def _get(query: str, agent: str, *headers: str) -> str:
    lines = [f"GET /auth/token?{query} HTTP/1.1", "Host: localhost:5001", f"User-Agent: {agent}"]
    return "\r\n".join([*lines, *headers, "Accept-Encoding: gzip", "", ""])


def _post(form: str, agent: str, kind: str = "application/x-www-form-urlencoded") -> str:
    return "\r\n".join(
        [
            "POST /auth/token HTTP/1.1",
            "Host: localhost:5001",
            f"User-Agent: {agent}",
            "Content-Length: {length}",
            f"Content-Type: {kind}",
            "Accept-Encoding: gzip",
            "",
            form,
        ]
    )


BASIC = "Authorization: Basic {basic}"
SERVICE = "registry.example.com"
APP = "repository%3Aacme%2Fapp%3A"

RECORDED = (
    Recorded(
        "docker login",
        _get(
            f"account=github&client_id=docker&offline_token=true&service={SERVICE}",
            "docker/28.2.2 go/go1.24.3 git-commit/45873be kernel/6.1 os/linux arch/amd64 "
            "UpstreamClient(Docker-Client/28.2.2 \\(linux\\))",
            BASIC,
        ),
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
        "skopeo, with a repository from its blob cache that the policy does not grant",
        _get(
            f"account=github&scope={APP}pull%2Cpush&scope=repository%3Aglobex%2Fapp%3Apull"
            f"&service={SERVICE}",
            "skopeo/1.9.3",
            BASIC,
        ),
        scope="repository:acme/app:pull,push",
    ),
    Recorded(
        "skopeo delete",
        _get(f"account=github&scope={APP}%2A&service={SERVICE}", "skopeo/1.9.3", BASIC),
        scope="repository:acme/app:pull,push",
    ),
    Recorded(
        "skopeo, asking again with its scope doubled",
        _get(
            f"account=github&scope={APP}pull%2Cpush&scope={APP}pull%2Cpush&service={SERVICE}",
            "skopeo/1.9.3",
            BASIC,
        ),
        scope="repository:acme/app:pull,push",
    ),
    Recorded(
        "crane, two scopes in one parameter",
        _get(
            f"scope={APP}pull+repository%3Aacme%2Fbase%3Apull&service={SERVICE}",
            "crane/0.20.7 go-containerregistry/0.20.7",
            BASIC,
        ),
        scope="repository:acme/app:pull repository:acme/base:pull",
    ),
    Recorded(
        "oras login",
        _get(f"service={SERVICE}", "oras/1.2.0", BASIC),
    ),
    Recorded(
        "helm's second try, by GET",
        _get(f"scope={APP}pull%2Cpush&service={SERVICE}", "Helm/3.18.4", BASIC),
        scope="repository:acme/app:pull,push",
    ),
    Recorded(
        "helm registry login, by POST",
        _post(
            "client_id=helm&grant_type=password&password={form}&service="
            + SERVICE
            + "&username=github",
            "Helm/3.18.4",
        ),
    ),
    Recorded(
        "containerd 1.7",
        _post(
            "client_id=containerd-client&grant_type=password&password={form}"
            f"&scope={APP}pull+{APP}pull%2Cpush&service={SERVICE}&username=github",
            "containerd/1.7.27",
            "application/x-www-form-urlencoded; charset=utf-8",
        ),
        scope="repository:acme/app:pull,push",
    ),
    Recorded(
        "buildkit",
        _post(
            "client_id=buildkit-client&grant_type=password&password={form}"
            f"&scope={APP}pull%2Cpush&service={SERVICE}&username=github",
            "buildkit/v0.13",
            "application/x-www-form-urlencoded; charset=utf-8",
        ),
        scope="repository:acme/app:pull,push",
    ),
    Recorded(
        "containerd after a failed POST, by GET",
        _get(f"scope={APP}pull&service={SERVICE}", "containerd/1.7.27", BASIC),
        scope="repository:acme/app:pull",
    ),
    Recorded(
        "containerd with an identity token",
        _post(
            "client_id=containerd-client&grant_type=refresh_token&refresh_token={form}"
            f"&scope={APP}pull&service={SERVICE}",
            "containerd/2.1.1",
            "application/x-www-form-urlencoded; charset=utf-8",
        ),
        scope="repository:acme/app:pull",
    ),
    Recorded(
        "podman with an identity token, scopes repeated in the form",
        _post(
            "client_id=containers%2Fimage&grant_type=refresh_token&refresh_token={form}"
            f"&scope={APP}pull&scope=repository%3Aacme%2Fbase%3Apull&service={SERVICE}",
            "libpod/4.3.1",
        ),
        scope="repository:acme/app:pull repository:acme/base:pull",
    ),
    Recorded(
        "kubelet's credential provider, any user name",
        _get(f"scope={APP}pull&service={SERVICE}", "containerd/1.7.27", BASIC),
        scope="repository:acme/app:pull",
        username="<token>",
    ),
    Recorded(
        "a client of zot, whose challenge has an empty scope",
        _get(f"account=github&scope=&service={SERVICE}", "skopeo/1.18.0", BASIC),
    ),
    Recorded(
        "any client without credentials",
        _get(f"scope={APP}pull&service={SERVICE}", "skopeo/1.9.3"),
        status=401,
    ),
    Recorded(
        "a client of a registry that asks for all repositories",
        _get(f"account=github&scope=registry%3Acatalog%3A%2A&service={SERVICE}", "reg/0.16", BASIC),
    ),
)
