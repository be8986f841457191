"""
The policy and the keys that a server works by, as one value that is replaced as a whole.

Not here: requests (`token`, `proxy`).
"""
