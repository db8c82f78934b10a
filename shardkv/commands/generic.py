"""Commands on keys of any type."""
from __future__ import annotations

from functools import partial

from shardkv.commands.spec import (
    CHANGE,
    CREATE,
    FAST_READ,
    KEY,
    KEYS,
    LIMIT,
    OVERWRITE,
    PEEK,
    READ,
    READ_CHANGE,
    REMOVE,
    TAKE,
    WRITE,
    Arg,
    Command,
    Join,
    Route,
    integer,
    one_of,
    word,
)

generic = partial(Command, group="generic", acl=("keyspace",), complexity="O(1)", route=Route.KEYED)
counted = partial(
    generic, arity=-2, args=(KEYS,), complexity="O(N), N being the number of keys", route=Route.SPLIT, join=Join.SUM,
    tips=("request_policy:multi_shard", "response_policy:agg_sum"),
)
expiring = partial(
    generic, arity=-3, flags=("write", "fast"), keys=(CHANGE,),
    history=(("7.0.0", "The conditions `NX`, `XX`, `GT` and `LT` came."),)
)
lifetime = partial(generic, arity=2, flags=("readonly", "fast"), keys=(READ,), args=(KEY,))
object_of_key = partial(
    generic, arity=3, flags=("readonly",), keys=(PEEK.at(2),), args=(KEY,), tips=("nondeterministic_output",)
)

UNIX_SECONDS = Arg("unix-time-seconds", "unix-time")
UNIX_MILLISECONDS = Arg("unix-time-milliseconds", "unix-time")
CONDITION = one_of("condition", word("NX"), word("XX"), word("GT"), word("LT"), optional=True, since="7.0.0")
RENAMING = (KEY, Arg("newkey", "key", key_spec=1))
TTL_HISTORY = (("2.8.0", "The reply -2 came, for a key that does not exist."),)

BY_OR_GET = READ.somewhere("the keys of `BY` and `GET` are made of the elements sorted")
STORED_AT = OVERWRITE.somewhere("`STORE` may stand anywhere among the options")
SORTING = (
    KEY,
    Arg("by-pattern", "pattern", "BY", display="pattern", optional=True, key_spec=1),
    LIMIT,
    Arg(
        "get-pattern", "pattern", "GET", display="pattern", optional=True, multiple=True, multiple_token=True,
        key_spec=1,
    ),
    one_of("order", word("ASC"), word("DESC"), optional=True),
    Arg("sorting", "pure-token", "ALPHA", optional=True),
)
sorting = partial(
    generic, arity=-2, acl=("set", "sortedset", "list", "dangerous"),
    complexity="O(N+M*log(M)), N being the number of elements and M that of those returned; O(N) when not sorted",
)

