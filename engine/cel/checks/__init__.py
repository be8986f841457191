"""
What is checked before an expression runs: types, names, constants.

Not here: evaluation (`cel.evaluation`).
"""
