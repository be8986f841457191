"""
Coverage and mutation: how well the cases of a run test the policy.

Not here: how it is reported (`reports`).
"""
