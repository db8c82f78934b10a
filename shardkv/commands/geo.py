"""Commands on geospatial indexes: sorted sets whose scores are positions."""
from __future__ import annotations

from functools import partial

from shardkv.commands.spec import (
    CHANGE,
    KEY,
    OVERWRITE,
    READ,
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

geo = partial(Command, group="geo", acl=("geo",), since="3.2.0", complexity="O(1)", route=Route.KEYED)
old_geo = partial(geo, doc_flags=("deprecated",), deprecated_since="6.2.0")

UPPERCASE_UNITS = ("7.0.0", "Units may be written in upper case.")
ANY_CAME = ("6.2.0", "The option `ANY` came.")
AROUND_COST = "O(N+log(M)), N being the number of members in the box around the circle and M the size of the index"
SEARCH_COST = "O(N+log(M)), N being the number of members in the grid around the shape and M the size of the index"
PER_MEMBER = "O(N), N being the number of members named"

MEMBER = Arg("member")
MEMBERS = Arg("member", optional=True, multiple=True)
POSITION = (Arg("longitude", "double"), Arg("latitude", "double"))
UNITS = (word("m"), word("km"), word("ft"), word("mi"))
UNIT = one_of("unit", *UNITS)
RADIUS = (Arg("radius", "double"), UNIT)
DETAILS = (word("WITHCOORD", optional=True), word("WITHDIST", optional=True), word("WITHHASH", optional=True))
ORDER = one_of("order", word("ASC"), word("DESC"), optional=True)
STORE = one_of(
    "store",
    Arg("storekey", "key", "STORE", display="key", key_spec=1),
    Arg("storedistkey", "key", "STOREDIST", display="key", key_spec=2),
    optional=True,
)
SHAPE = (
    one_of("from", Arg("member", token="FROMMEMBER"), block("fromlonlat", *POSITION, token="FROMLONLAT")),
    one_of(
        "by",
        block("circle", Arg("radius", "double", "BYRADIUS"), UNIT),
        block("box", Arg("width", "double", "BYBOX"), Arg("height", "double"), UNIT),
    ),
)


def count_block(since: str = "") -> Arg:
    """Returns COUNT with its ANY, which came with version `since` if not with the command."""
    return block("count-block", integer("count", token="COUNT"), word("ANY", optional=True, since=since), optional=True)


def stored(start_from: int) -> tuple[KeySpec, ...]:
    """Returns the keys of a search that may store its result behind argument `start_from`."""
    return READ, OVERWRITE.behind("STORE", start_from), OVERWRITE.behind("STOREDIST", start_from)


COMMANDS: tuple[Command, ...] = (
    geo(
        name="geoadd", arity=-5, flags=WRITE, keys=(CHANGE,),
        args=(
            KEY,
            one_of("condition", word("NX"), word("XX"), optional=True, since="6.2.0"),
            Arg("change", "pure-token", "CH", optional=True, since="6.2.0"),
            block("data", *POSITION, MEMBER, multiple=True),
        ),
        summary="Adds members with their positions to an index, which is created if the key does not exist.",
        complexity="O(log(N)) for each member, N being the size of the index",
        history=(("6.2.0", "The options `CH`, `NX` and `XX` came."),),
    ),
    geo(
        name="geodist", arity=-4, flags=("readonly",), keys=(READ,),
        args=(KEY, Arg("member1"), Arg("member2"), one_of("unit", *UNITS, optional=True)),
        summary="Returns the distance between two members.",
    ),
    geo(
        name="geohash", arity=-2, flags=("readonly",), keys=(READ,), args=(KEY, MEMBERS),
        summary="Returns the positions of members as geohash strings.",
        complexity=PER_MEMBER,
    ),
    geo(
        name="geopos", arity=-2, flags=("readonly",), keys=(READ,), args=(KEY, MEMBERS),
        summary="Returns the longitudes and latitudes of members.",
        complexity=PER_MEMBER,
    ),
    old_geo(
        name="georadius", arity=-6, flags=WRITE, keys=stored(6),
        args=(KEY, *POSITION, *RADIUS, *DETAILS, count_block("6.2.0"), ORDER, STORE),
        summary="Returns or stores the members within a distance of a position.",
        complexity=AROUND_COST,
        history=(ANY_CAME, UPPERCASE_UNITS),
        replaced_by="`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument",
    ),
    old_geo(
        name="georadius_ro", arity=-6, since="3.2.10", flags=("readonly",), keys=(READ,),
        args=(KEY, *POSITION, *RADIUS, *DETAILS, count_block("6.2.0"), ORDER),
        summary="Returns the members within a distance of a position.",
        complexity=AROUND_COST,
        history=(ANY_CAME,),
        replaced_by="`GEOSEARCH` with the `BYRADIUS` argument",
    ),
    old_geo(
        name="georadiusbymember", arity=-5, flags=WRITE, keys=stored(5),
        args=(KEY, MEMBER, *RADIUS, *DETAILS, count_block(), ORDER, STORE),
        summary="Returns or stores the members within a distance of a member.",
        complexity=AROUND_COST,
        history=(UPPERCASE_UNITS,),
        replaced_by="`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments",
    ),
    old_geo(
        name="georadiusbymember_ro", arity=-5, since="3.2.10", flags=("readonly",), keys=(READ,),
        args=(KEY, MEMBER, *RADIUS, *DETAILS, count_block(), ORDER),
        summary="Returns the members within a distance of a member.",
        complexity=AROUND_COST,
        replaced_by="`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments",
    ),
    geo(
        name="geosearch", arity=-7, since="6.2.0", flags=("readonly",), keys=(READ,),
        args=(KEY, *SHAPE, ORDER, count_block(), *DETAILS),
        summary="Returns the members inside a circle or a box.",
        complexity=SEARCH_COST,
        history=(UPPERCASE_UNITS,),
    ),
    geo(
        name="geosearchstore", arity=-8, since="6.2.0", flags=WRITE, keys=(OVERWRITE, READ.at(2)),
        args=(
            Arg("destination", "key", key_spec=0),
            Arg("source", "key", key_spec=1),
            *SHAPE,
            ORDER,
            count_block(),
            word("STOREDIST", optional=True),
        ),
        summary="Stores the members inside a circle or a box.",
        complexity=SEARCH_COST,
        history=(UPPERCASE_UNITS,),
    ),
)
