from collections.abc import Mapping
from typing import Any

from shardkv.commands.spec import Command
from shardkv.control import Channel
from shardkv.log import Log
from shardkv.stats import ControlPage
from workers.memory.arena import Arena
from workers.memory.keyspace import Keyspace
from workers.registry import Handler

class Worker:
    index: int
    arena: Arena
    settings: dict[str, str]
    page: ControlPage
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
    log: Log
    def take_settings(self) -> None: ...
    def run(self) -> None: ...
