"""
Random conditions on the client's address, and what the engine says of every address that matters.

A condition changes its answer only where a network begins or ends.  So the first and the last
address of each network, and their neighbours, are all addresses that have to be asked about.
"""

import json
import random
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from regauth.engine.access.outcomes import Identity
from regauth.engine.access.scope import REPOSITORY, Access, Resource
from regauth.engine.compiler.compiler import compile_policy
from regauth.engine.decisions.decide import Request
from regauth.engine.policy.policy import Policy
from regauth.engine.source.addresses import IpAddress, parse_ip, parse_network
from regauth.engine.tokens.jwt import NO_CLAIMS
from regauth.policytests.proofs import Question, Status, more_access
from tests.policytests.proofs.random_policies import NOW

NETWORKS = [
    *("0.0.0.0/0", "::/0", "10.0.0.0/8", "10.0.0.0/9", "10.128.0.0/9", "10.0.0.0/7", "10.0.0.0/32"),
    *(
        "10.0.0.1/32",
        "255.255.255.255/32",
        "128.0.0.0/1",
        "0.0.0.0/1",
        "2001:db8::/32",
        "2001::/16",
    ),
    *("2001:db8::1/128", "2001:db8::/127", "8000::/1", "::ffff:10.0.0.0/104"),
    *("a00::/8", "::/96", "::1/128", "::fffe:0:0/96", "::ffff:0:0/96", "::fffe:0:0/95"),
]
PULL = Access(Resource(REPOSITORY, "a/x"), "pull")


def condition(choose: random.Random, depth: int = 2) -> str:
    if depth == 0 or choose.random() < 0.3:
        if choose.random() < 0.08:
            return choose.choice(["true", "false", "1 / 0 == 1"])
        return f'client.inNetwork("{choose.choice(NETWORKS)}")'
    joined = choose.choice([" && ", " || "]).join(
        condition(choose, depth - 1) for _ in range(choose.choice([2, 2, 3]))
    )
    form = choose.random()
    if form < 0.15:
        test = condition(choose, depth - 1)
        return f"(({test}) ? ({joined}) : ({condition(choose, depth - 1)}))"
    return f"!({joined})" if form < 0.35 else f"({joined})"


def policy(when: str, denial: str = "") -> Policy:
    """Return a policy with a grant, and a denial, under conditions; without credentials, too."""
    statement = {"repositories": ["a/*"], "actions": ["pull"]}
    document = {
        "version": 1,
        "services": ["r"],
        "providers": {"ci": {"issuer": "https://ci.example.com", "audience": "me"}},
        "grants": [{"name": "g", "when": when, **statement}],
    }
    if denial:
        document["denials"] = [{"name": "d", "when": denial, **statement}]
    found = compile_policy({"p.yaml": json.dumps(document)})
    assert found.policy is not None, [str(one) for one in found.problems]
    return found.policy


def addresses(*networks: str) -> Iterator[IpAddress | None]:
    """Yield every address at which some networks begin and end, and one that is not known."""
    yield None
    for written in networks:
        network = parse_network(written)
        for edge in (network.network_address, network.broadcast_address):
            for number in (int(edge) - 1, int(edge), int(edge) + 1):
                if 0 <= number < 1 << network.max_prefixlen:
                    kind = IPv4Address if network.version == 4 else IPv6Address
                    # What no server takes for a client's address is none.
                    yield parse_ip(str(kind(number)))


EDGES = tuple(dict.fromkeys(addresses(*NETWORKS)))


def is_allowed(policy: Policy, client: IpAddress | None) -> bool:
    """Return what the engine decides for a client."""
    identity = Identity("ci", "s").from_client(client)
    return Request(policy, identity, NO_CLAIMS, "r", NOW, exhaustive=True).verdict(PULL).allowed


def check_random(seed: int, count: int) -> None:
    """Check that what is asked about addresses is answered exactly as every address says."""
    choose = random.Random(seed)
    seen = set()
    for _ in range(count):
        denials = ["", condition(choose, 1)] if choose.random() < 0.5 else ["", ""]
        choose.shuffle(denials)
        when = condition(choose)
        other = when if choose.random() < 0.3 else condition(choose)
        new, bound = policy(when, denials[0]), policy(other, denials[1])
        gained = [one for one in EDGES if is_allowed(new, one) and not is_allowed(bound, one)]
        answer = more_access(Question(new, bound, first=True))
        seen.add(answer.status)
        wanted = Status.WITNESS if gained else Status.PROVED
        assert answer.status is wanted, (when, other, denials, gained[:1], answer)
    assert seen == {Status.PROVED, Status.WITNESS}
