"""
From a tree to a program, and from a program to a value.

Not here: the checks at compile time (`cel.checks`).
"""
