"""Which arguments of a request are keys: by its command's specifications, or for a few commands by its options.

Positions count the command's name as 0. `find_keys` never raises: for a request that does not fit its command it finds
no keys, and the command itself will complain. `checked_keys` is for COMMAND GETKEYS, which must say what is wrong.
"""
from __future__ import annotations

from collections.abc import Callable

from shardkv.commands.spec import Command, KeySpec
from shardkv.errors import CommandError

Key = tuple[int, tuple[str, ...]]  # position, flags of the access

NO_KEYS = "ERR The command has no key arguments"
BAD_ARGUMENTS = "ERR Invalid arguments specified for command"
BAD_COUNT = "ERR Invalid number of arguments specified for command"

_READ = ("RO", "access")
_CHANGE = ("RW", "access", "update")
_OVERWRITE = ("OW", "update")


def has_keys(command: Command) -> bool:
    """Whether any request of `command` can name keys."""
    return any("not_key" not in spec.flags for spec in command.keys)


def has_plain_range(command: Command) -> bool:
    """Whether COMMAND INFO's first key, last key and step give all its keys exactly, in the specifications' order."""
    return all(
        spec.index is not None and spec.keynum is None and not spec.limit
        and not {"not_key", "incomplete"} & set(spec.flags)
        for spec in command.keys
    )


def arity_fits(command: Command, count: int) -> bool:
    """Whether `count` arguments, the name (both words of a subcommand) included, are a number the command takes."""
    return count == command.arity if command.arity > 0 else count >= -command.arity


def find_keys(command: Command, args: list[bytes]) -> list[int]:
    """Positions of the keys in `args`, in the specifications' order; none when the request is malformed.

    Also where a count of keys leaves no room for the words that must follow them: the LEFT of LMPOP 2 a LEFT is no key
    that could be another shard's. COMMAND GETKEYS, as in Redis, takes it for one.
    """
    if command.name in _STORES_AT_LAST and len(args) > 1:
        return _georadius(args)
    found = [position for position, _ in keys_with_flags(command, args)]
    return [] if found and max(found) + _words_behind_keys(command) >= len(args) else found


def keys_with_flags(command: Command, args: list[bytes]) -> list[Key]:
    """Like `find_keys`, each position with the flags of its access."""
    special = _SPECIAL.get(command.name) if command.keys else None
    if special is not None:
        return special(args) if len(args) > 1 else []
    found: list[Key] = []
    for spec in command.keys:
        if "not_key" in spec.flags:
            continue
        positions = _positions(spec, args)
        if positions is None:
            return []
        found += [(position, spec.flags) for position in positions]
    return found


def checked_keys(command: Command, args: list[bytes]) -> list[Key]:
    """Keys for COMMAND GETKEYS. Raises CommandError when the command has none, or `args` do not fit it."""
    if not has_keys(command):
        raise CommandError(NO_KEYS)
    if not arity_fits(command, len(args)):
        raise CommandError(BAD_COUNT)
    found = keys_with_flags(command, args)
    if not found and "no_mandatory_keys" not in command.flags:
        raise CommandError(BAD_ARGUMENTS)
    return found


def find_patterns(command: Command, args: list[bytes]) -> list[bytes]:
    """The patterns of SORT's BY and GET that stand for keys: those with a `*`, for which each element is put in."""
    if command.name not in ("sort", "sort_ro"):
        return []
    found, place = [], 2
    while place < len(args):
        word = args[place].lower()
        if word in (b"by", b"get") and place + 1 < len(args):
            found.append(args[place + 1])
        place += {b"limit": 3, b"get": 2, b"by": 2, b"store": 2}.get(word, 1)
    return [pattern for pattern in found if b"*" in pattern]


def constant_tag(pattern: bytes) -> bytes:
    """Returns the hash tag that all keys of a pattern have, whatever is put in for the `*`; empty: none."""
    begin, star = pattern.find(b"{"), pattern.index(b"*")
    end = pattern.find(b"}", begin)
    return pattern[begin + 1 : end] if 0 <= begin < end < star else b""


