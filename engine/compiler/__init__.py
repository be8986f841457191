"""
From the files of a policy to a `Policy`, or to all that is wrong with them.

Not here: decisions (`decisions`).
"""
