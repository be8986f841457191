"""
Moves of near misses by what is known of a claim schema, and of the issuers with few claims.

What lives here: moves of the clouds', vaults' and smaller CI systems' tokens, and those that any
claim schema gives.  Not here: the moves of the large CI systems, and how a move becomes a token
(`near_misses`).

A schema of one's own says which claims are names, who chooses them, and which id stays with a
thing.  That is enough for near misses: another subject, a name that only begins so, a name that
somebody else has come to own, and work that strangers bring about.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from regauth.engine import languages
from regauth.engine.issuers import Claim, ClaimSchema, coherent
from regauth.engine.issuers.relations import Path, value_at
from regauth.engine.issuers.stand_ins import stand_in

from .coherence import contradictions
from .profiles.profile import Claims, merge, uuid_of

Move = tuple[str, str, bool, Claims, tuple[str, ...]]
"""Name, meaning, whether it is an outsider's, claims that change, and claims that follow."""


def others(name: str) -> tuple[tuple[str, str], ...]:
    """Return similar names, each by how it differs."""
    return (
        ("other", "another"),
        ("suffix", f"{name}-evil"),
        ("prefix", f"evil-{name}"),
        ("longer", f"{name}x"),
    )


def _similar(name: str) -> Iterator[tuple[str, str]]:
    yield from (one for one in others(name) if one[0] != "other")


# --- AWS -----------------------------------------------------------------------------------------


def _aws(claims: Mapping[str, object]) -> Iterator[Move]:
    parts = str(claims.get("sub")).split(":")
    if len(parts) != len(["arn", "partition", "service", "region", "account", "resource"]):
        return
    private, account = "https://sts.amazonaws.com/", "210987654321"
    moved = ":".join([*parts[:4], account, parts[5]])
    changed: Claims = {"sub": moved, private: {"aws_account": account}}
    yield "account-other", f"the same principal of the account {account}", True, changed, ("jti",)
    for move, other in _similar(parts[5]):
        if move != "prefix":
            changed = {"sub": ":".join([*parts[:5], other])}
            yield f"principal-{move}", f"the principal {other}", False, changed, ("jti",)
    kind, slash, name = parts[5].partition("/")
    if slash:
        twin = "user" if kind == "role" else "role"
        changed = {"sub": ":".join([*parts[:5], f"{twin}/{name}"])}
        yield f"{twin}-of-this-name", f"the {twin} {name}", False, changed, ("jti",)


# --- Microsoft -----------------------------------------------------------------------------------


def _azure(claims: Mapping[str, object]) -> Iterator[Move]:
    ids = ("sub", "oid", "azp", "appid")
    changed: Claims = {name: uuid_of("another", name) for name in ids if name in claims}
    changed["sub"] = changed["oid"] = uuid_of("another", claims.get("oid"))
    about = "another principal of the tenant, with the same names and roles"
    yield "principal-other", about, False, changed, ()
    if "roles" in claims:
        yield "role-other", "an application without these roles", False, {"roles": ["Other"]}, ()


def _azure_devops(claims: Mapping[str, object]) -> Iterator[Move]:
    kind, _, rest = str(claims.get("sub")).partition("://")
    organisation, _, inner = rest.partition("/")
    project, _, name = inner.partition("/")
    for move, other in _similar(name):
        changed: Claims = {"sub": f"{kind}://{organisation}/{project}/{other}"}
        if "def_id" in claims:
            changed["def_id"] = "1017"
        yield f"name-{move}", f"what is called {other}, in the same project", False, changed, ()
    for move, other in _similar(project):
        changed = {"sub": f"{kind}://{organisation}/{other}/{name}"}
        if "prj_id" in claims:
            changed["prj_id"] = uuid_of("another", claims["prj_id"])
        yield f"project-{move}", f"the same name in the project {other}", False, changed, ()
    other = "sc" if kind == "p" else "p"
    if kind == "sc":
        return
    repository: Claims = {"rpo_id": uuid_of("another", claims.get("rpo_id"))}
    yield "repository-other", "another repository of the project", False, repository, ()
    yield from _refs("rpo_ref", claims)


# --- CI systems ----------------------------------------------------------------------------------


