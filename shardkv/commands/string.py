"""Commands on strings."""
from __future__ import annotations

from functools import partial

from shardkv.commands.spec import (
    CHANGE,
    CREATE,
    EXTEND,
    FAST_READ,
    FAST_WRITE,
    KEY,
    KEYS,
    OVERWRITE,
    PEEK,
    READ,
    READ_CHANGE,
    TAKE,
    WRITE,
    Arg,
    Command,
    Join,
    KeySpec,
    Route,
    block,
    integer,
    one_of,
    word,
)

string = partial(Command, group="string", acl=("string",), complexity="O(1)", route=Route.KEYED)
old_string = partial(string, doc_flags=("deprecated",))

VALUE = Arg("value")
PAIRS = block("data", KEY, VALUE, multiple=True)
RANGE = (KEY, integer("start"), integer("end"))
SUBSTRING_COST = "O(N), N being the length of the reply; O(1) for short strings"


def expiration(since: str = "", since_at: str = "", **more: Arg) -> Arg:
    """Returns the choice of EX, PX, EXAT, PXAT and a last one of the command's own."""
    return one_of(
        "expiration",
        integer("seconds", token="EX", since=since),
        integer("milliseconds", token="PX", since=since),
        Arg("unix-time-seconds", "unix-time", "EXAT", since=since_at),
        Arg("unix-time-milliseconds", "unix-time", "PXAT", since=since_at),
        *more.values(),
        optional=True,
    )


