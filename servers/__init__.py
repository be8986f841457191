"""
The servers: Falcon applications on waitress that host the engine.

What lives here: HTTP in, HTTP out, files, clocks, logs and signals.  Not here: a decision
about access, which is `regauth.engine`'s alone.
"""
