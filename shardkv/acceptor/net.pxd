"""System calls of the acceptor's sockets."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef extern from "<sys/epoll.h>" nogil:
    ctypedef union epoll_data_t:
        uint64_t u64
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    int EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CLOEXEC
    uint32_t EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLHUP, EPOLLERR, EPOLLET
    int epoll_create1(int flags)
    int epoll_ctl(int epoll, int operation, int fd, epoll_event *event)
    int epoll_wait(int epoll, epoll_event *events, int count, int timeout_ms)

cdef extern from "<sys/socket.h>" nogil:
    struct sockaddr:
        unsigned short sa_family
    struct sockaddr_storage:
        unsigned short ss_family
    struct iovec:
        void *iov_base
        size_t iov_len
    struct msghdr:
        iovec *msg_iov
        size_t msg_iovlen
    ctypedef unsigned int socklen_t
    int SOCK_NONBLOCK, SOCK_CLOEXEC, AF_UNIX, SOL_SOCKET, SO_KEEPALIVE, MSG_DONTWAIT, MSG_NOSIGNAL
    int accept4(int fd, sockaddr *address, socklen_t *length, int flags)
    int getsockname(int fd, sockaddr *address, socklen_t *length)
    int setsockopt(int fd, int level, int name, const void *value, socklen_t length)
    ssize_t recv(int fd, void *data, size_t length, int flags)
    ssize_t sendmsg(int fd, const msghdr *message, int flags)
    ssize_t send(int fd, const void *data, size_t length, int flags)

cdef extern from "<netinet/in.h>" nogil:
    int IPPROTO_TCP, AF_INET, AF_INET6
    struct in_addr:
        uint32_t s_addr
    struct in6_addr:
        uint8_t s6_addr[16]
    struct sockaddr_in:
        in_addr sin_addr
    struct sockaddr_in6:
        in6_addr sin6_addr
    bint IN6_IS_ADDR_LOOPBACK(const in6_addr *address)
    bint IN6_IS_ADDR_V4MAPPED(const in6_addr *address)

cdef inline bint is_local(const void *peer) noexcept nogil:
    """Whether a peer's address is of this host: loopback, or a Unix socket."""
    cdef const in6_addr *wide = &(<const sockaddr_in6 *>peer).sin6_addr
    cdef int family = (<const sockaddr *>peer).sa_family
    if family == AF_INET:
        return (<const uint8_t *>&(<const sockaddr_in *>peer).sin_addr)[0] == 127
    if family == AF_INET6:
        return IN6_IS_ADDR_LOOPBACK(wide) or (IN6_IS_ADDR_V4MAPPED(wide) and wide.s6_addr[12] == 127)
    return family == AF_UNIX

cdef extern from "<netinet/tcp.h>" nogil:
    int TCP_NODELAY, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT
