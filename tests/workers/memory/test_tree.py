"""Trees against lists: every call, rollback, death at any store, memory and height."""
from __future__ import annotations

import bisect
import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shardkv.errors import OutOfMemory
from tests.workers.memory.arenas import Transactions
from workers.memory import _testing as a
from workers.memory._testing_tree import Tree
from workers.memory.arena import Arena, crash_after

MIB = 1 << 20
Items = list[tuple[int, int]]


class Store(Transactions):
    """An arena with a tree, each call a transaction of its own."""

    def __init__(self, path: Path, weighted: bool = False) -> None:
        super().__init__(Arena.open(str(path), 0, 1, capacity=64 * MIB))
        self.tree = Tree(self.arena)
        self.run(lambda: self.tree.init(weighted))

    def check(self) -> Items:
        self.arena.check()
        assert sorted(self.tree.blocks()) == [offset for offset, _ in self.arena.allocated()]
        return self.tree.check()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "arena-0")
    yield opened
    opened.arena.close()


@pytest.fixture
def weighted(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "arena-0", weighted=True)
    yield opened
    opened.arena.close()


def plain(numbers: list[int]) -> Items:
    return [(number, 1) for number in numbers]


# -- finding


@pytest.mark.parametrize("count", [0, 1, 2, 63, 64, 1000, 5000])
def test_walks_and_places(store: Store, count: int) -> None:
    numbers = [10 * number for number in range(1, count + 1)]
    store.run(lambda: store.tree.build(plain(numbers)))
    assert store.check() == plain(numbers)
    cursor = store.tree.cursor()
    assert cursor.position() == count and not cursor.next()
    backward: list[int] = []
    while cursor.prev():
        backward.append(cursor.item()[0])
    assert backward == numbers[::-1]
    forward: list[int] = []
    on_item = cursor.first()
    while on_item:
        assert cursor.position() == len(forward)
        forward.append(cursor.item()[0])
        on_item = cursor.next()
    assert forward == numbers and cursor.position() == count
    assert cursor.last() == (count > 0) and (count == 0 or cursor.item() == (10 * count, 1))


@pytest.mark.parametrize("count", [0, 1, 64, 3000])
def test_seeking(store: Store, count: int) -> None:
    numbers = [10 * number for number in range(1, count + 1)]
    random.Random(3).shuffle(numbers)
    store.run(lambda: store.tree.insert_sorted(numbers))
    numbers.sort()
    cursor = store.tree.cursor()
    for sought in {0, 1, 5, 10, 11, 5 * count, 10 * count + 9, 10 * count, *range(1, 10 * count, 37)}:
        place = bisect.bisect_left(numbers, sought)
        assert cursor.seek(sought) == (place < count)
        assert cursor.position() == place
        assert place == count or cursor.item()[0] == numbers[place]


def test_positions_fall_within_items(weighted: Store) -> None:
    items = [(number, 1 + number * 7 % 13) for number in range(1000)]
    weighted.run(lambda: weighted.tree.build(items))
    assert weighted.check() == items
    cursor = weighted.tree.cursor()
    position = 0
    for item in items:
        for within in range(item[1]):
            assert cursor.find(position) == within
            assert cursor.item() == item and cursor.position() == position - within
            position += 1
    for beyond in (position, position + 1, (1 << 64) - 1):
        assert cursor.find(beyond) is None
        assert cursor.position() == position


def test_a_new_weight_counts_everywhere(weighted: Store) -> None:
    items = [(number, 1) for number in range(3000)]
    weighted.run(lambda: weighted.tree.build(items))
    cursor = weighted.tree.cursor()
    for index in (0, 1, 1500, 2999, 0):
        items[index] = (items[index][0] + 10_000, items[index][1] + 5 + index)
        cursor.find(sum(weight for _, weight in items[:index]))
        weighted.run(lambda index=index: cursor.replace(*items[index]))  # type: ignore[misc]
        assert cursor.item() == items[index]
        assert weighted.check() == items
    items[7] = (items[7][0], 2)
    cursor.find(sum(weight for _, weight in items[:7]))
    weighted.run(lambda: cursor.replace(*items[7]))
    assert weighted.check() == items


# -- changing

number = st.integers(0, 1 << 30)
change = st.tuples(
    st.sampled_from(["insert", "insert", "append", "prepend", "remove", "pop", "shift", "replace", "build"]),
    st.integers(1, 150),
    number,
)


