"""Commands on geospatial indexes, reply by reply against redis-server where it is installed."""
from __future__ import annotations

import math
import random

import pytest

from tests.wire import Wire, run_both

SICILY = (
    "geoadd g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania 12.758489 38.788135 edge1 "
    "17.241510 38.788135 edge2"
)

# Keys of a script that must lie together have the tag {t}.
SCRIPTS = {
    "members": f"""
        {SICILY}
        geoadd g nx 1 1 Palermo 2 2 new
        geoadd g xx ch 1 1 Palermo 2 2 other
        geoadd g ch 13.361389 38.115556 Palermo
        geoadd g nx xx 1 1 a
        geoadd g gt 1 1 a
        geoadd g
        geoadd g 1 1
        geoadd g 181 1 a
        geoadd g 1 86 a
        geoadd g x 1 a
        geoadd g 1 1 a 200 100 b
        geoadd e -180 -85.05112878 sw 180 85.05112878 ne 0 0 zero
        zrange g 0 -1 withscores
        zrange e 0 -1 withscores
        geopos g Palermo none Catania
        geopos g
        geopos none a b
        geopos e sw ne zero
        geohash g Palermo none Catania
        geohash none a
        geohash g
        geohash e sw zero
        geodist g Palermo Catania
        geodist g Palermo Catania km
        geodist g Palermo Catania MI
        geodist g Palermo Catania ft
        geodist g Palermo Palermo
        geodist g Palermo Catania parsec
        geodist g Palermo Catania m x
        geodist g Palermo none
        geodist none a b
        geodist e sw zero
        set s 1
        geoadd s 1 1 a
        geopos s a
        geodist s a b
        geohash s a
    """,
    "radius": f"""
        {SICILY}
        georadius g 15 37 200 km asc
        georadius g 15 37 200 km desc
        georadius g 15 37 200 km withdist asc
        georadius g 15 37 200 km withdist withcoord withhash asc
        georadius g 15 37 200 km withhash asc count 1
        georadius g 15 37 400 km count 2
        georadius g 15 37 400 km count 2 desc
        georadius g 15 37 400 km count 10 any asc
        georadius g 15 37 200 km count 0
        georadius g 15 37 200 km count -1
        georadius g 15 37 200 km count x
        georadius g 15 37 200 km any
        georadius g 15 37 200 parsec
        georadius g 15 37 -1 km
        georadius g 15 37 x km
        georadius g 200 37 1 km
        georadius g 15 37 0 m
        georadius g 15 37 200 km nonsense
        georadius g 15 37 200 km withdist withdist asc
        georadius none 15 37 200 km
        georadius_ro g 15 37 200 km asc
        georadius_ro g 15 37 200 km store x
        georadiusbymember g Palermo 200 km asc
        georadiusbymember g Palermo 200 km withdist asc
        georadiusbymember g nobody 200 km
        georadiusbymember none nobody 200 km
        georadiusbymember g Palermo -1 km
        georadiusbymember_ro g Palermo 200 km asc
        georadiusbymember_ro g Palermo 200 km store x
        set s 1
        georadius s 15 37 200 km
        georadius s x
        georadiusbymember s a 200 km
    """,
    "search": f"""
        {SICILY}
        geosearch g fromlonlat 15 37 byradius 200 km asc
        geosearch g fromlonlat 15 37 bybox 400 400 km asc
        geosearch g fromlonlat 15 37 bybox 400 400 km asc withcoord withdist withhash
        geosearch g frommember Palermo bybox 400 400 km desc
        geosearch g frommember Palermo byradius 200 km asc count 1
        geosearch g frommember nobody byradius 200 km
        geosearch g fromlonlat 15 37 frommember Palermo byradius 1 km
        geosearch g frommember Palermo fromlonlat 15 37 byradius 1 km
        geosearch g byradius 200 km asc count 1 any
        geosearch g fromlonlat 15 37 asc count 1 any withdist
        geosearch g fromlonlat 15 37 byradius 200 km bybox 1 1 km
        geosearch g fromlonlat 15 37 bybox 1 1 km byradius 200 km
        geosearch g fromlonlat 15 37 bybox 1 -1 km
        geosearch g fromlonlat 15 37 bybox x 1 km
        geosearch g fromlonlat 15 37 bybox 1 x km
        geosearch g fromlonlat 15 37 byradius 200 km any
        geosearch g fromlonlat 15 37 byradius 200 km store x
        geosearch g fromlonlat 15 37 byradius 200 km storedist
        geosearch g fromlonlat 15
        geosearch none fromlonlat 15 37 byradius 200 km
        geosearch none frommember a byradius 200 km
        geosearch none frommember a byradius 200 parsec
        GEOSEARCH g asc asc asc asc asc
    """,
    "storing": """
        geoadd {t}g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania 12.75 38.78 edge
        georadius {t}g 15 37 200 km store {t}d
        zrange {t}d 0 -1 withscores
        georadius {t}g 15 37 200 km asc count 1 store {t}d
        zrange {t}d 0 -1 withscores
        georadiusbymember {t}g Palermo 500 km store {t}d
        zrange {t}d 0 -1
        georadius {t}g 15 37 200 km storedist {t}e
        zrange {t}e 0 -1
        georadius {t}g 15 37 200 km withdist store {t}d
        georadius {t}g 15 37 200 km store
        georadius {t}g 0 0 1 km store {t}d
        exists {t}d
        georadius {t}none 0 0 1 km store {t}e
        exists {t}e
        geosearchstore {t}d {t}g fromlonlat 15 37 byradius 200 km
        zrange {t}d 0 -1 withscores
        geosearchstore {t}d {t}g fromlonlat 15 37 bybox 400 400 km asc count 1
        zrange {t}d 0 -1 withscores
        geosearchstore {t}d {t}g frommember Palermo byradius 0 km storedist
        zrange {t}d 0 -1 withscores
        geosearchstore {t}d {t}g fromlonlat 15 37 byradius 200 km withdist
        geosearchstore {t}d {t}g fromlonlat 15 37
        geosearchstore {t}d {t}none fromlonlat 15 37 byradius 200 km
        exists {t}d
        geosearchstore {t}g {t}g fromlonlat 15 37 byradius 100 km
        zrange {t}g 0 -1
    """,
}


