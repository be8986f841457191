"""
The Distribution API as values: routes, challenges and the one error body.

Not here: sockets (`http_server`), policies (`state`) and decisions (`regauth.engine.decisions`).
"""
