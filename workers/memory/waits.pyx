"""Keys that clients wait for: see waits.pxd."""
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy, memset

from shardkv.atomic cimport atomic_load_relaxed, atomic_store_release
from shardkv.stats cimport EPOCHS, STIRRED_MAX, TOUCH_SLOTS, touch_slot

cdef enum:
    FIRST_SIZE = 64


cdef inline uint64_t place_of(Waits *waits, int db, uint64_t hash) noexcept nogil:
    return (hash ^ <uint64_t>db * <uint64_t>0x9E3779B97F4A7C15) & (waits.size - 1)


cdef bint waits_init(Waits *waits) noexcept nogil:
    memset(waits, 0, sizeof(Waits))
    waits.size = FIRST_SIZE
    waits.table = <WaitKey **>calloc(FIRST_SIZE, sizeof(WaitKey *))
    return waits.table != NULL


cdef void waits_attach(Waits *waits, Touches *touches) noexcept nogil:
    cdef uint32_t slot
    waits.touches = touches
    for slot in range(TOUCH_SLOTS):
        touches.keys[slot] &= ~<uint64_t>1


cdef void waits_free(Waits *waits) noexcept nogil:
    free(waits.table)
    waits.table = NULL


cdef WaitKey *waits_find(Waits *waits, int db, uint64_t hash, const char *key, uint64_t length) noexcept nogil:
    cdef WaitKey *found = waits.table[place_of(waits, db, hash)]
    while found != NULL:
        if found.hash == hash and found.db == db and found.length == length and memcmp(found.key, key, length) == 0:
            break
        found = found.chain
    return found


cdef void resize(Waits *waits, uint64_t size) noexcept nogil:
    """Nothing happens without memory: chains are longer then."""
    cdef WaitKey **old = waits.table
    cdef uint64_t old_size = waits.size, index, place
    cdef WaitKey **table = <WaitKey **>calloc(size, sizeof(WaitKey *))
    cdef WaitKey *key
    cdef WaitKey *following
    if table == NULL:
        return
    waits.table, waits.size = table, size
    for index in range(old_size):
        key = old[index]
        while key != NULL:
            following = key.chain
            place = place_of(waits, key.db, key.hash)
            key.chain = table[place]
            table[place] = key
            key = following
    free(old)


cdef WaitKey *waits_make(Waits *waits, int db, uint64_t hash, const char *key, uint64_t length) noexcept nogil:
    cdef WaitKey *made = waits_find(waits, db, hash, key, length)
    cdef uint64_t place
    if made != NULL:
        return made
    made = <WaitKey *>malloc(sizeof(WaitKey) + length)
    if made == NULL:
        return NULL
    memset(made, 0, sizeof(WaitKey))
    made.hash, made.db, made.length = hash, db, <uint32_t>length
    memcpy(made.key, key, length)
    if waits.keys >= waits.size:
        resize(waits, 2 * waits.size)
    place = place_of(waits, db, hash)
    made.chain = waits.table[place]
    waits.table[place] = made
    waits.counts[touch_slot(db, hash)] += 1
    if waits.touches != NULL:
        waits.touches.keys[touch_slot(db, hash)] |= 1
    waits.keys += 1
    return made


cdef void waits_remove(Waits *waits, WaitKey *key) noexcept nogil:
    cdef WaitKey **link = &waits.table[place_of(waits, key.db, key.hash)]
    while link[0] != key:
        link = &link[0].chain
    link[0] = key.chain
    waits.counts[touch_slot(key.db, key.hash)] -= 1
    if waits.counts[touch_slot(key.db, key.hash)] == 0 and waits.touches != NULL:
        waits.touches.keys[touch_slot(key.db, key.hash)] &= ~<uint64_t>1
    waits.keys -= 1
    free(key)
    if waits.size > FIRST_SIZE and waits.keys < waits.size // 8:
        resize(waits, waits.size // 2)


cdef void waits_ready(Waits *waits, WaitKey *key) noexcept nogil:
    if key.ready:
        return
    key.ready = True
    key.next_ready = NULL
    if waits.first_ready == NULL:
        waits.first_ready = key
    else:
        waits.last_ready.next_ready = key
    waits.last_ready = key


cdef WaitKey *waits_next_ready(Waits *waits) noexcept nogil:
    cdef WaitKey *key = waits.first_ready
    if key != NULL:
        waits.first_ready = key.next_ready
        key.ready = False
    return key


cdef void touch_key(Waits *waits, int db, uint64_t hash) noexcept nogil:
    cdef WaitKey *key = waits.table[place_of(waits, db, hash)]
    while key != NULL:
        if key.hash == hash and key.db == db:
            waits_ready(waits, key)
        key = key.chain


cdef void touch_databases(Waits *waits, uint64_t databases) noexcept nogil:
    """All keys of databases; a bit each, by number & 15."""
    cdef uint64_t index
    cdef WaitKey *key
    for index in range(waits.size if waits.keys else 0):
        key = waits.table[index]
        while key != NULL:
            if databases >> (key.db & (EPOCHS - 1)) & 1:
                waits_ready(waits, key)
            key = key.chain


cdef void waits_gather(Waits *waits, Databases own) noexcept:
    cdef Touches *touches = own.touches
    cdef uint64_t databases = own.noted_databases
    cdef size_t index
    for index in range(0, own.noted.size, 2):
        touch_key(waits, <int>own.noted.items[index], own.noted.items[index + 1])
    own.noted.size, own.noted_databases = 0, 0
    if atomic_load_relaxed(&touches.stirred):
        for index in range(touches.stirred_keys):
            touch_key(waits, <int>touches.stirred_key[2 * index], touches.stirred_key[2 * index + 1])
        databases |= touches.stirred_databases
        touches.stirred_keys = touches.stirred_databases = 0
        atomic_store_release(&touches.stirred, 0)
    if databases:
        touch_databases(waits, databases)


cdef void waits_tell(Databases lent) noexcept:
    cdef Touches *touches = lent.touches
    cdef size_t index
    if lent.noted.size == 0 and lent.noted_databases == 0:
        return
    touches.stirred_databases |= lent.noted_databases
    for index in range(0, lent.noted.size, 2):
        if touches.stirred_keys == STIRRED_MAX:
            touches.stirred_databases |= <uint64_t>1 << (lent.noted.items[index] & (EPOCHS - 1))
            continue
        touches.stirred_key[2 * touches.stirred_keys] = lent.noted.items[index]
        touches.stirred_key[2 * touches.stirred_keys + 1] = lent.noted.items[index + 1]
        touches.stirred_keys += 1
    lent.noted.size, lent.noted_databases = 0, 0
    atomic_store_release(&touches.stirred, 1)
