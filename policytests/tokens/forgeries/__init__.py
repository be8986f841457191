"""
Forgeries: tokens that no policy may accept.

A new one goes into the table of its group: `algorithm`, `keys`, `claims` or `form`.  `known` joins
the tables.

Not here: genuine tokens of somebody else, which are near misses (`tokens.near_misses`).
"""
