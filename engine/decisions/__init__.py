"""
Decisions: who somebody is, and which accesses they get.

Not here: explanations.
"""
