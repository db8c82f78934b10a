from collections.abc import Mapping
from typing import Any

from shardkv.commands.spec import Command
from shardkv.control import Channel
from shardkv.stats import ControlPage
from workers.housekeeping import Housekeeping
from workers.memory.arena import Arena
from workers.memory.keyspace import Keyspace
from workers.registry import Handler

class Worker:
    index: int
    arena: Arena
    settings: dict[str, str]
    housekeeping: Housekeeping
    def __init__(
        self,
        assignment: Mapping[str, Any],
        arena: Arena,
        keyspace: Keyspace,
        page: ControlPage,
        specs: tuple[Command, ...],
        handlers: dict[str, Handler],
        channel: Channel,
    ) -> None: ...
    def configure(self, changes: dict[str, str]) -> None: ...
    def run(self) -> None: ...
