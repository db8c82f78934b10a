"""The keyspace against dicts: any sequence of operations, each of them committed or rolled back."""
from __future__ import annotations

import tempfile
from collections.abc import Callable
from copy import deepcopy

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.workers.memory.keyspaces import DATABASES, NOW, Model, Store
from workers.memory import _testing as a
from workers.memory import _testing_keyspace as c

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
