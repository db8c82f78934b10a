"""Tables: growth in steps, shrinking, the SCAN guarantee, and hashes that collide."""
from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shardkv._testing import key_hash
from tests.hashing import PUBLIC_SECRET, colliding_keys, hashing_with
from tests.workers.memory.arenas import Transactions
from workers.memory import _testing as a
from workers.memory import _testing_keyspace as c
from workers.memory.arena import Arena
from workers.memory.keyspace import Keyspace

MIB = 1 << 20


class Store(Transactions):
    """A keyspace, each call a transaction of its own."""

    def __init__(self, path: Path) -> None:
        super().__init__(Arena.open(str(path), 0, 1, capacity=64 * MIB))
        self.keyspace = Keyspace(self.arena)
        c.set_time(self.keyspace, 1000)

    def put(self, *keys: bytes) -> None:
        self.run(lambda: [c.put(self.keyspace, 0, key, b"value") for key in keys])

    def delete(self, *keys: bytes) -> None:
        self.run(lambda: [c.delete(self.keyspace, 0, key) for key in keys])

    def check(self) -> list[dict[str, int]]:
        self.arena.check()
        assert sorted(c.owned(self.keyspace)) == [offset for offset, _ in self.arena.allocated()]
        return c.buckets(self.keyspace, 0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "arena-0")
    yield opened
    opened.arena.close()


def names(first: int, end: int) -> list[bytes]:
    return [b"key:%d" % number for number in range(first, end)]


def test_growth_moves_few_entries_at_a_time_and_keeps_the_load(store: Store) -> None:
    worst, loads, at_first = 0, [], c.moved()
    for number in range(40_000):
        before = c.moved()
        store.put(b"key:%d" % number)
        worst = max(worst, c.moved() - before)
        if number % 1000 == 999:
            loads.append((number + 1) / sum(bucket["slots"] for bucket in c.buckets(store.keyspace, 0)))
    assert worst <= 1024
    assert 0.6 < min(loads) and max(loads) < 0.86
    assert len(store.check()) > 30
    assert c.moved() - at_first < 200_000  # growing costs less than five moves an entry


def test_a_table_gives_its_memory_back(store: Store) -> None:
    empty = store.arena.used_bytes
    keys = names(0, 20_000)
    store.put(*keys)
    random.Random(5).shuffle(keys)
    for start in range(0, 19_900, 100):
        store.delete(*keys[start : start + 100])
    buckets = store.check()
    assert sum(bucket["slots"] for bucket in buckets) <= 16 * 100
    for key in keys[19_900:]:
        store.delete(key)
    assert store.check() == []
    assert store.arena.used_bytes == empty


def test_a_scan_without_changes_sees_each_key_once(store: Store) -> None:
    keys = names(0, 5000)
    store.put(*keys)
    cursor, seen, calls = 0, [], 0
    while cursor or not calls:
        cursor, some = c.scan(store.keyspace, 0, cursor)
        assert cursor < 1 << 48
        seen += [key for key, _ in some]
        calls += 1
        assert len(some) < 20
    assert sorted(seen) == sorted(keys)


@pytest.mark.parametrize("cursor", [1, 0x1FFFF, 1 << 17, (1 << 48) - 1, 31 << 17 | 5, 0x3FFFFFF << 22, (1 << 64) - 2])
def test_a_cursor_that_no_scan_answered_does_no_harm(store: Store, cursor: int) -> None:
    assert c.scan(store.keyspace, 0, cursor) == (0, [])
    store.put(*names(0, 3000))
    for _ in range(10_000):
        cursor, _ = c.scan(store.keyspace, 0, cursor)
        if cursor == 0:
            break
    assert cursor == 0


churn = st.tuples(st.sampled_from(["grow", "shrink", "nothing"]), st.integers(1, 2500), st.integers(1, 30))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stable=st.integers(1, 400), volatile=st.integers(0, 3000), changes=st.lists(churn, max_size=25))
def test_a_scan_misses_no_key_that_stays(
    tmp_path_factory: pytest.TempPathFactory, stable: int, volatile: int, changes: list[tuple[str, int, int]]
) -> None:
    store = Store(tmp_path_factory.mktemp("scan") / "arena-0")
    stays = {b"stays:%d" % number for number in range(stable)}
    store.put(*stays, *names(0, volatile))
    first, end = 0, volatile  # the volatile keys there are now: shrinking deletes the oldest
    seen: list[bytes] = []
    cursor = 0
    for change, amount, calls in [*changes, ("nothing", 1, 1_000_000)]:
        for _ in range(calls):
            cursor, some = c.scan(store.keyspace, 0, cursor)
            seen += [key for key, _ in some]
            if cursor == 0:
                break
        if cursor == 0:
            break
        if change == "grow":
            store.put(*names(end, end + amount))
            end += amount
        elif change == "shrink":
            store.delete(*names(first, min(end, first + amount)))
            first = min(end, first + amount)
    assert stays <= set(seen)
    assert set(seen) <= stays | set(names(0, end))
    store.check()
    store.arena.close()


