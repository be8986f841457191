"""
JSON Web Tokens and keys.

Not here: what claims mean to a policy, and the order in which a login is checked
(`regauth.engine.decisions.exchange`).
"""
