"""Tells systemd how the daemon does, where it asked to be told (`Type=notify`): one datagram to the socket it named.

After sd_notify(3). Without NOTIFY_SOCKET nothing is done.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress

READY, STOPPING = "READY=1", "STOPPING=1"


def tell(state: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with (
        suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | getattr(socket, "SOCK_CLOEXEC", 0)) as told,
    ):
        told.sendto(state.encode(), address)
