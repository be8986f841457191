"""
Pairs of policies that differ only in what a caller may not know, and what callers ask.

Both policies of a pair have the same grants that the callers can come to know, and each has its own
of everything else: grants of other providers and services, grants whose conditions no caller meets,
the values and the tags that known grants want, denials of names that nobody is granted, the names
and conditions of denials, what anonymous clients get, and the order of it all.  Callers choose their
claims and the names, tags and digests that they ask for.
"""

import json
import random

DOMAIN = {
    "ref": ["refs/heads/main", "refs/heads/feature", "refs/tags/v1"],
    "event_name": ["push", "pull_request"],
    "actor": ["alice", "bob"],
    "environment": ["staging", None],
    "repository": ["acme/app", "acme/lib", "umbrella/app"],
}
"""The values that callers choose from."""

OWN = ["${claims.repository}", "${claims.repository}/**", "team/${claims.actor}"]
PLACES = ["acme/app", "acme/lib", "shared/base", "shared/*"]
TAGS = ["v1", "v*", "latest"]
"""Tags that callers ask for, as patterns."""
VAULT = ["vault/one", "vault/two", "vault/one/deep"]
"""Names that no grant that a caller meets is about."""
HIDDEN_NAMES = ["acme/app", "shared/base", "vault/one", "vault/**", "**"]
STRANGE_NAMES = ["vault/*", "**", "${claims.repository}", "acme/\u0430pp", "Vault/One", "a" * 300]
"""Names that are none: patterns, templates, letters that look alike, and too long."""


def literal(value: str) -> str:
    return json.dumps(value)


def met(draw: random.Random) -> str:
    """Return a condition that some callers meet."""
    claim = draw.choice(["ref", "event_name", "actor"])
    value = literal(draw.choice(DOMAIN[claim]))
    return draw.choice(
        [
            f"claims.{claim} == {value}",
            f"!(claims.{claim} == {value})",
            f"claims.{claim} in [{value}]",
        ]
    )


def wanted(claim: str, draw: random.Random) -> str:
    """Return a condition on a claim that no caller meets, with a value that is drawn."""
    value = literal(f"secret-{draw.randrange(1000)}")
    return draw.choice(
        [
            f"claims.{claim} == {value}",
            f"claims.{claim}.startsWith({value})",
            f"claims.{claim} in [{value}, {literal(f'other-{draw.randrange(9)}')}]",
        ]
    )


def unmet(draw: random.Random) -> str:
    """Return a condition of a hidden grant: false for every caller, an error, or much work."""
    secret = literal(f"secret-{draw.randrange(1000)}")
    claim = draw.choice(["ref", "actor", "environment", "repository", "event_name"])
    errors = [
        f"claims.job_workflow_ref == {secret}",  # no caller has it
        f"int(claims.{claim}) > {draw.randrange(9)}",
        f"defs.folders[claims.repository] == {secret}",
    ]
    false = [
        wanted(claim, draw),
        f"claims.actor.matches({literal(f'^secret-[0-9]{{{draw.randint(2, 9)}}}$')})",
        f"has(claims.job_workflow_ref) && claims.job_workflow_ref == {secret}",
        f"now > timestamp({literal(f'2{draw.randint(200, 900)}-01-01T00:00:00Z')})",
    ]
    long = ", ".join(literal(f"secret-{number}") for number in range(draw.randint(20, 60)))
    work = f"[{long}].exists(x, claims.actor.startsWith(x) && claims.ref.contains(x))"
    return draw.choice([*false, *errors, work, f"{draw.choice(errors)} && {draw.choice(false)}"])


def statement(name: str, names: list[str], actions: list[str], **more: object) -> str:
    fields = {"name": name, "repositories": names, "actions": actions, **more}
    return f"  - {json.dumps(fields)}\n"


def some_actions(draw: random.Random) -> list[str]:
    pushing = ["pull", "push"]
    return draw.choice([["pull"], ["push"], pushing, pushing, ["pull", "push", "delete"]])


