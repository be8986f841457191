"""
Entry points: what the console scripts call.

What lives here: `scripts`, one function a script, and the check that the libraries of the script's
extra are installed.  Not here: options, commands and what they do, which are the hosts'.
"""
