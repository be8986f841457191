"""
The engine: policy in, decisions out.

Pure: nothing here opens a socket or a file, logs, starts a thread, reads a clock or draws a random
number.  Time, keys and randomness are arguments; what the engine needs from the world it asks its
host for (`regauth.engine.exchange.NeedKeys`).  The one exception is `regauth.engine.files`, which
reads a policy folder for hosts and which nothing else in the engine imports.
"""
