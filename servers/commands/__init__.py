"""
The commands: arguments, exit codes and what is printed.

Not here: the work that the commands start (`token.process`, `proxy.app`, `setup`).
"""