def _refs(name: str, claims: Mapping[str, object]) -> Iterator[Move]:
    """Yield moves of a claim with a whole ref, where nothing else says what it is."""
    ref = str(claims.get(name))
    if ref.startswith("refs/heads/"):
        short = ref.removeprefix("refs/heads/")
        for move, other in (*_similar(short), ("folder", f"x/{short}")):
            yield f"branch-{move}", f"the branch {other}", False, {name: f"refs/heads/{other}"}, ()
        yield "tag-for-branch", f"a tag called {short}", False, {name: f"refs/tags/{short}"}, ()
        about = "a pull request of a stranger"
        yield "pull-request", about, False, {name: "refs/pull/7/merge"}, ()


def _bitbucket(claims: Mapping[str, object]) -> Iterator[Move]:
    def another(name: str) -> str:
        return f"{{{uuid_of('another', claims.get(name))}}}"

    changed: Claims = {"repositoryUuid": another("repositoryUuid")}
    yield "repository-other", "another repository of the workspace", False, changed, ("sub",)
    changed = {"workspaceUuid": another("workspaceUuid"), **changed}
    yield "workspace-other", "a repository of another workspace", True, changed, ("sub",)
    if "branchName" in claims:
        for move, other in _similar(str(claims["branchName"])):
            yield f"branch-{move}", f"the branch {other}", False, {"branchName": other}, ()
    if "deploymentEnvironmentUuid" in claims:
        changed = {"deploymentEnvironmentUuid": another("deploymentEnvironmentUuid")}
        yield "environment-other", "another environment", False, changed, ("sub",)


def _hcp_terraform(claims: Mapping[str, object]) -> Iterator[Move]:
    own = "terraform_"
    made, inner = ("sub", f"{own}full_workspace"), (f"{own}project_id", f"{own}workspace_id")
    for move, other in others(str(claims.get(f"{own}organization_name"))):
        changed: Claims = {f"{own}organization_name": other}
        follows = (*made, f"{own}organization_id", *inner, f"{own}stack_id")
        yield f"organisation-{move}", f"the organisation {other}", True, changed, follows
    for kind in ("workspace", "stack"):
        name = f"{own}{kind}_name"
        for move, other in others(str(claims[name])) if name in claims else ():
            about = f"the {kind} {other}"
            yield f"{kind}-{move}", about, False, {name: other}, (*made, f"{own}{kind}_id")
    for name in (f"{own}run_phase", f"{own}operation"):
        if claims.get(name) == "apply":
            yield "phase-plan", "the plan of the same run", False, {name: "plan"}, ("sub",)


def _jenkins(claims: Mapping[str, object]) -> Iterator[Move]:
    subject = str(claims.get("sub")).removesuffix("/")
    for move, other in (("suffix", f"{subject}-evil/"), ("below", f"{subject}/job/x/")):
        yield f"job-{move}", f"the job {other}", False, {"sub": other}, ()
    scheme, sign, rest = subject.partition("://")
    host, slash, path = rest.partition("/")
    if sign:
        changed: Claims = {"sub": f"{scheme}://{host}.example.net{slash}{path}/"}
        yield "controller-suffix", "the same job of another Jenkins", True, changed, ()


def _semaphore(claims: Mapping[str, object]) -> Iterator[Move]:
    project = ("sub", "sub127", "prj_id", "repo_slug")
    for move, other in _similar(str(claims.get("prj"))):
        yield f"project-{move}", f"the project {other}", False, {"prj": other}, project
    for move, other in _similar(str(claims.get("repo"))):
        about = f"the repository {other}"
        yield f"repository-{move}", about, False, {"repo": other}, ("sub", "sub127", "repo_slug")
    branch = str(claims.get("branch"))
    of_ref = ("sub", "sub127", "ref_type", "tag", "pr", "pr_branch")
    if claims.get("ref_type") == "branch":
        for move, other in _similar(branch):
            changed: Claims = {"branch": other, "ref": f"refs/heads/{other}"}
            yield f"branch-{move}", f"the branch {other}", False, changed, of_ref
    if claims.get("ref_type") != "pull-request":
        changed = {
            "ref_type": "pull-request",
            "ref": "refs/pull/7/merge",
            "pr": "7",
            "pr_branch": branch,
            "tag": "",
        }
        about = "a pull request of a stranger, to the same branch"
        yield "pull-request", about, False, changed, ("sub", "sub127")


