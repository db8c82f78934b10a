"""Replies to waiters on their way: see outbox.pxd."""
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memset

from shardkv.claims cimport CLAIM_DONE, CLAIM_SHARD
from shardkv.ring cimport (
    IN_SEGMENT, REPLY_ROOM, REPLY_WHOLE, RING_INLINE_MAX, ReplyRecord, SegmentName, ring_append, ring_reserve,
    ring_room,
)
from shardkv.segment cimport Segment
from workers.memory.arena cimport COMMIT_INTERNAL

from shardkv.errors import OutOfMemory
from shardkv.segment import SegmentError


cdef class Outbox:
    def __init__(self, Arena arena, Waiters waiters) -> None:
        """Takes over what the arena's last worker had not sent, or not known to be."""
        cdef uint64_t offset = arena.header.roots[<int>OUTBOX_ROOT]
        self.arena, self.waiters, self.shard = arena, waiters, waiters.shard
        while offset:
            self._remember(offset, <uint32_t>(<Parcel *>arena.at(offset)).acceptor)
            offset = (<Parcel *>arena.at(offset)).next
        self._reverse()

    def __dealloc__(self):
        free(self.items)

    cdef int _remember(self, uint64_t offset, uint32_t acceptor) except -1:
        cdef uint32_t room
        cdef void *grown
        if self.count == self.room:
            room = max(<uint32_t>16, 2 * self.room)
            grown = realloc(self.items, room * sizeof(Item))
            if grown == NULL:
                raise MemoryError()
            self.items, self.room = <Item *>grown, room
        self.items[self.count].offset, self.items[self.count].acceptor = offset, acceptor
        self.items[self.count].sent = False
        self.count += 1
        return 0

    cdef void _reverse(self) noexcept:
        # The list in the arena begins with what was put last.
        cdef uint32_t index
        cdef Item item
        for index in range(self.count // 2):
            item = self.items[index]
            self.items[index] = self.items[self.count - 1 - index]
            self.items[self.count - 1 - index] = item

    def stamps(self) -> set[int]:
        """The stamps of what is in it."""
        return {(<Parcel *>self.arena.at(self.items[index].offset)).stamp for index in range(self.count)}

    cdef int put(self, const Waiter *waiter, Reply reply) except -1:
        cdef uint64_t offset = self.arena.alloc(sizeof(Parcel) + reply.size())
        cdef Parcel *parcel = <Parcel *>self.arena.at(offset)
        parcel.next = self.arena.header.roots[<int>OUTBOX_ROOT]
        parcel.acceptor, parcel.token, parcel.sequence = waiter.acceptor, waiter.token, waiter.sequence
        parcel.stamp, parcel.length = waiter.stamp, reply.size()
        reply.copy_to(<char *>(parcel + 1))
        self.arena.put64(self.arena.root_offset(OUTBOX_ROOT), offset)
        self._remember(offset, waiter.acceptor)
        return 0

    cdef bint has(self, int acceptor) noexcept:
        cdef uint32_t index
        if self.count == self.sent:
            return False
        for index in range(self.count):
            if self.items[index].acceptor == <uint32_t>acceptor and not self.items[index].sent:
                return True
        return False

    # -- sending

    cdef bint send(self, RingPair pair, int acceptor, SegmentStore segments) except -1:
        cdef uint32_t index
        cdef bint any_sent = False
        for index in range(self.count):
            if self.items[index].sent or self.items[index].acceptor != <uint32_t>acceptor:
                continue
            if not self._append(pair, <Parcel *>self.arena.at(self.items[index].offset), segments):
                break
            self.items[index].sent = True
            self.sent += 1
            any_sent = True
        return any_sent

    cdef bint _append(self, RingPair pair, Parcel *parcel, SegmentStore segments) except -1:
        cdef uint64_t room = ring_room(&pair.reply), body = parcel.length
        cdef ReplyRecord *record
        cdef SegmentName *name
        cdef Segment segment = None
        self.no_segment = False
        if room < REPLY_ROOM:
            return False
        if sizeof(ReplyRecord) + body + 8 > min(room, <uint64_t>RING_INLINE_MAX):
            try:
                segment = segments.create()
                segment.append(<char *>(parcel + 1), parcel.length)
            except SegmentError:
                if segment is not None:
                    segment.unlink()
                self.no_segment = True
                return False
            body = sizeof(SegmentName)
        record = <ReplyRecord *>ring_reserve(&pair.reply, <uint32_t>(sizeof(ReplyRecord) + body + 8))
        memset(record, 0, sizeof(ReplyRecord))
        record.size = <uint32_t>((sizeof(ReplyRecord) + body + 7) & ~<uint64_t>7)
        record.kind, record.part = REPLY_WHOLE, self.shard
        record.token, record.sequence, record.length = parcel.token, parcel.sequence, parcel.length
        if segment is not None:
            record.flags = IN_SEGMENT
            name = <SegmentName *>(record + 1)
            name.id, name.size, name.table = segment.id, parcel.length, 0
        else:
            memcpy(record + 1, parcel + 1, body)
        ring_append(&pair.reply, record.size)
        return True

    # -- removing

    cdef int settle(self) except -1:
        cdef uint32_t index
        cdef Parcel *parcel
        if self.sent == 0:
            return 0
        for index in range(self.count):
            if self.items[index].sent:
                parcel = <Parcel *>self.arena.at(self.items[index].offset)
                self.waiters.claims_of(self.items[index].acceptor).change(
                    <uint32_t>(parcel.token & 0xFFFFFF), parcel.stamp, CLAIM_SHARD + self.shard, CLAIM_DONE
                )
        self.arena.begin(COMMIT_INTERNAL, self.arena.header.commit[<int>COMMIT_INTERNAL] + 1)
        try:
            self._remove()
            self.arena.commit()
        except OutOfMemory:
            self.arena.rollback()  # they stay, and are not sent again by this worker
            return 0
        self._forget_sent()
        return 0

    cdef int _remove(self) except -1:
        """Takes what was sent out of the list in the arena."""
        cdef uint64_t kept = 0
        cdef uint32_t index
        cdef Parcel *parcel
        for index in range(self.count):
            parcel = <Parcel *>self.arena.at(self.items[index].offset)
            if self.items[index].sent:
                self.arena.free(self.items[index].offset)
                continue
            if parcel.next != kept:
                self.arena.put64(self.items[index].offset, kept)
            kept = self.items[index].offset
        return self.arena.put64(self.arena.root_offset(OUTBOX_ROOT), kept)

    cdef void _forget_sent(self) noexcept:
        cdef uint32_t index, kept = 0
        for index in range(self.count):
            if not self.items[index].sent:
                self.items[kept] = self.items[index]
                kept += 1
        self.count, self.sent = kept, 0
