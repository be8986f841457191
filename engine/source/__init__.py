"""
Located values from text, and problems that say where they are.

Not here: what a policy means (`compiler`).
"""
