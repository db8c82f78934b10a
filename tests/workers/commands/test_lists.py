"""Commands on lists, reply by reply against redis-server where it is installed; and their encodings."""
from __future__ import annotations

import pytest
import redis

from tests.wire import Wire, run_both

# Keys of a script that must lie together have the tag {t}.
SCRIPTS = {
    "push": """
        lpush
        lpush a
        lpush a 1
        lpush a 2 3
        rpush a x y
        rpush a ""
        lrange a 0 -1
        llen a
        lpushx none 1
        rpushx none 1 2
        exists none
        lpushx a 9 8
        rpushx a 9 8
        lrange a 0 -1
        type a
        set s 1
        lpush s 1
        rpush s 1
        lpushx s 1
        rpushx s 1
        llen s
        llen none
        llen
    """,
    "pop": """
        rpush a 1 2 3 4 5 6 7 8
        lpop a
        rpop a
        lpop a 2
        rpop a 2
        lpop a 0
        rpop a -1
        lpop a x
        lpop a 1 2
        rpop a 1 2
        lpop
        rpop a 100
        exists a
        lpop a
        lpop a 1
        lpop a 0
        lpop none -1
        rpop none x
        rpush a 1
        rpop a
        exists a
        set s 1
        lpop s
        rpop s 2
        lpop s 0
    """,
    "range": """
        rpush a a b c d e
        lrange a 0 -1
        lrange a 1 3
        lrange a -3 -2
        lrange a 3 1
        lrange a -100 100
        lrange a 5 10
        lrange a 4 10
        lrange a 0 -100
        lrange a -100 -200
        lrange a 9223372036854775807 9223372036854775807
        lrange a -9223372036854775808 9223372036854775807
        lrange a x 1
        lrange a 1 x
        lrange a 1
        lrange none 0 -1
        lrange none x 1
        lindex a 0
        lindex a 4
        lindex a 5
        lindex a -1
        lindex a -5
        lindex a -6
        lindex a x
        lindex none x
        lindex none 0
        lindex a
        lindex a 9223372036854775807
        lindex a -9223372036854775808
        set s 1
        lrange s 0 -1
        lindex s 0
        lindex s x
    """,
    "set, insert": """
        rpush a a b c b 17
        lset a 0 x
        lset a -1 18
        lset a 5 y
        lset a -6 y
        lset a x y
        lset none x y
        lset none 0 y
        lset a 1
        linsert a before b 1
        linsert a AFTER b 2
        linsert a after 18 last
        linsert a before x first
        linsert a before nothing 1
        linsert a beside b 1
        linsert none before b 1
        linsert none beside b 1
        linsert a before b
        lrange a 0 -1
        set s 1
        lset s 0 1
        lset s x 1
        linsert s before b 1
    """,
    "remove": """
        rpush a a b a c a d a
        lrem a 1 a
        lrange a 0 -1
        lrem a -1 a
        lrange a 0 -1
        lrem a 0 b
        lrem a 0 nothing
        lrem a -9223372036854775808 a
        lrange a 0 -1
        lrem a x a
        lrem none x a
        lrem none 0 a
        lrem a 5 c
        lrem a 0 d
        exists a
        rpush a 1 2 3 4 5 6
        ltrim a 1 -2
        lrange a 0 -1
        ltrim a 0 100
        ltrim a -2 -1
        lrange a 0 -1
        ltrim a x 1
        ltrim a 0 x
        ltrim none 0 1
        ltrim none 0 x
        ltrim a 5 10
        exists a
        rpush a 1
        ltrim a 1 0
        exists a
        rpush a 1
        ltrim a 0 -5
        exists a
        set s 1
        lrem s 0 1
        ltrim s 0 1
    """,
    "position": """
        rpush a a b c 1 2 3 c c
        lpos a c
        lpos a 1
        lpos a none
        lpos a c rank 2
        lpos a c rank -1
        lpos a c rank -2 count 2
        lpos a c rank 5
        lpos a c count 0
        lpos a c count 1
        lpos a c count 2 rank 2
        lpos a c COUNT 0 RANK -1
        lpos a none count 0
        lpos a c count 10
        lpos a c count 0 maxlen 3
        lpos a c maxlen 2
        lpos a c maxlen 1 rank -1
        lpos a c count 0 maxlen 0
        lpos a c rank 0
        lpos a c rank x
        lpos a c count -1
        lpos a c count x
        lpos a c maxlen -1
        lpos a c maxlen x
        lpos a c rank
        lpos a c nonsense 1
        lpos a c rank 1 rank 3
        lpos none c
        lpos none c count 0
        lpos none c rank 0
        lpos a
        set s 1
        lpos s c
    """,
    "move": """
        rpush {t}a 1 2 3 4 5
        lmove {t}a {t}b left right
        lmove {t}a {t}b RIGHT LEFT
        lmove {t}a {t}b left left
        lrange {t}a 0 -1
        lrange {t}b 0 -1
        lmove {t}a {t}a left right
        lmove {t}a {t}a right right
        lrange {t}a 0 -1
        rpoplpush {t}a {t}b
        rpoplpush {t}a {t}a
        rpoplpush {t}a {t}b
        exists {t}a
        rpoplpush {t}a {t}b
        lmove {t}a {t}b left right
        lmove {t}a {t}b up right
        lmove {t}a {t}b left up
        lmove {t}a {t}b left
        lrange {t}b 0 -1
        rpoplpush {t}b {t}b
        lrange {t}b 0 -1
        set {t}s 1
        rpoplpush {t}s {t}b
        rpoplpush {t}b {t}s
        rpoplpush {t}none {t}s
        llen {t}b
        rpush {t}one x
        lmove {t}one {t}one left right
        lrange {t}one 0 -1
    """,
    "pop of several keys": """
        rpush {t}b 1 2 3 4 5
        lmpop 1 {t}b left
        lmpop 2 {t}a {t}b right count 2
        lmpop 2 {t}a {t}b LEFT COUNT 10
        exists {t}b
        lmpop 2 {t}a {t}b left
        lmpop 1 {t}a left count 5
        lmpop 0 {t}a left
        lmpop x {t}a left
        lmpop -1 {t}a left
        lmpop 2 {t}a left
        lmpop 1 {t}a up
        lmpop 1 {t}a left count
        lmpop 1 {t}a left count 0
        lmpop 1 {t}a left count x
        lmpop 1 {t}a left count 1 count 1
        lmpop 1 {t}a left nonsense 1
        lmpop 1 {t}a
        lmpop 1
        set {t}s 1
        lmpop 2 {t}a {t}s left
    """,
    "of other types": """
        rpush {t}a 1 2
        get {t}a
        incr {t}a
        append {t}a x
        type {t}a
        expire {t}a 100
        rpush {t}a 3
        ttl {t}a
        rename {t}a {t}b
        lrange {t}b 0 -1
        copy {t}b {t}c
        lpop {t}c
        lrange {t}b 0 -1
        set {t}b 1
        get {t}b
        del {t}c
        exists {t}c
    """,
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_script(name: str, ours: Wire, theirs: Wire) -> None:
    run_both(ours, theirs, SCRIPTS[name])


@pytest.fixture
def small_packs(ours: Wire, theirs: Wire) -> None:
    """Lists of more than five elements are trees."""
    for wire in (ours, theirs):
        assert wire.ask("config", "set", "list-max-listpack-size", "5") == "+OK"


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.usefixtures("small_packs")
def test_script_on_trees(name: str, ours: Wire, theirs: Wire) -> None:
    run_both(ours, theirs, SCRIPTS[name])


def test_long_lists_are_cheap_at_any_index(ours: Wire) -> None:
    for first in range(0, 200_000, 2000):
        ours.ask("rpush", "a", *range(first, first + 2000))
    assert ours.ask("llen", "a") == 200_000
    for index in (0, 1, 777, 99_999, 150_000, 199_999):
        assert ours.ask("lindex", "a", index) == b"%d" % index
        assert ours.ask("lset", "a", index, f"at{index}") == "+OK"
        assert ours.ask("lrange", "a", index, index) == [b"at%d" % index]
    assert ours.ask("ltrim", "a", 50_000, -50_001) == "+OK"
    assert ours.ask("lindex", "a", 0) == b"50000"
    assert ours.ask("lpop", "a", 99_999)[-1] == b"149998"
    assert ours.ask("lrange", "a", 0, -1) == [b"149999"]
    assert ours.ask("object", "encoding", "a") == b"listpack"


# -- encodings, as Redis 7.2 has them


def encoding(wire: Wire, key: str = "a") -> bytes:
    answer = wire.ask("object", "encoding", key)
    assert isinstance(answer, bytes)
    return answer


def test_a_list_grows_out_of_its_pack_by_bytes(ours: Wire) -> None:
    ours.ask("rpush", "a", "x" * 4000, "x" * 4000)
    assert encoding(ours) == b"listpack"
    ours.ask("rpush", "a", "x" * 180)
    assert encoding(ours) == b"quicklist"
    ours.ask("rpop", "a", 2)
    assert encoding(ours) == b"listpack"
    ours.ask("rpush", "b", "x" * 8192)
    assert encoding(ours, "b") == b"quicklist"
    ours.ask("lset", "b", 0, "short")
    assert encoding(ours, "b") == b"listpack"


def test_a_list_grows_out_of_its_pack_by_elements(ours: Wire) -> None:
    ours.ask("config", "set", "list-max-listpack-size", "3")
    ours.ask("rpush", "a", "1", "2", "3")
    assert encoding(ours) == b"listpack"
    ours.ask("linsert", "a", "before", "none", "0")
    assert encoding(ours) == b"quicklist"
    ours.ask("rpop", "a")
    assert encoding(ours) == b"quicklist"
    ours.ask("rpop", "a")
    assert encoding(ours) == b"listpack"
    ours.ask("config", "set", "list-max-ziplist-size", "0")    # its old name
    ours.ask("rpush", "b", "1")
    assert encoding(ours, "b") == b"listpack"
    ours.ask("rpush", "b", "2")
    assert encoding(ours, "b") == b"quicklist"


@pytest.mark.parametrize("level", [-1, -3, -5, -6])
def test_levels_of_bytes(ours: Wire, level: int) -> None:
    most = 4096 << (min(-level, 5) - 1)
    ours.ask("config", "set", "list-max-listpack-size", level)
    ours.ask("rpush", "a", "x" * (most - 8))
    assert encoding(ours) == b"listpack"
    ours.ask("rpush", "a", "xx")
    assert encoding(ours) == b"quicklist"


def test_a_list_keeps_its_time_and_its_key(ours: Wire) -> None:
    ours.ask("rpush", "a", "1")
    ours.ask("pexpireat", "a", 9999999999999)
    ours.ask("rpush", "a", "x" * 9000)
    assert encoding(ours) == b"quicklist"
    assert ours.ask("pexpiretime", "a") == 9999999999999
    ours.ask("rpop", "a")
    assert encoding(ours) == b"listpack"
    assert ours.ask("pexpiretime", "a") == 9999999999999


def test_elements_of_many_megabytes(ours: Wire) -> None:
    huge = bytes(number % 251 for number in range(251)) * 40_000
    ours.ask("rpush", "a", "first", huge, "last")
    assert ours.ask("lindex", "a", 1) == huge
    assert ours.ask("linsert", "a", "before", huge, "between") == 4
    assert ours.ask("lset", "a", 0, huge) == "+OK"
    assert ours.ask("lrem", "a", 0, huge) == 2
    assert ours.ask("lrange", "a", 0, -1) == [b"between", b"last"]


def test_resp3(client3: redis.Redis) -> None:
    assert client3.execute_command("LPOP", "none", 2) is None
    assert client3.execute_command("LPOS", "none", "x") is None
    assert client3.execute_command("LMPOP", 1, "none", "LEFT") is None
    assert client3.execute_command("RPUSH", "a", "1", "2") == 2
    assert client3.execute_command("LMPOP", 1, "a", "RIGHT", "COUNT", 5) == [b"a", [b"2", b"1"]]