def test_random_keys_are_spread(store: Store) -> None:
    assert c.random_key(store.keyspace, 0) is None
    keys = names(0, 50)
    store.put(*keys)
    drawn = [c.random_key(store.keyspace, 0) for _ in range(5000)]
    assert set(drawn) == set(keys)
    assert all(50 < drawn.count(key) < 160 for key in keys)
    store.put(*names(50, 5000))
    store.delete(*names(1, 5000))
    assert c.random_key(store.keyspace, 0) == b"key:0"


def test_keys_of_one_hash_are_kept_apart(store: Store) -> None:
    a.begin(store.arena, 0, 1)
    before = store.arena.used_bytes
    table = c.BareTable(store.arena)
    empty = table.root_words()
    keys = names(0, 500)  # few enough that no split asks for their true hashes
    for number, key in enumerate(keys):
        table.insert(0xFFFF_FFFF_FFFF_FFFF, key)
        assert table.find(0xFFFF_FFFF_FFFF_FFFF, key)
        if number % 100 == 0:
            assert all(table.find(0xFFFF_FFFF_FFFF_FFFF, other) for other in keys[: number + 1])
    assert table.buckets() == 1
    assert not table.find(0xFFFF_FFFF_FFFF_FFFF, b"other") and not table.find(0, keys[0])
    assert table.random(1)
    for key in reversed(keys):
        table.remove(0xFFFF_FFFF_FFFF_FFFF, key)
        assert not table.find(0xFFFF_FFFF_FFFF_FFFF, key)
    assert table.root_words() == empty
    a.rollback(store.arena)
    assert store.arena.used_bytes == before
    store.check()


@pytest.mark.parametrize(("told", "put"), [(0, 3000), (1, 1), (600, 600), (3000, 3000), (100, 3000), (5000, 40)])
def test_a_fresh_table_is_filled_without_the_journal(store: Store, told: int, put: int) -> None:
    keys = names(0, put)
    hashes = [key_hash(key) for key in keys]
    before = store.arena.fingerprint()
    for keep in (False, True):
        store.position += 1
        a.begin(store.arena, 0, store.position)
        moved, table = c.moved(), c.BareTable(store.arena)
        table.make(told)
        for value, key in zip(hashes, keys, strict=True):
            table.insert(value, key)
        table.check()
        assert c.moved() == moved or told != put
        assert all(table.find(value, key) for value, key in zip(hashes, keys, strict=True))
        assert a.journal_used(store.arena) < 20_000     # saved each by each, 3000 entries take 345,000
        if keep:
            a.commit(store.arena)
        else:
            a.rollback(store.arena)
            assert store.arena.fingerprint() == before
    # From the next transaction on it is a table like any other.
    made = store.arena.fingerprint()
    a.begin(store.arena, 0, store.position + 1)
    table.insert(key_hash(b"other"), b"other")
    table.remove(hashes[0], keys[0])
    a.rollback(store.arena)
    assert store.arena.fingerprint() == made
    table.check()


def test_keys_made_to_collide_under_the_public_secret_cost_what_others_cost(store: Store) -> None:
    keys, others = colliding_keys(5000), [b"%032d" % number for number in range(5000)]
    store.put(*keys)
    store.run(lambda: [c.put(store.keyspace, 1, key, b"value") for key in others])
    passed, compared = probes(store, 0, keys)
    others_passed, others_compared = probes(store, 1, others)
    assert compared < 1.01 * len(keys) and others_compared < 1.01 * len(keys)  # all but always the first compared is it
    assert passed < 4 * others_passed  # chance of both; slots passed would be millions


def probes(store: Store, db: int, keys: list[bytes]) -> tuple[int, int]:
    found = [c.probes(store.keyspace, db, key) for key in keys]
    return sum(passed for passed, _ in found), sum(compared for _, compared in found)


def test_a_known_secret_costs_time_but_neither_memory_nor_the_directory(store: Store) -> None:
    keys = colliding_keys(6000)
    with hashing_with(PUBLIC_SECRET):
        a.begin(store.arena, 0, 1)
        table = c.BareTable(store.arena)
        hashed = key_hash(keys[0])
        for key in keys:
            table.insert(hashed, key)
        assert sum(header["slots"] + header["spill"] for header in table.check()) < 6 * len(keys)
        assert table.find(hashed, keys[0]) and table.find(hashed, keys[-1]) and not table.find(hashed, b"other")
        assert table.directory_words() <= max(1, len(keys) // 64)
        table.insert(key_hash(b"other"), b"other")
        assert table.find(key_hash(b"other"), b"other")
        for key in reversed(keys):
            table.remove(hashed, key)
        assert len(table.check()) == 1 and table.directory_words() == 1
        a.rollback(store.arena)
