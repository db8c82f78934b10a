"""What the commands on collections share: see elements.pxd."""
from shardkv.errors import SYNTAX, CommandError

from shardkv.glob cimport glob_match
from shardkv.number cimport parse_int64

cdef enum:
    SCAN_COUNT = 10             # elements, when COUNT is not given

SHOWN_MAX = 128                 # bytes of a subcommand's name in an error text
CURSOR_LIMIT = 1 << 64
UNKNOWN_SUBCOMMAND = "ERR unknown subcommand or wrong number of arguments for '{}'. Try {} HELP."
ONLY_HSCAN = "ERR NOVALUES option can only be used in HSCAN"


cdef class Scan:
    cdef int take_cursor(self, Call call) except -1:
        cdef bytes digits = call.arg(2)
        cursor = int(digits) if digits.isdigit() and len(digits) <= 20 else CURSOR_LIMIT
        if cursor >= CURSOR_LIMIT:
            raise CommandError("ERR invalid cursor")
        self.cursor = cursor
        self.count = SCAN_COUNT
        self.values = True
        return 0

    cdef int take_options(self, Call call, bint of_hash) except -1:
        cdef int index = 3
        while index < call.argc:
            if call.is_option(index, b"novalues"):
                if not of_hash:
                    raise CommandError(ONLY_HSCAN)
                self.values = False
                index += 1
                continue
            if index + 1 == call.argc:
                raise CommandError(SYNTAX)
            if call.is_option(index, b"count"):
                self.count = call.integer(index + 1)
                if self.count < 1:
                    raise CommandError(SYNTAX)
            elif call.is_option(index, b"match"):
                self.take_pattern(&call.argv[index + 1])
            else:
                raise CommandError(SYNTAX)
            index += 2
        return 0

    cdef int take_pattern(self, Argument *argument) noexcept:
        self.pattern = argument.bytes
        self.pattern_length = argument.length
        if argument.length == 1 and argument.bytes[0] == c'*':
            self.pattern = NULL  # as a pattern it would not match the empty text
        return 0

    cdef bint wants(self, const char *text, uint64_t length) noexcept:
        return self.pattern == NULL or glob_match(self.pattern, self.pattern_length, text, length, False)

    cdef int answer(self, Reply reply, uint64_t cursor, list elements) except -1:
        cdef bytes element, digits = str(cursor).encode()
        reply.header(c'*', 2)
        reply.bulk(digits, len(digits))
        reply.header(c'*', len(elements))
        for element in elements:
            reply.bulk(element, len(element))
        return 0


cdef int64_t integer_between(Call call, int index, int64_t low, int64_t high, str text) except? -1:
    cdef int64_t value
    if text is None:
        value = call.integer(index)
    elif not parse_int64(call.argv[index].bytes, call.argv[index].length, &value):
        raise CommandError(text)
    if not low <= value <= high:
        raise CommandError(text or f"ERR value is out of range, value must between {low} and {high}")
    return value


cdef str shown(Call call, int index):
    return call.arg(index).decode("utf-8", "surrogateescape")


cdef object unknown_subcommand(Call call):
    cdef str given = call.arg(1)[:SHOWN_MAX].decode("utf-8", "surrogateescape")
    return CommandError(UNKNOWN_SUBCOMMAND.format(given, shown(call, 0).upper()))
