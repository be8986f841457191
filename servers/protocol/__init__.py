"""
The Distribution API as values: routes, challenges and the one error body.

Not here: sockets, policies and decisions.
"""
