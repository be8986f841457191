"""
CEL's types, values, operators and functions.

Not here: expression trees (`syntax.nodes`).
"""
