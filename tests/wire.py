"""A bare client: shows replies as the server sent them, where a client library would make its own sense of them."""
from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from typing import Any

PATIENCE = 20.0  # seconds


class Wire:
    """A connection. Replies are `"+OK"` and `"-ERR …"` (str), bytes, int, None, or lists of these.

    RESP3's own kinds are `("%", pairs)`, `("~", members)`, `(",", text)` and so on: a map, a set, a double.
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._stream = self._socket.makefile("rb")

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.close()
        self._socket.close()

    def ask(self, *words: bytes | str | int) -> Any:
        """Sends one command and returns its reply."""
        self.send(*words)
        return self.receive()

    def send(self, *words: bytes | str | int) -> None:
        """Sends one command."""
        self._socket.sendall(encode([word if isinstance(word, bytes) else str(word).encode() for word in words]))

    def send_raw(self, data: bytes) -> None:
        """Sends bytes as they are."""
        self._socket.sendall(data)

    @property
    def address(self) -> tuple[str, int]:
        """Our end of the connection."""
        host, port = self._socket.getsockname()
        return host, port

    def shut_down(self, how: int) -> None:
        """Closes one direction."""
        self._socket.shutdown(how)

    def abort(self) -> None:
        """Closes at once, by a reset."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.__exit__()

    def receive_line(self) -> bytes:
        """Returns the next line as it came."""
        return self._stream.readline()

    def ask_all(self, requests: Sequence[Sequence[bytes]]) -> list[Any]:
        """Sends commands in one go and returns their replies."""
        self._socket.sendall(b"".join(map(encode, requests)))
        return [self.receive() for _ in requests]

    def ask_raw(self, requests: bytes, replies: bytes) -> None:
        """Sends many requests at once, whose replies are known."""
        self._socket.sendall(requests)
        assert self._stream.read(len(replies)) == replies

    def receive(self) -> Any:
        """Returns the next reply. Raises EOFError when the server has hung up."""
        line = self._stream.readline()
        if not line:
            raise EOFError
        kind, rest = line[:1], line[1:-2]
        if kind in b"+-":
            return line[:-2].decode("utf-8", "surrogateescape")
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return self._stream.read(int(rest) + 2)[:-2] if rest != b"-1" else None
        if kind == b"*":
            return [self.receive() for _ in range(int(rest))] if rest != b"-1" else None
        if kind == b"_":
            return None
        if kind in b",#(":
            return kind.decode(), rest.decode()
        if kind == b"=":
            return "=", self._stream.read(int(rest) + 2)[:-2]
        if kind == b"~":
            return "~", [self.receive() for _ in range(int(rest))]
        if kind == b"%":
            return "%", [(self.receive(), self.receive()) for _ in range(int(rest))]
        raise ValueError(line)


def encode(words: Sequence[bytes]) -> bytes:
    """One command as it is sent."""
    return b"*%d\r\n" % len(words) + b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words])


def run_both(ours: Wire, theirs: Wire, script: str) -> None:
    """Runs a script, one command a line (words parted by spaces, `""` is an empty word), and compares the replies."""
    for line in filter(None, map(str.strip, script.splitlines())):
        words = ["" if word == '""' else word for word in line.split()]
        assert ours.ask(*words) == theirs.ask(*words), line
