"""
Forgeries: tokens that no policy may accept.

Not here: genuine tokens of somebody else; those are near misses.
"""
