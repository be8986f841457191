"""
Explanations as text for people.

What lives here: turning an `Explanation` into indented lines.  Not here: anything that is not in
the explanation (`explanation`).
"""

from collections.abc import Iterator
from typing import Final

from regauth.engine.access.outcomes import ConditionError, Refusal, Why
from regauth.engine.access.references import TagState
from regauth.engine.cel import Trace
from regauth.engine.decisions.decide import Unseen

from .explanation import AccessSteps, Explanation, PatternStep, StatementStep, Step

_MARKS: Final = {True: "ok", False: "NO", None: "--"}

MISMATCHES: Final = {
    "type": "is about another type of resource",
    "action": "is not about this action",
    "class": "is about another class",
    "service": "is not about this service",
    "provider": "is not for this provider",
    "expires": "has ended",
}
"""What the words of `StatementStep.mismatch` say of a statement."""

_REASONS: Final = {
    Why.NO_GRANT: "no grant allows it",
    Why.UNKNOWN_TYPE: "this type of resource is not known",
    Why.UNKNOWN_ACTION: "this action is not known",
    Why.INVALID_NAME: "this is not a repository's name",
    Why.INVALID_REFERENCE: "this is neither a tag nor a digest",
}


def narrate(explanation: Explanation) -> str:
    """Return an explanation as text: the login's steps, then each access with its statements."""
    lines: list[str] = []
    if explanation.provider is not None:
        provider = explanation.provider
        lines.append(f"provider {provider.name} ({provider.location}), issuer {provider.issuer}")
    for step in explanation.steps:
        lines += _step(step)
    if isinstance(explanation.outcome, Refusal):
        refusal = explanation.outcome
        lines.append(f"REFUSED {refusal.reason}: {refusal.message}")
        return "\n".join(lines)
    lines.append(f"identity {explanation.outcome.identity}")
    for access in explanation.accesses:
        lines += ["", *_access(access)]
    return "\n".join(lines)


def _step(step: Step) -> Iterator[str]:
    detail = f": {step.detail}" if step.detail else ""
    where = f" ({step.location})" if step.location else ""
    yield f"  {_MARKS[step.passed]}  {step.name}{where}{detail}"
    if step.trace is not None and step.passed is not True:
        yield from narrate_trace(step.trace, "        ")


def _access(access: AccessSteps) -> Iterator[str]:
    verdict = access.verdict
    if verdict.allowed:
        limit = ""
        if verdict.lifetime is not None:
            limit = f", with a token of at most {int(verdict.lifetime.total_seconds())} seconds"
        yield f"{verdict.access}: ALLOWED by {verdict.source}{limit}"
    elif verdict.why is Why.DENIED:
        yield f"{verdict.access}: REFUSED by the denial {verdict.source}"
    elif verdict.why is Why.DEPENDS_ON_REFERENCE:
        waits = f"{verdict.source} asks for the tag [{verdict.why}]"
        yield f"{verdict.access}: REFUSED for now, {waits}"
    elif verdict.why is Why.DEPENDS_ON_NEW_TAG:
        waits = f"{verdict.source} allows it if the tag is new [{verdict.why}]"
        yield f"{verdict.access}: REFUSED for now, {waits}"
    elif verdict.why is Why.TAG_EXISTS:
        kept = f"the tag exists, and {verdict.source} allows new tags only [{verdict.why}]"
        yield f"{verdict.access}: REFUSED, {kept}"
    else:
        yield f"{verdict.access}: REFUSED, {_REASONS[verdict.why]} [{verdict.why}]"
    for statement in access.statements:
        yield from _statement(statement)
    if access.ruled_out:
        them = "statement is" if access.ruled_out == 1 else "statements are"
        yield f"    {access.ruled_out} more {them} about other names or other claims"


def _statement(step: StatementStep) -> Iterator[str]:
    kind = "denial" if step.denial else "grant"
    yield f"    {kind} {step.name} ({step.location}): {_outcome(step)}"
    if step.mismatch:
        return
    for pattern in step.patterns:
        yield from _pattern(pattern)
    for tag in step.tags:
        yield from _pattern(tag, "tag ")
    if step.tag_state is not None:
        state = _STATES[step.tag_state]
        yield f"        newTagsOnly: {state}"
    if step.condition is not None:
        yield from narrate_trace(step.condition, "        ")


_STATES: Final = {
    TagState.UNKNOWN: "whether the tag exists is not known here",
    TagState.NEW: "the tag is new",
    TagState.EXISTING: "the tag exists",
}


def _outcome(step: StatementStep) -> str:
    if isinstance(step.matches, ConditionError):
        effect = "so it matches" if step.denial else "so it does not match"
        return f"cannot be evaluated, {effect}: {step.matches.message}"
    if step.matches is Unseen.TAG_STATE:
        return "matches if the tag is new, which is not known here"
    if isinstance(step.matches, Unseen):
        return "depends on the tag or digest, which is not known here"
    if step.mismatch:
        return MISMATCHES[step.mismatch]
    return "matches" if step.matches else "does not match"


def _pattern(step: PatternStep, what: str = "") -> Iterator[str]:
    if isinstance(step.matches, ConditionError):
        yield f"        {what}{step.text}: {step.matches.message}"
    else:
        yield f"        {what}{step.text}: {'matches' if step.matches else 'does not match'}"
    for trace in step.traces:
        yield from narrate_trace(trace, "          ")


def narrate_trace(trace: Trace, indent: str) -> Iterator[str]:
    """Return an expression's parts, each below the whole it belongs to, with their values."""
    element = f"  [{trace.element[0]} = {_value(trace.element[1])}]" if trace.element else ""
    value = f"error: {trace.error}" if trace.error is not None else _value(trace.value)
    text = " ".join(trace.text.split())
    yield f"{indent}{text}  =>  {value}{element}"
    for child in trace.children:
        yield from narrate_trace(child, indent + "  ")


def _value(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


_SHOWN: Final = 120
"""Characters of a value that are shown."""
