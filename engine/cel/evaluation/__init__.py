"""
From a tree to a program, and from a program to a value.

Not here: checks at compile time.
"""
