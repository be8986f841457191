"""
What is known of an issuer's tokens, as values.

What lives here: a claim, a claim schema, the addresses, audiences and usual tokens of issuers.
Not here: reading them from JSON (`reading`), judging a token (`tokens`), and any schema
(`regauth.schemas.claims`).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeAlias

import re2
from msgspec import Struct, field

from regauth.engine.cel import RecordType
from regauth.engine.languages import Nfa

from .relations import Path, Relation
from .values import ANY, Values

Chooser: TypeAlias = Literal["issuer", "owner", "anybody", "strangers", ""]
"""Who chooses a claim's value; "" where the schema does not say."""


class Claim(Struct, frozen=True):
    """
    One claim of an issuer's tokens.

    `mutable`: the owner can rename the thing, or the name can pass to another owner.  `twin` is the
    claim that identifies the same thing and never changes hands.  `within` is the claim of the
    thing in which the name is unique.  Both are in the same object as this one.
    """

    path: Path
    always: bool
    mutable: bool = False
    twin: str = ""
    within: str = ""
    whole: bool = True
    """Whether the name says what it is unique within, as OWNER/NAME does."""
    type: str = "dyn"
    """The JSON type, as the schema names it."""
    values: Values = ANY
    items: Values = ANY
    """What the items of a list can be."""
    nullable: bool = False
    ignores_case: bool = False
    """Whether values that differ only in capitals name the same thing."""
    presence_guaranteed: bool = False
    """Whether the issuer promises `always`; `values.guaranteed` is the same for the values."""
    chosen_by: Chooser = ""
    narrows: bool = False
    """Whether a condition on it narrows an issuer that serves everybody to one customer."""
    composed: "Composed | None" = None
    """Why a condition should compare other claims instead, if it should."""
    needs: "Needed | None" = None
    """Which other claims a condition must read too, if it must."""
    verified_by: str = ""
    """The claim beside this one that says whether the issuer has verified the value."""
    by_strangers: "ByStrangers | None" = None
    """Which of its values strangers can bring about, if any."""
    when: str = ""
    """When it is there, or null, in words."""
    since: str = ""
    source: str = ""
    description: str = ""
    examples: tuple[object, ...] = ()

    @property
    def name(self) -> str:
        """What messages call it: a member of an object is `object/member`."""
        return "/".join(self.path)

    def is_always_in(self, language: Nfa) -> bool:
        """Whether every value is in a language; an example that is not tells at once."""
        texts = (one for one in self.examples if isinstance(one, str))
        return all(text in language for text in texts) and self.values.is_always_in(language)


class Composed(Struct, frozen=True):
    """
    That a claim is a text made of other claims, and which are compared instead of it.

    `beginning`: only values that begin so are meant; "" for all.
    """

    because: str
    claims: tuple[str, ...]
    beginning: str = ""


class Needed(Struct, frozen=True):
    """
    That a value means several things, unless one of these claims is read beside it.

    `unless`: an RE2 pattern; a literal that it is found in means one thing alone.
    """

    because: str
    claims: tuple[Path, ...]
    unless: str = ""

    def excuses(self, literals: Sequence[str]) -> bool:
        """Whether each of the literals that a claim is compared with means one thing alone."""
        return bool(self.unless) and all(re2.search(self.unless, one) for one in literals)


class ByStrangers(Struct, frozen=True):
    """The values of a claim that people bring about who have no rights in the workload."""

    values: Values
    because: str


class Forks(Struct, frozen=True):
    """
    How tokens show that a build is one of a fork, in a project that builds forks.

    `shown_by`: the claims that differ then.  `hidden_by`: the claims that name the project itself
    even then; empty where all other claims do.  `asked_by`: claims with the values that say that
    something proposed is built, which can be a fork's.
    """

    shown_by: tuple[Path, ...]
    hidden_by: tuple[Path, ...] = ()
    when: str = ""
    asked_by: tuple[tuple[Path, tuple[str, ...]], ...] = ()


class Family(Struct, frozen=True):
    """Claims whose names begin alike; with `listed`, the known ones are listed as claims too."""

    beginning: str
    claim: Claim
    listed: bool


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile("[^/]+".join(map(re.escape, text.split("*"))))


class Issuer(Struct, frozen=True):
    """An address that issuers of this kind are known to have; `*` stands for what is not `/`."""

    address: str
    everybody: bool

    def matches(self, address: str) -> bool:
        """Whether this is the address, or an address of its form."""
        return _pattern(self.address).fullmatch(address) is not None


class Audience(Struct, frozen=True):
    """A value of `aud` that is not a registry's own, and whose it is."""

    value: str
    of: str

    def matches(self, audience: str) -> bool:
        """Whether this is the audience, or one of its form."""
        return _pattern(self.value).fullmatch(audience) is not None


class SampleToken(Struct, frozen=True):
    """A usual token: claims that it has, and those of the optional claims that it has too."""

    about: str
    claims: Mapping[str, object] = field(default_factory=dict)
    including: tuple[Path, ...] = ()


class SampleTokens(Struct, frozen=True):
    """
    The usual tokens of an issuer by the name of a way of working, "" for the most usual one.

    `lifetime` and `backdated` are seconds: how long a token is good, and how long its `nbf` is
    before its `iat`; None without `nbf`.
    """

    variants: Mapping[str, SampleToken]
    algorithm: str = "RS256"
    lifetime: int = 300
    backdated: int | None = None


class ClaimSchema(Struct, frozen=True):
    """The claims of an issuer: their CEL type, what is known of each by its path, and relations."""

    name: str
    type: RecordType
    claims: Mapping[Path, Claim]
    title: str = ""
    families: tuple[Family, ...] = ()
    relations: tuple[Relation, ...] = ()
    issuers: tuple[Issuer, ...] = ()
    audiences: tuple[Audience, ...] = ()
    forks: Forks | None = None
    """How a build of a fork is told from others; None where it cannot be, or needs not be."""
    everybody: bool = False
    """Whether an issuer that is not among `issuers` serves everybody."""
    open: bool = False
    samples: SampleTokens = SampleTokens({"": SampleToken("")})

    def claim(self, path: Path) -> Claim | None:
        """Return what is known of a claim, families included; None where it is unknown."""
        known = self.claims.get(path)
        if known is not None or len(path) != 1:
            return known
        family = self.family(path[0])
        return None if family is None else family.claim

    def family(self, name: str) -> Family | None:
        """Return the family that a claim belongs to by its name, or None."""
        for family in self.families:
            if name.startswith(family.beginning) and name != family.beginning:
                return family
        return None

    def serves_everybody(self, issuer: str) -> bool:
        """Whether an issuer serves strangers too, so that a rule must say who may log in."""
        for known in self.issuers:
            if known.matches(issuer):
                return known.everybody
        return self.everybody

    def foreign_audience(self, audience: str) -> Audience | None:
        """Return whose audience this is when it is known as another service's."""
        return next((known for known in self.audiences if known.matches(audience)), None)


MOVED: Final[Mapping[str, str]] = {
    "kubernetes.io/serviceaccount/namespace": 'claims["kubernetes.io"].namespace',
    "kubernetes.io/serviceaccount/service-account.name": (
        'claims["kubernetes.io"].serviceaccount.name'
    ),
    "kubernetes.io/serviceaccount/service-account.uid": (
        'claims["kubernetes.io"].serviceaccount.uid'
    ),
    "kubernetes.io/serviceaccount/secret.name": 'claims["kubernetes.io"].secret.name',
}
"""
Claims of the tokens that Kubernetes kept in Secrets until 1.24, and where new tokens have them.

By the claim's name, as CEL.
"""
