"""
What an operator does by hand: one pass, a dry run, a look at how things stand, taking it all away.

Not here: the controller that runs on (`regauth.controller.running`), and the command itself
(`regauth.controller.kube_controller`).
"""