class Model:
    """A tree and the list of what is to be in it."""

    def __init__(self, store: Store, weighted: bool) -> None:
        self.store = store
        self.weighted = weighted
        self.items: Items = []
        self.names = 0

    def new_item(self, seed: int) -> tuple[int, int]:
        self.names += 1
        return self.names, 1 + seed % 5 if self.weighted else 1

    def apply(self, kind: str, times: int, seed: int) -> None:
        """Changes both, `times` in a row with one cursor, from a place given by `seed` on; the cursor is checked."""
        items, cursor = self.items, self.store.tree.cursor()
        if kind == "build":
            if not items:
                items += [self.new_item(seed + index) for index in range(times * 25)]
                self.store.tree.build(items)
            return
        place = seed % (len(items) + 1)
        if kind in ("append", "pop"):
            place = len(items)
        elif kind in ("prepend", "shift"):
            place = 0
        cursor.find(sum(weight for _, weight in items[:place]))
        for index in range(times):
            if kind in ("insert", "append", "prepend"):
                items.insert(place, self.new_item(seed + index))
                cursor.insert(*items[place])
                assert cursor.item() == items[place]
                if kind == "append" or (kind == "insert" and seed % 2):
                    cursor.next()
                    place += 1
            elif kind == "pop":
                if not cursor.last():
                    break
                cursor.remove()
                items.pop()
            elif place == len(items):
                break
            elif kind == "replace":
                items[place] = self.new_item(seed + index)
                cursor.replace(*items[place])
                cursor.next()
                place += 1
            else:
                del items[place]
                cursor.remove()
        if kind != "pop":
            assert cursor.position() == sum(weight for _, weight in items[:place])
            if place < len(items):
                assert cursor.item() == items[place]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    weighted=st.booleans(),
    transactions=st.lists(st.tuples(st.lists(change, min_size=1, max_size=6), st.booleans()), max_size=20),
)
def test_a_tree_is_a_list(
    tmp_path_factory: pytest.TempPathFactory,
    weighted: bool,
    transactions: list[tuple[list[tuple[str, int, int]], bool]],
) -> None:
    store = Store(tmp_path_factory.mktemp("tree") / "arena-0", weighted)
    model = Model(store, weighted)
    for changes, commits in transactions:
        before, fingerprint = list(model.items), store.arena.fingerprint()
        store.begin()
        for kind, times, seed in changes:
            model.apply(kind, times, seed)
            assert store.tree.check() == model.items
        if commits:
            a.commit(store.arena)
        else:
            a.rollback(store.arena)
            assert store.arena.fingerprint() == fingerprint
            model.items = before
        assert store.check() == model.items
    store.arena.close()
    os.unlink(store.arena.path)


