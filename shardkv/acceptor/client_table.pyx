"""The table of an acceptor's clients: see client_table.pxd."""
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, realloc

from shardkv.acceptor.client cimport Client


cdef class ClientTable:
    def __init__(self, uint64_t epoch) -> None:
        self.epoch = epoch & 0xFFFF
        self.count = 1  # place 0
        self.free_places = []
        if not self._grow():
            raise MemoryError

    def __dealloc__(self):
        free(self.clients)
        free(self.generations)

    cdef bint add(self, Client *client) except -1:
        cdef uint32_t place
        if not self.free_places and not self._grow():
            return False
        place = self.free_places.pop()
        self.clients[place] = client
        client.place = place
        client.token = self.epoch << 48 | <uint64_t>self.generations[place] << 24 | place
        return True

    cdef bint _grow(self) except -1:
        cdef uint32_t count = min(<uint32_t>PLACES_MAX, max(<uint32_t>64, self.count * 2))
        cdef Client **clients
        cdef uint32_t *generations
        cdef uint32_t place
        if count == self.count:
            return False
        clients = <Client **>realloc(self.clients, count * sizeof(Client *))
        if clients == NULL:
            return False
        self.clients = clients
        generations = <uint32_t *>realloc(self.generations, count * sizeof(uint32_t))
        if generations == NULL:
            return False
        self.generations = generations
        clients[0] = NULL
        for place in range(self.count, count):
            clients[place] = NULL
            generations[place] = 0
        self.free_places = list(range(count - 1, self.count - 1, -1))
        self.count = count
        return True

    cdef void remove(self, Client *client):
        self.clients[client.place] = NULL
        self.generations[client.place] = (self.generations[client.place] + 1) & 0xFFFFFF
        self.free_places.append(client.place)
        client.next_removed = self.removed
        client.dirty = True  # nothing is sent any more
        self.removed = client

    cdef Client *find(self, uint64_t token) noexcept nogil:
        cdef uint64_t place = token & PLACES_MAX
        cdef Client *client = self.clients[place] if place < self.count else NULL
        return client if client != NULL and client.token == token else NULL

    cdef void free_removed(self) noexcept nogil:
        cdef Client *client = self.removed
        cdef Client *kept = NULL
        cdef Client *following
        while client != NULL:
            following = client.next_removed
            if client.queued:
                client.next_removed = kept
                kept = client
            elif client.view == NULL:
                free(client)
            else:
                client.orphaned = True  # its Connection frees it
            client = following
        self.removed = kept
