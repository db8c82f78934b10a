"""The keyspace: encodings of strings, expiry, whole databases, memory that comes back."""
from __future__ import annotations

from collections.abc import Iterator

import pytest

from shardkv.errors import OutOfMemory
from tests.workers.memory.keyspaces import DATABASES, MIB, NOW, Store
from workers.memory import _testing as a
from workers.memory import _testing_keyspace as c
from workers.memory.arena import Arena
from workers.memory.databases import KeyspaceError
from workers.memory.keyspace import Keyspace

EMBEDDED, INT, RAW, BOXED = range(4)


@pytest.fixture
def store(path: str) -> Iterator[Store]:
    opened = Store(path)
    yield opened
    opened.arena.close()


# -- what one command does


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (b"", EMBEDDED), (b"abc", EMBEDDED), (b"x" * 44, EMBEDDED), (b"x" * 45, RAW), (b"x" * 2048, RAW),
        (b"x" * 2049, BOXED), (b"x" * 5 * MIB, BOXED), (b"0", INT), (b"-1", INT), (b"9223372036854775807", INT),
        (b"-9223372036854775808", INT), (b"9223372036854775808", EMBEDDED), (b"-0", EMBEDDED),
        (b"01", EMBEDDED), (b"+1", EMBEDDED), (b" 1", EMBEDDED), (b"1 ", EMBEDDED),
    ],
)
@pytest.mark.parametrize("key", [b"", b"key", b"k" * 1022, b"k" * 1023, b"k" * 70_000])
def test_a_string_is_kept_in_the_encoding_redis_gives_it(store: Store, key: bytes, value: bytes, kind: int) -> None:
    for old in (None, b"7", b"x" * 50, b"x" * 5000):
        if old is not None:
            store.put(key, old)
        store.put(key, value)
        assert store.get(key) == value
        assert store.facts(key)["type"] == kind
    store.check()
    store.run(lambda: c.put(store.keyspace, 0, key, b"12", -1, True))
    assert store.facts(key)["type"] == EMBEDDED
    store.run(lambda: c.put_int(store.keyspace, 0, key, -5))
    assert store.get(key) == b"-5" and store.facts(key)["type"] == INT
    store.check()


def test_overwriting_with_about_the_same_size_is_done_in_place(store: Store) -> None:
    store.put(b"key", b"a" * 60)
    offset = store.facts(b"key")["offset"]
    for value in (b"b" * 60, b"c" * 61, b"d" * 59, b"12", b"e" * 61):
        store.put(b"key", value)
        assert (store.facts(b"key")["offset"] == offset) == (len(value) > 50)
        if len(value) <= 50:
            break
    store.put(b"key", b"x" * 1500)
    assert store.facts(b"key")["memory"] < 1700
    store.put(b"key", b"x")
    assert store.facts(b"key")["memory"] < 40  # a small value does not keep a large block


def test_an_edit_zeroes_what_is_new_and_leaves_the_rest(store: Store) -> None:
    edits = ((5000, 4000, b"abc"), (60, 50, b"ab"), (20, 17, b"abc"), (3000, 0, b"z" * 3000), (2, 1, b"y"), (1, 0, b""))
    for old in (None, b"123", b"x" * 10, b"x" * 50, b"x" * 3000):
        for new_length, at, data in edits:
            for key in (b"key", b"k" * 2000):
                store.run(lambda key=key: c.delete(store.keyspace, 0, key))
                if old is not None:
                    store.put(key, old, NOW + 5)
                store.run(lambda key=key, args=(new_length, at, data): c.edit(store.keyspace, 0, key, *args))
                expected = bytearray((old or b"")[:new_length].ljust(new_length, b"\0"))
                expected[at : at + len(data)] = data
                assert store.get(key) == bytes(expected)
                assert store.facts(key)["type"] in (RAW, BOXED)
                assert store.facts(key)["expiry"] == (-1 if old is None else NOW + 5)
    store.check()


