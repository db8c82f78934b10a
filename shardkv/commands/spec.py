"""What the command table can say of a command: the vocabulary of shardkv's one source of command facts.

The routes and joins are shardkv's own; everything else is what Redis's COMMAND INFO, COMMAND DOCS and COMMAND GETKEYS
tell of a command (https://redis.io/docs/latest/commands/command-docs/).
"""
from __future__ import annotations

import enum
from typing import Any, NamedTuple


class Route(enum.IntEnum):
    """Where a request goes; see docs/architecture.md, section 5."""

    LOCAL = 0
    KEYED = 1
    SPLIT = 2
    ALL = 3
    CURSOR = 4
    TRANSACTION = 5


class Join(enum.IntEnum):
    """How the acceptor makes one reply of the parts' replies (routes SPLIT and ALL)."""

    NONE = 0
    SUM = 1
    OK = 2
    ARRAY = 3
    CONCAT = 4
    ANY = 5


class KeySpec(NamedTuple):
    """One key specification: where keys begin and how to find them all (Redis's key_specs)."""

    # As COMMAND INFO prints them: RO RW OW RM, access update insert delete, not_key incomplete variable_flags.
    flags: tuple[str, ...]
    index: int | None = 1  # type: ignore[assignment]  # begin_search by position …
    keyword: str | None = None  # … or behind a keyword, from `start_from` on
    start_from: int = 1
    unknown: bool = False  # neither can tell
    last: int = 0  # find_keys range: last key relative to the first, -1 = the last argument
    step: int = 1
    limit: int = 0
    keynum: tuple[int, int, int] | None = None  # find_keys keynum: (keynumidx, firstkey, keystep), instead of a range
    notes: str = ""

    def at(self, index: int, last: int = 0) -> KeySpec:
        """Returns the same use of keys, from argument `index` on."""
        return self._replace(index=index, last=last)

    def to_end(self, step: int = 1) -> KeySpec:
        """Returns the same use of keys, up to the last argument."""
        return self._replace(last=-1, step=step)

    def counted(self) -> KeySpec:
        """Returns the same use of as many keys as argument `index` says; they follow it."""
        return self._replace(keynum=(0, 1, 1))

    def behind(self, keyword: str, start_from: int = 1) -> KeySpec:
        """Returns the same use of the key behind a keyword, looked for from argument `start_from` on."""
        return self._replace(index=None, keyword=keyword, start_from=start_from)

    def somewhere(self, notes: str) -> KeySpec:
        """Returns the same use of keys that no specification can find."""
        return self._replace(index=None, unknown=True, notes=notes)


class Arg(NamedTuple):
    """One argument, as COMMAND DOCS shows it."""

    name: str
    type: str = "string"  # key string integer double pattern unix-time pure-token oneof block
    token: str = ""
    display: str = ""  # display_text, where it differs from the name
    optional: bool = False
    multiple: bool = False
    multiple_token: bool = False
    key_spec: int | None = None
    since: str = ""
    summary: str = ""
    deprecated_since: str = ""
    args: tuple[Arg, ...] = ()


class Command(NamedTuple):
    """One command or subcommand.

    `name` is lower case. Where a command is declared, a subcommand has its own word only (`encoding`), `acl` has only
    what the flags do not imply, and the last three fields are 0; shardkv/commands/table.py makes the rest
    (`object|encoding`, `read`, `slow`, key positions).
    """

    name: str
    arity: int  # as Redis counts: with the name (both words of a subcommand); negative = at least
    group: str
    since: str
    summary: str
    complexity: str
    flags: tuple[str, ...] = ()  # as COMMAND INFO prints them: write readonly denyoom admin fast …
    acl: tuple[str, ...] = ()  # without "@", as COMMAND INFO prints them
    tips: tuple[str, ...] = ()
    keys: tuple[KeySpec, ...] = ()
    history: tuple[tuple[str, str], ...] = ()
    args: tuple[Arg, ...] = ()
    deprecated_since: str = ""
    replaced_by: str = ""
    doc_flags: tuple[str, ...] = ()
    subcommands: tuple[Command, ...] = ()
    route: Route = Route.LOCAL
    join: Join = Join.NONE
    split_step: int = 1  # SPLIT: arguments of one part (2 for MSET)
    # COMMAND INFO's first key, last key (negative: from the end) and step, derived from `keys`; 0 = no keys
    first_key: int = 0
    last_key: int = 0
    key_step: int = 0


# The combinations of flags that occur often.
FAST_READ = ("readonly", "fast")
WRITE = ("write", "denyoom")
FAST_WRITE = ("write", "denyoom", "fast")
FAST_REMOVE = ("write", "fast")

# How a command uses its keys: the combinations that occur.
PEEK = KeySpec(("RO",))
READ = KeySpec(("RO", "access"))
CHANGE = KeySpec(("RW", "update"))
READ_CHANGE = KeySpec(("RW", "access", "update"))
EXTEND = KeySpec(("RW", "insert"))
TAKE = KeySpec(("RW", "access", "delete"))
SHRINK = KeySpec(("RW", "delete"))
OVERWRITE = KeySpec(("OW", "update"))
CREATE = KeySpec(("OW", "insert"))
REMOVE = KeySpec(("RM", "delete"))

KEY = Arg("key", "key", key_spec=0)
KEYS = Arg("key", "key", key_spec=0, multiple=True)


def word(token: str, **more: Any) -> Arg:
    """Returns a bare word such as NX, named after itself."""
    return Arg(token.lower(), "pure-token", token, **more)


def one_of(name: str, *args: Arg, **more: Any) -> Arg:
    """Returns a choice among `args`."""
    return Arg(name, "oneof", args=args, **more)


def block(name: str, *args: Arg, **more: Any) -> Arg:
    """Returns arguments that come together."""
    return Arg(name, "block", args=args, **more)


def integer(name: str, **more: Any) -> Arg:
    """Returns an integer argument."""
    return Arg(name, "integer", **more)


# Arguments that commands of several types share.
TARGET = Arg("destination", "key", key_spec=0)
SOURCES = Arg("key", "key", key_spec=1, multiple=True)
FROM_TO = (Arg("source", "key", key_spec=0), Arg("destination", "key", key_spec=1))
COUNT = integer("count", token="COUNT", optional=True)
TIMEOUT = Arg("timeout", "double")
LIMIT = block("limit", integer("offset"), integer("count"), token="LIMIT", optional=True)
CURSOR = (KEY, integer("cursor"), Arg("pattern", "pattern", "MATCH", optional=True), COUNT)
SCAN_COST = "O(1) for each call, O(N) for all calls until the cursor is 0 again, N being the number of elements"
