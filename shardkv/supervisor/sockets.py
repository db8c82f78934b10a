"""Listening sockets, made by the supervisor: a port in use is one line at start, a dead acceptor loses no backlog."""
from __future__ import annotations

import errno
import os
import socket
import stat
from typing import Any

_ANY = {"*": "0.0.0.0", "::*": "::"}
_NO_SUCH_PROTOCOL = {
    errno.ENOPROTOOPT, errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT, errno.EPFNOSUPPORT, errno.EAFNOSUPPORT,
}


class ListenError(Exception):
    """An address cannot be listened on; the text is one line for the operator."""


def listen_tcp(addresses: list[str], port: int, backlog: int, acceptors: int) -> list[list[socket.socket]]:
    """One list of listening sockets for each acceptor. An address that begins with `-` may be missing on this host.

    With several acceptors each has its own socket per address (SO_REUSEPORT), so the kernel spreads connections.
    Raises ListenError.
    """
    sockets: list[list[socket.socket]] = [[] for _ in range(acceptors)]
    bound = set()
    for word in addresses if port else []:
        address = word.removeprefix("-")
        for family, place in _resolve(_ANY.get(address, address), port):
            if (family, place) in bound:
                raise ListenError(f"cannot listen on {address}:{port}: bind names this address twice")
            bound.add((family, place))
            try:
                if acceptors > 1:
                    # SO_REUSEPORT would share the port with another instance: look without it first.
                    _bind(family, place, reuse_port=False).close()
                for listeners in sockets:
                    listener = _bind(family, place, reuse_port=acceptors > 1)
                    listener.listen(backlog)
                    listeners.append(listener)
            except OSError as error:
                if error.errno in _NO_SUCH_PROTOCOL or (error.errno == errno.EADDRNOTAVAIL and word.startswith("-")):
                    continue
                raise ListenError(f"cannot listen on {address}:{port}: {_reason(error, port)}") from None
    return sockets


def _resolve(address: str, port: int) -> list[tuple[int, Any]]:
    try:
        found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise ListenError(f"cannot listen on {address}:{port}: {getattr(error, 'strerror', None) or error}") from None
    return list(dict.fromkeys((int(family), place) for family, _, _, _, place in found))


def _bind(family: int, place: Any, reuse_port: bool) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.setblocking(False)
        listener.bind(place)
    except BaseException:
        listener.close()
        raise
    return listener


def _reason(error: OSError, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the port is in use; stop what listens there or choose another --port"
    if error.errno == errno.EACCES:
        return f"no permission for port {port}; choose one above 1023"
    return error.strerror or str(error)


def listen_unix(path: str, permissions: int, backlog: int) -> socket.socket:
    """The listening Unix socket; one that a crashed run left behind is replaced. Raises ListenError."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    bound = False
    try:
        _remove_stale(path)
        listener.setblocking(False)
        listener.bind(path)
        bound = True
        if permissions:
            os.chmod(path, permissions)
        listener.listen(backlog)
    except OSError as error:
        listener.close()
        if bound:
            os.unlink(path)
        raise ListenError(f"cannot listen on unixsocket {path}: {error.strerror or error}") from None
    return listener


def _remove_stale(path: str) -> None:
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise OSError(errno.EEXIST, "a file that is no socket is in its place")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        # EAGAIN is a full backlog: someone is there.
        answer = probe.connect_ex(path)
    if answer in (0, errno.EAGAIN):
        raise OSError(errno.EADDRINUSE, "another server listens there")
    os.unlink(path)
