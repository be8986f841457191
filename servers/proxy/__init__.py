"""
The registry proxy: its decisions about requests, and forwarding to the registry.

Not here: connections to the registry.
"""
