"""
The logic of proofs: formulas over what one token and one access may be.

What lives here: formulas, their atoms, the kinds of values that tokens can hold, and names that fit
patterns.  Not here: how conditions become formulas (`proofs.evaluation`), and solving them
(`proofs.solving`).
"""
