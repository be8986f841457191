"""
pytest's side: options, items, fixtures, snapshots and the recorder of a run.

Not here: pytest's hooks; those are in `regauth.policytests.plugin`.
"""