# --- identity services ---------------------------------------------------------------------------


def _keycloak(claims: Mapping[str, object]) -> Iterator[Move]:
    about = "another account with the same names and roles"
    yield "account-other", about, False, {"sub": uuid_of("another", claims.get("sub"))}, ("sid",)
    for move, other in _similar(str(claims.get("azp"))):
        yield f"client-{move}", f"the client {other}", False, {"azp": other}, ("client_id",)


def _vault(claims: Mapping[str, object]) -> Iterator[Move]:
    changed: Claims = {"sub": uuid_of("another", claims.get("sub"))}
    yield "entity-other", "another entity of the namespace", False, changed, ()
    inner = str(claims.get("namespace")).removesuffix("/")
    changed = {**changed, "namespace": f"{inner}/evil"}
    yield "namespace-below", "an entity of a namespace below", False, changed, ()


MOVES: Final[Mapping[str, Callable[[Mapping[str, object]], Iterator[Move]]]] = {
    "aws-sts-web-identity": _aws,
    "azure": _azure,
    "azure-devops": _azure_devops,
    "bitbucket-pipelines": _bitbucket,
    "hcp-terraform": _hcp_terraform,
    "jenkins-oidc": _jenkins,
    "keycloak": _keycloak,
    "openbao": _vault,
    "semaphore": _semaphore,
    "vault": _vault,
}


# --- any claim schema ----------------------------------------------------------------------------

_NEVER_MOVED: Final = frozenset({"iss", "aud", "exp", "iat", "nbf", "jti", "nonce"})


def moves_by_schema(schema: ClaimSchema, claims: Mapping[str, object]) -> Iterator[Move]:
    """Yield the moves that a claim schema gives, as far as its issuer can make such tokens."""
    made = {path for relation in schema.relations for path, one in relation.then if one.templates}
    for claim in schema.claims.values():
        value = value_at(claims, claim.path)
        if len(claim.path) > 1 or claim.name in _NEVER_MOVED or not isinstance(value, str):
            continue
        for move, about, outsider, changed in _of_claim(schema, claim, value, claims):
            following = tuple(path[0] for path in made if path[0] not in changed)
            if claim.path not in made and _is_possible(schema, claims, changed, following):
                yield move, about, outsider, changed, following


def _of_claim(
    schema: ClaimSchema, claim: Claim, value: str, claims: Mapping[str, object]
) -> Iterator[tuple[str, str, bool, Claims]]:
    name = claim.name
    if name == "sub" or (claim.mutable and claim.chosen_by in ("owner", "anybody")):
        outsider = name == "sub" or (claim.narrows and not claim.within)
        for move, other in others(value):
            if move != "other":
                yield f"{name}-{move}", f"`{name}` is {other!r}", outsider, {name: other}
    if name == "sub":
        other = stand_in(claim.values, f"another {value}")
        yield "sub-other", f"`sub` is {other!r}", True, {name: other}
    twin = schema.claims.get((claim.twin,))
    if twin is not None and isinstance(value_at(claims, twin.path), str):
        other = stand_in(twin.values, f"new {value}")
        about = f"somebody else who has come to own the name {value}"
        yield f"{name}-reused", about, claim.narrows and not claim.within, {claim.twin: other}
    if claim.by_strangers is not None and not claim.by_strangers.values.can_equal(value):
        found = languages.find_common(claim.by_strangers.values.language, claim.values.language)
        if found is not None:
            yield f"{name}-of-strangers", claim.by_strangers.because, False, {name: found}


def _is_possible(
    schema: ClaimSchema, claims: Mapping[str, object], changed: Claims, following: tuple[str, ...]
) -> bool:
    kept = {name: value for name, value in claims.items() if name not in following}
    made = coherent(schema, merge(kept, changed), including_of(schema, claims))
    return made != dict(claims) and next(contradictions(schema, made), None) is None


def including_of(schema: ClaimSchema, claims: Mapping[str, object]) -> tuple[Path, ...]:
    """Return the claims that a token has, of those that are not always there."""
    return tuple(path for path in schema.claims if len(path) == 1 and path[0] in claims)
