"""Sequences of calls on a family of commands, that mostly succeed: each kind of value has keys of its own.

A share of the keys and words is wrong on purpose, as the texts of errors are compared too.
"""
from __future__ import annotations

import os
from collections.abc import Sequence

from shardkv.commands.spec import Arg
from shardkv.commands.table import COMMANDS, by_name
from tests.workers.commands.arguments import DUMPS, OF_NAME, STREAM_IN_USE, Drawing, Pool, Words
from workers.commands import MODULES
from workers.registry import load

HANDLED = load(MODULES)
LATER = ("7.4.0", "8.0.0")  # a redis-server of today may not know these
EXAMPLES = int(os.environ.get("SHARDKV_MODEL_EXAMPLES", "100"))  # of each test
WRONG = 0.006  # words
WRONG_KEYS = 0.01
KEYS_OF = {
    "string": [b"s1", b"s2"],
    "bitmap": [b"b1", b"b2"],
    "number": [b"n1", b"n2"],
    "list": [b"l1", b"l2", b"l3"],
    "set": [b"m1", b"m2", b"m3"],
    "hash": [b"h1", b"h2"],
    "sorted-set": [b"z1", b"z2", b"z3"],
    "lex": [b"x1", b"x2"],  # sorted sets in which all scores are the same, so that ranges of names make sense
    "geo": [b"g1", b"g2"],
    "hyperloglog": [b"p1", b"p2"],
    "stream": [b"a", b"b"],  # as in STREAM_IN_USE
}
KEYS = sum(KEYS_OF.values(), [])
KINDS = {
    "sorted-set": ["sorted-set", "sorted-set", "lex", "geo"],
    **dict.fromkeys(("zadd", "zincrby"), ["sorted-set", "sorted-set", "lex"]),
    "generic": list(KEYS_OF),
    "server": list(KEYS_OF),
    **{name: ["number"] for name in ("incr", "decr", "incrby", "decrby", "incrbyfloat")},
    **{name: ["list", "list", "set", "sorted-set"] for name in ("sort", "sort_ro")},
    **{name: ["lex"] for name in ("zrangebylex", "zrevrangebylex", "zremrangebylex", "zlexcount")},
}
# What makes values of a family, for the others to find.
MAKING = {
    "string": ("set", "append", "mset", "getset"),
    "bitmap": ("setbit", "set", "bitfield"),
    "list": ("rpush", "lpush"),
    "set": ("sadd",),
    "hash": ("hset", "hmset"),
    "sorted-set": ("zadd",),
    "stream": ("xadd",),
    "hyperloglog": ("pfadd",),
    "geo": ("geoadd",),
    "generic": ("set", "rpush", "sadd", "hset", "zadd", "xadd", "pfadd", "geoadd"),
}
ALL_MAKING = set(sum(MAKING.values(), ()))
# What works on keys of any kind.
COMMON = (
    "del", "unlink", "rename", "copy", "exists", "type", "touch", "expireat", "persist", "scan", "randomkey", "dump",
    "object|encoding", "memory|usage", "sort",
)
# They look inside, or leave nothing to compare, or wait (tests/test_blocking.py).
LEFT_OUT = {
    "pfdebug", "pfselftest", "swapdb", "flushall", "flushdb",
    *(c.name for c in COMMANDS if "blocking" in c.flags and c.group != "stream"),
}
COMPARED = [
    c for c in COMMANDS
    if c.name in HANDLED and c.since not in LATER and c.name not in LEFT_OUT and c.group != "transactions"
]
FAMILIES = list(MAKING)
MANY = 0.02  # of all lists of members: long ones
FAR: Pool = ([b"99999999999"], [b"1", b"-1", b"x"])
NUMBERS: Pool = ([b"0", b"1", b"-7", b"40", b"123456789012", b"10000"], [b"9223372036854775807", b"short"])
POOLS: dict[str, Pool] = {
    **OF_NAME,
    "unix-time-seconds": FAR,
    "unix-time-milliseconds": ([b"99999999999999"], [b"1", b"-1", b"x"]),
    **dict.fromkeys(("seconds", "milliseconds"), ([b"100000"], [b"0", b"-1", b"x", b"9223372036854775807"])),
    "ttl": ([b"0", b"0", b"99999999999999"], [b"-1", b"x"]),
    "idle": ([b"0", b"1000"], [b"-1"]),
    "frequency": ([b"0", b"255"], [b"256"]),
    "db": ([b"1"], [b"0", b"99", b"x"]),
    "destination-db": ([b"0"], [b"1", b"99", b"x"]),
    "cursor": ([b"0"], [b"x"]),
    "type": ([b"string", b"hash", b"zset", b"STREAM", b"list", b"set"], [b"none"]),
    "pattern": ([b"*", b"a*", b"[ab]*", b"?", b"m1*"], []),
    "by-pattern": ([b"nosort", b"s*", b"h1->*"], []),
    "get-pattern": ([b"#", b"s*", b"h1->*"], []),
    "group": ([b"g", b"g", b"g", b"g", b"h"], []),
    "encoding": ([b"u8", b"i16", b"u63", b"i64", b"u1"], [b"i65", b"u64"]),
    "offset": ([b"0", b"1", b"7", b"40", b"3000", b"100"], [b"-1", b"nonsense"]),
    "longitude": ([b"13.361389", b"15.087269", b"-179"], [b"181"]),
    "latitude": ([b"38.115556", b"37.502669", b"-85"], [b"86"]),
    **dict.fromkeys(("min-idle-time", "ms"), ([b"0", b"0", b"99999999"], [b"-1", b"x"])),
}


