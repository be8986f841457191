"""
Solving: values for which a formula holds, or the proof that there are none.

What lives here: the rewriting of formulas, the solver of clauses, arithmetic, and the search that
ties them together.  Not here: what a formula is about (`proofs.refinement`).
"""