def known(shared: random.Random, own: random.Random) -> list[str]:
    """Return the grants that a caller can come to know; `own` draws what may not be told."""
    grants = []
    for number in range(shared.randint(1, 4)):
        condition, actions = met(shared), some_actions(shared)
        tags = known_tags(shared, own, actions)
        if shared.random() < 0.5:  # which claim is read is told, and which value is wanted is not
            claim = shared.choice(["ref", "actor", "event_name"])
            joint = shared.choice(["&&", "||"])
            condition = f"{condition} {joint} {wanted(claim, own)}"
            if joint == "&&":  # nobody meets it, so which tags it would be about is not told
                tags = secret_tags(own, actions)
        names = shared.sample(OWN, shared.randint(1, 2))
        grants.append(statement(f"own-{number}", names, actions, when=condition, **tags))
    for number in range(shared.randint(0, 3)):
        names = shared.sample(PLACES, 1)
        lifetime = {} if own.random() < 0.5 else {"tokenLifetime": f"{own.randint(2, 9)}m"}
        actions = some_actions(shared)
        more = {**lifetime, **known_tags(shared, own, actions)}
        grants.append(statement(f"place-{number}", names, actions, when=met(shared), **more))
    if shared.random() < 0.5:
        creates = {"tags": ["v*"], "newTagsOnly": True, "when": met(shared)}
        grants.append(statement("creates", [shared.choice(OWN)], ["push"], **creates))
    return grants


def known_tags(shared: random.Random, own: random.Random, actions: list[str]) -> dict[str, object]:
    """Return the tags of a grant that a caller knows of; one that nobody asks for is drawn."""
    if shared.random() < 0.5:
        return {}
    tags = [*shared.sample(TAGS, shared.randint(0, 2)), f"secret-{own.randrange(1000)}"]
    own.shuffle(tags)
    creates = "push" in actions and "delete" not in actions
    return {"tags": tags, **({"newTagsOnly": True} if creates else {})}


def secret_tags(own: random.Random, actions: list[str]) -> dict[str, object]:
    """Return the tags of a grant that no caller meets."""
    if own.random() < 0.4:
        return {}
    tags = own.sample([*TAGS, "*", f"secret-{own.randrange(1000)}"], own.randint(1, 2))
    creates = "push" in actions and "delete" not in actions and own.random() < 0.5
    return {"tags": tags, **({"newTagsOnly": True} if creates else {})}


def hidden(own: random.Random) -> list[str]:
    """Return grants that no caller knows of."""
    grants = []
    for number in range(own.randint(0, 5)):
        condition = unmet(own)
        names = own.sample(HIDDEN_NAMES, own.randint(1, 2))
        name, actions = f"hidden-{number}-{own.randrange(1000)}", some_actions(own)
        more = secret_tags(own, actions)
        grants.append(statement(name, names, actions, when=condition, **more))
    for number in range(own.randint(0, 3)):
        elsewhere = own.choice([{"providers": ["other"]}, {"services": ["other.example.com"]}])
        actions = some_actions(own)
        more = {**elsewhere, **secret_tags(own, actions)}
        grants.append(statement(f"foreign-{number}", ["**"], actions, **more))
    grants += other_kinds(own)
    if own.random() < 0.5:
        ended = {"when": met(own), "expires": "2020-01-01T00:00:00Z"}
        grants.append(statement("ended", [own.choice(OWN)], ["pull", "push"], **ended))
    return grants


def other_kinds(own: random.Random) -> list[str]:
    """Return grants of other kinds that no caller knows of, or meets."""
    places = [
        f"secret-{own.randrange(99)}/${{claims.repository}}",
        "vault/${defs.folders[claims.actor]}",
    ]
    fields = [
        {"catalog": True, "when": wanted("actor", own)},
        {
            "class": "plugin",
            "repositories": ["**"],
            "actions": ["pull"],
            "when": wanted("ref", own),
        },
        {"repositories": [own.choice(places)], "actions": some_actions(own)},
        {
            "repositories": ["**"],
            "actions": ["pull"],
            "when": f'client.inNetwork("10.{own.randrange(99)}.0.0/16")',
        },
        {
            "repositories": ["**"],
            "actions": ["pull", "push"],
            "tags": [own.choice([*TAGS, "*"])],
            "when": f"{wanted('environment', own)} && scope.reference.startsWith('v')",
        },
        {
            "repositories": own.sample(["**", "vault/*", "acme/*"], 2),
            "actions": ["push"],
            "tags": ["*"],
            "when": f"!(scope.reference == 'v1' || !({wanted('ref', own)}))",
            **({"newTagsOnly": True} if own.random() < 0.5 else {}),
        },
        {
            "repositories": ["vault/**"],
            "actions": ["push"],
            "when": "defs.hidden",
        },
    ]
    chosen = own.sample(fields, own.randint(0, len(fields)))
    lifetimes = [{}, {"tokenLifetime": f"{own.randint(2, 9)}m"}]
    named = (
        {"name": f"hidden-kind-{number}", **one, **own.choice(lifetimes)}
        for number, one in enumerate(chosen)
    )
    return [f"  - {json.dumps(one)}\n" for one in named]


