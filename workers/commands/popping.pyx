"""Commands that pop from the first of several keys: see popping.pxd."""
from libc.stdint cimport INT64_MAX, int64_t

from shardkv.errors import SYNTAX, CommandError

from workers.commands.elements cimport integer_between


cdef int take_popping(Call call, int at, const char *word, const char *other, Popping *out) except -1:
    cdef int64_t keys = integer_between(call, at, 1, INT64_MAX, "ERR numkeys should be greater than 0")
    cdef int where
    if keys > call.argc - at - 2:
        raise CommandError(SYNTAX)
    out.first, out.keys, out.count = at + 1, <int>keys, 1
    where = at + 1 + out.keys
    out.from_first = call.is_option(where, word)
    if not out.from_first and not call.is_option(where, other):
        raise CommandError(SYNTAX)
    if where + 1 < call.argc:
        if where + 2 >= call.argc or not call.is_option(where + 1, b"count"):
            raise CommandError(SYNTAX)
        out.count = integer_between(call, where + 2, 1, INT64_MAX, "ERR count should be greater than 0")
        if where + 3 < call.argc:
            raise CommandError(SYNTAX)
    return 0


cdef int wait_or_null(Call call, int kind, int64_t timeout, int first, int keys) except -1:
    if not call.may_wait:
        return call._reply.null_array()
    return call.wait(kind, timeout, first, keys)
