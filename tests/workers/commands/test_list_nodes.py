"""The tree of a list, and its nodes: any sequence of commands does what it does to a list of Python's.

Most run on an arena of their own, where packs and nodes are cheap to fill.
"""
from __future__ import annotations

import random
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.wire import Wire
from tests.workers.commands.executors import executor
from workers._testing_commands import Executor

ELEMENTS = st.one_of(
    st.sampled_from([b"", b"0", b"17", b"-1", b"4095", b"9223372036854775807", b"a", b"b", b"c"]),
    st.binary(max_size=12),
    st.sampled_from([60, 500, 1900, 2030, 2048, 4000, 9000]).map(lambda length: b"e" * length),
)
BATCHES = st.one_of(
    st.lists(ELEMENTS, min_size=1, max_size=5),
    st.tuples(ELEMENTS, st.integers(1, 400)).map(lambda drawn: [drawn[0]] * drawn[1]),
    st.integers(1, 400).map(lambda count: [b"%d" % number for number in range(count)]),
    st.integers(600, 900).map(lambda count: alike(count)),
)
PLACES = st.integers(-1000, 1000)


def alike(count: int) -> list[bytes]:
    """Elements of which the nodes inside a list are sealed."""
    return [b"element:%012d" % number for number in range(count)]


STEPS = st.one_of(
    st.tuples(st.sampled_from(["lpush", "rpush"]), BATCHES),
    st.tuples(st.sampled_from(["lpop", "rpop"]), st.integers(1, 300)),
    st.tuples(st.just("lset"), PLACES, ELEMENTS),
    st.tuples(st.sampled_from(["before", "after"]), PLACES, ELEMENTS),
    st.tuples(st.just("lrem"), PLACES, st.sampled_from([0, 1, 2, 40, -1, -2, -40])),
    st.tuples(st.just("ltrim"), st.integers(0, 200), st.integers(1, 200)),
    st.tuples(st.just("rotate")),
)


def integer(reply: bytes) -> int:
    assert reply[:1] == b":"
    return int(reply[1:])


def array(elements: list[bytes]) -> bytes:
    """The reply that holds these elements."""
    return b"*%d\r\n" % len(elements) + b"".join(b"$%d\r\n%b\r\n" % (len(element), element) for element in elements)


def take(shard: Executor, model: list[bytes], step: tuple[object, ...], keep: bool = True) -> None:
    """Does the same with the list at key `l` (undone unless `keep`) and with a list of Python's."""
    run = partial(shard.run, keep=keep)
    match step:
        case "lpush" | "rpush" as name, list(batch):
            model[:] = batch[::-1] + model if name == "lpush" else model + batch
            assert integer(run(name, b"l", *batch)) == len(model)
        case ("lpop" | "rpop") as name, int(count):
            taken = model[:count] if name == "lpop" else model[::-1][:count]
            model[:] = model[count:] if name == "lpop" else model[: max(len(model) - count, 0)]
            assert run(name, b"l", b"%d" % count) == (array(taken) if taken else b"*-1\r\n")
        case "ltrim", int(before), int(behind):
            model[:] = model[before : max(len(model) - behind + 1, 0)]
            assert run("ltrim", b"l", b"%d" % before, b"%d" % -behind) == b"+OK\r\n"
        case "rotate",:
            model[:] = model[-1:] + model[:-1]
            run("rpoplpush", b"l", b"l")
        case _ if not model:
            pass
        case "lset", int(place), bytes(element):
            model[place % len(model)] = element
            assert run("lset", b"l", b"%d" % (place % len(model)), element) == b"+OK\r\n"
        case ("before" | "after") as where, int(place), bytes(element):
            pivot = model[place % len(model)]
            model.insert(model.index(pivot) + (where == "after"), element)
            assert integer(run("linsert", b"l", where.encode(), pivot, element)) == len(model)
        case "lrem", int(place), int(count):
            element = model[place % len(model)]
            places = [index for index, other in enumerate(model) if other == element]
            places = places[:count] if count > 0 else places[count:]
            model[:] = [other for index, other in enumerate(model) if index not in set(places)]
            assert integer(run("lrem", b"l", b"%d" % count, element)) == len(places)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(STEPS, max_size=25), place=PLACES, sealed=st.booleans())
