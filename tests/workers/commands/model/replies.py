"""What must be the same in the replies of two servers.

Most replies must be equal. Where Redis leaves something to chance, to its tables or to the clock, the second server is
asked what shows whether the first one's reply was right: of random members, for instance, all members. After `SPOP` it
is told to remove the same ones, so that both go on with the same values.
"""
from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from shardkv.commands.table import COMMANDS
from tests.workers.commands.arguments import Words
from tests.workers.commands.model.sequences import KEYS_OF

Request = list[bytes]
CLOCK_SLACK = 20_000  # (milli)seconds by which times may differ: the servers are not asked at the same moment
SHARED = (1 << 31) - 1  # OBJECT REFCOUNT of what many keys share
LONG_DOUBLE = re.compile(r"-?[0-9]\.?[0-9.]{12,}(e[+-]?[0-9]+)?")


# Ours and redis-server's that may differ, and for keys of which kind.
ENCODINGS: dict[tuple[Any, Any], list[str]] = {
    (b"listpack", b"quicklist"): list(KEYS_OF),
    (b"listpack", b"hashtable"): [kind for kind in KEYS_OF if kind != "hash"],
    (b"listpack", b"skiplist"): ["sorted-set"],  # when it has been sorted; the other kinds never are
    (b"embstr", b"raw"): ["bitmap", "hyperloglog"],
    (b"int", b"raw"): ["bitmap"],
}


class Rule(NamedTuple):
    """What to ask the second server, knowing the first one's reply, and whether its replies agree with it."""

    questions: Callable[[Words, Any], list[Request]]
    agree: Callable[[Words, Any, list[Any]], bool]


def request_of(call: Words) -> Request:
    """The words that are sent."""
    name, words = call
    return [*name.encode().split(b"|"), *words]


def in_any_order(reply: Any) -> Any:
    """The parts of a reply in an order of our own, whatever order a server keeps; long doubles as numbers."""
    if isinstance(reply, list):
        return sorted(map(in_any_order, reply), key=repr)
    if isinstance(reply, tuple) and reply[0] in ("~", "%"):
        return reply[0], sorted(map(in_any_order, reply[1]), key=repr)
    return _numbers(reply)


def shape(reply: Any) -> Any:
    """A reply's form, without what is in it."""
    if isinstance(reply, list):
        return [shape(part) for part in reply]
    if isinstance(reply, tuple):
        return reply[0], shape(reply[1]) if isinstance(reply[1], list) else None
    return type(reply)


def flat(reply: Any) -> list[Any]:
    """The words of a reply, without its form."""
    if isinstance(reply, tuple) and isinstance(reply[1], list):
        return flat(reply[1])
    if isinstance(reply, (list, tuple)) and not (isinstance(reply, tuple) and isinstance(reply[0], str)):
        return [word for part in reply for word in flat(part)]
    return [reply]


def pairs(words: list[Any]) -> list[Any]:
    """Words two by two."""
    return list(zip(words[::2], words[1::2], strict=True))


def nothing(reply: Any) -> bool:
    """Whether there is nothing in a reply that chance could have chosen."""
    return reply is None or isinstance(reply, (str, int)) or reply in ([], ("~", []), ("%", []))


def _itself(call: Words, _mine: Any) -> list[Request]:
    return [request_of(call)]


def _numbers(reply: Any) -> Any:
    """Long doubles as numbers: 7.0 prints more digits of them than are needed."""
    if isinstance(reply, list):
        return [_numbers(part) for part in reply]
    if isinstance(reply, tuple):
        return tuple(_numbers(part) for part in reply)
    text = reply.decode("latin-1") if isinstance(reply, bytes) else reply
    return float(text) if isinstance(text, str) and LONG_DOUBLE.fullmatch(text) else reply


def same(mine: Any, theirs: Any) -> bool:
    """Whether two replies are the same, however many digits a double has."""
    return bool(mine == theirs) or bool(_numbers(mine) == _numbers(theirs))


def _equal(_call: Words, mine: Any, theirs: list[Any]) -> bool:
    return same(mine, theirs[0])


def _compared(form: Callable[[Any], Any]) -> Rule:
    return Rule(_itself, lambda _call, mine, theirs: mine == theirs[0] or same(form(mine), form(theirs[0])))


def _random(everything: Callable[[list[bytes]], Request]) -> Rule:
    """Members at random: as many, in the same form, all of them members, and distinct unless asked otherwise."""

    def questions(call: Words, mine: Any) -> list[Request]:
        return [request_of(call), *([] if nothing(mine) else [everything(call[1])])]

    def agree(call: Words, mine: Any, theirs: list[Any]) -> bool:
        if nothing(mine):
            return bool(mine == theirs[0])
        drawn, known = flat(mine), flat(theirs[1])
        if len(call[1]) > 2:
            drawn, known = pairs(drawn), pairs(known)
        elif call[0] in ("hrandfield", "zrandmember"):
            known = known[::2]
        repeated = len(call[1]) > 1 and call[1][1].startswith(b"-")
        distinct = repeated or len(set(drawn)) == len(drawn)
        return bool(shape(mine) == shape(theirs[0])) and set(drawn) <= set(known) and distinct

    return Rule(questions, agree)


