"""
Lints of repositories that a token's claims name.

What lives here: names that strangers choose, and names that meet repositories of others.  Not here:
capitals in such names (`templates`).
"""

from collections.abc import Iterator, Sequence

from regauth.engine.cel import Program
from regauth.engine.cel.syntax.analysis import references
from regauth.engine.issuers import Claim
from regauth.engine.policy.patterns.names import Pattern, Wildcard
from regauth.engine.policy.policy import Grant, Policy, Provider, Statement

from .subject import CHANGING, LintFinding, Path
from .templates import sources


def template_of_strangers(policy: Policy) -> Iterator[tuple[Grant, LintFinding]]:
    """A repository whose name is, or begins with, a value that anybody chooses."""
    for grant in policy.grants:
        providers = _providers(policy, grant)
        for pattern in grant.patterns:
            for claim in _chosen(pattern, providers):
                name = ".".join(claim.path)
                yield (
                    grant,
                    LintFinding(
                        f"{_chooser(claim)} `{name}`, and so the repository of {pattern.text!r}",
                        "name the repository by a claim of the workload's owner, "
                        "or put what others choose below a folder of its own",
                    ),
                )


def _chosen(pattern: Pattern, providers: Sequence[Provider]) -> Iterator[Claim]:
    for number, part in enumerate(pattern.parts):
        for claim in _claims(part, providers) if isinstance(part, Program) else ():
            first = number == 0 and claim.chosen_by == "anybody"
            if claim.chosen_by == "strangers" or first:
                yield claim


def _chooser(claim: Claim) -> str:
    return "strangers choose" if claim.chosen_by == "strangers" else "anybody who can push chooses"


def _claims(program: Program, providers: Sequence[Provider]) -> Iterator[Claim]:
    """Yield each claim that an expression's value is made of, once, definitions included."""
    # What only chooses between values, as the test of a conditional does, is no part of the name.
    paths = {
        path for _, node in sources(program.node, program.definitions) for path in references(node)
    }
    seen: set[Path] = set()
    for path in sorted(paths):
        for provider in providers:
            claim = provider.claims.claim(path[1:]) if path[0] == "claims" else None
            if claim is not None and claim.path not in seen:
                seen.add(claim.path)
                yield claim


def template_collision(policy: Policy) -> Iterator[tuple[Grant, LintFinding]]:
    """A namespace of a token that may be called like a folder that is meant for others."""
    for grant in policy.grants:
        if not grant.actions & CHANGING:
            continue
        for pattern in grant.patterns:
            first = pattern.parts[0]
            if not isinstance(first, Program):
                continue
            meeting = _meeting(policy, grant, first)
            if meeting:
                yield (
                    grant,
                    LintFinding(
                        f"a token whose name is {meeting!r} changes what is in `{meeting}/`, "
                        "which other statements are about",
                        f"put a literal before `${{...}}`, or deny changes of `{meeting}/**`",
                    ),
                )
                break


def _meeting(policy: Policy, grant: Grant, first: Program) -> str:
    """Return a literal folder that the first part of a template can be; "" for none."""
    providers = _providers(policy, grant)
    pinned = set(() if grant.when is None else grant.when.paths)
    for provider in providers:
        pinned |= {path for rule in provider.rules for path in rule.check.paths}
    claims = list(_claims(first, providers))
    if not claims or any(_is_pinned(claim, pinned) for claim in claims):
        return ""
    for folder in _folders(policy, grant):
        if _is_denied(policy, grant, folder):
            continue
        # A name in two parts, OWNER/NAME, is in the owner's own folder.
        if all(one.values.can_equal(folder) for one in claims):
            return folder
    return ""


def _is_pinned(claim: Claim, pinned: set[Path]) -> bool:
    """Whether a condition asks for a claim's value, its id or what it is unique within."""
    beside = ("claims", *claim.path[:-1])
    names = {claim.path[-1], claim.twin, claim.within, f"{claim.within}_id"} - {"", "_id"}
    return any((*beside, name) in pinned for name in names)


def _folders(policy: Policy, grant: Grant) -> Iterator[str]:
    """Yield the first folders of what grants give by a literal name."""
    for other in policy.grants:
        for pattern in other.patterns:
            first = pattern.parts[0]
            if isinstance(first, str) and "/" in first and other is not grant:
                yield first.partition("/")[0]


def _is_denied(policy: Policy, grant: Grant, folder: str) -> bool:
    """Whether a denial without a condition keeps changes out of a folder."""
    return any(
        denial.when is None
        and (grant.actions & CHANGING) <= denial.actions
        and any(_covers(pattern, folder) for pattern in denial.patterns)
        for denial in policy.denials
    )


def _covers(pattern: Pattern, folder: str) -> bool:
    return pattern.parts in ((Wildcard.REST,), (f"{folder}/", Wildcard.REST))


def _providers(policy: Policy, statement: Statement) -> list[Provider]:
    return [
        provider
        for name, provider in policy.providers.items()
        if statement.providers is None or name in statement.providers
    ]
