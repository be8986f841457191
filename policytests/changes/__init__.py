"""
What a change of a policy means: two states of its folder, compared by proof.

Not here: the prover (`regauth.policytests.proofs`), and what production asked for
(`regauth.policytests.replay`).
"""
