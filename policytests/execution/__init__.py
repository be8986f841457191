"""
Running cases: each login and access is decided by the engine and judged.

Not here: pytest, and the formats of reports.
"""
