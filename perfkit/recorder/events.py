"""What is recorded: the kinds of event, and the 80 bytes each of them takes.

    offset  size  field
         0    16  message id        the bytes of the UUID, else a digest (flag, names table)
        16    16  redis message id  likewise; zero where the broker gives none
        32     2  queue             index into the names table, ``.DQ`` included
        34     2  actor             index into the names table
        36     2  attempt           ``options.retries`` when the event began
        38     1  flags             FOREIGN_MESSAGE_ID, FOREIGN_REDIS_ID
        39     1  -
        40     1  kind
        41     1  -
        42     2  error             index into the names table, 0 for none
        44     4  thread            native id; 0 for ENQ and REQUEUE
        48    24  stamps            three int64, monotonic ns, 0 for "not known"
        72     4  checksum          Adler-32 of the 72 bytes before
        76     4  commit            number of the slot in its file, from 1; written last

Adler-32 catches a torn slot as well as CRC-32 does, and walks through no tables: in a process that
has just come back from a system call, 16 KiB of those are not in the cache.

The first 40 bytes are the same for all events of one delivery, so they are packed once. A file is a
HEADER followed by slots; one that was never claimed is all zeros.

SPOOL_VERSION history
    1   first layout.
    2   the kind REQUEUE; the thread of END, ACK, NACK and SKIP; files may be dropped to keep within
        a budget of disk, which the sidecar tells.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final, NamedTuple

__all__ = [
    "BODY",
    "FIELDS",
    "FOREIGN_MESSAGE_ID",
    "FOREIGN_REDIS_ID",
    "HEADER",
    "HEADER_BYTES",
    "HEADER_LOST_OFFSET",
    "IDENTITY",
    "IDENTITY_OF_UUIDS",
    "MAGIC",
    "NO_ID",
    "SLOT",
    "SLOT_BYTES",
    "SPOOL_VERSION",
    "Event",
    "Kind",
]

SPOOL_VERSION: Final = 2
MAGIC: Final = b"pkspool\n"

HEADER: Final = struct.Struct("<8sIIIxxxxQ")  # magic, version, bytes per slot, slots, events lost
HEADER_BYTES: Final = 80
HEADER_LOST_OFFSET: Final = HEADER.size - 8

IDENTITY: Final = struct.Struct("<16s16sHHHBx")
IDENTITY_OF_UUIDS: Final = struct.Struct("<32sHHHxx")  # the same, both ids at once, no flags
BODY: Final = struct.Struct("<40sBxHIqqq")  # identity, kind, error, thread, stamps
SLOT: Final = struct.Struct("<72sII")  # body, checksum, commit
FIELDS: Final = struct.Struct("<16s16sHHHBxBxHIqqqII")  # the same slot, field by field
SLOT_BYTES: Final = SLOT.size

NO_ID: Final = bytes(16)
FOREIGN_MESSAGE_ID: Final = 1
FOREIGN_REDIS_ID: Final = 2


class Kind(IntEnum):
    """What happened to a message."""

    ENQ = 1
    """Put into a queue: by a producer, a retry, or a delayed message that fell due."""
    DELAY = 2
    """Put aside in a worker's memory until it falls due."""
    START = 3
    """About to be given to its actor."""
    END = 4
    """The actor returned, or raised `error`. A time limit that strikes while the END of a success
    is being recorded is followed by a second END, which is the one that counts."""
    ACK = 5
    """Acknowledged: done, or (after an END with an error) failed with a retry enqueued."""
    NACK = 6
    """Moved to the dead letters."""
    SKIP = 7
    """Never given to its actor, because a middleware said so; or the actor said so itself, after a
    START."""
    REQUEUE = 8
    """Fetched, never started, and given back to its queue: the worker stopped in order."""


_TAKEN: Final = (Kind.DELAY, Kind.START, Kind.REQUEUE)


class Event(NamedTuple):
    """One event of one message, decoded.

    The three stamps are CLOCK_MONOTONIC nanoseconds, None where not known::

        kind    t1_ns            t2_ns                      t3_ns
        ENQ     before_enqueue   Redis has answered         -
        DELAY   enqueued (*)     fetched                    put aside
        START   enqueued (*)     fetched                    started
        END     finished         -                          -
        ACK     asked            Redis has answered         -
        NACK    asked            Redis has answered         -
        SKIP    skipped          -                          -
        REQUEUE enqueued (*)     fetched                    Redis has answered

    (*) the before_enqueue stamp of the last hop, carried by the message itself.
    """

    kind: Kind
    queue: str
    """Without dramatiq's ``.DQ``."""
    delayed: bool
    """The event belongs to the delayed half of the queue."""
    actor: str
    attempt: int
    message_id: str
    redis_message_id: str | None
    """New at each enqueue; None where the broker gives none."""
    t1_ns: int | None
    t2_ns: int | None
    t3_ns: int | None
    error: str | None
    """Type of the exception, END only."""
    thread_id: int
    """Native id of the thread that had the message in its hands; 0 for ENQ and REQUEUE."""

    @property
    def enqueued_ns(self) -> int | None:
        """When the message was last enqueued (ENQ, DELAY, START, REQUEUE)."""
        return self.t1_ns if self.kind is Kind.ENQ or self.kind in _TAKEN else None

    @property
    def enqueue_done_ns(self) -> int | None:
        """When Redis had accepted the message (ENQ)."""
        return self.t2_ns if self.kind is Kind.ENQ else None

    @property
    def fetched_ns(self) -> int | None:
        """When the worker received the message from Redis (DELAY, START, REQUEUE)."""
        return self.t2_ns if self.kind in _TAKEN else None

    @property
    def delayed_ns(self) -> int | None:
        """When the message was put aside (DELAY)."""
        return self.t3_ns if self.kind is Kind.DELAY else None

    @property
    def started_ns(self) -> int | None:
        """When the actor was called (START)."""
        return self.t3_ns if self.kind is Kind.START else None

    @property
    def finished_ns(self) -> int | None:
        """When the actor returned or raised (END)."""
        return self.t1_ns if self.kind is Kind.END else None

    @property
    def acked_ns(self) -> int | None:
        """When Redis had taken the ack or nack (ACK, NACK)."""
        return self.t2_ns if self.kind in (Kind.ACK, Kind.NACK) else None

    @property
    def requeued_ns(self) -> int | None:
        """When Redis had taken the message back (REQUEUE)."""
        return self.t3_ns if self.kind is Kind.REQUEUE else None
