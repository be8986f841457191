"""
One question about one grant: who gets a token by it that is valid for longer than before.

What lives here: the formula of a longer token, and what the engine says of each model.  Not here:
which lifetimes and which grants are asked about (`lifetimes`, `question`).

A token is asked for without a tag (`Reference.PENDING`).  Then a grant with `tags` waits, and a
denial with `tags` refuses nothing yet.  If a grant matches, the longest lifetime of all that match
holds.  If none does, the shortest of those that wait.  So a policy gives a token that is valid for
longer than a limit when

* a grant that is longer matches, or
* a longer one waits, none matches, and none that waits is shorter;

and the bound gives one of exactly the limit only when none of its longer grants matches, and one of
its grants with just this lifetime matches or waits.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from msgspec import structs

from regauth.engine.access.references import ALL_TAGS, UNKNOWN, UPLOAD, TagState, is_tag
from regauth.engine.policy.policy import Denial, Grant, Statement

from .answers import Unknown, Witness
from .budget import spend
from .comparison import are_apart, share_a_value
from .confirmation import Asked, ask, tags_of, token_of
from .evaluation.quantifiers import Lists
from .logic import formulas
from .logic.formulas import FALSE, TRUE, Formula
from .refinement import Count, GrantQuestion, ModelVerdict, Pair, Refuted, Slice
from .solving.equalities import UnprovedError
from .solving.search import Model
from .statements import Reference, Side, Target
from .tokens import access

USELESS: Final = "a longer token that nothing is known to be allowed with"

_OTHERS: Final = ("x", "latest", f"sha256:{'0' * 64}", ALL_TAGS, UPLOAD)
"""What an access may refer to, besides the tags that the grants name."""


def lasts(grant: Grant, limit: timedelta) -> bool:
    """Tell whether a grant's tokens may be valid for longer than a limit."""
    return grant.token_lifetime is None or grant.token_lifetime > limit


def may_meet(one: Grant, other: Grant) -> bool:
    """Tell whether two grants may be about one access of one token."""
    return (
        one.class_ == other.class_
        and (bool(one.actions & other.actions) or (one.catalog and other.catalog))
        and not set(one.services).isdisjoint(other.services)
        and not are_apart(one, other)
        and (_is_open(one) or _is_open(other) or share_a_value(one, other))
    )


def _is_open(grant: Grant) -> bool:
    """Tell whether a condition may wait for the tag, or hold for another provider of an issuer."""
    return grant.when is not None and not {"scope", "provider"}.isdisjoint(grant.when.variables)


@dataclass(slots=True)
class LongerSlice(Slice):
    """What the formula of a longer token holds."""

    just_the_limit: bool = False
    """Whether it says that the bound gives a token, and which of its grants have just the limit."""


