"""
From a socket to a WSGI environment, strictly: framing, connections, addresses of clients.

Not here: routes (`token.app`, `proxy.app`) and decisions (`regauth.engine.decisions`).
"""
