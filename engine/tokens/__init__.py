"""
JSON Web Tokens and keys.

Not here: what claims mean to a policy.
"""
