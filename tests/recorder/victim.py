"""A process that records with many threads and says, in shared memory, how far each has come.

    python -m tests.recorder.victim FOLDER         forks a recording process for each line on stdin

A line is ``NUMBER THREADS``; the child records into FOLDER/NUMBER until it is killed. Its pid is
answered. The memory, FOLDER/NUMBER.progress, holds two int64 per thread: the event that it is about
to record, and the last one whose `SpoolWriter.record` has returned. A kill leaves both as they
were: an event up to the second number is committed, one beyond the first can't exist.
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from perfkit.recorder.events import Event, Kind
from perfkit.recorder.spool import SpoolWriter

PAIR = struct.Struct("<qq")
SLOTS = 300  # few, so that files are often full
KINDS = tuple(Kind)
NAMES = 200


def identity_of(thread: int, number: int) -> tuple[str, str | None, str, str, int]:
    """What `SpoolWriter.identity` is given for an event: UUIDs, and now and then neither."""
    message = f"{thread:08x}-0000-4000-8000-{number:012x}"
    if number % 50 == 7:
        message = f"order-{thread}-{number}"
    rid = None if number % 11 == 3 else f"{thread:08x}-0000-4000-9000-{number:012x}"
    queue = f"queue-{number % 7}" + (".DQ" if number % 3 == 1 else "")
    return message, rid, queue, f"actor-{number % NAMES}", number % 5


def event_of(thread: int, number: int) -> Event:
    """The event as it must be read."""
    message, rid, queue, actor, attempt = identity_of(thread, number)
    return Event(
        kind=KINDS[number % len(KINDS)],
        queue=queue.removesuffix(".DQ"),
        delayed=queue.endswith(".DQ"),
        actor=actor,
        attempt=attempt,
        message_id=message,
        redis_message_id=rid,
        t1_ns=number,
        t2_ns=number * 2,
        t3_ns=number * 3,
        error=f"error-{number % NAMES}",
        thread_id=thread,
    )


def record(writer: SpoolWriter, thread: int, number: int) -> None:
    """Write the event of that thread and number."""
    identity = writer.identity(*identity_of(thread, number))
    error = writer.index(f"error-{number % NAMES}")
    kind = KINDS[number % len(KINDS)]
    writer.record(identity, kind, number, number * 2, number * 3, error, thread)


def progress(path: Path, threads: int) -> Iterator[tuple[int, int]]:
    """(begun, returned) of each thread, from the shared memory."""
    data = path.read_bytes()
    return PAIR.iter_unpack(data[: threads * PAIR.size])


def _go_on(folder: Path, threads: int) -> None:
    said = folder.with_name(f"{folder.name}.progress")
    with said.open("r+b") as file:
        # A store of eight bytes is whole or is not; `struct` writes zeros first.
        shared = memoryview(mmap.mmap(file.fileno(), threads * PAIR.size)).cast("q")
    writer = SpoolWriter(folder, name="victim", role="worker", slots=SLOTS)

    def write(thread: int) -> None:
        number, begun, returned = 0, 2 * thread, 2 * thread + 1
        while True:
            number += 1
            shared[begun] = number
            record(writer, thread, number)
            shared[returned] = number

    for thread in range(threads):
        threading.Thread(target=write, args=(thread,)).start()


def main() -> None:
    """Fork one recording process for each line, and reap them."""
    sys.setswitchinterval(1e-5)
    folder = Path(sys.argv[1])
    for line in sys.stdin:
        number, threads = line.split()
        said = folder / f"{number}.progress"
        said.write_bytes(bytes(int(threads) * PAIR.size))
        child = os.fork()
        if child == 0:
            _go_on(folder / number, int(threads))
            return
        print(child, flush=True)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
