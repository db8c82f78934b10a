"""How a client is described to people: its line in CLIENT LIST and in the log."""
from __future__ import annotations

from typing import TYPE_CHECKING

from shardkv.commands import table

if TYPE_CHECKING:
    from shardkv.acceptor.connection import Connection


def describe(client: Connection, now_ms: int) -> str:
    """Returns the line of one connection in CLIENT LIST, without the newline. One string, as there may be thousands."""
    output, last = client.output_bytes, client.last_command
    return (
        f"id={client.id} addr={client.addr} laddr={client.laddr} fd={client.fd} name={text_of(client.name)} "
        f"age={max(0, now_ms - client.created_ms) // 1000} idle={max(0, now_ms - client.active_ms) // 1000} "
        f"flags={_flags(client)} db={client.db} sub=0 psub=0 ssub=0 multi={client.multi} "
        f"qbuf={client.query_bytes} qbuf-free={client.query_free} "
        f"argv-mem={client.argument_bytes} multi-mem={client.multi_memory} "
        f"rbs={client.output_memory} rbp={client.output_memory} obl=0 oll={client.output_list_length} omem={output} "
        f"tot-mem={client.memory} events={'rw' if output else 'r'} "
        f"cmd={table.COMMANDS[last].name if 0 <= last < len(table.COMMANDS) else 'NULL'} user={text_of(client.user)} "
        f"redir=-1 resp={client.resp} lib-name={text_of(client.lib_name)} lib-ver={text_of(client.lib_ver)}"
    )


def text_of(value: str | bytes | None) -> str:
    """Returns a name as text, whatever its bytes."""
    return value.decode("latin-1") if isinstance(value, bytes) else value or ""


def _flags(client: Connection) -> str:
    flags = "b" * client.blocked + "x" * (client.multi >= 0) + "d" * client.touched + "c" * client.closing
    return flags + "U" * client.unix + "e" * client.no_evict + "T" * client.no_touch or "N"