def _positions(spec: KeySpec, args: list[bytes]) -> range | None:
    # None: the request does not fit the specification. An absent keyword is no fault: there are no such keys.
    first = _first(spec, args)
    if first is None:
        return None
    if first == 0:
        return range(0)
    count = len(args)
    step = spec.step
    if spec.keynum is not None:
        at, offset, step = spec.keynum
        number = _count(args[first + at]) if first + at < count else None
        if number is None:
            return None
        first += offset
        last = first + (number - 1) * step
    elif spec.last >= 0:
        last = first + spec.last
    elif spec.limit:
        last = first + (count - first) // spec.limit + spec.last
    else:
        last = count + spec.last
    if not first <= last < count:
        return None
    return range(first, last + 1, max(1, step))


def _words_behind_keys(command: Command) -> int:
    # A command of counted keys has the arity of a request with one key, or with none.
    counted = next((spec for spec in command.keys if spec.keynum is not None), None)
    if counted is None or counted.index is None or counted.keynum is None:
        return 0
    return max(0, -command.arity - (counted.index + counted.keynum[1] + 1))


def _first(spec: KeySpec, args: list[bytes]) -> int | None:
    # 0: the keyword is not there. None: the specification cannot tell.
    if spec.unknown:
        return None
    if spec.keyword is None:
        return spec.index
    wanted = spec.keyword.lower().encode()
    # The last argument cannot be a keyword with keys behind it; a search backwards stops before the name.
    places = range(spec.start_from, len(args) - 1) if spec.start_from > 0 else range(len(args) + spec.start_from, 0, -1)
    return next((place + 1 for place in places if args[place].lower() == wanted), 0)


def _count(text: bytes) -> int | None:
    # As Redis reads numbers: no sign, spaces or leading zeros. No request has a count of over ten digits.
    if not text.isdigit() or len(text) > 10 or (text[:1] == b"0" and text != b"0"):
        return None
    return int(text)


def _set(args: list[bytes]) -> list[Key]:
    reads = any(word.lower() == b"get" for word in args[3:])
    return [(1, _CHANGE if reads else _OVERWRITE)]


def _bitfield(args: list[bytes]) -> list[Key]:
    place = 2
    while place < len(args):
        word = args[place].lower()
        more = len(args) - place - 1
        if word == b"get" and more >= 2:
            place += 3
        elif word == b"overflow" and more >= 1:
            place += 2
        else:  # SET, INCRBY, or a syntax error, taken for a change to be safe
            return [(1, _CHANGE)]
    return [(1, _READ)]


def _sort(args: list[bytes]) -> list[Key]:
    keys: list[Key] = [(1, _READ)]
    place = 2
    while place < len(args):
        word = args[place].lower()
        if word == b"store" and place + 1 < len(args):
            keys[1:] = [(place + 1, _OVERWRITE)]  # the last STORE counts
        place += {b"limit": 3, b"get": 2, b"by": 2}.get(word, 1)
    return keys


def _sort_ro(args: list[bytes]) -> list[Key]:
    return [(1, _READ)]


def _georadius(args: list[bytes]) -> list[int]:
    # Whichever STORE or STOREDIST comes last: no specification can say that.
    stores = [place + 1 for place in range(5, len(args) - 1) if args[place].lower() in (b"store", b"storedist")]
    return [1, *stores[-1:]]


def _migrate(args: list[bytes]) -> list[Key]:
    flags = ("RW", "access", "delete")
    place = 6
    while place < len(args):
        word = args[place].lower()
        if word == b"keys":
            return [] if args[3] else [(position, flags) for position in range(place + 1, len(args))]
        place += {b"auth": 2, b"auth2": 3}.get(word, 1)
    return [(3, flags)] if len(args) > 3 else []


_STORES_AT_LAST = ("georadius", "georadiusbymember")
_SPECIAL: dict[str, Callable[[list[bytes]], list[Key]]] = {
    "set": _set,
    "bitfield": _bitfield,
    "sort": _sort,
    "sort_ro": _sort_ro,
    "migrate": _migrate,
}
