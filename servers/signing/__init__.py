"""
The server's own keys: the signing key, its folder and its certificates.

Not here: other people's keys.
"""
