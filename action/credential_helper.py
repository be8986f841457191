"""
Start `docker-credential-regauth` from the action's own folder.

What lives here: the one entry of the search path beside the standard library.  Not here: the
helper itself (`regauth.controller.docker_helper`).

    python -I -S credential_helper.py FOLDER get|store|erase|list|version

FOLDER holds the import package `regauth`.  The option `-m` would need it in PYTHONPATH, and would
look for modules in the current directory first, which is the checkout.
"""

import sys

sys.path.insert(0, sys.argv.pop(1))

from regauth.controller.helpers.docker_helper import main

main()
