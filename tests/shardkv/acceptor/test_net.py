"""Which peers protected-mode takes for this host."""
from __future__ import annotations

import socket
import struct

import pytest

from shardkv.acceptor._testing import is_local_address


def narrow(host: str) -> bytes:
    return struct.pack("=HH", socket.AF_INET, 0) + socket.inet_pton(socket.AF_INET, host)


def wide(host: str) -> bytes:
    return struct.pack("=HHI", socket.AF_INET6, 0, 0) + socket.inet_pton(socket.AF_INET6, host)


@pytest.mark.parametrize(
    ("address", "local"),
    [
        (narrow("127.0.0.1"), True),
        (narrow("127.9.8.7"), True),
        (narrow("10.0.0.1"), False),
        (narrow("192.0.2.127"), False),
        (wide("::1"), True),
        (wide("::ffff:127.0.0.1"), True),
        (wide("::ffff:10.0.0.1"), False),
        (wide("2001:db8::1"), False),
        (struct.pack("=H", socket.AF_UNIX), True),
    ],
)
def test_only_loopback_and_unix_sockets_are_local(address: bytes, local: bool) -> None:
    assert is_local_address(address) is local
