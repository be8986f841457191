"""
The token server: from a token request to a registry token.

Not here: the command line (`commands.token_server`).
"""
