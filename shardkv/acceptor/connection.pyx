"""One client's connection, as Python handlers see it: see connection.pxd."""
import os
import socket

from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from libc.stdint cimport uint8_t
from libc.stdlib cimport free
from libc.string cimport memset

from shardkv.acceptor.client cimport (
    WAIT_PAUSE, Client, Hub, client_doom, client_forget_multi, client_memory, client_output_bytes,
    client_touch_output,
)
from shardkv.acceptor.multi cimport Multi, multi_is_touched, multi_memory
from shardkv.acceptor.waiters cimport is_blocked
from shardkv.acceptor.net cimport AF_INET6, getsockname, sockaddr, sockaddr_storage, socklen_t

cdef enum:
    PATH_OFFSET = 2            # of sun_path in a sockaddr_un

_REPLY_MODES = ("on", "off", "skip", "skipping")


cdef Connection connection_of(Hub *hub, Client *client):
    cdef Connection view
    if client.view != NULL:
        return <Connection>client.view
    view = Connection.__new__(Connection)
    view.client = client
    view.hub = hub
    view.addr, view.laddr = addresses(client)
    view.name = view.lib_name = view.lib_ver = b""
    view.user = "default"
    view.wait_ms = -1
    client.view = <PyObject *>view
    Py_INCREF(view)
    return view


cdef tuple addresses(Client *client):
    # Of the peer and of ours. Takes no descriptor, of which there may be none left, and one system call.
    cdef sockaddr_storage local
    cdef socklen_t length = sizeof(local)
    memset(&local, 0, sizeof(local))
    if getsockname(client.fd, <sockaddr *>&local, &length) < 0:
        length = 0
    if client.is_unix:
        path = os.fsdecode((<char *>&local)[PATH_OFFSET:max(<int>length, PATH_OFFSET)].rstrip(b"\0"))
        return f"{path}:0", f"{path}:0"
    return inet_text(client.peer), inet_text(<uint8_t *>&local)


cdef str inet_text(const uint8_t *address):
    cdef int port = address[2] << 8 | address[3]
    if (<const sockaddr *>address).sa_family == AF_INET6:
        return f"[{socket.inet_ntop(socket.AF_INET6, address[8:24])}]:{port}"
    return f"{socket.inet_ntop(socket.AF_INET, address[4:8])}:{port}"


cdef class Connection:
    def __dealloc__(self):
        # A client that the reactor has let go of is ours to free.
        if self.client != NULL:
            self.client.view = NULL
            if self.client.orphaned:
                free(self.client)

    @property
    def id(self) -> int:
        return self.client.id

    @property
    def fd(self) -> int:
        return self.client.fd

    @property
    def unix(self) -> bool:
        return bool(self.client.is_unix)

    @property
    def db(self) -> int:
        return self.client.database

    @db.setter
    def db(self, value: int) -> None:
        self.client.database = value

    @property
    def resp(self) -> int:
        return self.client.resp

    @resp.setter
    def resp(self, value: int) -> None:
        self.client.resp = value

    @property
    def authenticated(self) -> bool:
        return bool(self.client.authenticated)

    @authenticated.setter
    def authenticated(self, value: bool) -> None:
        self.client.authenticated = value

    @property
    def created_ms(self) -> int:
        """Unix time in milliseconds, as is active_ms."""
        return self.client.created_ms

    @property
    def active_ms(self) -> int:
        return self.client.active_ms

    @property
    def last_command(self) -> int:
        """Id of the command it sent last; -1 before the first."""
        return self.client.last_command if self.client.next_request else -1

    @property
    def no_touch(self) -> bool:
        return bool(self.client.no_touch)

    @no_touch.setter
    def no_touch(self, value: bool) -> None:
        self.client.no_touch = value

    @property
    def no_evict(self) -> bool:
        return bool(self.client.no_evict)

    @no_evict.setter
    def no_evict(self, value: bool) -> None:
        self.client.no_evict = value

    @property
    def reply_mode(self) -> str:
        return _REPLY_MODES[self.client.reply_mode]

    @reply_mode.setter
    def reply_mode(self, value: str) -> None:
        self.client.reply_mode = _REPLY_MODES.index(value)

    @property
    def multi(self) -> int:
        """Commands queued; -1 when there is no MULTI."""
        return self.client.multi.count if self.client.in_multi else -1

    @property
    def multi_memory(self) -> int:
        """Bytes of memory that the queue and the keys watched take."""
        cdef Multi *multi = self.client.multi
        return multi_memory(multi) if multi != NULL and (multi.open or multi.watched_count) else 0

    @property
    def watching(self) -> int:
        """Keys watched."""
        return self.client.multi.watched_count if self.client.multi != NULL else 0

    @property
    def touched(self) -> bool:
        """Whether a key watched has been changed: EXEC will do nothing."""
        return self.client.multi != NULL and bool(multi_is_touched(self.client.multi, self.hub.touches))

    @property
    def blocked(self) -> bool:
        """Whether its request waits: for a key, or for the end of a pause."""
        return self.client.waiting == WAIT_PAUSE or is_blocked(self.client)

    @property
    def closing(self) -> bool:
        return bool(self.client.fd < 0 or self.client.closing or self.client.doomed)

    @property
    def pending(self) -> int:
        """Requests without a reply."""
        return self.client.next_request - self.client.next_reply

    @property
    def query_bytes(self) -> int:
        return self.client.length - self.client.start

    @property
    def query_free(self) -> int:
        return self.client.capacity - self.client.length + self.client.start

    @property
    def argument_bytes(self) -> int:
        """Bytes of the arguments of a request that is not complete."""
        return self.client.frame.payload

    @property
    def output_bytes(self) -> int:
        """Bytes of replies that are not sent yet, those held behind an earlier one too."""
        return client_output_bytes(self.client)

    @property
    def output_list_length(self) -> int:
        return self.client.output.chunks

    @property
    def output_memory(self) -> int:
        return self.client.output.memory

    @property
    def memory(self) -> int:
        return client_memory(self.client)

    def forget_transaction(self) -> None:
        """Forgets the queue and the keys watched."""
        if self.client.fd >= 0:
            client_forget_multi(self.hub, self.client)

    def close_after_reply(self) -> None:
        """Takes no further requests; closes when all replies are sent."""
        self.client.closing = True
        if self.client.fd >= 0:
            client_touch_output(self.hub, self.client)

    def kill(self) -> None:
        """Closes at the end of this turn, whatever waits to be sent."""
        if self.client.fd >= 0:
            client_doom(self.hub, self.client)
