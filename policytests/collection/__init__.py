"""
pytest's side: options, items, fixtures, snapshots, and the recorder that gives a run its exit code.

Not here: pytest's hooks that are there without a suite (`regauth.policytests.plugin`).
"""
