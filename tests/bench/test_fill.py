"""What the benchmark fills servers with."""
from __future__ import annotations

import pytest

from bench import fill, load, servers


def test_requests_are_resp() -> None:
    assert fill.request(b"GET", b"key") == b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n"


def test_small_hashes_have_five_fields_of_eight_bytes() -> None:
    words = fill.small_hash(1_234_567).split(b"\r\n")[2::2]
    assert words[:4] == [b"HSET", b"hash:000001234567", b"f0", b"v0:34567"]
    assert words[2::2] == [b"f%d" % field for field in range(5)]
    assert {len(value) for value in words[3::2]} == {8}


def test_members_differ_and_scores_come_in_no_order() -> None:
    words = list(fill.arguments(b"ZADD", range(1000), b""))
    assert len(set(words[1::2])) == 1000
    assert {len(member) for member in words[1::2]} == {20}
    scores = [int(score) for score in words[::2]]
    assert len(set(scores)) == 1000
    assert scores != sorted(scores)


@pytest.mark.parametrize(("name", "kind"), fill.COLLECTIONS.items())
def test_collections_are_filled_up(name: str, kind: fill.Collection) -> None:
    with servers.running("shardkv", 1) as server, load.client(server) as connection:
        if name not in fill.known_collections(connection):
            pytest.skip(f"{kind.adds} is not there yet")
        fill.collection(server, name, 120)
        assert connection.execute_command(kind.has, kind.key) == 120
        fill.collection(server, name, 100)
        assert connection.execute_command(kind.has, kind.key) == 120
        fill.empty(server)
        assert connection.dbsize() == 0


def test_tests_find_what_they_read() -> None:
    with servers.running("shardkv", 2) as server, load.client(server) as connection:
        load.prepare(server, "get", 10, 30)
        assert connection.dbsize() == 30
        assert connection.get("key:000000000029") == fill.BENCHMARK_DATA
        load.prepare(server, "lrange_100", 150, 30)
        assert connection.lrange("mylist", 0, 99) == [fill.BENCHMARK_DATA] * 100
        with pytest.raises(RuntimeError, match="did not take its elements"):
            fill.send(server, iter([fill.request(b"LPUSH", b"key:000000000029", b"x")]))