COMMANDS: tuple[Command, ...] = (
    generic(
        name="copy", arity=-3, since="6.2.0", flags=("write", "denyoom"), keys=(READ, OVERWRITE.at(2)),
        summary="Copies the value of a key to another key.",
        complexity="O(N), N being the number of elements of a collection; O(1) for a string",
        args=(
            Arg("source", "key", key_spec=0),
            Arg("destination", "key", key_spec=1),
            integer("destination-db", token="DB", optional=True),
            word("REPLACE", optional=True),
        ),
    ),
    counted(name="del", since="1.0.0", flags=("write",), keys=(REMOVE.to_end(),), summary="Deletes keys."),
    generic(
        name="dump", arity=2, since="2.6.0", flags=("readonly",), keys=(READ,), args=(KEY,),
        summary="Returns a value in the form that `RESTORE` takes.",
        complexity="O(N), N being the size of the value",
        tips=("nondeterministic_output",),
    ),
    counted(
        name="exists", since="1.0.0", flags=FAST_READ, keys=(PEEK.to_end(),),
        summary="Counts which of some keys exist.",
        history=(("3.0.3", "More than one `key` may be given."),),
    ),
    expiring(
        name="expire", since="1.0.0", args=(KEY, integer("seconds"), CONDITION),
        summary="Lets a key expire after some seconds.",
    ),
    expiring(
        name="expireat", since="1.2.0", args=(KEY, UNIX_SECONDS, CONDITION),
        summary="Lets a key expire at a Unix time.",
    ),
    lifetime(name="expiretime", since="7.0.0", summary="Returns the Unix time when a key expires."),
    generic(
        name="keys", arity=2, since="1.0.0", flags=("readonly",), args=(Arg("pattern", "pattern"),),
        acl=("keyspace", "dangerous"),
        summary="Returns all keys that match a pattern.",
        complexity="O(N), N being the number of keys in the database: every one is looked at",
        tips=("request_policy:all_shards", "nondeterministic_output_order"), route=Route.ALL, join=Join.CONCAT,
    ),
    generic(
        name="move", arity=3, since="1.0.0", flags=("write", "fast"), keys=(READ_CHANGE,), args=(KEY, integer("db")),
        summary="Moves a key to another database.",
    ),
    generic(
        name="wait", arity=3, since="3.0.0", flags=("noscript",), acl=("connection",), route=Route.LOCAL,
        args=(integer("numreplicas"), integer("timeout")),
        summary="Waits until replicas have what this connection has written; there are none.",
        tips=("request_policy:all_shards", "response_policy:agg_min"),
    ),
    generic(
        name="waitaof", arity=4, since="7.2.0", flags=("blocking",), acl=("connection",), route=Route.LOCAL,
        args=(integer("numlocal"), integer("numreplicas"), integer("timeout")),
        summary="Waits until the append-only file and replicas have what this connection has written; there are none.",
        tips=("request_policy:all_shards", "response_policy:agg_min"),
    ),
    Command(
        name="object", arity=-2, group="generic", since="2.2.3", route=Route.LOCAL,
        summary="Subcommands that look behind a key's value.",
        complexity="That of the subcommand.",
        subcommands=(
            object_of_key(name="encoding", since="2.2.3", summary="Returns how a value is kept in memory."),
            object_of_key(name="freq", since="4.0.0", summary="Returns the logarithmic counter of accesses to a key."),
            generic(
                name="help", arity=2, since="6.2.0", flags=("loading", "stale"), route=Route.LOCAL,
                summary="Tells what the subcommands do.",
            ),
            object_of_key(name="idletime", since="2.2.3", summary="Returns the time since a key was last accessed."),
            object_of_key(name="refcount", since="2.2.3", summary="Returns the number of references to a value."),
        ),
    ),
    generic(
        name="persist", arity=2, since="2.2.0", flags=("write", "fast"), keys=(CHANGE,), args=(KEY,),
        summary="Takes a key's expiry time away.",
    ),
    expiring(
        name="pexpire", since="2.6.0", args=(KEY, integer("milliseconds"), CONDITION),
        summary="Lets a key expire after some milliseconds.",
    ),
    expiring(
        name="pexpireat", since="2.6.0", args=(KEY, UNIX_MILLISECONDS, CONDITION),
        summary="Lets a key expire at a Unix time in milliseconds.",
    ),
    lifetime(name="pexpiretime", since="7.0.0", summary="Returns the Unix time, in milliseconds, when a key expires."),
    lifetime(
        name="pttl", since="2.6.0", tips=("nondeterministic_output",), history=TTL_HISTORY,
        summary="Returns the milliseconds until a key expires.",
    ),
    generic(
        name="randomkey", arity=1, since="1.0.0", flags=("readonly",), route=Route.ALL, join=Join.ANY,
        summary="Returns some key of the database.",
        tips=("request_policy:all_shards", "response_policy:special", "nondeterministic_output"),
    ),
    generic(
        name="rename", arity=3, since="1.0.0", flags=("write",), keys=(TAKE, OVERWRITE.at(2)), args=RENAMING,
        summary="Renames a key, over another one if that exists.",
    ),
    generic(
        name="renamenx", arity=3, since="1.0.0", flags=("write", "fast"), keys=(TAKE, CREATE.at(2)), args=RENAMING,
        summary="Renames a key, if the new name is free.",
        history=(("3.2.0", "The same name twice is no longer an error."),),
    ),
    generic(
        name="restore", arity=-4, since="2.6.0", flags=WRITE, keys=(OVERWRITE,), acl=("keyspace", "dangerous"),
        summary="Makes a key of what `DUMP` has returned.",
        complexity="O(N), N being the size of the value; O(N*log(N)) for a sorted set",
        args=(
            KEY,
            integer("ttl"),
            Arg("serialized-value"),
            word("REPLACE", optional=True, since="3.0.0"),
            word("ABSTTL", optional=True, since="5.0.0"),
            integer("seconds", token="IDLETIME", optional=True, since="5.0.0"),
            integer("frequency", token="FREQ", optional=True, since="5.0.0"),
        ),
        history=(
            ("3.0.0", "The option `REPLACE` came."),
            ("5.0.0", "The option `ABSTTL` came."),
            ("5.0.0", "The options `IDLETIME` and `FREQ` came."),
        ),
    ),
    generic(
        name="scan", arity=-2, since="2.8.0", flags=("readonly",), route=Route.CURSOR,
        summary="Goes through the keys of the database, some at each call.",
        complexity="O(1) for each call, O(N) for all calls until the cursor is 0 again, N being the number of keys",
        args=(
            integer("cursor"),
            Arg("pattern", "pattern", "MATCH", optional=True),
            integer("count", token="COUNT", optional=True),
            Arg("type", "string", "TYPE", optional=True, since="6.0.0"),
        ),
        history=(("6.0.0", "The option `TYPE` came."),),
        tips=("nondeterministic_output", "request_policy:special", "response_policy:special"),
    ),
    sorting(
        name="sort", since="1.0.0", flags=WRITE, keys=(READ, BY_OR_GET, STORED_AT),
        args=(*SORTING, Arg("destination", "key", "STORE", optional=True, key_spec=2)),
        summary="Sorts the elements of a list, set or sorted set, and returns or stores them.",
    ),
    sorting(
        name="sort_ro", since="7.0.0", flags=("readonly",), keys=(READ, BY_OR_GET), args=SORTING,
        summary="Sorts the elements of a list, set or sorted set.",
    ),
    counted(
        name="touch", since="3.2.1", flags=FAST_READ, keys=(PEEK.to_end(),),
        summary="Marks keys as just accessed and counts those that exist.",
    ),
    lifetime(
        name="ttl", since="1.0.0", tips=("nondeterministic_output",), history=TTL_HISTORY,
        summary="Returns the seconds until a key expires.",
    ),
    generic(
        name="type", arity=2, since="1.0.0", flags=FAST_READ, keys=(PEEK,), args=(KEY,),
        summary="Returns the type of the value at a key.",
    ),
    counted(
        name="unlink", since="4.0.0", flags=("write", "fast"), keys=(REMOVE.to_end(),),
        summary="Deletes keys; the memory of large values is given back later.",
        complexity="O(1) for each key; the values are freed in the background",
    ),
)
