"""
Usage: what decision logs say about a policy, and what would be narrower.

Not here: reading logs and deciding records again (`regauth.policytests.replay`).
"""
