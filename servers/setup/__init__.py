"""
What an operator runs once: a folder to start from, a sample issuer, the doctor.

Not here: what serves requests (`token`, `proxy`).
"""
