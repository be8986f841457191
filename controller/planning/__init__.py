"""
From what is observed to what has to change: pure.

Not here: requests to the cluster (`applying`).
"""
