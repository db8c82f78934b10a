"""Telling systemd how we are (sd_notify)."""
from __future__ import annotations

import os
import socket


def notify(mode: str, text: str) -> None:
    """Sends `text`, such as `READY=1`, when directive `supervised` is `systemd` or `auto` and someone listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if mode not in ("systemd", "auto") or not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(text.encode(), address)
    except OSError:
        pass  # a service manager that does not listen is no reason to fail
