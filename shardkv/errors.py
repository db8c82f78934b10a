"""Error texts that more than one place writes, as Redis words them.

A text has no leading dash; its first word is the error's code.
"""
from __future__ import annotations

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"
NO_SUCH_KEY = "ERR no such key"
SYNTAX = "ERR syntax error"
NOT_INTEGER = "ERR value is not an integer or out of range"
NOT_FLOAT = "ERR value is not a valid float"
OUT_OF_RANGE = "ERR index out of range"
OUT_OF_MEMORY = "OOM command not allowed when used memory > 'maxmemory'."
NO_DESCRIPTORS = "ERR too many open files: the server's limit on descriptors is reached"
ARENA_FULL = "OOM the arena cannot grow: its file system is full"
TOO_LONG = "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
BAD_DB = "ERR DB index is out of range"
SAME_OBJECT = "ERR source and destination objects are the same"


_CONTROLS = dict.fromkeys((*range(0x20), 0x7F), " ")


def harmless(text: str) -> str:
    """Returns an error text with each control byte as a blank.

    What it quotes came from a client: a line's end would forge another reply, an escape sequence would command the
    terminal that shows it.
    """
    return text.translate(_CONTROLS)


def wrong_arity(name: str) -> str:
    """Returns the text for a wrong number of arguments of `name` (lower case, `container|sub` for a subcommand)."""
    return f"ERR wrong number of arguments for '{name}' command"


class CommandError(Exception):
    """A command that fails with an error reply; the text begins with the error's code."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class OutOfMemory(MemoryError):
    """The arena cannot give the memory a command needs; the command fails with -OOM and leaves nothing behind."""
