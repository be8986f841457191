"""
Sample tokens: specified, made, forged and varied.

Not here: suites and cases.
"""