LEX_POOLS: dict[str, Pool] = {"score": ([b"0"], [b"x"]), "increment": ([b"0"], [b"x"])}
SPECIAL: dict[str, dict[str, Pool]] = {
    "number": {"value": NUMBERS},
    "hash": {"value": ([b"1", b"-7", b"3.5", b"", b"x" * 70, b"words"], []), "increment": NUMBERS},
    "sorted-set": dict.fromkeys(("increment", "weight"), ([b"0", b"1", b"2", b"-1"], [b"x"])),
    "lex": LEX_POOLS,
    "geo": {"weight": ([b"1"], [b"x"])},
    "stream": {"value": ([b"", b"1", b"-7", b"3.5", b"short", b"words", b"x" * 45, b"x" * 300, b"y" * 2100], [])},
    # The longest values are too long for LCS.
    "string": {"value": ([b"", b"1", b"3.5", b"short", b"x" * 44, b"x" * 45, b"x" * 300, b"y" * 2100], [])},
}
SKIPPED = {
    "any",  # takes what comes first
    "withscore",  # of 7.2
}


IN_USE: list[Words] = [*STREAM_IN_USE, ("xgroup|create", [b"b", b"h", b"0"])]
ID_NAMES = ("ID", "id", "last-id", "lastid", "max-deleted-id")
# They fail for keys, or for groups, that are not there.
NEEDING = {"rename", "renamenx", "copy", "move", "lset", "xsetid", "xinfo|stream", "xinfo|groups"}
OF_GROUPS = {"xack", "xclaim", "xautoclaim", "xpending", "xinfo|consumers", "xgroup|createconsumer"}
OF_GROUPS |= {"xgroup|delconsumer", "xgroup|setid", "xgroup|destroy"}
# Kinds that a wrong key may be of, so that scores stay the same, places stay places and so on.
STRANGE = {"sorted-set": ["list", "set"], "bitmap": ["list", "hyperloglog"], "hyperloglog": ["list", "bitmap"]}
TRIES = 20  # for a call that makes sense


