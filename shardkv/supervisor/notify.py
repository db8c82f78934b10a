"""Telling systemd how we are (sd_notify)."""
from __future__ import annotations

import os
import socket


def is_supervised(mode: str) -> bool:
    """Whether a service manager watches us: directive `supervised` is `systemd` or `auto`, and there is one."""
    return mode in ("systemd", "auto") and bool(os.environ.get("NOTIFY_SOCKET"))


def notify(mode: str, text: str) -> None:
    """Sends `text`, such as `READY=1`, to the service manager that watches us, if one does."""
    if not is_supervised(mode):
        return
    address = os.environ["NOTIFY_SOCKET"]
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(text.encode(), address)
    except OSError:
        pass  # a service manager that does not listen is no reason to fail
