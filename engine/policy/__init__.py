"""
The compiled policy: immutable, indexed, shared by threads.

Not here: how it is compiled (`compiler`).
"""
