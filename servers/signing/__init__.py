"""
The server's own keys: the signing key, its folder and its certificates.

Not here: the keys of providers (`provider_keys`).
"""