COMMANDS: tuple[Command, ...] = (
    string(
        name="append", arity=3, since="2.0.0", flags=FAST_WRITE, keys=(EXTEND,), args=(KEY, VALUE),
        summary="Adds bytes to the end of a string, which is created if the key does not exist.",
        complexity="O(1) amortized, for a short appended value: room is made for more than is needed",
    ),
    string(
        name="decr", arity=2, since="1.0.0", flags=FAST_WRITE, keys=(READ_CHANGE,), args=(KEY,),
        summary="Takes one from the integer at a key; a missing key counts as 0.",
    ),
    string(
        name="decrby", arity=3, since="1.0.0", flags=FAST_WRITE, keys=(READ_CHANGE,), args=(KEY, integer("decrement")),
        summary="Takes a number from the integer at a key; a missing key counts as 0.",
    ),
    string(
        name="get", arity=2, since="1.0.0", flags=FAST_READ, keys=(READ,), args=(KEY,),
        summary="Returns the string at a key.",
    ),
    string(
        name="getdel", arity=2, since="6.2.0", flags=("write", "fast"), keys=(TAKE,), args=(KEY,),
        summary="Returns the string at a key and deletes the key.",
    ),
    string(
        name="getex", arity=-2, since="6.2.0", flags=("write", "fast"), args=(KEY, expiration(persist=word("PERSIST"))),
        keys=(KeySpec(("RW", "access", "update"), notes="the expiry time may change"),),
        summary="Returns the string at a key and sets or removes the key's expiry time.",
    ),
    string(
        name="getrange", arity=4, since="2.4.0", flags=("readonly",), keys=(READ,), args=RANGE,
        summary="Returns a part of the string at a key.",
        complexity=SUBSTRING_COST,
    ),
    old_string(
        name="getset", arity=3, since="1.0.0", flags=FAST_WRITE, keys=(READ_CHANGE,), args=(KEY, VALUE),
        summary="Sets a key to a new string and returns the old one.",
        deprecated_since="6.2.0", replaced_by="`SET` with the `!GET` argument",
    ),
    string(
        name="incr", arity=2, since="1.0.0", flags=FAST_WRITE, keys=(READ_CHANGE,), args=(KEY,),
        summary="Adds one to the integer at a key; a missing key counts as 0.",
    ),
    string(
        name="incrby", arity=3, since="1.0.0", flags=FAST_WRITE, keys=(READ_CHANGE,), args=(KEY, integer("increment")),
        summary="Adds a number to the integer at a key; a missing key counts as 0.",
    ),
    string(
        name="incrbyfloat", arity=3, since="2.6.0", flags=FAST_WRITE, keys=(READ_CHANGE,),
        args=(KEY, Arg("increment", "double")),
        summary="Adds a floating-point number to the number at a key; a missing key counts as 0.",
    ),
    string(
        name="lcs", arity=-3, since="7.0.0", flags=("readonly",), keys=(READ.at(1, last=1),),
        summary="Finds the longest common subsequence of two strings.",
        complexity="O(N*M), N and M being the lengths of the strings",
        args=(
            Arg("key1", "key", key_spec=0),
            Arg("key2", "key", key_spec=0),
            word("LEN", optional=True),
            word("IDX", optional=True),
            integer("min-match-len", token="MINMATCHLEN", optional=True),
            word("WITHMATCHLEN", optional=True),
        ),
    ),
    string(
        name="mget", arity=-2, since="1.0.0", flags=FAST_READ, keys=(READ.to_end(),), args=(KEYS,),
        summary="Returns the strings at several keys, as of one moment.",
        complexity="O(N), N being the number of keys",
        tips=("request_policy:multi_shard",), route=Route.SPLIT, join=Join.ARRAY,
    ),
    string(
        name="mset", arity=-3, since="1.0.1", flags=WRITE, keys=(OVERWRITE.to_end(step=2),), args=(PAIRS,),
        summary="Sets several keys to strings, all at one moment.",
        complexity="O(N), N being the number of keys",
        tips=("request_policy:multi_shard", "response_policy:all_succeeded"), route=Route.SPLIT, join=Join.OK,
        split_step=2,
    ),
    string(
        name="msetnx", arity=-3, since="1.0.1", flags=WRITE, keys=(CREATE.to_end(step=2),), args=(PAIRS,),
        summary="Sets several keys to strings, if none of them exists.",
        complexity="O(N), N being the number of keys",
    ),
    old_string(
        name="psetex", arity=4, since="2.6.0", flags=WRITE, keys=(OVERWRITE,),
        args=(KEY, integer("milliseconds"), VALUE),
        summary="Sets a key to a string that expires after some milliseconds.",
        deprecated_since="2.6.12", replaced_by="`SET` with the `PX` argument",
    ),
    string(
        name="set", arity=-3, since="1.0.0", flags=WRITE,
        keys=(KeySpec(("RW", "access", "update", "variable_flags"), notes="`GET` also reads the key"),),
        summary="Sets a key to a string, whatever it held before.",
        args=(
            KEY,
            VALUE,
            one_of("condition", word("NX"), word("XX"), optional=True, since="2.6.12"),
            word("GET", optional=True, since="6.2.0"),
            expiration(since="2.6.12", since_at="6.2.0", keepttl=word("KEEPTTL", since="6.0.0")),
        ),
        history=(
            ("2.6.12", "The options `EX`, `PX`, `NX` and `XX` came."),
            ("6.0.0", "The option `KEEPTTL` came."),
            ("6.2.0", "The options `GET`, `EXAT` and `PXAT` came."),
            ("7.0.0", "`NX` and `GET` may stand together."),
        ),
    ),
    old_string(
        name="setex", arity=4, since="2.0.0", flags=WRITE, keys=(OVERWRITE,), args=(KEY, integer("seconds"), VALUE),
        summary="Sets a key to a string that expires after some seconds.",
        deprecated_since="2.6.12", replaced_by="`SET` with the `EX` argument",
    ),
    old_string(
        name="setnx", arity=3, since="1.0.0", flags=FAST_WRITE, keys=(CREATE,), args=(KEY, VALUE),
        summary="Sets a key to a string, if the key does not exist.",
        deprecated_since="2.6.12", replaced_by="`SET` with the `NX` argument",
    ),
    string(
        name="setrange", arity=4, since="2.2.0", flags=WRITE, keys=(CHANGE,), args=(KEY, integer("offset"), VALUE),
        summary="Overwrites a part of the string at a key, from an offset on; zero bytes fill a gap.",
        complexity="O(M), M being the length of the value",
    ),
    string(
        name="strlen", arity=2, since="2.2.0", flags=FAST_READ, keys=(PEEK,), args=(KEY,),
        summary="Returns the length of the string at a key.",
    ),
    old_string(
        name="substr", arity=4, since="1.0.0", flags=("readonly",), keys=(READ,), args=RANGE,
        summary="Returns a part of the string at a key.",
        complexity=SUBSTRING_COST,
        deprecated_since="2.0.0", replaced_by="`GETRANGE`",
    ),
)
