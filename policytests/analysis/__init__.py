"""
What the cases of a run say about the policy: coverage and mutation.

Not here: how it is reported.
"""
