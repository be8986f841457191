"""
Suites: from the text of a `*.policytest.yaml` file to values that are linked to a policy.

Not here: running them (`execution`).
"""
