"""
What `server.yaml` and `proxy.yaml` say, as values.

Not here: what is built from the settings (`token.assembly`, `proxy.app`, `upstream.assembly`).
"""
