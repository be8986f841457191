"""
`policytest replay`: decision logs, decided again with another policy.

Not here: the command line (`commands.replay`).
"""