def test_any_sequence_does_what_it_does_to_a_list(steps: list[tuple[object, ...]], place: int, sealed: bool) -> None:
    model: list[bytes] = []
    with executor() as shard:
        for step in [("rpush", alike(900)), *steps] if sealed else steps:
            take(shard, model, step)
            assert shard.run("lrange", b"l", b"0", b"-1") == array(model)
            shard.arena.check()
        if model:
            index = place % len(model)
            assert shard.run("lindex", b"l", b"%d" % (index - len(model))) == array([model[index]])[4:]
            places = [number for number, element in enumerate(model) if element == model[index]]
            found = b"*%d\r\n" % len(places) + b"".join(b":%d\r\n" % number for number in places)
            assert shard.run("lpos", b"l", model[index], b"count", b"0") == found
        shard.run("del", b"l")
        shard.run("exists", b"l")
        assert shard.run("llen", b"l") == b":0\r\n"


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(STEPS, max_size=8), last=STEPS, sealed=st.booleans())
def test_any_step_rolls_back(steps: list[tuple[object, ...]], last: tuple[object, ...], sealed: bool) -> None:
    model: list[bytes] = []
    with executor() as shard:
        for step in [("lpush", alike(900)), *steps] if sealed else steps:
            take(shard, model, step)
        before = shard.arena.fingerprint()
        take(shard, model.copy(), last, keep=False)
        assert shard.arena.fingerprint() == before
        shard.arena.check()
        assert shard.run("lrange", b"l", b"0", b"-1") == array(model)


# -- sealed nodes, and nodes of one element


def used_by(shard: Executor, elements: list[bytes]) -> int:
    """Bytes of a list of them, which must be whole, forwards, backwards and as a dump."""
    for first in range(0, len(elements), 7):
        shard.run("rpush", b"l", *elements[first : first + 7])
    used = integer(shard.run("memory|usage", b"l", b"samples", b"0"))
    assert shard.run("lrange", b"l", b"0", b"-1") == array(elements)
    shard.run("copy", b"l", b"copy")
    dumped = shard.run("dump", b"l").partition(b"\r\n")[2][:-2]
    assert shard.run("restore", b"other", b"0", dumped) == b"+OK\r\n"
    for key in (b"l", b"copy", b"other"):
        assert shard.run("rpop", key, b"%d" % len(elements)) == array(elements[::-1])
    shard.arena.check()
    return used


def test_nodes_inside_a_list_are_sealed() -> None:
    elements = alike(5000)
    with executor() as shard:
        assert used_by(shard, elements) < 0.4 * sum(map(len, elements))


def test_elements_that_do_not_get_shorter_stay_as_they_are() -> None:
    elements = [random.Random(number).randbytes(40) for number in range(2000)]
    with executor() as shard:
        assert sum(map(len, elements)) < used_by(shard, elements) < 1.15 * sum(map(len, elements))


@pytest.mark.parametrize("first", ["lpush", "rpush"])
def test_a_queue_goes_through_sealed_nodes(first: str) -> None:
    elements = alike(3000)
    last = "rpop" if first == "lpush" else "lpop"
    with executor() as shard:
        for number, element in enumerate(elements):
            shard.run(first, b"l", element)
            if number >= 1500:
                assert shard.run(last, b"l") == array([elements[number - 1500]])[4:]
        assert integer(shard.run("llen", b"l")) == 1500
        assert integer(shard.run("memory|usage", b"l", b"samples", b"0")) < 0.6 * 1500 * 20


def test_elements_with_nodes_of_their_own(ours: Wire) -> None:
    assert ours.ask("debug", "quicklist-packed-threshold", "3b") == "+OK"
    try:
        ours.ask("rpush", "a", *(str(number) for number in range(2000)))
        ours.ask("linsert", "a", "after", "1000", "middle")
        ours.ask("lset", "a", "7", "seven")
        expected = [b"%d" % number for number in range(2000)]
        expected.insert(1001, b"middle")
        expected[7] = b"seven"
        assert ours.ask("lrange", "a", 0, -1) == expected
        assert ours.ask("rpop", "a", 1995) == expected[:5:-1]
        assert ours.ask("debug", "quicklist-packed-threshold", "5gb").startswith("-ERR argument must be a memory value")
    finally:
        assert ours.ask("debug", "quicklist-packed-threshold", "0") == "+OK"
