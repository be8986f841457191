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
            for claim in _chosen(pattern, policy, grant, providers):
                name = ".".join(claim.path)
                yield (
                    grant,
                    LintFinding(
                        f"{_chooser(claim)} `{name}`, and so the repository of {pattern.text!r}",
                        "name the repository by a claim of the workload's owner, "
                        "or put what others choose below a folder of its own",
                    ),
                )


def _chosen(
    pattern: Pattern, policy: Policy, grant: Grant, providers: Sequence[Provider]
) -> Iterator[Claim]:
    """Yield the claims of a name that the wrong people choose."""
    own = False  # whether what comes before is already one workload's own
    for number, part in enumerate(pattern.parts):
        for claim in _claims(part, providers) if isinstance(part, Program) else ():
            is_open = number == 0 or not (own or _is_own_folder(pattern, claim, grant, policy))
            if claim.chosen_by == "strangers" or (claim.chosen_by == "anybody" and is_open):
                yield claim
            own = own or claim.chosen_by in ("owner", "issuer")


def _is_own_folder(pattern: Pattern, claim: Claim, grant: Grant, policy: Policy) -> bool:
    """
    Whether the folder before a value that anybody chooses is for one workload, and for one grant.

    Several may use it if nobody can choose a value that another one has, as with users' names.
    """
    if not grant.actions & CHANGING:
        return True
    folder = str(pattern.parts[0])
    others = (
        str(one.parts[0])
        for other in policy.grants
        if other is not grant
        for one in other.patterns
        if isinstance(one.parts[0], str)
    )
    if any(one != folder and one.startswith(folder) for one in others):
        return False
    providers = _providers(policy, grant)
    return bool(claim.twin) or all(_names_workload(grant, one) for one in providers)


def _names_workload(grant: Grant, provider: Provider) -> bool:
    """Whether the tokens that a grant is for are all of one workload, or of some that it lists."""
    programs = [rule.check for rule in provider.rules]
    programs += [] if grant.when is None else [grant.when]
    known = provider.claims.claims
    compared = [known[path[1:]] for one in programs for path in one.equalities if path[1:] in known]
    owners = {(*claim.path[:-1], claim.within) for claim in known.values() if claim.within}
    owners = {path for path in owners if path in known and not known[path].within}
    owners |= {(*path[:-1], known[path].twin) for path in owners}
    return any(_is_workload(claim) and claim.path not in owners for claim in compared)


def _is_workload(claim: Claim) -> bool:
    """Whether a claim's value is a workload's own, not one of a few that many have."""
    few = bool(claim.values.enum) or set(claim.examples) <= {"true", "false"}
    chosen = claim.chosen_by in ("owner", "issuer")
    return chosen and not few and claim.path != ("environment",)


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
