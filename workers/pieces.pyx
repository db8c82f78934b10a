"""A reply in pieces: see pieces.pxd."""
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy

from shardkv.ring cimport (
    REPLY_PIECE, PieceHeader, ReplyRecord, RequestRecord, Ring, reply_begin, ring_append, ring_reserve,
)


cdef class Pieces:
    def __dealloc__(self):
        free(self.bytes)

    cdef bint append(self, Ring *ring, RequestRecord *record, uint64_t position, uint64_t room) noexcept nogil:
        cdef uint64_t part = min(self.length - self.sent, (room - sizeof(ReplyRecord) - sizeof(PieceHeader)))
        cdef ReplyRecord *reply = <ReplyRecord *>ring_reserve(ring, <uint32_t>room)
        cdef PieceHeader *piece = <PieceHeader *>(reply + 1)
        reply_begin(reply, record, position, REPLY_PIECE, sizeof(PieceHeader) + part)
        reply.length = self.length
        piece.offset = self.sent
        piece.bytes = part
        memcpy(<char *>(piece + 1), self.bytes + self.sent, part)
        ring_append(ring, reply.size)
        self.sent += part
        return self.sent == self.length
