"""
Stands in for a program that the fork server runs: `python -IS client.py NAME MODULE:FUNCTION ...`.

It gives its streams, arguments, environment and folder to the fork server, passes signals on, and
ends as the program ends.  Without a fork server it becomes the program itself, the slow way.  It
imports little, because it starts for every program of the tests.
"""

import array
import json
import os
import signal
import socket
import sys

VARIABLE = "REGAUTH_TEST_FORKSERVER"
PASSED_ON = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


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
    text = json.dumps(asked).encode()
    streams = array.array("i", [0, 1, 2])
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)
    connection.sendmsg([len(text).to_bytes(8, "big")], [rights])
    connection.sendall(text)
    answers = connection.makefile("rb")
    pid = int(answers.readline())
    for number in PASSED_ON:
        signal.signal(number, lambda passed, _: os.kill(pid, passed))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    code = int(answers.readline())
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main()