class LongerQuestion(GrantQuestion):
    """Which tokens one grant makes valid for longer than a limit, for one action and service."""

    def __init__(
        self,
        pair: Pair,
        grant: Grant,
        target: Target,
        gone: Sequence[Denial],
        count: Count,
        limit: timedelta,
    ) -> None:
        super().__init__(pair, grant, target, gone, count)
        self.limit = limit
        self.useless = False
        """Whether a longer token was found with which no request is known that both allow."""
        self.tagged: Target | None = None
        """The target with a tag that the grant allows, where one is looked for."""
        self._tag: int | None = None
        self._exact: list[Grant] | None = None

    def answer_one(self, number: int) -> Witness | None:
        """Return a witness among one of the grant's patterns, or None: there is none."""
        try:
            return super().answer_one(number)
        except UnprovedError:
            # A longer token was found, but no use of it: so one is looked for by each tag.
            for tag in range(len(self.grant.tags) if self.useless else 0):
                found = self._by_tag(number, tag)
                if found is not None:
                    return found
            raise
        finally:
            self._tag = self.tagged = None

    def _by_tag(self, number: int, tag: int) -> Witness | None:
        """Return a witness with one of the grant's tags, if one is found."""
        self._tag = tag
        try:
            return super().answer_one(number)
        except UnprovedError:
            return None

    def also(self, target: Target, lists: Lists) -> Formula:
        """Return when the grant allows a tag, where one is looked for."""
        if self._tag is None:
            return TRUE
        pair = self.pair
        state = TagState.NEW if self.grant.new_tags_only else TagState.UNKNOWN
        tagged = replace(target, reference=Reference.TAG, tag_state=state)
        made = list(Side(pair.new, pair.name, pair.universe, tagged, lists).tags(self.grant))
        if self._tag >= len(made):
            return FALSE
        tag, constraint = made[self._tag]
        self.tagged = replace(tagged, tag=tag)
        side = Side(pair.new, pair.name, pair.universe, self.tagged, lists)
        return formulas.both(constraint, side.gives(self.grant))

    def bounds(self, one: Grant) -> bool:
        """Tell whether a grant of the bound makes its token last longer where it matches."""
        return not one.tags and lasts(one, self.limit)

    def shortens(self, one: Statement) -> bool:
        """Tell whether a token is not longer by this grant where another one matches or waits."""
        if not self.grant.tags or one is self.grant or not isinstance(one, Grant):
            return False
        return not one.tags or not lasts(one, self.limit)

    def slice(self) -> Slice:
        """Return an empty slice."""
        return LongerSlice()

    def take_all_near(self, used: Slice) -> None:
        """Put everything into a slice that may matter."""
        super().take_all_near(used)
        grants = self.pair.new.grants
        spend(len(grants))
        used.new.update(
            (one.name, one) for one in grants if self.shortens(one) and may_meet(one, self.grant)
        )
        if isinstance(used, LongerSlice):
            used.just_the_limit = True

    def bounded(self, olds: Sequence[tuple[Side, Formula]], used: Slice) -> list[Formula]:
        """Return when no login gets a token that lasts longer, and one gets just the limit."""
        parts = super().bounded(olds, used)
        if isinstance(used, LongerSlice) and used.just_the_limit:
            denials = [one for one in used.old.values() if isinstance(one, Denial)]
            given = []
            for side, failed in olds:
                refused = formulas.some([failed, *map(side.statement, denials)])
                exact = formulas.some(map(side.statement, self._of_the_limit()))
                given.append(formulas.both(refused.negation, exact))
            parts.append(formulas.some(given))
        return parts

    def _of_the_limit(self) -> list[Grant]:
        """Return the bound's grants with just the limit that may be about the same."""
        if self._exact is None:
            spend(len(self.pair.bound.grants))
            self._exact = [
                one
                for one in self.pair.bound.grants
                if one.token_lifetime == self.limit and may_meet(one, self.grant)
            ]
        return self._exact

    def refuted(self, number: int, used: Slice) -> Refuted:
        """Return what was compared where nothing was found."""
        found = super().refuted(number, used)
        exact = isinstance(used, LongerSlice) and used.just_the_limit
        limited = [one for one in self._of_the_limit() if one.name not in used.old] if exact else []
        return replace(found, old=(*found.old, *limited), limit=self.limit)

    def unknown(self, construct: str) -> Unknown:
        """Return what is not decided, and what it hangs on."""
        return super().unknown(USELESS if self.useless else construct)

    def verdict(self, target: Target, used: Slice) -> ModelVerdict:
        """Return what judges the models of a formula, by the engine."""
        return _LongerVerdict(self, target, used)


class _LongerVerdict(ModelVerdict):
    """Confirms tokens that are valid for longer."""

    def __init__(self, question: LongerQuestion, target: Target, used: Slice) -> None:
        super().__init__(question.pair, target, used)
        self._question = question
        self._tags: tuple[str, ...] = ()

    def asked(self, model: Model) -> Asked | None:
        """Return the request that a model is about; note the tag that it is for."""
        asked = super().asked(model)
        tagged = self._question.tagged
        if asked is not None and tagged is not None:
            wanted = access(tagged, model, asked.claims or {})
            self._tags = () if wanted is None else (wanted.reference,)
        return asked

    def judge(self, asked: Asked) -> bool:
        """Tell whether a request is a witness, or names what was left out of the formula."""
        pair, used, limit = self.pair, self.used, self._question.limit
        new = token_of(pair.new, asked, (pair.name,))
        if not new.given:
            return self.left_out([pair.new_denials.get(new.source)], used.new)
        if new.most <= limit:
            shorter = [one for one in new.grants if self._question.shortens(one)]
            return self.left_out(shorter, used.new)
        old = token_of(pair.bound, asked, self.believers)
        longer = [one for one in old.matching if isinstance(one, Grant) and lasts(one, limit)]
        if longer:
            return self.left_out(longer, used.old)
        if not old.given or old.most > limit:
            return self._ask_for_the_limit()
        tags = (*self._tags, *tags_of(pair.new, asked, (pair.name,)))
        whole = next(complete(pair, asked, tags, self.believers), None)
        self._question.useless |= whole is None
        return whole is not None and self.found(whole, self._question.grant.name, old.source)

    def _ask_for_the_limit(self) -> bool:
        if not isinstance(self.used, LongerSlice) or self.used.just_the_limit:
            return False
        self.used.just_the_limit = True
        return True


def complete(
    pair: Pair, asked: Asked, tags: Sequence[str], believers: Sequence[str]
) -> Iterator[Asked]:
    """Yield requests like one that both policies allow, once it is known what they refer to."""
    for reference in (UNKNOWN, *tags, *_OTHERS):
        for state in TagState if is_tag(reference) else (TagState.UNKNOWN,):
            wanted = structs.replace(asked.access, reference=reference, tag_state=state)
            whole = replace(asked, access=wanted)
            if not ask(pair.new, whole, (pair.name,)).allowed:
                continue
            if ask(pair.bound, whole, believers).allowed:
                yield whole
