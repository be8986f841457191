"""
Token profiles: what the tokens of each issuer look like.

Not here: signing (`tokens.issuing`).
"""
