"""The listening sockets: see listener.pxd."""
import logging
import os
import resource
import time

from libc.errno cimport EAGAIN, ECONNABORTED, EINTR, errno
from libc.limits cimport INT_MAX
from libc.string cimport strlen
from posix.unistd cimport close

from shardkv.acceptor.net cimport (
    AF_UNIX,
    EPOLLIN,
    EPOLL_CTL_ADD,
    EPOLL_CTL_DEL,
    IPPROTO_TCP,
    MSG_DONTWAIT,
    MSG_NOSIGNAL,
    SOCK_CLOEXEC,
    SOCK_NONBLOCK,
    SOL_SOCKET,
    SO_KEEPALIVE,
    TCP_KEEPCNT,
    TCP_KEEPIDLE,
    TCP_KEEPINTVL,
    TCP_NODELAY,
    accept4,
    epoll_ctl,
    epoll_event,
    is_local,
    send,
    setsockopt,
    sockaddr,
    socklen_t,
)
from shardkv.atomic cimport atomic_load_relaxed
from shardkv.stats cimport CONNECTED_CLIENTS, REJECTED_CONNECTIONS

from shardkv.descriptors import SPARE

WARN_SECONDS = 60

log = logging.getLogger("shardkv")

cdef const char *TOO_MANY_CLIENTS = b"-ERR max number of clients reached\r\n"
cdef const char *DENIED = (
    b"-DENIED shardkv is in protected mode: it has no password, so it serves clients of its own host only. Set one "
    b"with requirepass, or turn the mode off: CONFIG SET protected-mode no, from that host, or --protected-mode no.\r\n"
)


cdef class Listener:
    def __init__(self, int epoll, listeners: list, page: ControlPage, index: int) -> None:
        """Has `epoll` watch the listening sockets of acceptor `index`."""
        self.epoll, self.page = epoll, page
        self.counters = page.acceptor(index).counters
        self.sockets = list(listeners)
        for listener in self.sockets:
            os.set_blocking(listener, False)
        self.read_limit()
        self.watch()

    cdef void watch(self):
        cdef epoll_event event
        cdef int number
        event.events = EPOLLIN
        for number in range(len(self.sockets)):
            event.data.u64 = number + 1
            epoll_ctl(self.epoll, EPOLL_CTL_ADD, self.sockets[number], &event)

    cdef void unwatch(self):
        self.suspended = False
        for listener in self.sockets:
            epoll_ctl(self.epoll, EPOLL_CTL_DEL, listener, NULL)

    cdef void suspend(self):
        reason = os.strerror(errno)
        if time.monotonic() >= self.next_warning:
            self.next_warning = time.monotonic() + WARN_SECONDS
            log.warning("cannot accept connections for now: %s", reason)
        self.unwatch()
        self.suspended = True

    cdef void read_limit(self):
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self.fd_end = INT_MAX if limit == resource.RLIM_INFINITY else max(min(limit, INT_MAX) - SPARE, 0)

    cdef void resume(self):
        if self.suspended:
            self.suspended = False
            self.read_limit()
            self.watch()

    cdef int accept(self, uint64_t word, sockaddr_storage *address):
        cdef socklen_t length = sizeof(sockaddr_storage)
        cdef int fd = accept4(
            self.sockets[word - 1], <sockaddr *>address, &length, SOCK_NONBLOCK | SOCK_CLOEXEC
        )
        if fd < 0:
            if errno not in (EAGAIN, EINTR, ECONNABORTED):
                self.suspend()
            return ACCEPTED_NONE
        if fd >= self.fd_end:
            self.read_limit()  # it may have been raised since
        if self.connected() >= self.max_clients or fd >= self.fd_end:
            self.reject(fd, TOO_MANY_CLIENTS)
            return ACCEPTED_REJECTED
        if self.protected and not is_local(address):
            self.reject(fd, DENIED)
            return ACCEPTED_REJECTED
        if address.ss_family != AF_UNIX:
            self.set_options(fd)
        return fd

    cdef uint64_t connected(self) noexcept:
        cdef uint64_t total = 0, acceptor
        for acceptor in range(self.page.header.acceptors):
            total += atomic_load_relaxed(&self.page.acceptor(<int>acceptor).counters[<int>CONNECTED_CLIENTS])
        return total

    cdef void reject(self, int fd, const char *reason) noexcept:
        self.counters[<int>REJECTED_CONNECTIONS] += 1
        send(fd, reason, strlen(reason), MSG_NOSIGNAL | MSG_DONTWAIT)
        close(fd)

    cdef void set_options(self, int fd) noexcept nogil:
        cdef int on = 1, probes = 3
        cdef int interval = max(self.keepalive_s // 3, 1)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(int))
        if self.keepalive_s:
            setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(int))
            setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &self.keepalive_s, sizeof(int))
            setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(int))
            setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(int))