def definitions(own: random.Random) -> str:
    """Return definitions that only grants read of which no caller knows."""
    table = {actor: f"secret-{own.randrange(99)}" for actor in ("alice", "bob", "carol")}
    return f"definitions:\n  folders: {json.dumps(table)}\n  hidden: {wanted('actor', own)}\n"


def denials(shared: random.Random, own: random.Random) -> list[str]:
    listed = []
    for number in range(shared.randint(0, 2)):  # what is denied is told, and by which is not
        condition = met(shared)
        if own.random() < 0.5:
            condition = f"{condition} || {wanted('actor', own)}"
        name = f"denial-{number}-{own.randrange(1000)}"
        listed.append(statement(name, [shared.choice(["**", *PLACES])], ["push"], when=condition))
    for number in range(own.randint(0, 3)):
        fields = own.choice([{}, {"when": met(own)}, {"when": wanted("actor", own)}])
        names = [own.choice([*VAULT, "vault/**"])]
        tags = own.choice([{}, {"tags": [own.choice([*TAGS, "*"])]}])
        actions = ["pull", "push"]
        listed.append(statement(f"vault-{number}", names, actions, **fields, **tags))
    return listed


def policy(keys: str, seed: int, side: int) -> str:
    """Return one of a pair of policies."""
    shared, own = random.Random(f"{seed}"), random.Random(f"{seed}/{side}")
    grants = known(shared, own) + hidden(own)
    denied = denials(shared, own)
    own.shuffle(grants)
    own.shuffle(denied)
    text = f"""\
version: 1
services: [registry.example.com, other.example.com]
{definitions(own)}providers:
  github:
    issuer: https://sample-issuer.example.com
    audience: https://registry.example.com
    claims: github-actions
    keys: {keys}
  other:
    issuer: https://{own.choice(["one", "two"])}.example.com
    audience: {own.choice(["a", "b"])}
    claims: github-actions
    keys: {keys}
grants:
{"".join(grants)}"""
    if own.random() < 0.5:
        text += f"anonymous:\n  repositories: {json.dumps(own.sample([*VAULT, 'acme/app'], 2))}\n"
    return text + (f"denials:\n{''.join(denied)}" if denied else "")


def question(draw: random.Random) -> tuple[dict[str, object], list[str]]:
    """Draw the claims that a caller chooses, and what it asks for."""
    claims: dict[str, object] = {name: draw.choice(values) for name, values in DOMAIN.items()}
    repository = str(claims["repository"])
    claims["repository_owner"] = repository.partition("/")[0]
    names = [*[repository] * 4, f"{repository}/sub", "team/alice", "shared/base", "acme/app"]
    names += VAULT
    names += [f"shared/{draw.randrange(9)}", f"guess/{draw.randrange(99)}", *STRANGE_NAMES]
    count = 40 if draw.random() < 0.05 else 4
    scopes = []
    for _ in range(count):
        name = draw.choice(names)
        actions = draw.choice(["pull", "push", "delete", "pull,push", "pull,push,delete", "*"])
        reference = draw.choice(["", "", ":v1", ":v2", ":latest", f"@sha256:{'0' * 64}"])
        scopes.append(f"repository:{name}{reference}:{actions}")
    more = [
        "registry:catalog:*",
        f"repository(plugin):{repository}:pull",
        f"secret:{repository}:pull",
        "no scope at all",
    ]
    return claims, [*dict.fromkeys(scopes), *draw.sample(more, draw.randint(0, 2))]
