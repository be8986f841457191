"""
CEL's syntax: from text to tree and back, errors and bounds.

Not here: types and values (`cel.library`).
"""