@pytest.mark.parametrize("resp", [2, 3])
@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS.keys())
def test_replies_are_those_of_redis(ours: Wire, theirs: Wire, script: str, resp: int) -> None:
    for wire in (ours, theirs):
        wire.ask("hello", resp)
    run_both(ours, theirs, script)


def distance(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Metres along the great circle, by a formula of its own."""
    (x, y), (u, v) = ([math.radians(angle) for angle in place] for place in (one, other))
    hidden = math.sin((v - y) / 2) ** 2 + math.cos(y) * math.cos(v) * math.sin((u - x) / 2) ** 2
    return 2 * 6372797.560856 * math.asin(math.sqrt(hidden))


def test_searches_find_all_that_is_near(ours: Wire) -> None:
    chance = random.Random(7)
    places = {b"m%d" % n: (chance.uniform(-179, 179), chance.uniform(-80, 80)) for n in range(2000)}
    ours.ask("geoadd", "g", *(word for name, (x, y) in places.items() for word in (repr(x), repr(y), name)))
    for _ in range(40):
        center = (chance.uniform(-150, 150), chance.uniform(-60, 60))
        radius = chance.choice([50_000, 300_000, 1_000_000, 2_000_000])
        found = ours.ask("geosearch", "g", "fromlonlat", *map(repr, center), "byradius", radius, "m", "asc")
        inside = {name for name, place in places.items() if distance(center, place) < radius - 10}
        outside = {name for name, place in places.items() if distance(center, place) > radius + 10}
        assert inside <= set(found)
        assert not outside & set(found)
        away = [distance(center, places[name]) for name in found]
        assert all(one <= other + 10 for one, other in zip(away, away[1:], strict=False))


def test_random_searches_are_those_of_redis(ours: Wire, theirs: Wire) -> None:
    chance = random.Random(11)
    for wire in (ours, theirs):
        chance.seed(11)
        places = [(chance.uniform(-180, 180), chance.uniform(-85, 85)) for _ in range(1000)]
        wire.ask("geoadd", "g", *(word for n, (x, y) in enumerate(places) for word in (repr(x), repr(y), f"m{n}")))
    for _ in range(150):
        center = ["fromlonlat", repr(chance.uniform(-180, 180)), repr(chance.uniform(-85, 85))]
        if chance.random() < 0.3:
            center = ["frommember", f"m{chance.randrange(1000)}"]
        shape = ["byradius", str(chance.choice([0, 10, 500, 2500, 9000, 30000])), "km"]
        if chance.random() < 0.5:
            shape = ["bybox", str(chance.choice([0, 100, 3000])), str(chance.choice([10, 800, 20000])), "km"]
        query = ["geosearch", "g", *center, *shape, "asc", "withdist", "withcoord", "withhash"]
        assert ours.ask(*query) == theirs.ask(*query), query
