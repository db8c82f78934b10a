"""Commands on hashes."""
from __future__ import annotations

from functools import partial

from shardkv.commands.spec import (
    CHANGE,
    CURSOR,
    EXTEND,
    FAST_READ,
    FAST_REMOVE,
    FAST_WRITE,
    KEY,
    PEEK,
    READ,
    READ_CHANGE,
    SCAN_COST,
    SHRINK,
    TAKE,
    Arg,
    Command,
    KeySpec,
    Route,
    block,
    integer,
    one_of,
    word,
)

hash_ = partial(Command, group="hash", acl=("hash",), complexity="O(1)", route=Route.KEYED)

FIELD = Arg("field")
VALUE = Arg("value")
FIELDS = Arg("field", multiple=True)
PAIRS = block("data", FIELD, VALUE, multiple=True)
NUMBERED_FIELDS = block("fields", integer("numfields"), FIELDS, token="FIELDS")
NUMBERED_PAIRS = block("fields", integer("numfields"), PAIRS, token="FIELDS")
UNIX_SECONDS = Arg("unix-time-seconds", "unix-time")
UNIX_MILLISECONDS = Arg("unix-time-milliseconds", "unix-time")
CONDITION = one_of("condition", word("NX"), word("XX"), word("GT"), word("LT"), optional=True)
PER_FIELD = "O(N), N being the number of fields named"
WHOLE_HASH = "O(N), N being the number of fields of the hash"

whole = partial(
    hash_, arity=2, since="2.0.0", flags=("readonly",), keys=(READ,), args=(KEY,), complexity=WHOLE_HASH,
    tips=("nondeterministic_output_order",),
)
expiring = partial(hash_, arity=-6, since="7.4.0", flags=FAST_WRITE, keys=(CHANGE,), complexity=PER_FIELD)
lifetime = partial(
    hash_, arity=-5, since="7.4.0", flags=FAST_READ, keys=(READ,), args=(KEY, NUMBERED_FIELDS), complexity=PER_FIELD
)


def expiration(last: Arg) -> Arg:
    """Returns the choice of EX, PX, EXAT, PXAT and a last one of the command's own."""
    return one_of(
        "expiration",
        integer("seconds", token="EX"),
        integer("milliseconds", token="PX"),
        Arg("unix-time-seconds", "unix-time", "EXAT"),
        Arg("unix-time-milliseconds", "unix-time", "PXAT"),
        last,
        optional=True,
    )


