"""Commands on sorted sets."""
from __future__ import annotations

from functools import partial

from shardkv.commands.spec import (
    CHANGE,
    COUNT,
    CURSOR,
    FAST_READ,
    FAST_REMOVE,
    FAST_WRITE,
    KEY,
    KEYS,
    LIMIT,
    OVERWRITE,
    PEEK,
    READ,
    READ_CHANGE,
    SCAN_COST,
    SHRINK,
    SOURCES,
    TAKE,
    TARGET,
    TIMEOUT,
    WRITE,
    Arg,
    Command,
    Route,
    block,
    integer,
    one_of,
    word,
)

sorted_set = partial(
    Command, group="sorted-set", acl=("sortedset",), complexity="O(log(N)), N being the size of the sorted set",
    route=Route.KEYED,
)

MEMBER = Arg("member")
MEMBERS = Arg("member", multiple=True)
SCORES = (Arg("min", "double"), Arg("max", "double"))
WORDS = (Arg("min"), Arg("max"))  # ends of a lexicographic range
RANKS = (integer("start"), integer("stop"))
WITH_SCORES = word("WITHSCORES", optional=True)
SORT_BY = (word("BYSCORE"), word("BYLEX"))
NUMBERED_KEYS = (integer("numkeys"), KEYS)
STORED = (TARGET, integer("numkeys"), SOURCES)
WEIGHTED = (
    integer("weight", token="WEIGHTS", optional=True, multiple=True),
    one_of("aggregate", word("SUM"), word("MIN"), word("MAX"), token="AGGREGATE", optional=True),
)

ALL_SETS = "N being the size of all the sorted sets and M that of the result"
UNITING = f"O(N)+O(M*log(M)), {ALL_SETS}"
SUBTRACTING = "O(N)+O(M*log(M)), N being the size of all the sorted sets and M that of the first one"
INTERSECTING = "O(N*K)+O(M*log(M)), N being the size of the smallest of K sorted sets and M that of the result"
ANSWERING = "O(log(N)+M), N being the size of the sorted set and M the number of members returned"
REMOVING = "O(log(N)+M), N being the size of the sorted set and M the number of members removed"
EACH_MEMBER = "O(M*log(N)), N being the size of the sorted set and M the number of members named"

combining = partial(sorted_set, arity=-3, since="6.2.0", flags=("readonly",), keys=(READ.counted(),))
storing = partial(sorted_set, arity=-4, flags=WRITE, keys=(OVERWRITE, READ.at(2).counted()))
popping = partial(
    sorted_set, arity=-2, since="5.0.0", flags=FAST_REMOVE, keys=(TAKE,), args=(KEY, integer("count", optional=True)),
    complexity="O(M*log(N)), N being the size of the sorted set and M the number of members returned",
)
blocking_pop = partial(
    sorted_set, arity=-3, since="5.0.0", flags=("write", "noscript", "blocking", "fast"),
    keys=(TAKE._replace(last=-2),), args=(KEYS, TIMEOUT),
    history=(("6.0.0", "`timeout` is a double, no integer."),),
)
ranged = partial(sorted_set, arity=-4, flags=("readonly",), keys=(READ,), complexity=ANSWERING)
old_ranged = partial(ranged, doc_flags=("deprecated",), deprecated_since="6.2.0")
removing = partial(sorted_set, arity=4, flags=("write",), keys=(SHRINK,), complexity=REMOVING)
ranking = partial(
    sorted_set, arity=-3, since="2.0.0", flags=FAST_READ, keys=(READ,),
    args=(KEY, MEMBER, word("WITHSCORE", optional=True)),
    history=(("7.2.0", "The option `WITHSCORE` came."),),
)

