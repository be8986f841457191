"""
CEL's types, values, operators and functions.

Not here: trees.
"""
