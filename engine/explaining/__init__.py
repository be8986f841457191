"""
Decisions explained, step by step, as data and as text.

Not here: decisions (`decisions`).
"""
