"""One client's connection, as Python handlers see it; made when the first of them asks."""
from shardkv.acceptor.client cimport Client, Hub

cdef class Connection:
    """One client's connection. After it is closed it keeps its last values."""
    cdef Client *client
    cdef Hub *hub
    cdef public object name, lib_name, lib_ver, user
    cdef readonly str addr, laddr
    cdef public object wait_ms    # how long the reply that its handler makes has to wait, 0: for ever; -1: not at all

cdef Connection connection_of(Hub *hub, Client *client)