COMMANDS: tuple[Command, ...] = (
    sorted_set(
        name="bzmpop", arity=-5, since="7.0.0", flags=("write", "blocking"), keys=(TAKE.at(2).counted(),),
        args=(TIMEOUT, *NUMBERED_KEYS, one_of("where", word("MIN"), word("MAX")), COUNT),
        summary="Takes members off an end of the first of some sorted sets that exists; waits until one does.",
        complexity="O(K)+O(M*log(N)), K being the number of keys, N the size of the sorted set and M that of the reply",
    ),
    blocking_pop(
        name="bzpopmax", summary="Takes the highest member off the first of some sorted sets; waits for one.",
    ),
    blocking_pop(
        name="bzpopmin", summary="Takes the lowest member off the first of some sorted sets; waits for one.",
    ),
    sorted_set(
        name="zadd", arity=-4, since="1.2.0", flags=FAST_WRITE, keys=(CHANGE,),
        args=(
            KEY,
            one_of("condition", word("NX"), word("XX"), optional=True, since="3.0.2"),
            one_of("comparison", word("GT"), word("LT"), optional=True, since="6.2.0"),
            Arg("change", "pure-token", "CH", optional=True, since="3.0.2"),
            Arg("increment", "pure-token", "INCR", optional=True, since="3.0.2"),
            block("data", Arg("score", "double"), MEMBER, multiple=True),
        ),
        summary="Adds members to a sorted set, or changes their scores.",
        complexity=EACH_MEMBER,
        history=(
            ("2.4.0", "More than one member may be given."),
            ("3.0.2", "The options `XX`, `NX`, `CH` and `INCR` came."),
            ("6.2.0", "The options `GT` and `LT` came."),
        ),
    ),
    sorted_set(
        name="zcard", arity=2, since="1.2.0", flags=FAST_READ, keys=(PEEK,), args=(KEY,),
        summary="Returns the number of members of a sorted set.",
        complexity="O(1)",
    ),
    sorted_set(
        name="zcount", arity=4, since="2.0.0", flags=FAST_READ, keys=(READ,), args=(KEY, *SCORES),
        summary="Counts the members with scores in a range.",
    ),
    combining(
        name="zdiff", args=(*NUMBERED_KEYS, WITH_SCORES), complexity=SUBTRACTING,
        summary="Returns the members of the first sorted set that no other one has.",
    ),
    storing(
        name="zdiffstore", since="6.2.0", args=STORED, complexity=SUBTRACTING,
        summary="Stores the members of the first sorted set that no other one has.",
    ),
    sorted_set(
        name="zincrby", arity=4, since="1.2.0", flags=FAST_WRITE, keys=(READ_CHANGE,),
        args=(KEY, integer("increment"), MEMBER),
        summary="Adds a number to the score of a member; a missing member counts as 0.",
    ),
    combining(
        name="zinter", args=(*NUMBERED_KEYS, *WEIGHTED, WITH_SCORES), complexity=INTERSECTING,
        summary="Returns the members that several sorted sets share.",
    ),
    combining(
        name="zintercard", since="7.0.0", args=(*NUMBERED_KEYS, integer("limit", token="LIMIT", optional=True)),
        complexity="O(N*K), N being the size of the smallest of K sorted sets",
        summary="Counts the members that several sorted sets share.",
    ),
    storing(
        name="zinterstore", since="2.0.0", args=(*STORED, *WEIGHTED), complexity=INTERSECTING,
        summary="Stores the members that several sorted sets share.",
    ),
    sorted_set(
        name="zlexcount", arity=4, since="2.8.9", flags=FAST_READ, keys=(READ,), args=(KEY, *WORDS),
        summary="Counts the members in a lexicographic range.",
    ),
    sorted_set(
        name="zmpop", arity=-4, since="7.0.0", flags=("write",), keys=(TAKE.counted(),),
        args=(*NUMBERED_KEYS, one_of("where", word("MIN"), word("MAX")), COUNT),
        summary="Takes the members with the lowest or highest scores out of the first of some sorted sets that exists.",
        complexity="O(K)+O(M*log(N)), K being the number of keys, N the size of the sorted set and M the number of "
        "members returned",
    ),
    sorted_set(
        name="zmscore", arity=-3, since="6.2.0", flags=FAST_READ, keys=(READ,), args=(KEY, MEMBERS),
        summary="Returns the scores of several members.",
        complexity="O(N), N being the number of members named",
    ),
    popping(name="zpopmax", summary="Takes the members with the highest scores out of a sorted set."),
    popping(name="zpopmin", summary="Takes the members with the lowest scores out of a sorted set."),
    sorted_set(
        name="zrandmember", arity=-2, since="6.2.0", flags=("readonly",), keys=(READ,),
        args=(KEY, block("options", integer("count"), WITH_SCORES, optional=True)),
        summary="Returns random members of a sorted set.",
        complexity="O(N), N being the number of members returned",
        tips=("nondeterministic_output",),
    ),
    ranged(
        name="zrange", since="1.2.0",
        args=(
            KEY,
            Arg("start"),
            Arg("stop"),
            one_of("sortby", *SORT_BY, optional=True, since="6.2.0"),
            word("REV", optional=True, since="6.2.0"),
            block("limit", integer("offset"), integer("count"), token="LIMIT", optional=True, since="6.2.0"),
            WITH_SCORES,
        ),
        summary="Returns a range of members, by rank, by score or lexicographically.",
        history=(("6.2.0", "The options `REV`, `BYSCORE`, `BYLEX` and `LIMIT` came."),),
    ),
    old_ranged(
        name="zrangebylex", since="2.8.9", args=(KEY, *WORDS, LIMIT),
        summary="Returns the members in a lexicographic range.",
        replaced_by="`ZRANGE` with the `BYLEX` argument",
    ),
    old_ranged(
        name="zrangebyscore", since="1.0.5",
        args=(KEY, *SCORES, word("WITHSCORES", optional=True, since="2.0.0"), LIMIT),
        summary="Returns the members with scores in a range.",
        history=(("2.0.0", "The option `WITHSCORES` came."),),
        replaced_by="`ZRANGE` with the `BYSCORE` argument",
    ),
    sorted_set(
        name="zrangestore", arity=-5, since="6.2.0", flags=WRITE, keys=(OVERWRITE, READ.at(2)),
        args=(
            Arg("dst", "key", key_spec=0),
            Arg("src", "key", key_spec=1),
            *WORDS,
            one_of("sortby", *SORT_BY, optional=True),
            word("REV", optional=True),
            LIMIT,
        ),
        summary="Stores a range of members, by rank, by score or lexicographically.",
        complexity="O(log(N)+M), N being the size of the sorted set and M the number of members stored",
    ),
    ranking(name="zrank", summary="Returns the place of a member, the lowest score being first."),
    sorted_set(
        name="zrem", arity=-3, since="1.2.0", flags=FAST_REMOVE, keys=(SHRINK,), args=(KEY, MEMBERS),
        summary="Removes members of a sorted set, and the sorted set with its last member.",
        complexity=EACH_MEMBER,
        history=(("2.4.0", "More than one member may be given."),),
    ),
    removing(
        name="zremrangebylex", since="2.8.9", args=(KEY, *WORDS),
        summary="Removes the members in a lexicographic range.",
    ),
    removing(
        name="zremrangebyrank", since="2.0.0", args=(KEY, *RANKS),
        summary="Removes the members in a range of ranks.",
    ),
    removing(
        name="zremrangebyscore", since="1.2.0", args=(KEY, *SCORES),
        summary="Removes the members with scores in a range.",
    ),
    old_ranged(
        name="zrevrange", since="1.2.0", args=(KEY, *RANKS, WITH_SCORES),
        summary="Returns a range of members by rank, the highest score being first.",
        replaced_by="`ZRANGE` with the `REV` argument",
    ),
    old_ranged(
        name="zrevrangebylex", since="2.8.9", args=(KEY, *WORDS[::-1], LIMIT),
        summary="Returns the members in a lexicographic range, the last being first.",
        replaced_by="`ZRANGE` with the `REV` and `BYLEX` arguments",
    ),
    old_ranged(
        name="zrevrangebyscore", since="2.2.0", args=(KEY, *SCORES[::-1], WITH_SCORES, LIMIT),
        summary="Returns the members with scores in a range, the highest score being first.",
        history=(("2.1.6", "`min` and `max` may be exclusive."),),
        replaced_by="`ZRANGE` with the `REV` and `BYSCORE` arguments",
    ),
    ranking(name="zrevrank", summary="Returns the place of a member, the highest score being first."),
    sorted_set(
        name="zscan", arity=-3, since="2.8.0", flags=("readonly",), keys=(READ,), args=CURSOR,
        summary="Goes through the members and scores of a sorted set, some at each call.",
        complexity=SCAN_COST,
        tips=("nondeterministic_output",),
    ),
    sorted_set(
        name="zscore", arity=3, since="1.2.0", flags=FAST_READ, keys=(READ,), args=(KEY, MEMBER),
        summary="Returns the score of a member.",
        complexity="O(1)",
    ),
    combining(
        name="zunion", args=(*NUMBERED_KEYS, *WEIGHTED, WITH_SCORES), complexity=UNITING,
        summary="Returns the members of several sorted sets together.",
    ),
    storing(
        name="zunionstore", since="2.0.0", args=(*STORED, *WEIGHTED), complexity=UNITING,
        summary="Stores the members of several sorted sets together.",
    ),
)
