"""
The identity providers' keys: fetched, read and kept.

Not here: our own keys (`signing`).
"""
