"""Ranges of sorted sets, reply by reply against redis-server where it is installed."""
from __future__ import annotations

import pytest

from tests.wire import Wire
from tests.workers.commands.zset_scripts import compare

# Keys of a script that must lie together have the tag {t}.
SCRIPTS = {
    "zrange": """
        zadd z 1 a 2 b 3 c 4 d 5 e
        zrange z 0 -1
        zrange z 1 2
        zrange z -2 -1
        zrange z -100 1
        zrange z 3 100
        zrange z 3 1
        zrange z 5 9
        zrange z 0 -6
        zrange z 0 -1 withscores
        zrange z 0 -1 rev
        zrange z 1 3 rev withscores
        zrange z 1 3 rev rev
        zrange z -2 -1 rev
        zrange z (1 4 byscore
        zrange z 4 (1 byscore rev
        zrange z -inf +inf byscore limit 1 2 withscores
        zrange z +inf -inf byscore rev limit 1 2
        zrange z 1 4 byscore limit 0 0
        zrange z 1 4 byscore limit 0 -1
        zrange z 1 4 byscore limit -1 2
        zrange z 1 4 byscore limit 9 2
        zrange z 1 4 byscore limit 1
        zrange z 0 1 limit 0 1
        zrange z 0 1 limit 0 -1
        zrange z 4 1 byscore
        zrange z (4 (4 byscore
        zrange z x y byscore
        zrange z x y
        zrange z [a [c bylex
        zrange z [a [c bylex withscores
        zrange z [a [c bylex byscore
        zrange z x y bylex
        zrange z - + bylex rev
        zrange z + - bylex rev limit 1 2
        zrange none 0 -1
        zrange z 0 -1 nonsense
        zrange z 0
        zrevrange z 0 1
        zrevrange z 0 1 withscores
        zrevrange z 0 1 rev
        zrangebyscore z 2 4
        zrangebyscore z (2 (4
        zrangebyscore z 2 4 withscores limit 1 1
        zrangebyscore z 2 4 limit 1
        zrangebyscore z 2 4 limit a b
        zrangebyscore z "" 4
        zrangebyscore z (x 4
        zrangebyscore z nan 4
        zrevrangebyscore z 4 2 withscores
        zrevrangebyscore z (4 (2
        zrevrangebyscore z 2 4
        zcount z 2 4
        zcount z (2 +inf
        zcount z 4 2
        zcount none 1 2
        zcount z a b
        set s 1
        zrange s 0 -1
        zcount s 1 2
        zrangebyscore s 1 2
    """,
    "bylex": """
        zadd z 0 alpha 0 bar 0 cool 0 down 0 elephant 0 foo 0 great 0 hill 0 omega
        zrangebylex z - [cool
        zrangebylex z [bar [down
        zrangebylex z (bar (down
        zrangebylex z (omega +
        zrangebylex z - +
        zrangebylex z + -
        zrangebylex z [d (e
        zrangebylex z [down [bar
        zrangebylex z [a [zz limit 2 3
        zrangebylex z - [cool limit 1 -1
        zrangebylex z bar [down
        zrangebylex z [bar -x
        zrangebylex z "" +
        zrangebylex z [ +
        zrangebylex z ( [b
        zrevrangebylex z [d [c
        zrevrangebylex z + - limit 1 2
        zlexcount z - +
        zlexcount z [bar (down
        zlexcount z (down [bar
        zlexcount none - +
        zlexcount z a b
        zremrangebylex z [bar (down
        zremrangebylex z a b
        zremrangebylex none - +
        zrange z 0 -1
        zremrangebylex z - +
        exists z
    """,
    "removing ranges": """
        zadd z 1 a 2 b 3 c 4 d 5 e 6 f
        zremrangebyrank z 0 0
        zremrangebyrank z -1 -1
        zremrangebyrank z 5 2
        zremrangebyrank z x 2
        zremrangebyrank none 0 -1
        zrange z 0 -1
        zremrangebyscore z (2 3
        zremrangebyscore z 3 2
        zremrangebyscore z x 2
        zrange z 0 -1
        zremrangebyscore z -inf inf
        exists z
        set s 1
        zremrangebyscore s 1 2
        zremrangebyrank s 0 1
    """,
    "zrangestore": """
        zadd {t}z 1 a 2 b 3 c 4 d
        zrangestore {t}d {t}z 0 -1
        zrange {t}d 0 -1 withscores
        zrangestore {t}d {t}z 2 3 byscore
        zrange {t}d 0 -1 withscores
        zrangestore {t}d {t}z 3 2 byscore rev limit 1 1
        zrange {t}d 0 -1 withscores
        zrangestore {t}d {t}z [b [c bylex
        zrange {t}d 0 -1 withscores
        zrangestore {t}d {t}z 0 0 rev
        zrange {t}d 0 -1 withscores
        zrangestore {t}d {t}z 0 0 withscores
        zrangestore {t}d {t}z 5 6
        exists {t}d
        zrangestore {t}d {t}none 0 -1
        zrangestore {t}z {t}z 0 1
        zrange {t}z 0 -1 withscores
        set {t}s 1
        zrangestore {t}d {t}s 0 -1
        zrangestore {t}s {t}z 0 -1
        type {t}s
        zrangestore {t}s {t}none 0 -1
        exists {t}s
    """,
}


@pytest.mark.parametrize("resp", [2, 3])
@pytest.mark.parametrize("encoding", ["listpack", "skiplist"])
@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS.keys())
def test_replies_are_those_of_redis(ours: Wire, theirs: Wire, script: str, encoding: str, resp: int) -> None:
    compare(ours, theirs, script, encoding, resp)
