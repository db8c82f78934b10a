"""What a client has queued behind MULTI and what it watches: see multi.pxd."""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcmp, memcpy, memset

from shardkv.stats cimport EPOCHS, touch_slot

cdef enum:
    FIRST_ROOM = 8             # steps, words; 16 times as many bytes
    KEPT_ROOM = 256            # … up to which their memory is kept for the next transaction
    CHARGED_WORD = 8           # bytes that an argument counts beside its own


cdef Multi *multi_new(uint32_t workers) noexcept nogil:
    cdef Multi *multi = <Multi *>calloc(1, sizeof(Multi) + 2 * <uint64_t>workers)
    if multi != NULL:
        multi.references = 1
        multi.workers = workers
        multi.shards = <uint8_t *>(multi + 1)
        multi.watched_shards = multi.shards + workers
    return multi


cdef void multi_release(Multi *multi) noexcept nogil:
    multi.references -= 1
    if multi.references:
        return
    multi_unwatch(multi)
    forget_words(&multi.words, 0)
    forget_words(&multi.local_words, 0)
    free(multi.steps)
    free(multi.locals)
    free(multi)


cdef void multi_clear(Multi *multi) noexcept nogil:
    multi.open = multi.failed = False
    multi.flags = 0
    multi.count = multi.charged = multi.step_count = multi.local_count = 0
    if multi.step_room > KEPT_ROOM:
        free(multi.steps)
        multi.steps = NULL
        multi.step_room = 0
    free(multi.locals)
    multi.locals = NULL
    multi.local_room = 0
    forget_words(&multi.words, KEPT_ROOM)
    forget_words(&multi.local_words, 0)
    memset(multi.shards, 0, multi.workers)


cdef void multi_unwatch(Multi *multi) noexcept nogil:
    if multi.index_room == 0:
        return
    free(multi.watched)
    free(multi.index)
    multi.watched = NULL
    multi.index = NULL
    multi.watched_count = multi.watched_room = multi.index_room = 0
    forget_words(&multi.watched_words, 0)
    memset(multi.watched_shards, 0, multi.workers)


cdef uint64_t multi_memory(const Multi *multi) noexcept nogil:
    return (
        sizeof(Multi) + 2 * <uint64_t>multi.workers + multi.step_room * sizeof(ExecStep)
        + multi.local_room * sizeof(LocalStep) + multi.watched_room * sizeof(Watched)
        + multi.index_room * sizeof(WatchedPlace)
        + words_memory(&multi.words) + words_memory(&multi.local_words) + words_memory(&multi.watched_words)
    )


# -- words

cdef uint64_t words_memory(const Words *words) noexcept nogil:
    return 4 * words.count_room + words.length_room


cdef void forget_words(Words *words, uint64_t kept) noexcept nogil:
    words.count = words.length = 0
    if words.count_room > kept or words.length_room > 16 * kept:
        free(words.lengths)
        free(words.bytes)
        memset(words, 0, sizeof(Words))


cdef inline bint make_room(void **array, uint64_t *room, uint64_t needed, uint64_t first, uint64_t size) noexcept nogil:
    """Room for `needed` members of `size` bytes; False: no memory."""
    cdef uint64_t larger
    cdef void *moved
    if needed <= room[0]:
        return True
    larger = max(first, 2 * room[0], needed)
    moved = realloc(array[0], larger * size)
    if moved == NULL:
        return False
    array[0] = moved
    room[0] = larger
    return True


cdef bint reserve_words(Words *words, uint64_t count, uint64_t length) noexcept nogil:
    return (
        words.count + count <= WORDS_MAX
        and make_room(<void **>&words.lengths, &words.count_room, words.count + count, FIRST_ROOM, 4)
        and make_room(<void **>&words.bytes, &words.length_room, words.length + length, 16 * FIRST_ROOM, 1)
    )


cdef inline void add_word(Words *words, const char *data, uint64_t length) noexcept nogil:
    # Its room is reserved.
    words.lengths[words.count] = <uint32_t>length
    words.count += 1
    memcpy(words.bytes + words.length, data, length)
    words.length += length


cdef bint add_words(Multi *multi, Words *words, const char *data, const Span *spans, uint32_t argc) noexcept nogil:
    cdef uint64_t total = 0
    cdef uint32_t index
    for index in range(argc):
        total += spans[index].length
    if not reserve_words(words, argc, total):
        return False
    for index in range(argc):
        add_word(words, data + spans[index].offset, spans[index].length)
    multi.charged += total + CHARGED_WORD * <uint64_t>argc
    multi.count += 1
    return True


