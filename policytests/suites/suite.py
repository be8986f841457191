"""
A suite as values: what a `*.policytest.yaml` file says, once its names are resolved.

What lives here: tokens, cases and expectations, each with its place in the file.  Not here: YAML
(`regauth.policytests.suites.reading`), signing
(`regauth.policytests.tokens.issuing`) and running (`execution.evaluation`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Final, Literal

from regauth.engine.access.scope import REGISTRY, Access, Scope
from regauth.engine.source.nodes import MappingNode
from regauth.engine.source.problems import Location
from regauth.policytests.tokens.spec import TokenSpec

SUFFIX: Final = ".policytest.yaml"
"""How the name of a suite ends."""

ENDINGS: Final = (".policytest.yaml", ".policytest.yml")
"""
Endings, in any case, of files that are meant as suites.  Other endings than `SUFFIX` are errors.
"""


FORBIDDEN_IN_NAMES: Final = ("::", "[", "]")
"""What no name of a test or an invariant may hold: ids of cases are made with them."""


class Mark(Enum):
    """What a cell of a grid expects."""

    ALLOWED = "A"
    REFUSED = "."
    UNAUTHENTICATED = "U"
    ERROR = "E"


@dataclass(frozen=True, slots=True)
class Exemption:
    """Why a test is not expected to pass now, or is not run, and until when."""

    location: Location
    reason: str
    skip: bool = False
    until: date | None = None


@dataclass(frozen=True, slots=True)
class TableCell:
    """One case of a grid: a token, an action on a repository, and what must come of it."""

    token: str
    access: Access
    mark: Mark
    location: Location

    @property
    def id(self) -> str:
        """The case's name within its test."""
        resource = self.access.resource
        if resource.type == REGISTRY:
            return f"{self.token}-{resource.name}"
        place = f"{resource.class_}-" if resource.class_ else ""
        return f"{self.token}-{place}{self.access.place}-{self.access.action}"


@dataclass(frozen=True, slots=True)
class Because:
    """The exact set of statements that must have decided a token's cells."""

    token: str
    names: tuple[str, ...]
    location: Location
    name_locations: tuple[Location, ...]


@dataclass(frozen=True, slots=True)
class GridTest:
    """A table of tokens, repositories and actions; each cell is a case."""

    name: str
    location: Location
    cells: tuple[TableCell, ...]
    because: tuple[Because, ...] = ()
    service: str | None = None
    exemption: Exemption | None = None


@dataclass(frozen=True, slots=True)
class RequestTest:
    """
    One login of a token with the scopes it asks for.

    Either `granted` holds exactly the accesses that must be allowed, or `refused` the reason that
    the login as a whole must be refused for.  `denied` are accesses that a denial must refuse;
    `deferred` those that depend on the tag; `errors` names the statements whose conditions must
    fail on the way.
    """

    name: str
    location: Location
    token: str
    scopes: tuple[Scope, ...]
    granted: tuple[Access, ...] | None = None
    refused: str | None = None
    denied: tuple[Access, ...] = ()
    deferred: tuple[Access, ...] = ()
    errors: tuple[tuple[str, Location], ...] = ()
    because: Because | None = None
    lifetime: "timedelta | Literal['server'] | None" = None
    """How long the token must be valid at most by the policy; None: it is not asked."""
    service: str | None = None
    exemption: Exemption | None = None


@dataclass(frozen=True, slots=True)
class SnapshotTest:
    """The table of everything the tokens can do with the repositories, kept in a file."""

    name: str
    location: Location
    tokens: tuple[str, ...]
    repositories: tuple[str, ...]
    service: str | None = None
    exemption: Exemption | None = None


Test = GridTest | RequestTest | SnapshotTest


@dataclass(frozen=True, slots=True)
class Hostile:
    """Tokens whose every forgery and near miss must be refused what they themselves may do."""

    location: Location
    tokens: tuple[str, ...]
    repositories: tuple[str, ...]
    except_: Mapping[str, Location] = field(default_factory=dict)
    token_locations: Mapping[str, Location] = field(default_factory=dict)
    """Where each token stands in the list, by itself or by its group."""


@dataclass(frozen=True, slots=True)
class WrittenInvariant:
    """
    An invariant or an assumption, before it is compiled against a policy.

    `kind` is the list that it stands in: `never`, `only` or `assume`.
    """

    kind: str
    name: str
    """Empty only for an assumption."""
    location: Location
    node: MappingNode


@dataclass(frozen=True, slots=True)
class Suite:
    """One file of tests of one policy."""

    path: Path
    file: str
    location: Location
    policy: str | None
    policy_location: Location
    at: datetime
    service: str | None
    tokens: Mapping[str, TokenSpec]
    groups: Mapping[str, tuple[str, ...]]
    tests: tuple[Test, ...]
    hostile: Hostile | None = None
    invariants: tuple[WrittenInvariant, ...] = ()
