"""
The docker credential helper under the name that scripts start it by, with `python -m`.

What lives here: the name.  Not here: the helper (`regauth.controller.helpers.docker_helper`).
"""

from regauth.controller.helpers.docker_helper import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
