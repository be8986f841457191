"""
`policytest usage`, `tighten` and `suggest`: what logs used of a policy, and narrower policies.

Not here: reading logs and deciding records again (`regauth.policytests.replay`).
"""
