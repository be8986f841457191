"""
Identities: which claims tell for ever who asks, for each claim schema.

What lives here: the claims that a suggested policy may compare.  Not here: claims that a person
chooses, or whose name can pass to somebody else.  No condition of a suggestion reads one
(`drafting`).

Only values that the issuer gives are taken: numbers and ids.  A token without them has no identity
here, and what it asked for is left out of a suggestion.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from regauth.engine.cel import unparse
from regauth.engine.cel.syntax.nodes import Constant
from regauth.engine.issuers import ClaimSchema

Path = tuple[str, ...]
Value = str | int
Who = tuple[Value, ...]


class IdentityClaims(NamedTuple):
    """The claims that tell who asks."""

    who: tuple[Path, ...]
    """They identify a workload, such as the builds of one repository."""
    owner: Path = ()
    """It identifies the workload's owner; empty where an issuer has one owner."""
    name: str = ""
    """The claim that names the workload as a repository's path does; images are named after it."""
    where: tuple[Path, ...] = ()
    """They say where a workload runs, or which part of it; `tighten` compares them too."""
    flags: tuple[Path, ...] = ()
    """They are "true" where the issuer saw to something, such as a protected branch."""

    @property
    def narrowing(self) -> tuple[Path, ...]:
        """The claims by which a grant can be narrowed to what was seen, in their order."""
        return (*self.who, *self.where, *self.flags)


def _one(*names: str) -> tuple[Path, ...]:
    return tuple((name,) for name in names)


_SUBJECT: Final = IdentityClaims(_one("sub"))
_CIRCLECI: Final = "oidc.circleci.com/"

IDENTITIES: Final[Mapping[str, IdentityClaims]] = {
    "azure": IdentityClaims(_one("oid"), ("tid",)),
    "azure-devops": IdentityClaims(_one("rpo_id"), ("org_id",), where=_one("def_id")),
    "bitbucket-pipelines": IdentityClaims(
        _one("repositoryUuid"), ("workspaceUuid",), where=_one("deploymentEnvironmentUuid")
    ),
    "buildkite": IdentityClaims(
        _one("pipeline_id"), ("organization_id",), where=_one("cluster_id")
    ),
    "circleci": IdentityClaims(
        _one(f"{_CIRCLECI}project-id"),
        (f"{_CIRCLECI}org-id",),
        where=_one(f"{_CIRCLECI}pipeline-definition-id"),
    ),
    "generic": _SUBJECT,
    "github-actions": IdentityClaims(
        _one("repository_id"),
        ("repository_owner_id",),
        "repository",
        where=_one("environment"),
        flags=_one("ref_protected"),
    ),
    "gitlab-ci": IdentityClaims(
        _one("project_id"),
        ("namespace_id",),
        "project_path",
        where=_one("environment"),
        flags=_one("environment_protected", "ref_protected"),
    ),
    "google": _SUBJECT,
    "hcp-terraform": IdentityClaims(_one("terraform_workspace_id"), ("terraform_organization_id",)),
    "keycloak": _SUBJECT,
    "kubernetes": IdentityClaims((("kubernetes.io", "serviceaccount", "uid"),)),
    "openbao": _SUBJECT,
    "semaphore": IdentityClaims(_one("prj_id"), ("org_id",)),
    "spiffe": _SUBJECT,
    "vault": _SUBJECT,
}
"""By the name of the claim schema.  A schema that is not here has no such claim."""


def value_at(claims: Mapping[str, object], path: Path, schema: ClaimSchema) -> Value | None:
    """Return the value of a claim that identifies; None where it is none that the issuer gives."""
    value: object = claims
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    known = schema.claim(path)
    if known is None or not isinstance(value, str) or not value:
        return None
    return value if not known.values.limited or known.values.can_equal(value) else None


def written(path: Path) -> str:
    """Write a claim as CEL."""
    return "claims" + "".join(
        f".{name}" if name.isidentifier() and name.isascii() else f"[{literal(name)}]"
        for name in path
    )


def literal(value: Value) -> str:
    """Write a value as CEL, whatever characters it has."""
    return unparse(Constant(start=0, end=0, value=value))


def equals(path: Path, values: list[Value], schema: ClaimSchema) -> str:
    """Write that a claim has one of some values; a claim that may be missing is asked for first."""
    known = schema.claim(path)
    name = written(path)
    test = f"{name} == {literal(values[0])}"
    if len(values) > 1:
        test = f"{name} in [{', '.join(map(literal, values))}]"
    sure = known is not None and (known.always or len(path) > 1)
    selectable = name.rpartition(".")[0].startswith("claims") and name.endswith(f".{path[-1]}")
    present = f"has({name})" if selectable else f"{literal(path[-1])} in claims"
    return test if sure else f"{present} && {test}"
