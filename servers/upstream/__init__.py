"""
The registry behind the proxy: its address, challenges and logins, and the addresses in its answers.

Not here: the proxy's own clients (`proxy`).
"""
