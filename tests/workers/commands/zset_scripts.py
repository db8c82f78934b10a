"""Scripts of commands on sorted sets, which run in RESP2 or RESP3 and in either encoding."""
from __future__ import annotations

from tests.wire import Wire, run_both


def compare(ours: Wire, theirs: Wire, script: str, encoding: str, resp: int) -> None:
    """Runs a script on both servers, where sorted sets have that encoding: the replies are the same."""
    for wire in (ours, theirs):
        wire.ask("hello", resp)
        assert wire.ask("config", "set", "zset-max-listpack-entries", 128 if encoding == "listpack" else 0) == "+OK"
    try:
        if encoding == "skiplist":
            script = "\n".join(line for line in script.splitlines() if "zscan z 0" not in line)
        run_both(ours, theirs, script)
    finally:
        for wire in (ours, theirs):
            wire.ask("config", "set", "zset-max-listpack-entries", 128)
