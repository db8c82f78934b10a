"""Commands on lists."""
from __future__ import annotations

from functools import partial

from shardkv.commands.spec import (
    CHANGE,
    COUNT,
    EXTEND,
    FAST_READ,
    FAST_REMOVE,
    FAST_WRITE,
    FROM_TO,
    KEY,
    KEYS,
    PEEK,
    READ,
    SHRINK,
    TAKE,
    TIMEOUT,
    WRITE,
    Arg,
    Command,
    Route,
    integer,
    one_of,
    word,
)

list_ = partial(Command, group="list", acl=("list",), complexity="O(1)", route=Route.KEYED)

ELEMENT = Arg("element")
ELEMENTS = Arg("element", multiple=True)
RANGE = (KEY, integer("start"), integer("stop"))
ENDS = (word("LEFT"), word("RIGHT"))
# A list is a tree whose inner nodes count elements.
BY_INDEX = "O(log(N)), N being the length of the list; O(1) at its ends"

pushing = partial(
    list_, arity=-3, flags=FAST_WRITE, keys=(EXTEND,), args=(KEY, ELEMENTS),
    complexity="O(N), N being the number of elements added",
)
popping = partial(
    list_, arity=-2, since="1.0.0", flags=FAST_REMOVE, keys=(TAKE,),
    args=(KEY, integer("count", optional=True, since="6.2.0")),
    complexity="O(N), N being the number of elements returned",
    history=(("6.2.0", "The argument `count` came."),),
)
MANY_ELEMENTS = "More than one `element` may be given."

BLOCKING_POP = ("write", "noscript", "blocking")
BLOCKING_MOVE = ("write", "denyoom", "noscript", "blocking")
FLOAT_TIMEOUT = (("6.0.0", "`timeout` is a double, no integer."),)

blocking_pop = partial(
    list_, arity=-3, since="2.0.0", flags=BLOCKING_POP, keys=(TAKE._replace(last=-2),), args=(KEYS, TIMEOUT),
    history=FLOAT_TIMEOUT, complexity="O(N), N being the number of keys",
)

