"""Timers of hashes with expiring fields: see timers.pxd."""
from libc.stdint cimport INT64_MAX
from libc.string cimport memcpy

from shardkv.hashing cimport hash_key
from workers.memory.buckets cimport TableRoot
from workers.memory.entry cimport (
    STRING_BOXED, STRING_EMBEDDED, Box, EntryView, entry_expiry, entry_format, entry_size, entry_view,
)
from workers.memory.table cimport (
    table_earliest, table_expired, table_find, table_insert, table_remove, table_replace,
)


cdef Place timer_find(Arena arena, uint64_t timers, uint64_t hash, const char *key, uint64_t length) noexcept:
    return table_find(arena, timers, hash, key, length)


cdef int64_t timer_due(Arena arena, uint64_t timers, uint64_t hash, const char *key, uint64_t length) noexcept:
    cdef Place place = table_find(arena, timers, hash, key, length)
    return entry_expiry(arena.at(place.entry)) if place.entry else -1


cdef Timer read_timer(Arena arena, uint64_t entry, uint64_t *at) noexcept:
    cdef EntryView view
    cdef Timer timer
    entry_view(arena.base, entry, &view)
    memcpy(&timer, view.value, sizeof(Timer))
    at[0] = arena.offset_of(view.value)
    return timer


cdef int set_timer(Arena arena, uint64_t timers, Place *place, int64_t due, Timer *timer) except -1:
    cdef uint64_t at
    cdef Timer old = read_timer(arena, place.entry, &at)
    cdef int64_t old_due = entry_expiry(arena.at(place.entry))
    if old.cursor != timer.cursor or old.earliest != timer.earliest:
        arena.write(at, <const char *>timer, sizeof(Timer))
    if due != old_due:
        arena.put64(place.entry + 8, <uint64_t>due)
    return table_replace(arena, timers, place, place.entry, due, old_due)


cdef int timer_note(
    Arena arena, uint64_t timers, uint64_t hash, const char *key, uint64_t length, int64_t expiry
) except -1:
    cdef Place place = table_find(arena, timers, hash, key, length)
    cdef Timer timer
    cdef int64_t due
    cdef uint64_t at
    cdef char *value
    if place.entry:
        due = entry_expiry(arena.at(place.entry))
        timer = read_timer(arena, place.entry, &at)
        if expiry >= due and expiry >= timer.earliest:
            return 0
        timer.earliest = min(timer.earliest, expiry)
        return set_timer(arena, timers, &place, min(due, expiry), &timer)
    timer.cursor, timer.earliest = 0, INT64_MAX
    at = arena.alloc(entry_size(length, sizeof(Timer), True))
    value = entry_format(arena.at(at), STRING_EMBEDDED, key, length, sizeof(Timer), expiry, 0)
    memcpy(value, &timer, sizeof(Timer))
    return table_insert(arena, timers, hash, at, expiry, &place)


cdef int timer_forget(Arena arena, uint64_t timers, uint64_t hash, const char *key, uint64_t length) except -1:
    cdef Place place = table_find(arena, timers, hash, key, length)
    return remove(arena, timers, &place) if place.entry else 0


cdef int remove(Arena arena, uint64_t root, Place *place) except -1:
    """Takes an entry with an expiry out, with what it owns."""
    cdef EntryView view
    cdef Box box
    entry_view(arena.base, place.entry, &view)
    table_remove(arena, root, place, view.expiry)
    if view.type == STRING_BOXED:
        memcpy(&box, view.value, sizeof(Box))
        arena.free(box.block)
    return arena.free(view.offset)


cdef struct Sweeping:
    void *arena
    uint64_t root


cdef int sweep_field(void *context, uint64_t entry) except -1:
    cdef Sweeping *sweeping = <Sweeping *>context
    cdef Arena arena = <Arena>sweeping.arena
    cdef EntryView view
    cdef Place place
    entry_view(arena.base, entry, &view)
    place = table_find(arena, sweeping.root, hash_key(view.key, view.key_length), view.key, view.key_length)
    return remove(arena, sweeping.root, &place)


cdef int timer_sweep(Arena arena, uint64_t timers, Place *place, uint64_t root, int64_t now, int *budget) except -1:
    cdef uint64_t at, begun, before = (<TableRoot *>arena.at(root)).count
    cdef Timer timer = read_timer(arena, place.entry, &at)
    cdef int64_t due = entry_expiry(arena.at(place.entry))
    cdef Sweeping sweeping
    sweeping.arena, sweeping.root = <void *>arena, root
    if budget[0] > 0:
        begun = timer.cursor
        timer.cursor = table_expired(arena, root, begun, now, budget, sweep_field, &sweeping)
        timer.earliest = min(timer.earliest, table_earliest(arena, root, begun, timer.cursor))
        if timer.cursor == 0:
            due = timer.earliest
            timer.earliest = INT64_MAX
    if (<TableRoot *>arena.at(root)).expiring == 0:
        remove(arena, timers, place)
    else:
        set_timer(arena, timers, place, due, &timer)
    return <int>(before - (<TableRoot *>arena.at(root)).count)
