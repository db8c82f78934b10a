"""Rings: order, fullness, a producer that dies, a process at each end."""
from __future__ import annotations

import os
from collections import deque
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardkv._testing_ring import RingSide
from shardkv.ring import RingError, RingPair

CAPACITY = 4096


def sides(path: Path, capacity: int = CAPACITY, reply: bool = False) -> tuple[RingSide, RingSide]:
    RingPair.create(str(path), capacity)
    return RingSide(RingPair.open(str(path)), reply, True), RingSide(RingPair.open(str(path)), reply, False)


steps = st.lists(st.one_of(st.binary(max_size=900), st.sampled_from(["publish", "take", "release"])), max_size=120)


@settings(max_examples=150, deadline=None)
@given(steps=steps, reply=st.booleans())
def test_behaves_as_a_bounded_queue(
    tmp_path_factory: pytest.TempPathFactory, steps: list[bytes | str], reply: bool
) -> None:
    producer, consumer = sides(tmp_path_factory.mktemp("ring") / "r", reply=reply)
    appended: deque[bytes] = deque()
    published: deque[bytes] = deque()
    for step in steps:
        if isinstance(step, bytes):
            if producer.append(step):
                appended.append(step)
            else:
                assert producer.position - consumer.position + len(step) > 0
        elif step == "publish":
            producer.publish()
            published += appended
            appended.clear()
        elif step == "release":
            consumer.release()
        else:
            assert consumer.take() == (published.popleft() if published else None)
    producer.publish()
    consumer.release()
    for expected in [*published, *appended]:
        assert consumer.take() == expected
    assert consumer.take() is None


def test_a_full_ring_refuses_and_takes_again_after_release(tmp_path: Path) -> None:
    producer, consumer = sides(tmp_path / "r")
    count = 0
    while producer.append(b"x" * 100):
        count += 1
    assert count == CAPACITY // 120
    producer.publish()
    assert consumer.take() is not None
    assert not producer.append(b"x" * 100)  # taken, not yet released
    consumer.release()
    assert producer.append(b"x" * 100)


def test_what_a_dead_producer_did_not_publish_is_never_seen(tmp_path: Path) -> None:
    producer, consumer = sides(tmp_path / "r")
    producer.append(b"one")
    producer.publish()
    producer.append(b"lost")
    successor = RingSide(RingPair.open(str(tmp_path / "r")), False, True)
    successor.append(b"two")
    successor.publish()
    assert [consumer.take(), consumer.take(), consumer.take()] == [b"one", b"two", None]


def test_a_consumers_successor_sees_again_what_was_not_released(tmp_path: Path) -> None:
    producer, consumer = sides(tmp_path / "r")
    for text in (b"one", b"two"):
        producer.append(text)
    producer.publish()
    assert consumer.take() == b"one"
    consumer.release()
    assert consumer.take() == b"two"
    successor = RingSide(RingPair.open(str(tmp_path / "r")), False, False)
    assert successor.take() == b"two"


@pytest.mark.parametrize("size", [0, 4, 12, 72, 1 << 31])
def test_a_record_that_does_not_fit_is_not_followed(tmp_path: Path, size: int) -> None:
    producer, consumer = sides(tmp_path / "r")
    producer.damage(size)
    producer.publish()
    assert consumer.take() is None
    assert consumer.corrupt


def test_looking_ahead_ends_at_what_is_not_published_or_does_not_fit(tmp_path: Path) -> None:
    producer, consumer = sides(tmp_path / "r")
    for payload in (b"one", b"two" * 9, b"three"):
        assert producer.append(payload)
    producer.publish()
    assert producer.append(b"not yet")
    assert consumer.ahead() == [b"one", b"two" * 9, b"three"]
    assert consumer.take() == b"one"
    producer.damage(4096)
    producer.publish()
    assert consumer.ahead() == [b"two" * 9, b"three"], "a loaded tail is not loaded again while records are left"
    assert [consumer.take(), consumer.take()] == [b"two" * 9, b"three"]
    assert consumer.ahead() == [b"not yet"]
    assert not consumer.corrupt, "only who takes a record judges it"


def test_two_processes(tmp_path: Path) -> None:
    RingPair.create(str(tmp_path / "r"), CAPACITY)
    child = os.fork()
    if child == 0:
        producer = RingSide(RingPair.open(str(tmp_path / "r")), False, True)
        number = 0
        while number < 20_000:
            if producer.append(str(number).encode() * (number % 7)):
                number += 1
            producer.publish()
        os._exit(0)
    consumer = RingSide(RingPair.open(str(tmp_path / "r")), False, False)
    number = 0
    while number < 20_000:
        record = consumer.take()
        if record is None:
            os.sched_yield()
            continue
        assert record == str(number).encode() * (number % 7)
        number += 1
        consumer.release()
    assert os.waitpid(child, 0)[1] == 0


def test_bad_files_and_capacities_are_refused(tmp_path: Path) -> None:
    for capacity in (1000, 5000, 0):
        with pytest.raises(RingError):
            RingPair.create(str(tmp_path / "r"), capacity)
    (tmp_path / "text").write_bytes(b"not a ring" * 2000)
    with pytest.raises(RingError):
        RingPair.open(str(tmp_path / "text"))
    RingPair.create(str(tmp_path / "short"), CAPACITY)
    os.truncate(tmp_path / "short", 9000)
    with pytest.raises(RingError):
        RingPair.open(str(tmp_path / "short"))
