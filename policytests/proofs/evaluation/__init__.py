"""
Expressions for a token that is not known: CEL as guarded values.

What lives here: the evaluator and what it needs.  Not here: policies (`proofs.statements`) and
logins (`proofs.logins`), which ask it.
"""
