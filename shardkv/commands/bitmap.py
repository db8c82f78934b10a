"""Commands that see a string as a row of bits or of small integers."""
from __future__ import annotations

from functools import partial

from shardkv.commands.spec import (
    KEY,
    OVERWRITE,
    READ,
    READ_CHANGE,
    WRITE,
    Arg,
    Command,
    KeySpec,
    Route,
    block,
    integer,
    one_of,
    word,
)

bitmap = partial(Command, group="bitmap", acl=("bitmap",), route=Route.KEYED)

ENCODING = Arg("encoding")
OFFSET = integer("offset")
GET = block("get-block", ENCODING, OFFSET, token="GET")
UNIT = one_of("unit", word("BYTE"), word("BIT"), optional=True, since="7.0.0")
END_UNIT = block("end-unit-block", integer("end"), UNIT, optional=True)
UNIT_HISTORY = (("7.0.0", "The unit of the range came, `BYTE` or `BIT`."),)

COMMANDS: tuple[Command, ...] = (
    bitmap(
        name="bitcount", arity=-2, since="2.6.0", flags=("readonly",), keys=(READ,), complexity="O(N)",
        args=(KEY, block("range", integer("start"), integer("end"), UNIT, optional=True)),
        summary="Counts the bits that are 1.",
        history=UNIT_HISTORY,
    ),
    bitmap(
        name="bitfield", arity=-2, since="3.2.0", flags=WRITE, complexity="O(1) for each operation",
        keys=(KeySpec(("RW", "access", "update", "variable_flags"), notes="it reads or changes the key, or both"),),
        summary="Reads, sets and increments integers of any width inside a string.",
        args=(
            KEY,
            one_of(
                "operation",
                GET,
                block(
                    "write",
                    one_of("overflow-block", word("WRAP"), word("SAT"), word("FAIL"), token="OVERFLOW", optional=True),
                    one_of(
                        "write-operation",
                        block("set-block", ENCODING, OFFSET, integer("value"), token="SET"),
                        block("incrby-block", ENCODING, OFFSET, integer("increment"), token="INCRBY"),
                    ),
                ),
                multiple=True,
                optional=True,
            ),
        ),
    ),
    bitmap(
        name="bitfield_ro", arity=-2, since="6.0.0", flags=("readonly", "fast"), keys=(READ,),
        complexity="O(1) for each operation",
        args=(KEY, GET._replace(optional=True, multiple=True, multiple_token=True)),
        summary="Reads integers of any width inside a string.",
    ),
    bitmap(
        name="bitop", arity=-4, since="2.6.0", flags=WRITE, keys=(OVERWRITE.at(2), READ.at(3, last=-1)),
        complexity="O(N)",
        summary="Combines strings bit by bit and stores the outcome.",
        args=(
            one_of("operation", word("AND"), word("OR"), word("XOR"), word("NOT")),
            Arg("destkey", "key", key_spec=0),
            Arg("key", "key", key_spec=1, multiple=True),
        ),
    ),
    bitmap(
        name="bitpos", arity=-3, since="2.8.7", flags=("readonly",), keys=(READ,), complexity="O(N)",
        summary="Finds the first bit that is 1, or 0.",
        args=(
            KEY,
            integer("bit"),
            block("range", integer("start"), END_UNIT, optional=True),
        ),
        history=UNIT_HISTORY,
    ),
    bitmap(
        name="getbit", arity=3, since="2.2.0", flags=("readonly", "fast"), keys=(READ,), args=(KEY, OFFSET),
        complexity="O(1)",
        summary="Returns the bit at an offset.",
    ),
    bitmap(
        name="setbit", arity=4, since="2.2.0", flags=WRITE, keys=(READ_CHANGE,), args=(KEY, OFFSET, integer("value")),
        complexity="O(1)",
        summary="Sets the bit at an offset and returns what it was; the string grows as needed.",
    ),
)
