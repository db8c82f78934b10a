"""Deaths at every store of each operation on a keyspace: all of it is done, or nothing."""
from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable

import pytest

from tests.workers.memory.keyspaces import MIB, NOW, Model, Store
from workers.memory import _testing as a
from workers.memory import _testing_keyspace as c
from workers.memory.arena import crash_after
from workers.memory.keyspace import Keyspace


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
    """Runs an operation in a forked process that dies at a crash point; returns whether it came to the end."""
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
