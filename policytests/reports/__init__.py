"""
Reports of a run: one module for each format.

Not here: how the results came about (`execution`, `analysis`).
"""
