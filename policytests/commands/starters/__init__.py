"""What `policytest init` writes: a policy, a suite for it and a CI job, for each known issuer."""
