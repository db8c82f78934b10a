"""The log, in Redis's line format: `pid:role date level text`.

Roles: M the supervisor, A an acceptor, W a worker. The file is opened anew for each line, so it can be moved away at
any time. A text is one line whatever it quotes: control characters, which a client's name or key may have, are written
as `\\n` or `\\x1b`, so that nobody can forge a line or command the terminal that shows it.
"""
from __future__ import annotations

import os
import sys
import time

LEVELS = ("debug", "verbose", "notice", "warning", "nothing")
_SIGNS = ".-*#"
_CONTROLS = {code: repr(chr(code))[1:-1] for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)}


class Log:
    """Writes lines of at least `level` to `path`, or to standard output if that is empty."""

    def __init__(self, role: str, level: str = "notice", path: str = "") -> None:
        self.role = role
        self.path = path
        self.set_level(level)

    def set_level(self, level: str) -> None:
        """Takes a new `loglevel`. Raises ValueError for what is none."""
        self._threshold = LEVELS.index(level)

    def debug(self, text: str) -> None:
        """What only its developers want to know."""
        self._write(0, text)

    def verbose(self, text: str) -> None:
        """What is rarely useful, but not a mess like debug."""
        self._write(1, text)

    def notice(self, text: str) -> None:
        """What an operator wants to know."""
        self._write(2, text)

    def warning(self, text: str) -> None:
        """What an operator must know."""
        self._write(3, text)

    def _write(self, level: int, text: str) -> None:
        if level < self._threshold:
            return
        now = time.time()
        stamp = time.strftime("%d %b %Y %H:%M:%S", time.localtime(now))
        head = f"{os.getpid()}:{self.role} {stamp}.{int(now * 1000) % 1000:03d} {_SIGNS[level]}"
        line = f"{head} {text.translate(_CONTROLS)}\n"
        try:
            if self.path:
                with open(self.path, "a", encoding="utf-8", errors="backslashreplace") as file:
                    file.write(line)
            else:
                sys.stdout.write(line.encode("utf-8", "backslashreplace").decode())
                sys.stdout.flush()
        except OSError:
            pass  # a full disk or a closed pipe must not stop the server
