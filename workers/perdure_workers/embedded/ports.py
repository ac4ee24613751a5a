"""TCP ports on the loopback interface."""

from __future__ import annotations

import socket

import psutil

from perdure.system.ports import LOOPBACK


def is_free(port: int) -> bool:
    """Tell whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        # As servers do: connections of a former server that linger in TIME_WAIT do not hold the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def listens(pid: int, port: int) -> bool:
    """Tell whether it is this process, and no other, that serves a TCP port: who answers there may be anybody."""
    try:
        sockets = psutil.Process(pid).net_connections(kind="tcp")
    except psutil.Error:  # it has ended
        return False
    return any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in sockets)
