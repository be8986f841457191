"""
`policytest who-can`: who may do something, for every possible token and of the suites' tokens.

What lives here: showing the ways in, and which sample tokens get in.  Not here: finding the ways
(`regauth.policytests.analysis.ways_in`).
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from regauth.engine.access.outcomes import Refusal
from regauth.engine.access.references import TagState
from regauth.engine.access.scope import Access, ScopeError, repository_accesses
from regauth.engine.policy.policy import Policy
from regauth.engine.source.foreign_text import visible
from regauth.engine.source.nearest import did_you_mean
from regauth.policytests.analysis.ways_in import WayIn, ways_in
from regauth.policytests.execution.examples import UNLIKELY, claims_of, is_unlikely, token
from regauth.policytests.execution.judging import is_open
from regauth.policytests.execution.run import Loaded

from .questions import Options, QuestionError


def who_can(options: Options, action: str, repository: str) -> Iterator[str]:
    """Show the ways in of each policy, then the suites' tokens that get in."""
    access = _access(action, repository)
    suites = [] if options.policy is not None else options.suites_if_any()
    if not suites:
        policy = options.chosen_policy()
        yield from _ways(policy, access, repository, _service(policy, options.service), None)
        return
    told: dict[str, Policy] = {}
    for loaded in suites:
        policy, name = loaded.evaluation.linked.policy, loaded.compiled.shown
        if name not in told:
            told[name] = policy
            service = _service(policy, options.service or loaded.suite.service)
            yield from _ways(policy, access, repository, service, loaded.suite.at)
            yield ""
    yield from _tokens(suites, options, access, f"{action} {repository}")


def _access(action: str, repository: str) -> Access:
    try:
        found = repository_accesses([repository])
    except ScopeError as error:
        raise QuestionError(str(error)) from error
    return next(one for one in found if one.action == action)


def _service(policy: Policy, written: str | None) -> str:
    service = written or min(policy.services)
    if service not in policy.services:
        hint = did_you_mean(service, policy.services)
        raise QuestionError(f"no policy answers for the service {service!r}; {hint}")
    return service


# --- the ways in ---------------------------------------------------------------------------------


def _ways(
    policy: Policy, access: Access, written: str, service: str, at: datetime | None
) -> Iterator[str]:
    found = ways_in(policy, access, service, at)
    asked = f"{access.action} {written}"
    if not found.ways and not found.unknown:
        yield f"nobody can {asked} at {service}: proved for every token of the claim schemas"
        rest = written.removeprefix(f"{service}/")
        if rest != written:
            yield f"  policies name repositories without the registry's host; ask about {rest}"
    for way in found.ways:
        yield from _way(policy, way, access, asked, service)
    for unknown in found.unknown:
        where = " of ".join(one for one in (unknown.statement, unknown.provider) if one)
        yield f"perhaps {where or 'others'}: not excluded because of {unknown.construct}"


def _way(policy: Policy, way: WayIn, access: Access, asked: str, service: str) -> Iterator[str]:
    grant = way.grant
    place = f"{grant.name} ({grant.location})"
    if not way.provider:
        yield f"anybody can {asked} at {service}, without credentials, by {place}"
    else:
        yield f"a token of {way.provider} can {asked} at {service}, by {place}"
    unsaid = access.tag_state is TagState.UNKNOWN
    creates = grant.new_tags_only and access.action == "push" and unsaid
    needs = [
        *way.conditions,
        *(f"the name fits {name}" for name in way.names),
        *([f"the tag is one of {', '.join(way.tags)}"] if way.tags else ()),
        *(["the tag does not exist yet"] if creates else ()),
    ]
    yield from _listed("if", needs)
    for name, conditions in way.exceptions:
        yield from _listed("but not", conditions or ["always"], f"  by {name}")
    if way.provider:
        rules = [rule.check for rule in policy.providers[way.provider].rules]
        read = claims_of([*grant.programs, *rules])
        yield from _listed("such as", list(_example(policy, way, read)))


def _example(policy: Policy, way: WayIn, read: frozenset[str]) -> Iterator[str]:
    """Yield the claims of a token that gets in, behind the profile that has all others."""
    written = way.example.written
    lines = list(token(way.example, read))
    if written is not None:
        yield lines[0]
    yield from (line[2:] for line in lines if line.startswith("  "))
    yield from (line for line in lines if line.startswith(("without: ", "client: ")))
    if is_unlikely(policy, way.example):
        yield f"({UNLIKELY})"


def _listed(word: str, lines: Sequence[str], after: str = "") -> Iterator[str]:
    """Yield lines behind a word that stands before the first."""
    for number, line in enumerate(lines):
        last = after if number == len(lines) - 1 else ""
        yield f"  {word if number == 0 else '':<8} {visible(line)}{last}".rstrip()


# --- the suites' tokens --------------------------------------------------------------------------


def _tokens(
    suites: Sequence[Loaded], options: Options, access: Access, asked: str
) -> Iterator[str]:
    found = 0
    for loaded in suites:
        services = loaded.evaluation.linked.policy.services
        service = options.service or min(services)
        if service not in services:
            hint = did_you_mean(service, services)
            raise QuestionError(f"no policy answers for the service {service!r}; {hint}")
        for name, sample in loaded.evaluation.linked.samples.items():
            answer = loaded.evaluation.answer(name, service, access)
            if isinstance(answer, Refusal):
                continue
            waits = is_open(answer)
            if answer.allowed or waits:
                found += 1
                subject = visible(str(sample.claims.get("sub")))
                some = "  for some tags" if waits else ""
                file = visible(loaded.suite.file)
                yield f"{file}: {name}  by {answer.source}  {subject}{some}"
    if not found:
        yield f"no token of the suites may {asked}"
