"""
Sample tokens: specified, made, forged and varied.

Not here: suites (`suites`) and cases (`execution.cases`).
"""
