"""
Running cases: each login and access is decided by the engine and judged.

Not here: pytest (`collection`), and the formats of reports (`reports`).
"""
