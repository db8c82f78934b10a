"""The command table as the router reads it: see specs.pxd."""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy

from shardkv.commands.keys import has_plain_range
from shardkv.commands.spec import Command, Route

_FLAGS = {
    "write": SPEC_WRITE, "denyoom": SPEC_DENY_OOM, "no_auth": SPEC_NO_AUTH, "loading": SPEC_LOADING,
    "no_multi": SPEC_NO_MULTI,
}
_SPECIAL = {
    "ping": SPEC_PING, "touch": SPEC_TOUCH, "mset": SPEC_ATOMIC, "watch": SPEC_AWAITED | SPEC_AT_ONCE,
    "multi": SPEC_AT_ONCE, "exec": SPEC_AT_ONCE | SPEC_LEAVES_MULTI, "discard": SPEC_AT_ONCE | SPEC_LEAVES_MULTI,
    "quit": SPEC_AT_ONCE | SPEC_LEAVES_MULTI, "reset": SPEC_AT_ONCE | SPEC_LEAVES_MULTI,
    "select": SPEC_SESSION, "hello": SPEC_SESSION, "client|no-touch": SPEC_SESSION,
}
_TRANSACTION = {
    "multi": TRANSACTION_MULTI, "exec": TRANSACTION_EXEC, "discard": TRANSACTION_DISCARD, "watch": TRANSACTION_WATCH,
    "unwatch": TRANSACTION_UNWATCH,
}


cdef inline uint32_t place_of(const char *name, uint32_t length) noexcept nogil:
    cdef uint32_t hash = 2166136261
    cdef uint32_t index
    for index in range(length):
        hash = (hash ^ <uint8_t>name[index]) * 16777619
    return (hash ^ hash >> 15) & (BUCKETS - 1)


cdef inline void lower_into(char *out, const char *name, uint64_t length) noexcept nogil:
    cdef uint64_t index
    cdef char byte
    for index in range(length):
        byte = name[index]
        out[index] = byte + 32 if c'A' <= byte <= c'Z' else byte


cdef class CommandTable:
    def __init__(self, commands: tuple) -> None:
        """Compiles the flat tuple of commands; a command's place in it is its id."""
        if 2 * len(commands) > BUCKETS:
            raise ValueError("the command table has outgrown its buckets")
        self.commands = commands
        self.count = len(commands)
        self.specs = <Spec *>calloc(self.count, sizeof(Spec))
        if self.specs == NULL:
            raise MemoryError
        for number, command in enumerate(commands):
            self._compile(number, command)

    def __dealloc__(self):
        free(self.specs)

    def _compile(self, uint32_t number, command: Command):
        cdef Spec *spec = &self.specs[number]
        cdef bytes name = command.name.encode()
        cdef uint32_t place
        if len(name) > NAME_MAX:
            raise ValueError(f"the name {command.name} is too long")
        spec.id = <uint16_t>number
        spec.route, spec.join, spec.arity = int(command.route), int(command.join), command.arity
        spec.first, spec.last, spec.step = command.first_key, command.last_key, max(command.key_step, 1)
        spec.split_step = command.split_step
        spec.flags = sum(flag for word, flag in _FLAGS.items() if word in command.flags)
        if command.subcommands:
            spec.flags |= SPEC_CONTAINER
        if not has_plain_range(command):
            spec.flags |= SPEC_SLOW_KEYS
        if "blocking" in command.flags:
            spec.flags |= SPEC_MAY_BLOCK if any(arg.token == "BLOCK" for arg in command.args) else SPEC_AWAITED
        if "blocking" in command.flags and command.route == Route.KEYED:
            spec.flags |= SPEC_BLOCKING
        spec.flags |= _SPECIAL.get(command.name, 0)
        spec.kind = _TRANSACTION.get(command.name, TRANSACTION_NONE)
        if spec.kind != TRANSACTION_NONE:
            spec.route = ROUTE_TRANSACTION
        if "|" in command.name:
            spec.flags |= SPEC_SUBCOMMAND
        spec.name_length = len(name)
        memcpy(spec.name, <const char *>name, spec.name_length)
        place = place_of(spec.name, spec.name_length)
        while self.buckets[place]:
            place = (place + 1) & (BUCKETS - 1)
        self.buckets[place] = <uint16_t>(number + 1)

    cdef Spec *_find_lower(self, const char *name, uint32_t length) noexcept nogil:
        cdef uint32_t place = place_of(name, length)
        cdef Spec *spec
        while self.buckets[place]:
            spec = &self.specs[self.buckets[place] - 1]
            if spec.name_length == length and memcmp(spec.name, name, length) == 0:
                return spec
            place = (place + 1) & (BUCKETS - 1)
        return NULL

    cdef Spec *find(self, const char *name, uint64_t length) noexcept nogil:
        cdef char lower[NAME_MAX]
        cdef Spec *spec
        if length > NAME_MAX:
            return NULL
        lower_into(lower, name, length)
        spec = self._find_lower(lower, <uint32_t>length)
        return NULL if spec == NULL or spec.flags & SPEC_SUBCOMMAND else spec

    cdef Spec *find_sub(self, Spec *container, const char *name, uint64_t length) noexcept nogil:
        cdef char lower[NAME_MAX]
        cdef uint32_t head = container.name_length + 1
        if length > NAME_MAX - head:
            return NULL
        memcpy(lower, container.name, container.name_length)
        lower[head - 1] = c'|'
        lower_into(lower + head, name, length)
        return self._find_lower(lower, head + <uint32_t>length)
