"""
What the controller knows of the cluster, and how it comes to know it.

Not here: changes (`applying`).
"""
