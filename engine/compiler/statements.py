"""
Compiling grants and denials: from the policy as written to `Grant` and `Denial` values.

What lives here: what a statement is about and when it matches.  Not here: matching
(`regauth.engine.decisions.decide`) and providers (`regauth.engine.compiler.providers`).
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, TypeVar

from regauth.engine.access.outcomes import MIN_LIFETIME
from regauth.engine.cel import BOOL, STRING, Program
from regauth.engine.issuers import ClaimSchema
from regauth.engine.policy.patterns.names import Pattern, compile_pattern
from regauth.engine.policy.patterns.tags import TagPattern, compile_tag_pattern
from regauth.engine.policy.patterns.text import CompileExpression, PatternFault
from regauth.engine.policy.policy import Denial, Grant
from regauth.engine.source.nearest import did_you_mean
from regauth.engine.source.nodes import Entry, MappingNode, Node, ScalarNode, SequenceNode
from regauth.engine.source.problems import Problems
from regauth.engine.source.quantities import parse_duration, parse_moment

from .expressions import Expressions, VisibleNames

Kind = TypeVar("Kind", Grant, Denial)
AnyPattern = TypeVar("AnyPattern", Pattern, TagPattern)

ANONYMOUS: Final = "anonymous"
"""What reports call the grant of anonymous access."""


@dataclass(slots=True)
class Statements:
    """Compiles the grants and denials of one policy."""

    services: frozenset[str]
    providers: Mapping[str, ClaimSchema | None]
    """The claim schema of each provider; None where the provider is wrong itself."""
    problems: Problems
    expressions: Expressions
    complete: bool = True
    """Whether every file could be read, so that a name which is not there is none."""

    def compile(self, node: MappingNode, kind: type[Kind]) -> Kind | None:
        """Compile one statement, or report what is wrong with it."""
        providers = self.named_providers(node.get("providers"))
        services = self._services(node.get("services"))
        all_visible = self._all_visible(providers)
        # A denial must hold where no tag is named too, so nothing in it asks for one but `tags`.
        reference = kind is Grant and node.get("tags") is not None
        when = self._when(node.get("when"), all_visible, reference=reference)
        patterns = self._patterns(node.get("repositories"), all_visible, compile_pattern)
        tags = self._patterns(node.get("tags"), all_visible, compile_tag_pattern)
        expires = self._expires(node.get("expires"))
        lifetime = self._token_lifetime(node, kind)
        self._check_new_tags_only(node, kind)
        if self.problems.error_count or patterns is None or tags is None:
            return None  # with an error anywhere there will be no policy
        return kind(
            name=_text(node, "name"),
            providers=providers,
            services=services,
            when=when,
            patterns=patterns,
            actions=_texts(node.get("actions")),
            catalog=node.get("catalog") is not None,
            class_=_text(node, "class"),
            expires=expires,
            location=node["name"].location,
            tags=tags,
            token_lifetime=lifetime,
            new_tags_only=node.get("newTagsOnly") is not None,
        )

    def compile_anonymous(self, entry: Entry) -> Grant | None:
        """Compile what a request without credentials gets."""
        node = entry.value
        if not isinstance(node, MappingNode):
            return None
        services = self._services(node.get("services"))
        all_visible = [VisibleNames(None, scope=True)]
        patterns = self._patterns(node.get("repositories"), all_visible, compile_pattern)
        if self.problems.error_count or patterns is None:
            return None
        return Grant(
            name=ANONYMOUS,
            providers=frozenset({""}),
            services=services,
            when=None,
            patterns=patterns,
            actions=frozenset({"pull"}),
            catalog=False,
            class_="",
            expires=None,
            location=entry.key.location,
        )

    def named_providers(self, node: Node | None) -> frozenset[str] | None:
        """Return the providers that a list names, or report those that there are none of."""
        if not isinstance(node, SequenceNode):
            return None
        for item in node.items:
            name = str(item.plain())
            if name not in self.providers and self.complete:
                self.problems.error(
                    item.location,
                    "unknown-provider",
                    f"there is no provider `{name}`",
                    did_you_mean(name, self.providers) or "none is declared",
                )
        return _texts(node)

    def _services(self, node: Node | None) -> frozenset[str]:
        if not isinstance(node, SequenceNode):
            return self.services
        for item in node.items:
            name = str(item.plain())
            if name not in self.services and self.complete:
                self.problems.error(
                    item.location,
                    "unknown-service",
                    f"`{name}` is not one of the policy's services",
                    did_you_mean(name, self.services) or "none is declared",
                )
        return _texts(node)

    def _all_visible(self, providers: frozenset[str] | None) -> Sequence[VisibleNames]:
        """Return what the conditions see, for each claim schema that they meet."""
        named = self.providers if providers is None else sorted(providers)
        found = {
            id(schema): schema for name in named if (schema := self.providers.get(name)) is not None
        }
        return [VisibleNames(schema, scope=True) for schema in found.values()]

    def _when(
        self, node: Node | None, all_visible: Sequence[VisibleNames], *, reference: bool
    ) -> Program | None:
        if not isinstance(node, ScalarNode):
            return None
        seen = [replace(one, reference=reference, client=True) for one in all_visible]
        return self.expressions.compile(node, seen, BOOL)

    def _patterns(
        self,
        node: Node | None,
        all_visible: Sequence[VisibleNames],
        compile_one: Callable[[str, CompileExpression], AnyPattern | PatternFault | None],
    ) -> tuple[AnyPattern, ...] | None:
        """Compile the patterns; None when one of them is wrong."""
        patterns: list[AnyPattern | None] = []
        for item in node.items if isinstance(node, SequenceNode) else ():
            if not isinstance(item, ScalarNode):
                continue

            pattern = compile_one(item.text, self._expression(item, all_visible))
            if isinstance(pattern, PatternFault):
                self.problems.error(
                    item.locate(pattern.start, pattern.end),
                    "bad-pattern",
                    pattern.message,
                    pattern.hint,
                )
                pattern = None
            patterns.append(pattern)
        return None if None in patterns else tuple(filter(None, patterns))

    def _expression(
        self, item: ScalarNode, all_visible: Sequence[VisibleNames]
    ) -> CompileExpression:
        def compile_part(text: str, offset: int) -> Program | None:
            return self.expressions.compile(item, all_visible, STRING, text=text, offset=offset)

        return compile_part

    def _expires(self, node: Node | None) -> datetime | None:
        if node is None:
            return None
        try:
            return parse_moment(str(node.plain()))
        except ValueError as error:
            self.problems.error(node.location, "wrong-value", str(error))
            return None

    def _check_new_tags_only(self, node: MappingNode, kind: type[Kind]) -> None:
        """Report `newTagsOnly` where it would mean nothing, or not keep what it promises."""
        entry = node.entries.get("newTagsOnly")
        if entry is None:
            return
        actions, at = _texts(node.get("actions")), entry.key.location
        if kind is Denial:
            message = "`newTagsOnly` stands in a grant; a denial refuses a tag, new or not"
            self.problems.error(at, "unknown-key", message, "remove it")
        elif node.get("tags") is None:
            message = "`newTagsOnly` says which of the `tags` may be pushed, and there are none"
            self.problems.error(at, "new-tags-only", message, "add `tags`, such as `tags: ['*']`")
        elif "delete" in actions:
            message = "who may delete a tag can create it anew, so `newTagsOnly` keeps no tag here"
            hint = "remove `delete`, or give it by a grant of its own"
            self.problems.error(at, "new-tags-only", message, hint)

    def _token_lifetime(self, node: MappingNode, kind: type[Kind]) -> timedelta | None:
        entry = node.entries.get("tokenLifetime")
        if entry is None:
            return None
        if kind is Denial:
            message = "`tokenLifetime` stands in a grant; a denial gives no token"
            self.problems.error(entry.key.location, "unknown-key", message, "remove it")
            return None
        try:
            lifetime = parse_duration(str(entry.value.plain()))
        except ValueError as error:
            self.problems.error(entry.value.location, "wrong-value", str(error))
            return None
        if lifetime < MIN_LIFETIME:
            least = int(MIN_LIFETIME.total_seconds())
            message = f"a registry token is valid for at least {least} seconds"
            hint = "clients treat a shorter lifetime as this one"
            self.problems.error(entry.value.location, "wrong-value", message, hint)
        return lifetime


def _text(node: MappingNode, name: str) -> str:
    value = node.get(name)
    return value.text if isinstance(value, ScalarNode) else ""


def _texts(node: Node | None) -> frozenset[str]:
    if not isinstance(node, SequenceNode):
        return frozenset()
    return _set(tuple(str(item.plain()) for item in node.items))


@functools.lru_cache(maxsize=1024)
def _set(texts: tuple[str, ...]) -> frozenset[str]:
    """Make a set once: ten thousand grants have few different lists of actions."""
    return frozenset(texts)