def _popped(call: Words, mine: Any) -> list[Request]:
    if nothing(mine):
        return [request_of(call)]
    key = call[1][0]
    return [[b"scard", key], [b"smismember", key, *flat(mine)], [b"srem", key, *flat(mine)]]


def _could_be_popped(call: Words, mine: Any, theirs: list[Any]) -> bool:
    if nothing(mine):
        return bool(mine == theirs[0])
    size, found, removed = theirs
    asked = min(int(call[1][1]), size) if len(call[1]) > 1 else 1
    form = isinstance(mine, bytes) == (len(call[1]) == 1)
    return form and removed == asked == len(flat(mine)) and found == [1] * asked


def _close(_call: Words, mine: Any, theirs: list[Any]) -> bool:
    if not isinstance(mine, int) or mine < 0:
        return bool(mine == theirs[0])
    return isinstance(theirs[0], int) and theirs[0] >= 0 and abs(mine - theirs[0]) <= CLOCK_SLACK


def _same_encoding(call: Words, mine: Any, theirs: list[Any]) -> bool:
    # 7.2 packs lists, and sets of more than integers, where 7.0 does not yet; what bits and hyperloglogs are held in is
    # up to the server (docs/compatibility.md).
    kinds = ENCODINGS.get((mine, theirs[0]), []) if isinstance(mine, bytes) else []
    if {mine, theirs[0]} == {b"embstr", b"raw"}:
        return True
    return bool(mine == theirs[0]) or any(call[1][0] in KEYS_OF[kind] for kind in kinds)


def _references(_call: Words, mine: Any, theirs: list[Any]) -> bool:
    # Redis copies a small integer that it shares into a value of its own; here a copy is told to be shared, too.
    return bool(mine == theirs[0]) or (mine == SHARED and theirs[0] == 1)


def _pending(reply: Any) -> Any:
    # Without the time for which an entry has been idle.
    rows = isinstance(reply, list) and reply and isinstance(reply[0], list) and len(reply[0]) == 4
    return [(entry, owner, times) for entry, owner, _, times in reply] if rows else reply


def _told(reply: Any) -> Any:
    # Maps of XINFO, without what is the clock's, depends on the build, or is not told by 7.0.
    if isinstance(reply, list) and reply and isinstance(reply[0], (list, tuple)):
        return [_told(part) for part in reply]
    if isinstance(reply, tuple) and reply[0] == "%":
        return _told([word for pair in reply[1] for word in pair])
    return [pair for pair in pairs(reply) if pair[0] not in UNTOLD] if isinstance(reply, list) else reply


def _scanned(call: Words, mine: Any, theirs: list[Any]) -> bool:
    if isinstance(mine, str) or isinstance(theirs[0], str):
        return bool(mine == theirs[0])
    return bool(shape(mine[:1]) == shape(theirs[0][:1])) and _elements(call, mine) == _elements(call, theirs[0])


def _elements(call: Words, reply: list[Any]) -> set[Any]:
    words = _numbers(reply[1])
    return set(pairs(words) if call[0] in ("hscan", "zscan") else words)


BELOW_DELETED = "-ERR The ID specified in XSETID is smaller than current max_deleted_entry_id"  # not refused by 7.0
ITSELF = Rule(_itself, _equal)
ANY_ORDER = _compared(in_any_order)
CLOCKED = Rule(_itself, _close)
UNTOLD = {b"radix-tree-keys", b"radix-tree-nodes", b"idle", b"inactive"}
SCANS = {"scan", "sscan", "hscan", "zscan"}
RULES: dict[str, Rule] = {
    **{c.name: ANY_ORDER for c in COMMANDS if "nondeterministic_output_order" in c.tips},
    **dict.fromkeys(("georadius", "georadius_ro", "georadiusbymember", "georadiusbymember_ro", "geosearch"), ANY_ORDER),
    **dict.fromkeys(("ttl", "pttl", "expiretime", "pexpiretime"), CLOCKED),
    **dict.fromkeys(SCANS, Rule(_itself, _scanned)),
    "spop": Rule(_popped, _could_be_popped),
    "srandmember": _random(lambda words: [b"smembers", words[0]]),
    "hrandfield": _random(lambda words: [b"hgetall", words[0]]),
    "zrandmember": _random(lambda words: [b"zrange", words[0], b"0", b"-1", b"WITHSCORES"]),
    "randomkey": _random(lambda words: [b"keys", b"*"]),
    "object|encoding": Rule(_itself, _same_encoding),
    "memory|usage": _compared(lambda reply: reply if not isinstance(reply, int) else reply > 0),
    "dump": _compared(lambda reply: reply if not isinstance(reply, bytes) else "payload"),
    "xsetid": Rule(
        lambda call, mine: [] if mine == BELOW_DELETED else [request_of(call)],
        lambda _call, mine, theirs: mine == (theirs or [BELOW_DELETED])[0],
    ),
    "object|refcount": Rule(_itself, _references),
    "object|idletime": _compared(shape),
    **dict.fromkeys(("xinfo|stream", "xinfo|consumers"), _compared(_told)),
    "xpending": _compared(_pending),
}


def rule_of(call: Words) -> Rule:
    """How the replies to a call are compared."""
    name, words = call
    if name in ("sort", "sort_ro") and b"BY" in words:
        return ANY_ORDER
    return RULES.get(name, ITSELF)