# -- the queue

cdef bint multi_add_step(
    Multi *multi, const ExecStep *step, const char *data, const Span *spans
) noexcept nogil:
    if multi.step_count == STEPS_MAX or not make_room(
        <void **>&multi.steps, &multi.step_room, multi.step_count + 1, FIRST_ROOM, sizeof(ExecStep)
    ):
        return False
    if not add_words(multi, &multi.words, data, spans, step.argc):
        return False
    multi.steps[multi.step_count] = step[0]
    multi.step_count += 1
    return True


cdef bint multi_add_local(
    Multi *multi, uint16_t command, const char *data, const Span *spans, uint32_t argc
) noexcept nogil:
    cdef LocalStep step
    if not make_room(
        <void **>&multi.locals, &multi.local_room, multi.local_count + 1, FIRST_ROOM, sizeof(LocalStep)
    ):
        return False
    step.place, step.word, step.offset = multi.count, multi.local_words.count, multi.local_words.length
    step.argc, step.command = argc, command
    if not add_words(multi, &multi.local_words, data, spans, argc):
        return False
    multi.locals[multi.local_count] = step
    multi.local_count += 1
    return True


# -- keys watched

cdef bint multi_watch(
    Multi *multi, const Watched *told, const char *key, uint64_t length, uint32_t shard
) noexcept nogil:
    cdef WatchedPlace *place
    if 2 * (multi.watched_count + 1) > multi.index_room and not grow_index(multi):
        return False
    place = find_watched(multi, told, key, length)
    if place.number:
        return True
    if not make_room(
        <void **>&multi.watched, &multi.watched_room, multi.watched_count + 1, FIRST_ROOM, sizeof(Watched)
    ) or not reserve_words(&multi.watched_words, 1, length):
        return False
    place.offset = multi.watched_words.length
    add_word(&multi.watched_words, key, length)
    multi.watched[multi.watched_count] = told[0]
    multi.watched_count += 1
    place.number, place.shard = <uint32_t>multi.watched_count, shard
    multi.watched_shards[shard] = 1
    return True


cdef bint multi_is_touched(const Multi *multi, const Touches *touches) noexcept nogil:
    cdef const Watched *told
    cdef const Touches *now
    cdef uint64_t at
    for at in range(multi.index_room):
        if multi.index[at].number:
            told = &multi.watched[multi.index[at].number - 1]
            now = touches + multi.index[at].shard
            if now.keys[touch_slot(told.database, told.hash)] >> 1 != told.counter:
                return True
            if told.existed and now.epochs[told.database & (EPOCHS - 1)] != told.epoch:
                return True
    return False


cdef WatchedPlace *find_watched(
    const Multi *multi, const Watched *told, const char *key, uint64_t length
) noexcept nogil:
    """The key's place in the index, or the free one where it belongs."""
    cdef uint64_t at = (told.hash + told.database) & (multi.index_room - 1)
    cdef WatchedPlace *place = &multi.index[at]
    cdef const Watched *other
    while place.number:
        other = &multi.watched[place.number - 1]
        if other.hash == told.hash and other.database == told.database \
                and multi.watched_words.lengths[place.number - 1] == length \
                and memcmp(multi.watched_words.bytes + place.offset, key, length) == 0:
            break
        at = (at + 1) & (multi.index_room - 1)
        place = &multi.index[at]
    return place


cdef bint grow_index(Multi *multi) noexcept nogil:
    cdef WatchedPlace *before = multi.index
    cdef uint64_t room = multi.index_room, at, number
    cdef WatchedPlace *larger = <WatchedPlace *>calloc(max(2 * room, <uint64_t>FIRST_ROOM), sizeof(WatchedPlace))
    if larger == NULL:
        return False
    multi.index = larger
    multi.index_room = max(2 * room, <uint64_t>FIRST_ROOM)
    for number in range(room):
        if before[number].number:
            at = multi.watched[before[number].number - 1].hash + multi.watched[before[number].number - 1].database
            while larger[at & (multi.index_room - 1)].number:
                at += 1
            larger[at & (multi.index_room - 1)] = before[number]
    free(before)
    return True
