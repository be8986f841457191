"""
What refresh tokens stand for, and the stores that keep it.

Not here: the requests that bring refresh tokens (`token.request`).
"""
