"""Commands that take elements off an end of a list, and those that wait until there is one.

The pops are hot: on their way no Python object is made, unless it ends in an error.
"""
from libc.stdint cimport int64_t, uint64_t

from shardkv.errors import CommandError, wrong_arity

from shardkv.ring cimport WAIT_FOR_LIST
from workers.call cimport Call
from workers.commands.lists cimport (
    at_least, end_of, open_to_change, reply_element, reply_range, save, save_shorter,
)
from workers.commands.popping cimport Popping, take_popping, wait_or_null
from workers.commands.timeouts cimport timeout_seconds
from workers.memory.arena cimport Arena
from workers.memory.databases cimport Found
from workers.memory.listpack cimport ELEMENT_TEXT, Element, string_element
from workers.registry cimport native
from workers.types.list cimport List, ListCursor, list_grow, list_push, list_remove, list_seek, list_text


cdef int take(Call call, int index, int key_number, Found *found, List *it, uint64_t count, bint left) except -1:
    # Answers an array of elements from an end, and removes them.
    reply_range(call, key_number, it, 0 if left else it.length - 1, count, not left)
    list_remove(call.shard_of_key(key_number).arena, it, 0 if left else it.length - count, count)
    return save_shorter(call, index, key_number, found, it)


cdef int pop(Call call, bint left) except -1:
    cdef Arena arena = call.shard_of_key(0).arena
    cdef Found found
    cdef List it
    cdef ListCursor cursor
    if call.argc > 2:
        return pop_several(call, left)
    open_to_change(call, 1, 0, &found, &it)
    if not found.exists:
        return call._reply.null()
    list_seek(arena, &it, 0 if left else it.length - 1, &cursor)
    reply_element(call, 0, &cursor)
    list_remove(arena, &it, 0 if left else it.length - 1, 1)
    return save_shorter(call, 1, 0, &found, &it)


cdef int pop_several(Call call, bint left) except -1:
    cdef Found found
    cdef List it
    cdef int64_t count
    if call.argc > 3:
        raise CommandError(wrong_arity("lpop" if left else "rpop"))
    count = at_least(call, 2, 0, "ERR value is out of range, must be positive")
    open_to_change(call, 1, 0, &found, &it)
    if not found.exists:
        return call._reply.null_array()
    if count == 0:
        return call._reply.header(c'*', 0)
    return take(call, 1, 0, &found, &it, min(<uint64_t>count, it.length), left)


cdef int lpop_command(Call call) except -1:
    return pop(call, True)


cdef int rpop_command(Call call) except -1:
    return pop(call, False)


cdef bint pop_first(Call call, Popping *popping) except -1:
    # Pops from the first list that exists; False: there is none, and no reply.
    cdef Found found
    cdef List it
    cdef int index
    for index in range(popping.first, popping.first + popping.keys):
        if call.looks_at(index):
            open_to_change(call, index, index - popping.first, &found, &it)
            if found.exists:
                call._reply.header(c'*', 2)
                call._reply.bulk(call.argv[index].bytes, call.argv[index].length)
                take(
                    call, index, index - popping.first, &found, &it, min(<uint64_t>popping.count, it.length),
                    popping.from_first,
                )
                return True
    return False


cdef int lmpop_command(Call call) except -1:
    cdef Popping popping
    take_popping(call, 1, b"left", b"right", &popping)
    return 0 if pop_first(call, &popping) else call._reply.null_array()


cdef int blmpop_command(Call call) except -1:
    cdef Popping popping
    cdef int64_t timeout
    take_popping(call, 2, b"left", b"right", &popping)
    timeout = timeout_seconds(call, 1)
    if pop_first(call, &popping):
        return 0
    return wait_or_null(call, WAIT_FOR_LIST, timeout, popping.first, popping.keys)


