"""Messages that acceptors send: who gets them, and who gets the answer.

From an acceptor
    {"type": "config", "id": n, "changes": {name: text}}
        All acceptors, the sender too, get {"type": "config", "id": m, "changes": …}: in one order, so all copies end up
        equal. They answer, so that a change that was confirmed holds wherever a client connects next.
    {"type": "ask", "id": n, "kind": k, "args": {…}}
        All acceptors, the sender too, get {"type": "ask", "id": m, "kind": k, "args": …}.
    {"type": "answer", "id": m, "value": v}
        One acceptor's answer to either.
    {"type": "rewrite", "id": n}
        CONFIG REWRITE.
    {"type": "shutdown", "id": n, "nosave": bool}
        Clean stop, with `nosave` the data goes too. No answer: connections close.

To the sender, when all is done
    {"type": "answer", "id": n, "values": [v, …]}   in order of the acceptors, without those that died or took too long
    {"type": "answer", "id": n, "error": "ERR …"}
"""
from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shardkv.config import ConfigFileError, Settings, rewrite_file
from shardkv.control import Message
from shardkv.log import Log
from shardkv.supervisor.process import Child

ANSWER_PATIENCE = 10.0  # seconds


@dataclass
class Question:
    """A question that some acceptors have yet to answer."""

    asker: Child
    id: Any
    waiting: set[Child]
    deadline: float
    values: dict[int, Any] = field(default_factory=dict)


class Router:
    """Handles acceptors' messages. `acceptors` returns the living ones, `shutdown` is called with `keep_data`."""

    def __init__(
        self,
        settings: Settings,
        config_file: str,
        log: Log,
        acceptors: Callable[[], Iterable[Child]],
        shutdown: Callable[[bool], None],
    ) -> None:
        self._settings = settings
        self._config_file = config_file
        self._log = log
        self._acceptors = acceptors
        self._shutdown = shutdown
        self._questions: dict[int, Question] = {}
        self._next_id = 1
        self._handlers: Mapping[str, Callable[[Child, Message], None]] = {
            "config": self._config,
            "ask": self._ask,
            "answer": self._answer,
            "rewrite": self._rewrite,
            "shutdown": lambda child, message: self._shutdown(not message.get("nosave", False)),
        }

    def handle(self, child: Child, message: Message) -> None:
        """Handles one message; one of an unknown type is logged and dropped."""
        handler = self._handlers.get(message["type"])
        if handler:
            handler(child, message)
        else:
            self._log.warning(f"{child.title} sent an unknown message '{message['type']}'")

    def forget(self, child: Child) -> None:
        """A child is gone: nobody waits for its answers, and its own questions are dropped."""
        for number, question in list(self._questions.items()):
            question.waiting.discard(child)
            if question.asker is child:
                del self._questions[number]
        self._finish()

    def deadline(self) -> float | None:
        """When `expire` has to be called, on the monotonic clock."""
        return min((question.deadline for question in self._questions.values()), default=None)

    def expire(self) -> None:
        """Ends questions that have waited long enough: their askers get what has come."""
        now = time.monotonic()
        for question in self._questions.values():
            if question.deadline <= now:
                question.waiting.clear()
        self._finish()

    def _config(self, child: Child, message: Message) -> None:
        self._settings.apply(message["changes"])
        self._ask_all(child, message, {"type": "config", "changes": message["changes"]})

    def _ask(self, child: Child, message: Message) -> None:
        self._ask_all(child, message, {"type": "ask", "kind": message["kind"], "args": message.get("args", {})})

    def _ask_all(self, child: Child, message: Message, question: Message) -> None:
        asked = list(self._acceptors())
        number, self._next_id = self._next_id, self._next_id + 1
        self._questions[number] = Question(child, message["id"], set(asked), time.monotonic() + ANSWER_PATIENCE)
        for acceptor in asked:
            acceptor.channel.send({**question, "id": number})
        self._finish()

    def _answer(self, child: Child, message: Message) -> None:
        question = self._questions.get(message["id"])
        if question and child in question.waiting:
            question.waiting.discard(child)
            question.values[child.index] = message.get("value")
            self._finish()

    def _finish(self) -> None:
        for number, question in list(self._questions.items()):
            if not question.waiting:
                del self._questions[number]
                values = [value for _, value in sorted(question.values.items(), key=lambda item: item[0])]
                question.asker.channel.send({"type": "answer", "id": question.id, "values": values})

    def _rewrite(self, child: Child, message: Message) -> None:
        if not self._config_file:
            self._reply(child, message, error="ERR The server is running without a config file")
            return
        try:
            rewrite_file(self._settings, self._config_file)
        except (OSError, ConfigFileError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            self._log.warning(f"CONFIG REWRITE failed: {reason}")
            self._reply(child, message, error=f"ERR Rewriting config file: {reason}")
            return
        self._log.notice("CONFIG REWRITE executed with success.")
        self._reply(child, message, values=[])

    @staticmethod
    def _reply(child: Child, message: Message, **answer: Any) -> None:
        if "id" in message:
            child.channel.send({"type": "answer", "id": message["id"], **answer})
