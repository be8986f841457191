"""
Changes applied: the queue, leadership, reconciling.

Not here: deciding what has to change (`planning`).
"""
