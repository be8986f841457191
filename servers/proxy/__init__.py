"""
The registry proxy: its decisions about requests, and forwarding to the registry.

Not here: connections to the registry (`upstream.registry`, `http_client.pool`).
"""
