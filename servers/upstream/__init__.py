"""
The registry behind the proxy: its address, its challenges, its logins and its upload locations.

Not here: the proxy's own clients.
"""
