"""Tells systemd how a service does (`Type=notify`), if it was started by it."""

import os
import socket
from collections.abc import Mapping


def notify(state: str, environment: Mapping[str, str] = os.environ) -> bool:
    """
    Send `state` (`READY=1`, `STOPPING=1`, `WATCHDOG=1`) to the socket that systemd named in
    `environment`; returns whether there was one that took it. Never raises: a supervisor that
    doesn't listen is no reason to end.
    """
    address = environment.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    # systemd's abstract sockets are written with an @ for the leading zero.
    target = "\0" + address[1:] if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.sendto(state.encode(), target)
    except OSError:
        return False
    return True
