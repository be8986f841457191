"""
The manifests that install the controller.

Not here: the running controller (`running`).
"""