class Family(Drawing):
    """Draws sequences of calls on one family."""

    def __init__(self, family: str, seed: bytes) -> None:
        super().__init__(seed, POOLS, WRONG)
        self.family = family
        self.kind = ""  # of the values that the call is about
        self.made: set[bytes] = set()  # keys that were given values
        self.groups: set[tuple[bytes, bytes]] = set()
        self.last = 5  # stream id
        # After deletions servers fill nodes in ways of their own, and what `~` trims depends on the nodes.
        self.trimming = self.random.choice([b"=", b"~"])

    def sequence(self, most: int) -> list[Words]:
        """Up to so many calls of the family; before and between them those that make its keys, and those of others."""
        before = IN_USE if self.family == "stream" and self.chance(0.95) else []
        for call in before:
            self._note(call)
        own = [c.name for c in COMPARED if c.group == self.family]
        making = [self.call(self.random.choice(MAKING[self.family])) for _ in range(self.random.randint(2, 8))]
        names = [self._name(own) for _ in range(self.random.randint(most // 4, most))]
        calls = [call for call in [*making, *map(self.call, names)] if _steady(call) and self._trims(call)]
        return [*before, *(one for call in calls for one in (*_consumers(call), call))]

    def _trims(self, call: Words) -> bool:
        # Whether the call may stand beside those that trim as this sequence does.
        name, words = call
        if self.trimming == b"=":
            return not (name in ("xadd", "xtrim") and b"~" in words)
        exact = name in ("xadd", "xtrim") and {b"MAXLEN", b"MINID"} & set(words) and b"~" not in words
        foreign = name == "restore" and words[0] in KEYS_OF["stream"]
        return name not in ("xdel", "xsetid") and not exact and not foreign

    def _name(self, own: list[str]) -> str:
        kind = self.random.random()
        if kind < 0.2:
            return self.random.choice(MAKING[self.family])
        if kind < 0.85:
            return self.random.choice(own)
        return self.random.choice(COMMON) if kind < 0.96 else self.random.choice(COMPARED).name

    def call(self, name: str) -> Words:
        """A call of one command on keys of a kind that it works on."""
        command = by_name[name]
        kinds = KINDS.get(name) or KINDS.get(command.group) or [command.group]
        if name == "set":
            kinds = ["string", "number", *(["bitmap"] if self.family == "bitmap" else [])]
        if command.group in ("generic", "server") and name not in KINDS and self.family in KEYS_OF and self.chance(0.4):
            kinds = [self.family]
        for _ in range(TRIES):
            self.kind = self.random.choice(kinds)
            call = super().call(name)
            if _sensible(call) and self._finds(call):
                break
        call = _at_once(call)
        self._note(call)
        return _elsewhere(call)

    def _finds(self, call: Words) -> bool:
        # What the call needs is there, as far as that is known.
        name, words = call
        if name in OF_GROUPS:
            return (words[0], words[1]) in self.groups
        if name == "xreadgroup":
            return all((key, words[1]) in self.groups for key in words[words.index(b"STREAMS") + 1 :][:1])
        if name == "xgroup|create":
            return (words[0], words[1]) not in self.groups and (words[0] in self.made or b"MKSTREAM" in words)
        return name not in NEEDING or words[0] in self.made

    def _note(self, call: Words) -> None:
        name, words = call
        if name == "xgroup|create":
            self.groups.add((words[0], words[1]))
        elif name == "xgroup|destroy":
            self.groups.discard((words[0], words[1]))
        elif name in ("del", "unlink", "rename", "restore", "move"):
            self.groups = {(key, group) for key, group in self.groups if key not in words}
        if name in ALL_MAKING:
            self.made.add(words[0])
        elif name in ("del", "unlink"):
            self.made -= set(words)
        elif name in ("rename", "renamenx", "move"):
            self.made.discard(words[0])

    def pools_of(self, name: str) -> dict[str, Pool]:
        """Words that mean something else to this command, or to values of this kind."""
        special = super().pools_of(name) | SPECIAL.get(self.kind, {})
        if self.kind in DUMPS:
            special["serialized-value"] = (DUMPS[self.kind], [b"nonsense"])
        if name in ("setbit", "bitfield"):
            special["value"] = OF_NAME["bit"] if name == "setbit" else NUMBERS
        # No two lifetimes are close: whether the same one ends later, for GT and LT, would be up to the clock.
        special["seconds"] = ([b"%d" % (self.random.randrange(1, 1_000_000) * 1000)], POOLS["seconds"][1])
        special["milliseconds"] = ([special["seconds"][0][0] + b"000"], POOLS["milliseconds"][1])
        if name in ("hincrby", "hincrbyfloat"):
            special["field"] = ([b"n", b"m"], [b"a"])
        if self.kind == "stream":
            self.last += self.random.randint(0, 1)
            known = [b"%d-%d" % (self.random.randint(0, self.last), self.random.randint(0, 3)) for _ in range(4)]
            special |= dict.fromkeys(ID_NAMES, ([*known, b"0"], [b"nonsense"]))
            special |= dict.fromkeys(("start", "end"), ([*known, b"-", b"+", b"(" + known[0]], [b"nonsense"]))
        if name == "xsetid":
            self.last += 1
            special["last-id"] = ([b"%d-1" % self.last], known)
        if name == "xadd":
            special["id"] = ([b"%d-%d" % (self.last, self.random.randint(0, 99)), b"%d-*" % self.last], known)
        return special

    def key(self) -> bytes:
        """A key of the kind, seldom one of another."""
        if self.chance(WRONG_KEYS):
            return self.random.choice(KEYS_OF[self.random.choice(STRANGE.get(self.kind, ["string", "list"]))])
        return self.random.choice(KEYS_OF[self.kind])

    def item(self) -> bytes:
        """One of few members, or of many."""
        if self.kind == "geo":
            return b"m%d" % self.random.randrange(30 if self.chance(WRONG * 5) else 3)
        if self.kind in ("list", "set") and self.chance(0.7):
            return b"%d" % self.random.randint(-3, 12)
        return b"m%d" % self.random.randrange(300) if self.chance(0.1) else super().item()

    def forms(self) -> Sequence[tuple[Pool, list[bytes]]]:
        """Ends and form of a range that make sense for the kind: names are in order where all scores are the same."""
        return super().forms() if self.kind == "lex" else super().forms()[:2]

    def times(self) -> int:
        """A few times, seldom so often that the value is no longer small."""
        return self.random.randint(100, 300) if self.chance(MANY) else super().times()

    def one(self, arg: Arg, number: int = 0) -> list[bytes]:
        """What may stand for one argument, but for what no two servers agree on."""
        if arg.name in SKIPPED or arg.token == "BLOCK" or (arg.name == "bylex" and self.kind != "lex"):
            return []
        if arg.name in ("longitude", "latitude") and self.chance(0.8):
            # Hardly two places are as far from a third one.
            return [b"%.6f" % (self.random.random() * 3 + (13 if arg.name == "longitude" else 37))]
        if arg.name == "id-selector" and len(arg.args) == 2 and arg.args[0].name == "auto-id":
            return super().one(arg.args[1])  # ids that are the clock's are not the same twice
        return super().one(arg, number)


def _elsewhere(call: Words) -> Words:
    """Distances are no places, and go to a sorted set that is not searched."""
    name, words = call
    if b"STOREDIST" not in words:
        return call
    place = 0 if name == "geosearchstore" else words.index(b"STOREDIST") + 1
    return name, [*words[:place], KEYS_OF["sorted-set"][0], *words[place + 1 :]]


def _consumers(call: Words) -> list[Words]:
    """Calls that make the consumers which a call makes by itself; 7.0 does so only if there is something for them."""
    name, words = call
    found: list[list[bytes]] = []
    if name in ("xclaim", "xautoclaim"):
        found = [words[:3]]
    elif name == "xreadgroup" and b"STREAMS" in words:
        keys = words[words.index(b"STREAMS") + 1 :]
        found = [[key, *words[1:3]] for key in keys[: len(keys) // 2]]
    return [("xgroup|createconsumer", consumer) for consumer in found]


CLASHES = [
    {b"NX", b"GT"}, {b"NX", b"LT"}, {b"LEN", b"IDX"},
    *({store, shown} for store in (b"STORE", b"STOREDIST") for shown in (b"WITHCOORD", b"WITHDIST", b"WITHHASH")),
]


def _at_once(call: Words) -> Words:
    """The call without the option that has it wait."""
    name, words = call
    if name not in ("xread", "xreadgroup") or b"BLOCK" not in words:
        return call
    place = words.index(b"BLOCK")
    return name, words[:place] + words[place + 2 :]


def _sensible(call: Words) -> bool:
    """Whether the arguments go together."""
    name, words = call
    if name in ("rename", "renamenx", "copy"):
        return words[0] != words[1]
    if name == "bitop":
        return words[0] != b"NOT" or len(words) == 3
    if name == "xread":
        return b">" not in words
    if name == "zadd" and b"INCR" in words:
        return len(words) - words.index(b"INCR") == 3
    return not any(clash <= set(words) for clash in CLASHES)


def _steady(call: Words) -> bool:
    """Whether any two servers must answer the same."""
    name, words = call
    if name in ("sort", "sort_ro") and b"BY" in words:
        # What weighs the same, or is not weighed, comes in any order; then nothing may depend on it.
        return not {b"LIMIT", b"STORE"} & set(words)
    return name != "xinfo|stream" or len(words) == 1  # all of it is compared at the end
