"""The keyspace against a model: commands committed and rolled back, deaths at every store, memory that comes back."""
from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from shardkv.errors import OutOfMemory
from workers.memory import _testing as a
from workers.memory import _testing_keyspace as c
from workers.memory.arena import Arena, crash_after
from workers.memory.databases import KeyspaceError
from workers.memory.keyspace import Keyspace

MIB = 1 << 20
NOW = 1_000_000
EMBEDDED, INT, RAW, BOXED = range(4)
DATABASES = 3
T = TypeVar("T")
Model = list[dict[bytes, tuple[bytes, int]]]  # value and expiry by key, of each database


class Store:
    """An arena with a keyspace; each `run` is a transaction."""

    def __init__(self, path: str, capacity: int = 64 * MIB, databases: int = DATABASES) -> None:
        self.arena = Arena.open(path, 0, 1, capacity=capacity)
        self.keyspace = Keyspace(self.arena, databases)
        self.position = self.arena.commit_word(0)
        self.at(NOW)

    def at(self, now: int, clock: int = 1) -> None:
        c.set_time(self.keyspace, now, clock)

    def begin(self) -> None:
        self.position += 1
        a.begin(self.arena, 0, self.position)

    def run(self, work: Callable[[], T]) -> T:
        self.begin()
        result = work()
        a.commit(self.arena)
        return result

    def put(self, key: bytes, value: bytes, expiry: int = -1, db: int = 0) -> None:
        self.run(lambda: c.put(self.keyspace, db, key, value, expiry))

    def get(self, key: bytes, db: int = 0) -> bytes | None:
        return self.run(lambda: c.get(self.keyspace, db, key))

    def facts(self, key: bytes, db: int = 0) -> dict[str, int]:
        found = self.run(lambda: c.facts(self.keyspace, db, key))
        assert found is not None
        return found

    def content(self) -> Model:
        """All keys that a scan finds, with value and expiry; changes nothing."""
        now_content: Model = []
        for db in range(self.keyspace.databases):
            keys: dict[bytes, tuple[bytes, int]] = {}
            cursor, started = 0, False
            while cursor or not started:
                cursor, some = c.scan(self.keyspace, db, cursor)
                for key, _ in some:
                    facts = c.facts(self.keyspace, db, key)
                    assert facts is not None
                    keys[key] = (c.get(self.keyspace, db, key) or b"", facts["expiry"])
                started = True
            now_content.append(keys)
        return now_content

    def check(self) -> None:
        """Every invariant of arena and tables; and all that is allocated is reachable, once."""
        self.arena.check()
        for db in range(self.keyspace.databases):
            c.buckets(self.keyspace, db)
        assert sorted(c.owned(self.keyspace)) == [offset for offset, _ in self.arena.allocated()]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "arena-0")


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


# -- any sequence, committed or rolled back

databases = st.integers(0, DATABASES - 1)
keys = st.sampled_from([b"", b"a", b"b", b"c", b"k" * 1500, *(b"key:%d" % number for number in range(0, 400, 40))])
values = st.sampled_from(
    [b"", b"1", b"-77", b"text", b"x" * 44, b"x" * 60, b"x" * 64, b"x" * 2048, b"x" * 2049, b"x" * 40_000]
)
expiries = st.one_of(st.just(-1), st.integers(0, 100))


class KeyspaceMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = Store(self.folder.name + "/arena-0")
        self.keyspace = self.store.keyspace
        self.model: Model = [{} for _ in range(DATABASES)]
        self.now = NOW

    def teardown(self) -> None:
        self.store.arena.close()
        self.folder.cleanup()

    def transaction(self, keep: bool, work: Callable[[Model], object]) -> None:
        if keep:
            self.store.run(lambda: work(self.model))
            return
        before = self.store.arena.fingerprint()
        self.store.begin()
        work(deepcopy(self.model))
        a.rollback(self.store.arena)
        assert self.store.arena.fingerprint() == before

    def drop_expired(self, model: Model, db: int, key: bytes) -> None:
        if key in model[db] and 0 <= model[db][key][1] < self.now:
            del model[db][key]

    @rule(keep=st.booleans(), db=databases, key=keys, value=values, ttl=expiries, raw=st.booleans())
    def put(self, keep: bool, db: int, key: bytes, value: bytes, ttl: int, raw: bool) -> None:
        expiry = self.now + ttl if ttl >= 0 else -1

        def work(model: Model) -> None:
            c.put(self.keyspace, db, key, value, expiry, raw)
            model[db][key] = (value, expiry)
        self.transaction(keep, work)

    @rule(keep=st.booleans(), db=databases, first=st.integers(0, 400), number=st.integers(1, 900), ttl=expiries)
    def put_many(self, keep: bool, db: int, first: int, number: int, ttl: int) -> None:
        expiry = self.now + ttl if ttl >= 0 else -1

        def work(model: Model) -> None:
            for each in range(first, first + number):
                c.put(self.keyspace, db, b"key:%d" % each, b"%d" % each, expiry)
                model[db][b"key:%d" % each] = (b"%d" % each, expiry)
        self.transaction(keep, work)

    @rule(keep=st.booleans(), db=databases, first=st.integers(0, 400), number=st.integers(1, 900))
    def delete_many(self, keep: bool, db: int, first: int, number: int) -> None:
        def work(model: Model) -> None:
            for each in range(first, first + number):
                self.drop_expired(model, db, b"key:%d" % each)
                there = model[db].pop(b"key:%d" % each, None) is not None
                assert c.delete(self.keyspace, db, b"key:%d" % each) == there
        self.transaction(keep, work)

    @rule(keep=st.booleans(), db=databases, key=keys)
    def get(self, keep: bool, db: int, key: bytes) -> None:
        def work(model: Model) -> None:
            self.drop_expired(model, db, key)
            c.prefetch(self.keyspace, db, key)
            assert c.get(self.keyspace, db, key) == model[db].get(key, (None,))[0]
        self.transaction(keep, work)

    @rule(keep=st.booleans(), db=databases, key=keys, lazily=st.booleans())
    def delete(self, keep: bool, db: int, key: bytes, lazily: bool) -> None:
        def work(model: Model) -> None:
            self.drop_expired(model, db, key)
            assert c.delete(self.keyspace, db, key, lazily) == (model[db].pop(key, None) is not None)
        self.transaction(keep, work)

    @rule(keep=st.booleans(), db=databases, key=keys, at=st.integers(0, 5000), data=values, cut=st.booleans())
    def edit(self, keep: bool, db: int, key: bytes, at: int, data: bytes, cut: bool) -> None:
        def work(model: Model) -> None:
            self.drop_expired(model, db, key)
            old, expiry = model[db].get(key, (b"", -1))
            length = at + len(data) if cut else max(len(old), at + len(data))
            c.edit(self.keyspace, db, key, length, at, data)
            new = bytearray(old[:length].ljust(length, b"\0"))
            new[at : at + len(data)] = data
            model[db][key] = (bytes(new), expiry)
        self.transaction(keep, work)

    @rule(keep=st.booleans(), db=databases, key=keys, ttl=expiries)
    def expire(self, keep: bool, db: int, key: bytes, ttl: int) -> None:
        expiry = self.now + ttl if ttl >= 0 else -1

        def work(model: Model) -> None:
            self.drop_expired(model, db, key)
            assert c.set_expiry(self.keyspace, db, key, expiry) == (key in model[db])
            if key in model[db]:
                model[db][key] = (model[db][key][0], expiry)
        self.transaction(keep, work)

    @rule(keep=st.booleans(), from_db=databases, key=keys, to_db=databases, new_key=keys, copied=st.booleans())
    def move_or_copy(self, keep: bool, from_db: int, key: bytes, to_db: int, new_key: bytes, copied: bool) -> None:
        def work(model: Model) -> None:
            self.drop_expired(model, from_db, key)
            self.drop_expired(model, to_db, new_key)
            if copied:
                done = c.copy(self.keyspace, from_db, key, self.keyspace, to_db, new_key)
                assert done == (key in model[from_db] and new_key not in model[to_db])
                if done:
                    model[to_db][new_key] = model[from_db][key]
            elif c.move(self.keyspace, from_db, key, to_db, new_key):
                model[to_db][new_key] = model[from_db].pop(key)
            else:
                assert key not in model[from_db]
        self.transaction(keep, work)

    @rule(keep=st.booleans(), left=databases, right=databases)
    def swap(self, keep: bool, left: int, right: int) -> None:
        def work(model: Model) -> None:
            c.swap(self.keyspace, left, right)
            model[left], model[right] = model[right], model[left]
        self.transaction(keep, work)

    @rule(keep=st.booleans(), db=st.integers(-1, DATABASES - 1))
    def flush(self, keep: bool, db: int) -> None:
        def work(model: Model) -> None:
            c.flush(self.keyspace, db)
            for each in range(DATABASES) if db < 0 else [db]:
                model[each] = {}
        self.transaction(keep, work)

    @rule(keep=st.booleans(), budget=st.integers(1, 2000))
    def reap(self, keep: bool, budget: int) -> None:
        self.transaction(keep, lambda model: c.reap(self.keyspace, budget))

    @rule(keep=st.booleans(), budget=st.integers(1, 2000))
    def expire_some(self, keep: bool, budget: int) -> None:
        self.transaction(keep, lambda model: c.expire_some(self.keyspace, budget))

    @rule(keep=st.booleans(), db=databases)
    def random_key(self, keep: bool, db: int) -> None:
        def work(model: Model) -> None:
            there = {key for key, (_, expiry) in model[db].items() if expiry < 0 or expiry >= self.now}
            drawn = c.random_key(self.keyspace, db)
            assert drawn in there if there else drawn is None
        self.transaction(keep, work)

    @rule(by=st.integers(1, 60), clock=st.integers(0, 3))
    def wait(self, by: int, clock: int) -> None:
        self.now += by
        self.store.at(self.now, clock)

    @invariant()
    def is_what_the_model_says(self) -> None:
        self.store.check()
        there = [{key: kept for key, kept in keys.items() if not 0 <= kept[1] < self.now} for keys in self.model]
        self.store.begin()
        assert self.store.content() == there
        a.rollback(self.store.arena)
        for db in range(DATABASES):
            assert len(there[db]) <= c.count(self.keyspace, db) <= len(self.model[db])