@pytest.mark.parametrize("order", ["random", "ends", "runs"])
def test_a_large_tree_goes_as_it_came(store: Store, order: str) -> None:
    draw = random.Random(order)
    numbers = draw.sample(range(1, 1 << 40), 20_000)
    for start in range(0, len(numbers), 500):
        store.run(lambda start=start: store.tree.insert_sorted(numbers[start : start + 500]))  # type: ignore[misc]
    numbers.sort()
    assert store.check() == plain(numbers)
    assert store.tree.height() == 3
    cursor = store.tree.cursor()
    while numbers:
        store.begin()
        for _ in range(min(500, len(numbers))):
            place = draw.randrange(len(numbers))
            if order == "ends":
                place = 0 if place % 3 else len(numbers) - 1
            elif order == "runs":
                place = min(place // 4000 * 4000, len(numbers) - 1)
            assert cursor.seek(numbers[place]) and cursor.position() == place
            cursor.remove()
            del numbers[place]
        a.commit(store.arena)
        assert store.tree.check() == plain(numbers)
    assert store.check() == [] and store.arena.used_bytes == 0


def test_a_queue_stays_small(store: Store) -> None:
    cursor = store.tree.cursor()
    for start in range(0, 20_000, 100):
        store.begin()
        for item in range(start, start + 100):
            cursor.end()
            cursor.insert(item, 1)
            if item >= 300:
                cursor.first()
                assert cursor.item() == (item - 300, 1)
                cursor.remove()
        a.commit(store.arena)
    assert store.check() == plain(list(range(19_700, 20_000)))
    assert store.tree.height() <= 3 and store.arena.used_bytes < 8000


# -- cost


@pytest.mark.parametrize(("order", "most"), [("random", 10.0), ("ascending", 8.6), ("descending", 8.6)])
def test_memory_an_item(store: Store, order: str, most: float) -> None:
    numbers = list(range(1, 60_001))
    if order == "random":
        random.Random(7).shuffle(numbers)
    elif order == "descending":
        numbers.reverse()
    for start in range(0, len(numbers), 1000):
        store.run(lambda start=start: store.tree.insert_sorted(numbers[start : start + 1000]))  # type: ignore[misc]
    assert store.check() == plain(sorted(numbers))
    assert store.arena.used_bytes / len(numbers) < most


def test_no_change_journals_much(store: Store) -> None:
    draw = random.Random(11)
    numbers = draw.sample(range(1 << 40), 30_000)
    store.run(lambda: store.tree.insert_sorted(numbers[:25_000]))
    worst, total = 0, 0
    for item in numbers[25_000:]:
        store.begin()
        store.tree.insert_sorted([item])
        worst = max(worst, a.journal_used(store.arena))
        total += a.journal_used(store.arena)
        a.commit(store.arena)
    assert worst < 4500 and total / 5000 < 400


# -- the end


@pytest.mark.parametrize("budget", [1, 100, 1 << 30])
def test_dismantling_in_steps(weighted: Store, budget: int) -> None:
    tree = weighted.tree
    assert weighted.run(lambda: tree.dismantle(budget)) == (True, [])
    weighted.run(lambda: tree.build([(item, 3) for item in range(9000)]))
    seen: list[int] = []
    done = False
    while not done:
        fingerprint = weighted.arena.fingerprint()
        weighted.begin()
        tree.dismantle(budget)
        a.rollback(weighted.arena)
        assert weighted.arena.fingerprint() == fingerprint
        done, items = weighted.run(lambda: tree.dismantle(budget))
        assert len(items) <= budget + 63
        seen += items
        assert sorted(tree.blocks()) == [offset for offset, _ in weighted.arena.allocated()]
    assert sorted(seen) == list(range(9000))
    assert weighted.check() == [] and weighted.arena.used_bytes == 0


def test_dismantling_items_that_are_freed_elsewhere(store: Store) -> None:
    store.run(lambda: store.tree.build(plain(list(range(500)))))
    steps = 1
    while not store.run(lambda: store.tree.dismantle_unseen(50)):
        steps += 1
    assert steps == 8 and store.arena.used_bytes == 0


# -- when memory or the worker ends


def test_a_full_arena_leaves_the_tree_as_it_was(tmp_path: Path) -> None:
    store = Store(tmp_path / "arena-0")
    store.run(lambda: store.tree.insert_sorted(list(range(0, 20_000, 2))))
    fingerprint = store.arena.fingerprint()
    store.begin()
    with a.growth_failing(store.arena), pytest.raises(OutOfMemory):
        store.tree.insert_sorted(random.Random(1).sample(range(1 << 40), 400_000))
    a.rollback(store.arena)
    assert store.arena.fingerprint() == fingerprint
    assert store.check() == plain(list(range(0, 20_000, 2)))
    store.arena.close()


def dies(path: str, point: int, work: Callable[[Arena], None]) -> bool:
    """Whether a process of its own was killed at a crash point in a transaction with `work`."""
    pid = os.fork()
    if pid == 0:
        try:
            arena = Arena.open(path, 0, 1)
            a.begin(arena, 0, 1 << 20)
            crash_after(point)
            work(arena)
            a.commit(arena)
            os._exit(0)
        except BaseException:
            os._exit(1)
    status = os.waitpid(pid, 0)[1]
    assert status == 0 or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL)
    return status != 0


def splits(tree: Tree) -> None:
    cursor = tree.cursor()
    cursor.find(1000)
    for item in range(70):
        cursor.insert(item, 2)


def joins(tree: Tree) -> None:
    cursor = tree.cursor()
    cursor.find(1000)
    for _ in range(60):
        cursor.remove()


@pytest.mark.parametrize("work", [splits, joins])
def test_death_at_any_store_is_all_or_nothing(tmp_path: Path, work: Callable[[Tree], None]) -> None:
    base, path = str(tmp_path / "base"), str(tmp_path / "arena-0")
    store = Store(Path(base), weighted=True)
    before = [(item, 1 + item % 3) for item in range(63 * 63)]
    store.run(lambda: store.tree.build(before))
    store.begin()
    work(store.tree)
    after = store.tree.check()
    a.rollback(store.arena)
    fingerprint = store.arena.fingerprint()
    store.arena.close()

    shutil.copyfile(base, path)
    point, outcomes = 1, set()
    while dies(path, point, lambda arena: work(Tree(arena))):
        arena = Arena.open(path, 0, 1)
        arena.check()
        committed = arena.commit_word(0) == 1 << 20
        assert Tree(arena).check() == (after if committed else before)
        assert committed or arena.fingerprint() == fingerprint
        arena.close()
        if committed:
            shutil.copyfile(base, path)
        outcomes.add(committed)
        point += 1 if point < 60 else 17
    assert False in outcomes and point > 300
