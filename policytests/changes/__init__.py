"""
`policytest diff`: what a change of a policy means, from two folders or git commits, by proof.

Not here: the prover (`regauth.policytests.proofs`), and what production asked for
(`regauth.policytests.replay`).
"""
