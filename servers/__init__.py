"""
The servers: Falcon applications on waitress that host the engine.

What lives here: HTTP in, HTTP out, files, clocks, logs and signals.  What must not: a decision
about access, which is `regauth.engine`'s alone.
"""
