"""
Stands in for a program that the fork server runs: `python -IS client.py NAME MODULE:FUNCTION ...`.

It gives its streams, arguments, environment and folder to the fork server, passes signals on, and
ends as the program ends.  Without a fork server it becomes the program itself, the slow way.  It
starts for every program of the tests, so it imports only what needs no other module: with `json`,
`signal` and `socket` it takes twice the time.
"""

import _signal as signal
import _socket as socket
import marshal
import os
import sys

VARIABLE = "REGAUTH_TEST_FORKSERVER"
PASSED_ON = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
STREAMS = b"".join(one.to_bytes(4, sys.byteorder) for one in (0, 1, 2))
"""The descriptors of the standard streams, as an array of C's `int`."""


def main() -> None:
    name, program, *arguments = sys.argv[1:]
    path = os.environ.pop(VARIABLE, None)
    if path is None:
        module, _, function = program.partition(":")
        code = f"import sys; sys.argv[0] = {name!r}; from {module} import {function} as main; sys.exit(main())"
        os.execv(sys.executable, [sys.executable, "-c", code, *arguments])
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    asked = {
        "name": name,
        "program": program,
        "arguments": arguments,
        "environment": {**os.environ, VARIABLE: path},
        "folder": os.getcwd(),  # noqa: PTH109 - pathlib takes as long to import as all the rest
        "umask": os.umask(0o22),
    }
    text = marshal.dumps(asked)
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, STREAMS)
    connection.sendmsg([len(text).to_bytes(8, "big")], [rights])
    connection.sendall(text)
    pid = number(connection)
    for one in PASSED_ON:
        signal.signal(one, lambda passed, _: os.kill(pid, passed))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    code = number(connection)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    os._exit(code)


def number(connection: socket.socket) -> int:
    """Read a number and the end of its line."""
    line = b""
    while not line.endswith(b"\n"):
        read = connection.recv(1)
        if not read:
            raise EOFError("the fork server has ended")
        line += read
    return int(line)


if __name__ == "__main__":
    main()