COMMANDS: tuple[Command, ...] = (
    hash_(
        name="hdel", arity=-3, since="2.0.0", flags=FAST_REMOVE, keys=(SHRINK,), args=(KEY, FIELDS),
        summary="Deletes fields of a hash, and the hash with its last field.",
        complexity=PER_FIELD,
        history=(("2.4.0", "More than one `field` may be given."),),
    ),
    hash_(
        name="hexists", arity=3, since="2.0.0", flags=FAST_READ, keys=(PEEK,), args=(KEY, FIELD),
        summary="Tells whether a hash has a field.",
    ),
    expiring(
        name="hexpire", args=(KEY, integer("seconds"), CONDITION, NUMBERED_FIELDS),
        summary="Lets fields of a hash expire after some seconds.",
    ),
    expiring(
        name="hexpireat", args=(KEY, UNIX_SECONDS, CONDITION, NUMBERED_FIELDS),
        summary="Lets fields of a hash expire at a Unix time.",
    ),
    lifetime(name="hexpiretime", summary="Returns the Unix times when fields of a hash expire."),
    hash_(
        name="hget", arity=3, since="2.0.0", flags=FAST_READ, keys=(READ,), args=(KEY, FIELD),
        summary="Returns the value of a field.",
    ),
    whole(name="hgetall", summary="Returns all fields of a hash with their values."),
    hash_(
        name="hgetdel", arity=-5, since="8.0.0", flags=FAST_REMOVE, keys=(TAKE,), args=(KEY, NUMBERED_FIELDS),
        summary="Returns the values of fields and deletes the fields.",
        complexity=PER_FIELD,
    ),
    hash_(
        name="hgetex", arity=-5, since="8.0.0", flags=FAST_REMOVE,
        keys=(KeySpec(("RW", "access", "update"), notes="the fields' expiry times may change"),),
        args=(KEY, expiration(word("PERSIST")), NUMBERED_FIELDS),
        summary="Returns the values of fields and sets or removes the fields' expiry times.",
        complexity=PER_FIELD,
    ),
    hash_(
        name="hincrby", arity=4, since="2.0.0", flags=FAST_WRITE, keys=(READ_CHANGE,),
        args=(KEY, FIELD, integer("increment")),
        summary="Adds a number to the integer in a field; a missing field counts as 0.",
    ),
    hash_(
        name="hincrbyfloat", arity=4, since="2.6.0", flags=FAST_WRITE, keys=(READ_CHANGE,),
        args=(KEY, FIELD, Arg("increment", "double")),
        summary="Adds a floating-point number to the number in a field; a missing field counts as 0.",
    ),
    whole(name="hkeys", summary="Returns all fields of a hash."),
    hash_(
        name="hlen", arity=2, since="2.0.0", flags=FAST_READ, keys=(PEEK,), args=(KEY,),
        summary="Returns the number of fields of a hash.",
    ),
    hash_(
        name="hmget", arity=-3, since="2.0.0", flags=FAST_READ, keys=(READ,), args=(KEY, FIELDS),
        summary="Returns the values of several fields.",
        complexity=PER_FIELD,
    ),
    hash_(
        name="hmset", arity=-4, since="2.0.0", flags=FAST_WRITE, keys=(CHANGE,), args=(KEY, PAIRS),
        summary="Sets several fields of a hash.",
        complexity=PER_FIELD,
        doc_flags=("deprecated",), deprecated_since="4.0.0", replaced_by="`HSET` with several fields and values",
    ),
    hash_(
        name="hpersist", arity=-5, since="7.4.0", flags=FAST_REMOVE, keys=(CHANGE,), args=(KEY, NUMBERED_FIELDS),
        summary="Takes the expiry times of fields away.",
        complexity=PER_FIELD,
    ),
    expiring(
        name="hpexpire", args=(KEY, integer("milliseconds"), CONDITION, NUMBERED_FIELDS),
        summary="Lets fields of a hash expire after some milliseconds.",
    ),
    expiring(
        name="hpexpireat", args=(KEY, UNIX_MILLISECONDS, CONDITION, NUMBERED_FIELDS),
        summary="Lets fields of a hash expire at a Unix time in milliseconds.",
    ),
    lifetime(name="hpexpiretime", summary="Returns the Unix times, in milliseconds, when fields of a hash expire."),
    lifetime(name="hpttl", summary="Returns the milliseconds until fields of a hash expire."),
    hash_(
        name="hrandfield", arity=-2, since="6.2.0", flags=("readonly",), keys=(READ,),
        args=(KEY, block("options", integer("count"), word("WITHVALUES", optional=True), optional=True)),
        summary="Returns random fields of a hash.",
        complexity="O(N), N being the number of fields returned",
        tips=("nondeterministic_output",),
    ),
    hash_(
        name="hscan", arity=-3, since="2.8.0", flags=("readonly",), keys=(READ,), args=CURSOR,
        summary="Goes through the fields and values of a hash, some at each call.",
        complexity=SCAN_COST,
        tips=("nondeterministic_output",),
    ),
    hash_(
        name="hset", arity=-4, since="2.0.0", flags=FAST_WRITE, keys=(CHANGE,), args=(KEY, PAIRS),
        summary="Sets fields of a hash, which is created if the key does not exist.",
        complexity=PER_FIELD,
        history=(("4.0.0", "More than one `field` and `value` may be given."),),
    ),
    hash_(
        name="hsetex", arity=-6, since="8.0.0", flags=FAST_WRITE, keys=(CHANGE,),
        args=(
            KEY,
            one_of("condition", word("FNX"), word("FXX"), optional=True),
            expiration(word("KEEPTTL")),
            NUMBERED_PAIRS,
        ),
        summary="Sets fields of a hash and the fields' expiry times.",
        complexity=PER_FIELD,
    ),
    hash_(
        name="hsetnx", arity=4, since="2.0.0", flags=FAST_WRITE, keys=(EXTEND,), args=(KEY, FIELD, VALUE),
        summary="Sets a field of a hash, if it does not exist.",
    ),
    hash_(
        name="hstrlen", arity=3, since="3.2.0", flags=FAST_READ, keys=(PEEK,), args=(KEY, FIELD),
        summary="Returns the length of the value of a field.",
    ),
    lifetime(name="httl", summary="Returns the seconds until fields of a hash expire."),
    whole(name="hvals", summary="Returns all values of a hash."),
)
