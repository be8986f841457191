"""
Words that all output of policytest shares.

What lives here: counts with their nouns.  Not here: the sentences of one command or report
(`changes.view`, `replay.view`, `execution.telling`).
"""


def counted(number: int, noun: str) -> str:
    """Return a count with its noun: `1 cell`, `2 accesses`, `1,000 identities`."""
    if number == 1:
        return f"1 {noun}"
    if noun.endswith("y"):
        return f"{number:,} {noun[:-1]}ies"
    return f"{number:,} {noun}{'es' if noun.endswith('s') else 's'}"
