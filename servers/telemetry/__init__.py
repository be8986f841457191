"""
What is told about the servers' work: events, decisions, metrics, rejections.

Not here: the work itself.
"""
