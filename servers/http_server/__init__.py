"""
From a socket to a WSGI environment, strictly: framing, connections, addresses of clients.

Not here: routes and decisions.
"""
