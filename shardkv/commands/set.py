"""Commands on sets."""
from __future__ import annotations

from functools import partial

from shardkv.commands.spec import (
    CHANGE,
    CURSOR,
    EXTEND,
    FAST_READ,
    FAST_REMOVE,
    FAST_WRITE,
    FROM_TO,
    KEY,
    KEYS,
    OVERWRITE,
    PEEK,
    READ,
    SCAN_COST,
    SHRINK,
    SOURCES,
    TAKE,
    TARGET,
    WRITE,
    Arg,
    Command,
    Route,
    integer,
)

set_ = partial(Command, group="set", acl=("set",), complexity="O(1)", route=Route.KEYED)

MEMBER = Arg("member")
MEMBERS = Arg("member", multiple=True)
PER_MEMBER = "O(N), N being the number of members named"
ALL_MEMBERS = "O(N), N being the number of members of all the sets"
INTERSECTING = "O(N*M), N being the size of the smallest set and M the number of sets"
MANY_MEMBERS = (("2.4.0", "More than one `member` may be given."),)
RANDOM_COST = "O(N), N being the number of members returned"

combining = partial(
    set_, arity=-2, since="1.0.0", flags=("readonly",), keys=(READ.to_end(),), args=(KEYS,),
    tips=("nondeterministic_output_order",),
)
storing = partial(
    set_, arity=-3, since="1.0.0", flags=WRITE, keys=(OVERWRITE, READ.at(2).to_end()), args=(TARGET, SOURCES)
)

COMMANDS: tuple[Command, ...] = (
    set_(
        name="sadd", arity=-3, since="1.0.0", flags=FAST_WRITE, keys=(EXTEND,), args=(KEY, MEMBERS),
        summary="Adds members to a set, which is created if the key does not exist.",
        complexity=PER_MEMBER,
        history=MANY_MEMBERS,
    ),
    set_(
        name="scard", arity=2, since="1.0.0", flags=FAST_READ, keys=(PEEK,), args=(KEY,),
        summary="Returns the number of members of a set.",
    ),
    combining(
        name="sdiff", complexity=ALL_MEMBERS, summary="Returns the members of the first set that no other set has."
    ),
    storing(
        name="sdiffstore", complexity=ALL_MEMBERS,
        summary="Stores the members of the first set that no other set has.",
    ),
    combining(name="sinter", complexity=INTERSECTING, summary="Returns the members that several sets share."),
    set_(
        name="sintercard", arity=-3, since="7.0.0", flags=("readonly",), keys=(READ.counted(),),
        args=(integer("numkeys"), KEYS, integer("limit", token="LIMIT", optional=True)),
        summary="Counts the members that several sets share.",
        complexity=INTERSECTING,
    ),
    storing(
        name="sinterstore", complexity=INTERSECTING, keys=(CHANGE, READ.at(2).to_end()),
        summary="Stores the members that several sets share.",
    ),
    set_(
        name="sismember", arity=3, since="1.0.0", flags=FAST_READ, keys=(PEEK,), args=(KEY, MEMBER),
        summary="Tells whether a set has a member.",
    ),
    set_(
        name="smembers", arity=2, since="1.0.0", flags=("readonly",), keys=(READ,), args=(KEY,),
        summary="Returns all members of a set.",
        complexity="O(N), N being the number of members of the set",
        tips=("nondeterministic_output_order",),
    ),
    set_(
        name="smismember", arity=-3, since="6.2.0", flags=FAST_READ, keys=(READ,), args=(KEY, MEMBERS),
        summary="Tells which of some members a set has.",
        complexity=PER_MEMBER,
    ),
    set_(
        name="smove", arity=4, since="1.0.0", flags=FAST_REMOVE, keys=(TAKE, EXTEND.at(2)), args=(*FROM_TO, MEMBER),
        summary="Moves a member from one set to another.",
    ),
    set_(
        name="spop", arity=-2, since="1.0.0", flags=FAST_REMOVE, keys=(TAKE,),
        args=(KEY, integer("count", optional=True, since="3.2.0")),
        summary="Takes random members out of a set.",
        complexity=RANDOM_COST,
        history=(("3.2.0", "The argument `count` came."),),
        tips=("nondeterministic_output",),
    ),
    set_(
        name="srandmember", arity=-2, since="1.0.0", flags=("readonly",), keys=(READ,),
        args=(KEY, integer("count", optional=True, since="2.6.0")),
        summary="Returns random members of a set.",
        complexity=RANDOM_COST,
        history=(("2.6.0", "The argument `count` came."),),
        tips=("nondeterministic_output",),
    ),
    set_(
        name="srem", arity=-3, since="1.0.0", flags=FAST_REMOVE, keys=(SHRINK,), args=(KEY, MEMBERS),
        summary="Removes members of a set, and the set with its last member.",
        complexity=PER_MEMBER,
        history=MANY_MEMBERS,
    ),
    set_(
        name="sscan", arity=-3, since="2.8.0", flags=("readonly",), keys=(READ,), args=CURSOR,
        summary="Goes through the members of a set, some at each call.",
        complexity=SCAN_COST,
        tips=("nondeterministic_output",),
    ),
    combining(name="sunion", complexity=ALL_MEMBERS, summary="Returns the members of several sets together."),
    storing(name="sunionstore", complexity=ALL_MEMBERS, summary="Stores the members of several sets together."),
)
