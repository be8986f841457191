"""
Tightening: the narrowest change of a policy's grants that keeps what a log's requests got.

Only grants change: never rules, denials or the anonymous grant.  Names from a log replace patterns
only where the pattern had let them through.  Values from a log become a condition only of claims
whose values no person chooses (`regauth.policytests.usage.identities`).
"""
