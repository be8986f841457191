"""
Decisions: the checks of a login in their order, who somebody is, and which accesses they get.

Not here: explanations (`explaining`).
"""
