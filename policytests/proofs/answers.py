"""
Questions and answers: what the prover is asked, and what it says.

What lives here: the values that commands and reports see.  Not here: how an answer is found
(`question`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol

from regauth.engine.access.scope import Access
from regauth.engine.cel import Program
from regauth.engine.policy.policy import Grant, Policy
from regauth.engine.source.addresses import IpAddress, parse_ip

DEFAULT_STEPS: Final = 60_000_000
"""Steps of the solver that a question may take."""


class About(StrEnum):
    """Which tokens an answer is about."""

    ANY_JSON = "any token"
    """Every token that the provider's keys sign, whatever JSON it holds."""
    SCHEMA = "tokens of the claim schema"
    """Tokens that conform to their provider's claim schema, and to the assumptions."""


class Status(StrEnum):
    """What an answer comes to."""

    PROVED = "proved"
    """No token gets access by one policy that it does not get by the other."""
    WITNESS = "witness"
    """A token does; the engine agrees."""
    UNKNOWN = "unknown"
    """Neither was found."""


@dataclass(frozen=True, slots=True)
class Assumption:
    """
    What is taken to hold of every token of some providers: where `when` is true, `then` is.

    Both are conditions on `claims` alone.  `when` None is always; `providers` None is all.
    """

    then: Program
    when: Program | None = None
    providers: frozenset[str] | None = None
    name: str = ""


class NoteTaker(Protocol):
    """Takes notes of the way to an answer, for readers (`retelling`)."""

    def clear(self) -> None:
        """Forget everything: the question is asked again about other tokens."""

    def note_same(self, provider: str, grant: Grant, *, by_text: bool) -> None:
        """Note that the bound has a grant that means the same."""

    def note_refuted(self, one: object) -> None:
        """Note a comparison in which the solver found nothing (`refinement.Refuted`)."""

    def of_longer(self, limit: timedelta) -> "NoteTaker":
        """Return who takes notes of the same question about tokens longer than a limit."""


@dataclass(frozen=True, slots=True)
class Question:
    """
    Whether a policy gives anybody access that another does not.

    Attributes:
        new: The policy whose access is in question.
        bound: The policy that must allow all of it.
        universes: Which tokens are asked about, in this order, until an answer is proved.
        assumptions: What holds of tokens of the claim schema.
        steps: The steps of the solver that it may take; an answer does not depend on the machine.
        at: The time that is preferred for witnesses.
        first: Whether one witness is enough; else each changed grant and action has one.
        grants: The grants of `new` in question by name; None for all.
        account: Takes notes of the way to the answer, if it is wanted.
    """

    new: Policy
    bound: Policy
    universes: tuple[About, ...] = (About.ANY_JSON, About.SCHEMA)
    assumptions: tuple[Assumption, ...] = ()
    steps: int = DEFAULT_STEPS
    at: datetime | None = None
    first: bool = False
    grants: frozenset[str] | None = None
    account: NoteTaker | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """How a suite writes a token: its profile, the claims that it changes, and those it lacks."""

    profile: str
    claims: Mapping[str, object]
    without: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Witness:
    """
    A request that one policy allows and the other refuses; the engine has said both.

    Attributes:
        provider: The provider that signs the token; empty without credentials.
        claims: The token's claims; empty without credentials.
        service: The service that is asked.
        access: What is asked for.
        now: When.
        at: When the login was; other than `now` in a session that began with it.
        source: The grant of the new policy that allows.
        obstacle: What refuses by the bound: a denial's name, or a reason's code.
        about: Whether the token conforms to the claim schema.
        client: The address that it comes from, or `unknown`; empty where no policy reads it.
        written: How a suite writes the token; None: with the profile `plain` and all claims.
    """

    provider: str
    claims: Mapping[str, object] = field(hash=False)
    service: str
    access: Access
    now: datetime
    at: datetime
    source: str
    obstacle: str
    about: About
    client: str = ""
    written: Written | None = field(default=None, hash=False)

    @property
    def session(self) -> bool:
        """Whether the request is one of a session, with a refresh token."""
        return self.at != self.now

    @property
    def address(self) -> IpAddress | None:
        """The address that it comes from; None: it is not known, or decides nothing."""
        return parse_ip(self.client)

    def __str__(self) -> str:
        who = self.provider or "anonymous"
        return f"{self.access} by {who}, grant {self.source} (before: {self.obstacle})"


@dataclass(frozen=True, slots=True)
class Unknown:
    """What could not be decided: for which provider and statement, and what it hangs on."""

    provider: str
    statement: str
    action: str
    construct: str
    """The part of the policy, or the bound, that is to blame, in words."""

    def __str__(self) -> str:
        where = ", ".join(one for one in (self.statement, self.action, self.provider) if one)
        return f"{where}: not excluded because of {self.construct}"


@dataclass(frozen=True, slots=True)
class Longer:
    """A lifetime that the new policy makes longer; that counts as access gained."""

    provider: str
    what: str
    before: str
    after: str
    witness: "Witness | None" = None
    """A request that gets a token for longer, where it is the token that is valid for longer."""
    limit: timedelta | None = None
    """For how long its token was valid at most."""

    def __str__(self) -> str:
        return f"{self.what} of {self.provider}: {self.before} before, {self.after} after"


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What is known of a question.

    Attributes:
        witnesses: Requests that the new policy allows and the bound refuses, each confirmed.
        unknown: What could not be decided.
        longer: Lifetimes that became longer.
        about: Which tokens the proofs are about.
        compared: Statements and providers that were compared.
        identical: Those of them that are the same by their text or their formula.
        queries: Formulas that were solved.
        steps: Steps of the solver that were taken.
    """

    witnesses: tuple[Witness, ...] = ()
    unknown: tuple[Unknown, ...] = ()
    longer: tuple[Longer, ...] = ()
    about: About = About.ANY_JSON
    compared: int = 0
    identical: int = 0
    queries: int = 0
    steps: int = 0

    @property
    def status(self) -> Status:
        """What it comes to: a witness weighs more than what is unknown."""
        if self.witnesses or self.longer:
            return Status.WITNESS
        return Status.UNKNOWN if self.unknown else Status.PROVED

    @property
    def proved(self) -> bool:
        """Whether no token gains access."""
        return self.status is Status.PROVED
