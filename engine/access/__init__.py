"""
What can be asked, and what the engine answers.

Not here: how an answer is found (`decisions`).
"""