cdef int pop_or_wait(Call call, bint left) except -1:
    cdef int64_t timeout = timeout_seconds(call, call.argc - 1)
    cdef Arena arena
    cdef Found found
    cdef List it
    cdef ListCursor cursor
    cdef int index
    for index in range(1, call.argc - 1):
        if not call.looks_at(index):
            continue
        open_to_change(call, index, index - 1, &found, &it)
        if found.exists:
            arena = call.shard_of_key(index - 1).arena
            call._reply.header(c'*', 2)
            call._reply.bulk(call.argv[index].bytes, call.argv[index].length)
            list_seek(arena, &it, 0 if left else it.length - 1, &cursor)
            reply_element(call, index - 1, &cursor)
            list_remove(arena, &it, 0 if left else it.length - 1, 1)
            return save_shorter(call, index, index - 1, &found, &it)
    return wait_or_null(call, WAIT_FOR_LIST, timeout, 1, call.argc - 2)


cdef int blpop_command(Call call) except -1:
    return pop_or_wait(call, True)


cdef int brpop_command(Call call) except -1:
    return pop_or_wait(call, False)


# -- moving

cdef int move(Call call, bint from_left, bint to_left, int64_t timeout) except -1:
    # The reply holds the element when both lists have changed. timeout -1: it does not wait for one.
    cdef Arena source_arena = call.shard_of_key(0).arena, target_arena = call.shard_of_key(1).arena
    cdef Found source_found, target_found
    cdef List source, target
    cdef ListCursor cursor
    cdef Element element
    cdef char scratch[ELEMENT_TEXT]
    cdef const char *text
    cdef uint64_t length
    cdef bint same
    open_to_change(call, 1, 0, &source_found, &source)
    if not source_found.exists:
        return call.wait(WAIT_FOR_LIST, timeout, 1, 1) if timeout >= 0 and call.may_wait else call._reply.null()
    open_to_change(call, 2, 1, &target_found, &target)
    list_seek(source_arena, &source, 0 if from_left else source.length - 1, &cursor)
    text = list_text(source_arena, &cursor, scratch, &length)
    call._reply.bulk(text, length)
    element = string_element(call._reply.bytes + call._reply.length - 2 - length, length)
    same = source_arena is target_arena and target_found.exists and (
        source_found.entry.offset == target_found.entry.offset
    )
    if same and (source.length == 1 or from_left == to_left):
        call.shard_of_key(0).keyspace.modified(&source_found)
        return 0
    list_remove(source_arena, &source, 0 if from_left else source.length - 1, 1)
    if same:
        list_grow(source_arena, &source, call.limits, element.length, 1)
        list_push(source_arena, &source, &element, 1, to_left)
        return save_shorter(call, 1, 0, &source_found, &source)
    save_shorter(call, 1, 0, &source_found, &source)
    list_grow(target_arena, &target, call.limits, element.length, 1)
    list_push(target_arena, &target, &element, 1, to_left)
    return save(call, 2, 1, &target_found, &target)


cdef int lmove_command(Call call) except -1:
    cdef bint from_left = end_of(call, 3)
    cdef bint to_left = end_of(call, 4)
    return move(call, from_left, to_left, -1)


cdef int blmove_command(Call call) except -1:
    cdef bint from_left = end_of(call, 3)
    cdef bint to_left = end_of(call, 4)
    return move(call, from_left, to_left, timeout_seconds(call, 5))


cdef int rpoplpush_command(Call call) except -1:
    return move(call, False, True, -1)


cdef int brpoplpush_command(Call call) except -1:
    return move(call, False, True, timeout_seconds(call, 3))


native("blmove", blmove_command)
native("blmpop", blmpop_command)
native("blpop", blpop_command)
native("brpop", brpop_command)
native("brpoplpush", brpoplpush_command)
native("lmove", lmove_command)
native("lmpop", lmpop_command)
native("lpop", lpop_command)
native("rpop", rpop_command)
native("rpoplpush", rpoplpush_command)