COMMANDS: tuple[Command, ...] = (
    list_(
        name="blmove", arity=6, since="6.2.0", flags=BLOCKING_MOVE, keys=(TAKE, EXTEND.at(2)),
        args=(*FROM_TO, one_of("wherefrom", *ENDS), one_of("whereto", *ENDS), TIMEOUT),
        summary="Moves an element from an end of a list to an end of a list, and returns it; waits until there is one.",
    ),
    list_(
        name="blmpop", arity=-5, since="7.0.0", flags=("write", "blocking"), keys=(TAKE.at(2).counted(),),
        args=(TIMEOUT, integer("numkeys"), KEYS, one_of("where", *ENDS), COUNT),
        summary="Takes elements off an end of the first of some lists that exists; waits until one does.",
        complexity="O(N+M), N being the number of keys and M the number of elements returned",
    ),
    blocking_pop(
        name="blpop", summary="Takes an element off the left end of the first of some lists; waits for one.",
    ),
    blocking_pop(
        name="brpop", summary="Takes an element off the right end of the first of some lists; waits for one.",
    ),
    list_(
        name="brpoplpush", arity=4, since="2.2.0", flags=BLOCKING_MOVE, keys=(TAKE, EXTEND.at(2)),
        args=(*FROM_TO, TIMEOUT), history=FLOAT_TIMEOUT,
        summary="Moves the last element of a list to the left end of a list, and returns it; waits until there is one.",
        doc_flags=("deprecated",), deprecated_since="6.2.0",
        replaced_by="`BLMOVE` with the `RIGHT` and `LEFT` arguments",
    ),
    list_(
        name="lindex", arity=3, since="1.0.0", flags=("readonly",), keys=(READ,), args=(KEY, integer("index")),
        summary="Returns the element at an index.",
        complexity=BY_INDEX,
    ),
    list_(
        name="linsert", arity=5, since="2.2.0", flags=WRITE, keys=(EXTEND,),
        args=(KEY, one_of("where", word("BEFORE"), word("AFTER")), Arg("pivot"), ELEMENT),
        summary="Puts an element before or behind the first one that equals another.",
        complexity="O(N), N being the number of elements looked at until the pivot",
    ),
    list_(
        name="llen", arity=2, since="1.0.0", flags=FAST_READ, keys=(PEEK,), args=(KEY,),
        summary="Returns the length of a list.",
    ),
    list_(
        name="lmove", arity=5, since="6.2.0", flags=WRITE, keys=(TAKE, EXTEND.at(2)),
        args=(*FROM_TO, one_of("wherefrom", *ENDS), one_of("whereto", *ENDS)),
        summary="Moves an element from an end of a list to an end of a list, and returns it.",
    ),
    list_(
        name="lmpop", arity=-4, since="7.0.0", flags=("write",), keys=(TAKE.counted(),),
        args=(integer("numkeys"), KEYS, one_of("where", *ENDS), COUNT),
        summary="Takes elements off an end of the first of some lists that exists.",
        complexity="O(N+M), N being the number of keys and M the number of elements returned",
    ),
    popping(name="lpop", summary="Takes elements off the left end of a list."),
    list_(
        name="lpos", arity=-3, since="6.0.6", flags=("readonly",), keys=(READ,),
        args=(
            KEY,
            ELEMENT,
            integer("rank", token="RANK", optional=True),
            integer("num-matches", token="COUNT", optional=True),
            integer("len", token="MAXLEN", optional=True),
        ),
        summary="Returns where in a list an element stands.",
        complexity="O(N), N being the number of elements looked at",
    ),
    pushing(
        name="lpush", since="1.0.0", history=(("2.4.0", MANY_ELEMENTS),),
        summary="Puts elements before a list, which is created if the key does not exist.",
    ),
    pushing(
        name="lpushx", since="2.2.0", history=(("4.0.0", MANY_ELEMENTS),),
        summary="Puts elements before a list, if the key exists.",
    ),
    list_(
        name="lrange", arity=4, since="1.0.0", flags=("readonly",), keys=(READ,), args=RANGE,
        summary="Returns a range of elements.",
        complexity="O(log(N)+M), N being the length of the list and M the number of elements returned",
    ),
    list_(
        name="lrem", arity=4, since="1.0.0", flags=("write",), keys=(SHRINK,), args=(KEY, integer("count"), ELEMENT),
        summary="Removes elements that equal a value.",
        complexity="O(N+M), N being the length of the list and M the number of elements removed",
    ),
    list_(
        name="lset", arity=4, since="1.0.0", flags=WRITE, keys=(CHANGE,), args=(KEY, integer("index"), ELEMENT),
        summary="Replaces the element at an index.",
        complexity=BY_INDEX,
    ),
    list_(
        name="ltrim", arity=4, since="1.0.0", flags=("write",), keys=(SHRINK,), args=RANGE,
        summary="Removes all elements but a range.",
        complexity="O(N), N being the number of elements removed",
    ),
    popping(name="rpop", summary="Takes elements off the right end of a list."),
    list_(
        name="rpoplpush", arity=3, since="1.2.0", flags=WRITE, keys=(TAKE, EXTEND.at(2)), args=FROM_TO,
        summary="Moves the last element of a list to the left end of a list, and returns it.",
        doc_flags=("deprecated",), deprecated_since="6.2.0",
        replaced_by="`LMOVE` with the `RIGHT` and `LEFT` arguments",
    ),
    pushing(
        name="rpush", since="1.0.0", history=(("2.4.0", MANY_ELEMENTS),),
        summary="Puts elements behind a list, which is created if the key does not exist.",
    ),
    pushing(
        name="rpushx", since="2.2.0", history=(("4.0.0", MANY_ELEMENTS),),
        summary="Puts elements behind a list, if the key exists.",
    ),
)
