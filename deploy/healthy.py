"""
The health check of the images, which have no curl: ends with 0 when /healthz answers 200.

What lives here: one request to this container's own port.  Not here: anything that needs more
than the standard library.
"""

import http.client
import sys

SECONDS = 2.0
OK = 200


def main() -> int:
    """Ask the port that the first argument names; return the exit code."""
    connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=SECONDS)
    try:
        connection.request("GET", "/healthz")
        return int(connection.getresponse().status != OK)
    except (OSError, http.client.HTTPException):
        return 1
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
