"""The control channel: framing, queueing, end of file, and children that die with their parent."""
from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardkv.control import Channel, ControlError, Message

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
CHILD = "from shardkv.control import child_channel; channel = child_channel()"


def make_pair() -> tuple[Channel, Channel]:
    ours, theirs = Channel.pair()
    return ours, Channel(theirs)


@settings(max_examples=50, deadline=None)
@given(st.lists(JSON, max_size=5), st.booleans())
def test_messages_arrive_whole_and_in_order(bodies: list[object], blocking: bool) -> None:
    ours, theirs = make_pair()
    messages = [{"type": "x", "body": body} for body in bodies]
    for message in messages:
        ours.send(message)
    received = [theirs.receive_blocking() for _ in messages] if blocking else theirs.feed()
    assert received == messages


def test_receive_blocking_leaves_the_next_message_for_the_selector() -> None:
    ours, theirs = make_pair()
    ours.send({"type": "first"})
    ours.send({"type": "second"})
    assert theirs.receive_blocking() == {"type": "first"}
    assert select.select([theirs], [], [], 0)[0]
    assert theirs.feed() == [{"type": "second"}]


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


def test_receive_blocking_answers_none_at_end_of_file() -> None:
    ours, theirs = make_pair()
    ours.close()
    assert theirs.receive_blocking() is None


@pytest.mark.parametrize("line", [b"not json\n", b"[1]\n", b'{"kind":1}\n', b'{"type":1}\n', b"\xff\n"])
def test_what_is_no_message_is_refused(line: bytes) -> None:
    ours, theirs = Channel.pair()
    theirs.send(line)
    with pytest.raises(ControlError):
        ours.feed()


def test_child_dies_with_its_parent() -> None:
    child = f"{CHILD}; channel.send({{'type': 'ready'}}); import signal; signal.pause()"
    parent = textwrap.dedent(f"""
        import os, subprocess, sys, time
        from shardkv.control import Channel
        channel, theirs = Channel.pair()
        os.set_inheritable(theirs.fileno(), True)
        environment = os.environ | {{"SHARDKV_CONTROL": str(theirs.fileno())}}
        child = subprocess.Popen([sys.executable, "-c", {child!r}], pass_fds=[theirs.fileno()], env=environment,
                                 stdout=subprocess.DEVNULL)
        assert channel.receive_blocking() == {{"type": "ready"}}
        print(child.pid, flush=True)
        time.sleep(60)
    """)
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE)
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    watch = os.pidfd_open(pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert select.select([watch], [], [], 10)[0]
    os.close(watch)
    process.stdout.close()


def test_child_without_a_supervisor_says_so() -> None:
    answer = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True)
    assert answer.returncode == 1
    assert "run `shardkv`" in answer.stderr


def test_child_whose_parent_is_another_process_ends() -> None:
    ours, theirs = socket.socketpair()
    descriptor = theirs.fileno()
    command = f"[sys.executable, '-c', {CHILD!r}]"
    script = f"import subprocess, sys; sys.exit(subprocess.call({command}, pass_fds=[{descriptor}]))"
    answer = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"SHARDKV_CONTROL": str(descriptor)},
        pass_fds=[descriptor],
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 1
    assert "the supervisor is gone" in answer.stderr
    ours.close()
    theirs.close()