def test_appending_seldom_moves_a_value(store: Store) -> None:
    moves, memory, length = 0, 0, 0
    while length < 300_000:
        store.run(lambda at=length: c.edit(store.keyspace, 0, b"key", at + 10, at, b"0123456789"))
        length += 10
        moves += store.facts(b"key")["memory"] != memory
        memory = store.facts(b"key")["memory"]
    assert moves < 20 and memory < 2 * length + 5000
    assert store.get(b"key") == b"0123456789" * 30_000


def test_an_edit_of_a_large_value_journals_what_it_changes(store: Store) -> None:
    store.put(b"key", b"x" * 4 * MIB)
    before = store.arena.fingerprint()
    edits = ((4 * MIB, 5, b"abc"), (4 * MIB + 10, 4 * MIB, b"a" * 10), (4 * MIB, 0, b"y" * 3 * MIB))
    for new_length, at, data in edits:
        store.begin()
        c.edit(store.keyspace, 0, b"key", new_length, at, data)
        assert a.journal_used(store.arena) < 20_000
        a.rollback(store.arena)
        assert store.arena.fingerprint() == before


def test_the_access_clock_is_set_by_find_only_when_it_differs(store: Store) -> None:
    store.put(b"key", b"value")
    store.at(NOW, clock=77)
    assert store.facts(b"key")["clock"] == 1
    c.set_time(store.keyspace, NOW, 77, touch=False)
    store.get(b"key")
    assert store.facts(b"key")["clock"] == 1
    store.at(NOW, clock=0xFFFFFF)
    store.get(b"key")
    assert store.facts(b"key")["clock"] == 0xFFFFFF
    store.begin()
    c.get(store.keyspace, 0, b"key")
    assert a.journal_used(store.arena) == 0
    a.commit(store.arena)


def test_what_was_found_survives_changes_to_other_keys(store: Store) -> None:
    for number in range(1500):
        store.put(b"key:%d" % (number * 2), b"old")
    for number in range(1500):
        pair = [b"key:%d" % (number * 2), b"key:%d" % (number * 2 + 1 if number % 2 else 2998 - number * 2)]
        long = b"v" * (number % 100)
        store.run(lambda pair=pair, long=long: c.put_first_found_last(store.keyspace, 0, pair, long, True))
        assert store.get(pair[0]) == long
        new = b"new:%d" % number
        store.run(lambda new=new, long=long: c.put_first_found_last(store.keyspace, 0, [new, new], long, False))
        assert store.get(new) == long
    store.check()


def test_no_database_beyond_the_last(store: Store) -> None:
    for db in (-1, DATABASES):
        with pytest.raises(IndexError):
            store.get(b"key", db)


def test_a_copy_can_go_to_another_arena(store: Store, path: str) -> None:
    other = Store(path + "-other")
    for value in (b"1", b"x" * 100, b"x" * 5000):
        store.put(b"key", value, NOW + 9)
        other.begin()
        store.run(lambda: c.copy(store.keyspace, 0, b"key", other.keyspace, 1, b"copied"))
        a.commit(other.arena)
        assert other.get(b"copied", 1) == value == store.get(b"key")
        assert other.facts(b"copied", 1)["expiry"] == NOW + 9
        other.run(lambda: c.delete(other.keyspace, 1, b"copied"))
    other.check()
    other.arena.close()


# -- expiry


def test_a_key_is_there_until_its_time_has_passed(store: Store) -> None:
    store.put(b"key", b"value", NOW)
    assert store.get(b"key") == b"value"
    store.at(NOW + 1)
    store.keyspace.lazy_expire = False
    assert store.get(b"key") == b"value"
    store.keyspace.lazy_expire = True
    assert c.scan(store.keyspace, 0, 0) == (0, []) and c.count(store.keyspace, 0) == 1
    assert store.run(lambda: c.random_key(store.keyspace, 0)) is None
    assert c.count(store.keyspace, 0) == c.expiring(store.keyspace, 0) == 0
    assert store.keyspace.expired == 1
    store.check()


