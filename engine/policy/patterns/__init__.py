"""
Patterns of repository names and tags.

Not here: statements (`compiler.statements`).
"""
