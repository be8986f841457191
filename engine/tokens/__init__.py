"""
JSON Web Tokens and keys.

Not here: what claims mean to a policy (`regauth.engine.decisions.authentication`), and the order in
which a login is checked (`regauth.engine.decisions.exchange`).
"""