def test_memory_of_expired_keys_is_back_with_no_one_reading(store: Store) -> None:
    empty = store.arena.used_bytes
    for number in range(9000):
        store.put(b"key:%d" % number, b"v" * 100, NOW + number if number % 3 else -1, number // 3 % DATABASES)
    before = store.arena.fingerprint()
    assert store.run(lambda: c.expire_some(store.keyspace, 10_000)) == 0
    assert store.arena.fingerprint() == before  # nothing is due: nothing is written
    deleted = 0
    store.at(NOW + 5000)
    for _ in range(200):
        some = store.run(lambda: c.expire_some(store.keyspace, 200))
        assert some <= 200 + 128
        deleted += some
    assert deleted == len([number for number in range(9000) if number % 3 and number < 5000]) == store.keyspace.expired
    store.check()
    store.at(NOW + 9001)
    while store.run(lambda: c.expire_some(store.keyspace, 1000)):
        pass
    assert sum(c.count(store.keyspace, db) for db in range(DATABASES)) == 3000
    assert sum(c.expiring(store.keyspace, db) for db in range(DATABASES)) == 0
    for number in range(0, 9000, 3):
        assert store.run(lambda number=number: c.delete(store.keyspace, number // 3 % DATABASES, b"key:%d" % number))
    assert store.arena.used_bytes == empty


# -- whole databases


def test_a_flushed_database_is_freed_in_steps(store: Store) -> None:
    empty = store.arena.used_bytes
    for db in (0, 1):
        for number in range(3000):
            store.put(b"key:%d" % number, b"v" * number, db=db)
    store.put(b"large", b"v" * 3 * MIB)
    store.run(lambda: c.delete(store.keyspace, 0, b"large", True))
    full = store.arena.used_bytes
    store.run(lambda: c.flush(store.keyspace, -1))
    assert c.count(store.keyspace, 0) == 0 and store.arena.used_bytes == full
    store.put(b"key:1", b"new")
    steps = 0
    while store.run(lambda: c.reap(store.keyspace, 300)):
        steps += 1
        store.check()
    assert steps >= 5
    assert store.get(b"key:1") == b"new"
    store.run(lambda: c.delete(store.keyspace, 0, b"key:1"))
    assert store.arena.used_bytes == empty
    store.check()


def test_more_databases_are_made_and_fewer_taken_if_they_are_empty(path: str) -> None:
    store = Store(path)
    store.put(b"key", b"value", db=2)
    store.arena.close()
    store = Store(path, databases=40)
    assert store.get(b"key", 2) == b"value"
    store.put(b"key", b"value", db=39)
    store.check()
    store.arena.close()
    arena = Arena.open(path, 0, 1)
    with pytest.raises(KeyspaceError, match="database 39 holds keys"):
        Keyspace(arena, 39)
    with pytest.raises(ValueError, match="1 to 65536"):
        Keyspace(arena, 0)
    arena.close()
    store = Store(path, databases=40)
    store.run(lambda: c.delete(store.keyspace, 39, b"key"))
    store.arena.close()
    store = Store(path, databases=3)
    assert store.get(b"key", 2) == b"value"
    store.arena.close()


def test_a_full_arena_takes_no_key_but_lets_go_of_all(path: str) -> None:
    store = Store(path, capacity=4 * MIB)
    empty = store.arena.used_bytes
    for flushing in (False, True):
        number = 0
        with pytest.raises(OutOfMemory):
            while True:
                store.put(b"key:%d" % number, b"v" * 90)
                number += 1
        a.rollback(store.arena)
        assert number > 10_000 and c.count(store.keyspace, 0) == number
        store.check()
        if flushing:
            store.run(lambda: c.flush(store.keyspace, 0))
            while store.run(lambda: c.reap(store.keyspace, 500)):
                pass
        else:
            for each in range(number):
                assert store.run(lambda each=each: c.delete(store.keyspace, 0, b"key:%d" % each))
        assert store.arena.used_bytes == empty
        store.check()
    store.arena.close()
