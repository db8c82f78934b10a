"""What a handler in Python can do with a request: arguments, keys and values, errors that leave nothing behind."""
from __future__ import annotations

from pathlib import Path

from shardkv.errors import CommandError
from tests.workers.test_loop import instance
from workers.call import Call
from workers.registry import command


@command("@turn")
def turn(call: Call) -> None:
    """@turn key: turns the string round and answers it; removes the key when it is empty."""
    value = call.get(1)
    if not value:
        call.reply.number(call.delete(1))
        return
    call.set(1, value[::-1])
    if call.argc > 2:
        raise CommandError("ERR thought better of it")
    call.reply.string(call.get(1))


def test_a_python_handler_reads_changes_and_takes_back(tmp_path: Path) -> None:
    requests = [
        (b"set", b"{k}s", b"abc"), (b"@turn", b"{k}s"), (b"@turn", b"{k}s", b"fail"), (b"get", b"{k}s"),
        (b"set", b"{k}i", b"120"), (b"@turn", b"{k}i"), (b"incr", b"{k}i"),
        (b"set", b"{k}e", b""), (b"@turn", b"{k}e"), (b"@turn", b"{k}e"), (b"exists", b"{k}e"),
    ]
    with instance(tmp_path) as made:
        made.settle(0)
        for request in requests:
            made.send(request)
        made.settle(len(requests))
    assert [reply for _, reply in made.replies] == [
        b"+OK\r\n", b"$3\r\ncba\r\n", b"-ERR thought better of it\r\n", b"$3\r\ncba\r\n",
        b"+OK\r\n", b"$3\r\n021\r\n", b"-ERR value is not an integer or out of range\r\n",
        b"+OK\r\n", b":1\r\n", b":0\r\n", b":0\r\n",
    ]
