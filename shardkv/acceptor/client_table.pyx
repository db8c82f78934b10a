"""The table of an acceptor's clients: see client_table.pxd."""
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, realloc

from shardkv.acceptor.client cimport Client

cdef extern from "malloc.h" nogil:
    int malloc_trim(size_t keep)

cdef enum:
    SPARSE = 8                # a table with fewer clients than a place in so many may shrink
    TRIM_AFTER = 256          # so many clients fewer are worth the milliseconds that trimming takes


cdef class ClientTable:
    def __init__(self, uint64_t epoch) -> None:
        self.epoch = epoch & 0xFFFF
        self.count = self.lowest = 1  # place 0
        if not self._grow():
            raise MemoryError

    def __dealloc__(self):
        free(self.clients)
        free(self.generations)

    cdef bint add(self, Client *client) except -1:
        cdef uint32_t place
        if self.used + 1 == self.count and not self._grow():
            return False
        while self.clients[self.lowest] != NULL:
            self.lowest += 1
        place = self.lowest
        self.used += 1
        self.peak = max(self.peak, self.used)
        self.clients[place] = client
        client.place = place
        client.token = self.epoch << 48 | <uint64_t>self.generations[place] << 24 | place
        return True

    cdef bint _grow(self) noexcept nogil:
        cdef uint32_t count = min(<uint32_t>PLACES_MAX, max(<uint32_t>PLACES_MIN, self.count * 2))
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
            generations[place] = self.first_generation
        self.count = count
        return True

    cdef void give_back(self) noexcept nogil:
        if self.used < self.count // SPARSE:
            self._shrink()
        if self.peak - self.used >= TRIM_AFTER and self.used <= self.peak // 2:
            self.peak = self.used
            malloc_trim(0)  # what they had lies scattered

    cdef void _shrink(self) noexcept nogil:
        cdef uint32_t count = self.count, end = self.count, place
        cdef void *moved
        while end > 1 and self.clients[end - 1] == NULL:
            end -= 1
        while count // 2 >= max(<uint32_t>PLACES_MIN, 2 * end):
            count //= 2
        if count == self.count:
            return
        for place in range(count, self.count):
            self.first_generation = max(self.first_generation, self.generations[place])
        self.count = count
        moved = realloc(self.clients, count * sizeof(Client *))
        if moved != NULL:
            self.clients = <Client **>moved
        moved = realloc(self.generations, count * sizeof(uint32_t))
        if moved != NULL:
            self.generations = <uint32_t *>moved

    cdef void remove(self, Client *client):
        self.clients[client.place] = NULL
        self.generations[client.place] = (self.generations[client.place] + 1) & 0xFFFFFF
        self.lowest = min(self.lowest, client.place)
        self.used -= 1
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