TestKeyspaceMachine = KeyspaceMachine.TestCase
TestKeyspaceMachine.settings = settings(max_examples=20, stateful_step_count=30)


# -- death at every store


def prepare(store: Store) -> None:
    keyspace = store.keyspace
    store.run(lambda: [c.put(keyspace, 0, b"key:%d" % number, b"v" * (number % 80)) for number in range(960)])
    store.run(lambda: [c.put(keyspace, 1, b"key:%d" % number, b"v" * 10, NOW + number) for number in range(40)])
    store.run(lambda: [c.put(keyspace, 2, b"key:%d" % number, b"v" * 3000) for number in range(6)])
    store.put(b"boxed", b"x" * 5000)
    store.put(b"large", b"x" * 2 * MIB, db=1)
    store.put(b"int", b"12", db=1)
    store.run(lambda: c.flush(keyspace, 2))


def reshaping(work: Callable[[], object]) -> None:
    before = c.moved()
    work()
    assert c.moved() > before


OPERATIONS: dict[str, Callable[[Keyspace], object]] = {
    "insert, splitting": lambda k: reshaping(lambda: c.put(k, 0, b"more", b"v")),
    "insert, first key": lambda k: c.put(k, 2, b"key", b"value"),
    "overwrite in place": lambda k: c.put(k, 1, b"key:5", b"w" * 10, NOW + 99),
    "overwrite, longer": lambda k: c.put(k, 1, b"key:5", b"w" * 100),
    "overwrite, boxed": lambda k: c.put(k, 0, b"boxed", b"w" * 7000),
    "overwrite, no longer boxed": lambda k: c.put(k, 0, b"boxed", b"1"),
    "edit": lambda k: c.edit(k, 0, b"key:77", 79, 2, b"edited"),
    "edit, boxed": lambda k: c.edit(k, 0, b"boxed", 5100, 4990, b"e" * 110),
    "edit, of a number": lambda k: c.edit(k, 1, b"int", 3, 2, b"3"),
    "expire": lambda k: c.set_expiry(k, 0, b"key:7", NOW + 5),
    "persist": lambda k: c.set_expiry(k, 1, b"key:7", -1),
    "delete": lambda k: c.delete(k, 0, b"key:8"),
    "delete, shrinking": lambda k: reshaping(lambda: [c.delete(k, 1, b"key:%d" % number) for number in range(35)]),
    "delete, lazily": lambda k: c.delete(k, 1, b"large", True),
    "move": lambda k: c.move(k, 0, b"key:9", 1, b"key:9"),
    "rename": lambda k: c.move(k, 0, b"boxed", 0, b"key:10"),
    "copy": lambda k: c.copy(k, 0, b"boxed", k, 2, b"copied"),
    "swap": lambda k: c.swap(k, 0, 1),
    "flush": lambda k: c.flush(k, -1),
    "reap": lambda k: c.reap(k, 1000),
}


def die_or_finish(path: str, operation: Callable[[Keyspace], object], point: int) -> bool:
    """Runs an operation in a forked process that dies at a crash point; answers whether it came to the end."""
    pid = os.fork()
    if pid == 0:
        try:
            store = Store(path)
            crash_after(point)
            store.run(lambda: operation(store.keyspace))
            os._exit(0)
        except BaseException:
            os._exit(1)
    status = os.waitpid(pid, 0)[1]
    assert status == 0 or os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    return status == 0


def read(path: str) -> Model:
    store = Store(path)
    store.check()
    store.begin()
    content = store.content()
    a.rollback(store.arena)
    store.arena.close()
    return content


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_death_at_any_store_leaves_all_or_nothing(path: str, name: str) -> None:
    store = Store(path)
    prepare(store)
    store.arena.close()
    fresh = path + ".fresh"
    subprocess.run(["cp", "--sparse=always", path, fresh], check=True)
    before = read(path)
    assert die_or_finish(path, OPERATIONS[name], 0)
    after = read(path)
    point, finished, committed = 0, False, True
    while not finished:
        if committed:
            subprocess.run(["cp", "--sparse=always", fresh, path], check=True)
        point += 1 + point // 40  # every point at first, then one in many
        finished = die_or_finish(path, OPERATIONS[name], point)
        content = read(path)
        assert content in (before, after)
        committed = finished or content == after
    assert content == after
    assert point > 5
