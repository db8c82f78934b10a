"""The control channel: framing, queueing, end of file."""
from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardkv.control import Channel, ControlError, Message

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def make_pair() -> tuple[Channel, Channel]:
    ours, theirs = Channel.pair()
    return ours, Channel(theirs)


@settings(max_examples=50, deadline=None)
@given(st.lists(JSON, max_size=5))
def test_messages_arrive_whole_and_in_order(bodies: list[object]) -> None:
    ours, theirs = make_pair()
    messages = [{"type": "x", "body": body} for body in bodies]
    for message in messages:
        ours.send(message)
    assert theirs.feed() == messages


def test_partial_message_waits_for_its_rest() -> None:
    ours, theirs = Channel.pair()
    theirs.send(b'{"type":')
    assert ours.feed() == []
    theirs.send(b'"a"}\n{"ty')
    assert ours.feed() == [{"type": "a"}]


def test_queueing_side_never_waits() -> None:
    ours, theirs = make_pair()
    big = {"type": "big", "body": "x" * 5_000_000}
    ours.send(big)
    assert ours.pending
    received: list[Message] = []
    while not received:
        received = theirs.feed()
        ours.flush()
    assert received == [big]
    assert not ours.pending


def test_end_of_file_after_the_last_messages() -> None:
    ours, theirs = make_pair()
    theirs.send({"type": "last"})
    theirs.close()
    assert ours.feed() == [{"type": "last"}]
    with pytest.raises(EOFError):
        ours.feed()
    ours.send({"type": "into the void"})


@pytest.mark.parametrize("line", [b"not json\n", b"[1]\n", b'{"kind":1}\n', b'{"type":1}\n', b"\xff\n"])
def test_what_is_no_message_is_refused(line: bytes) -> None:
    ours, theirs = Channel.pair()
    theirs.send(line)
    with pytest.raises(ControlError):
        ours.feed()
