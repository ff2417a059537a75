"""Runs a script in a process that fork_server.py forks.

    python -ISE fork_client.py SOCKET SCRIPT [ARGUMENT]...

It imports only modules that are built into Python: preflight.py starts it for each call of the AWS CLI.
"""

import _socket
import os
import sys


def run(server, arguments, environment, descriptors=(0, 1, 2), timeout=None):
    """Returns the exit code, as a shell reports it. If this process dies first, the script is killed."""
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    connection.settimeout(timeout)
    connection.connect(str(server))
    request = [os.getcwd(), str(len(arguments)), *map(str, arguments), *(f"{key}={one}" for key, one in environment.items())]
    rights = b"".join(one.to_bytes(4, sys.byteorder) for one in descriptors)
    connection.sendmsg([os.fsencode("\0".join(request))], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])
    answer = connection.recv(1)
    connection.close()
    if not answer:
        raise ConnectionError("the fork server has ended")
    return answer[0]


if __name__ == "__main__":
    sys.exit(run(sys.argv[1], sys.argv[2:], os.environ))
