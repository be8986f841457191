"""
The prover: what a change of a policy means for every possible token.

What lives here: the one question that the prover answers, whether a policy gives anybody access
that another does not (`question.more_access`), and the values of questions and answers (`answers`).
Not here: commands (`policytests.commands`) and reports (`policytests.reports`), files, and a
decision.

The prover only claims, and the engine confirms every token that it finds (`confirmation`).

    from regauth.policytests.proofs import Question, Status, more_access

    answer = more_access(Question(new=head, bound=base))
    if answer.status is Status.PROVED:
        ...                         # nobody gains access, as far as answer.about says
    for witness in answer.witnesses:
        ...                         # witness.claims, witness.access, witness.source, ...

An invariant is a question whose bound is "everything but this"; a grant that is never used, a
question about a policy without the others.  `docs/proofs.md` says why a proof is one.
"""

from .answers import (
    About,
    Answer,
    Assumption,
    Longer,
    Question,
    Status,
    Unknown,
    Witness,
    Written,
)
from .question import more_access

__all__ = [
    "About",
    "Answer",
    "Assumption",
    "Longer",
    "Question",
    "Status",
    "Unknown",
    "Witness",
    "Written",
    "more_access",
]
