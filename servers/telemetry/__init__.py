"""
What is told about the servers' work: events, decisions, metrics, rejections, OpenTelemetry.

Not here: the work itself (`token`, `proxy`).
"""
