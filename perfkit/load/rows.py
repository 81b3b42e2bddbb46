"""From a ledger to ``requests.arrow`` and ``generator.json``.

The strings of a row (key, job id) are functions of the plan, so they are made here, after the
load, and not while it runs. The same code serves the end of a trial and `recover`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from perfkit.load.exchange import ErrorKind
from perfkit.load.foreign import read_foreign_ids
from perfkit.load.happenings import REQUEST_NAMES, read_names
from perfkit.load.ledger import ERROR_KINDS, HEADER_BYTES, WORDS, Ledger
from perfkit.load.spec import LoadSpec
from perfkit.recorder.draws import job_id, job_key
from perfkit.records import REQUESTS

__all__ = [
    "ARROW",
    "COST",
    "FOREIGN_IDS",
    "LEDGER",
    "SUMMARY",
    "Rows",
    "batches",
    "finish",
    "ledger_header",
    "new_ledger",
    "read_ledger",
    "recover",
    "replacing",
    "summarize",
    "write_summary",
]

LEDGER: Final = "requests.ledger"
FOREIGN_IDS: Final = "requests.ids"
COST: Final = "requests.cost.json"  # left by a sender that can't make the two files itself
LATE_NS: Final = 10_000_000

ARROW: Final = "requests.arrow"
SUMMARY: Final = "generator.json"

_BATCH_ROWS: Final = 65_536
_PATIENCE_S: Final = 5.0  # nothing outlives perfkit for longer
_LOOK_EVERY_S: Final = 0.02
Words = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rows:
    """A ledger's header and its rows, shape (n, 8), columns as drawn in `ledger`."""

    header: dict[str, Any]
    words: Words
    foreign_ids: dict[int, str]  # by row, where the reply's id differs from the planned one

    @property
    def sent_ns(self) -> Words:
        """0 where dropped."""
        return self.words[:, 1]

    @property
    def status(self) -> Words:
        """0 where there was no whole reply."""
        return self.words[:, 6] >> 16 & 0xFFFF

    @property
    def error(self) -> Words:
        """Number of the error kind, 0 for none. Sent and without an end is abandoned."""
        number = self.words[:, 6] >> 32
        open_end = (self.words[:, 1] != 0) & (self.words[:, 3] == 0) & (number == 0)
        abandoned = ERROR_KINDS.index(ErrorKind.ABANDONED) + 1
        return np.where(open_end, abandoned, number)

    @property
    def send_lag_ns(self) -> Words:
        """Of the sent rows: sent - intended, without the time blocked."""
        sent = self.words[self.sent_ns != 0]
        lag: Words = sent[:, 1] - sent[:, 0] - sent[:, 4]
        return lag


def new_ledger(spec: LoadSpec) -> Ledger:
    """The ledger of a spec, in its output directory."""
    return Ledger(Path(spec.output) / LEDGER, ledger_header(spec))


def ledger_header(spec: LoadSpec) -> dict[str, Any]:
    """What a ledger's first page says; a queue that several jobs share is named once."""
    return {
        "version": 1,
        "trial": spec.trial,
        "seed": spec.seed,
        "nonce": spec.nonce,
        "model": spec.model,
        "queues": list(dict.fromkeys(spec.queues)),
        "shard": spec.shard,
        "shards": spec.shards,
        "journey": spec.journey is not None,  # the names of its requests are in a file beside
    }


def read_ledger(directory: Path) -> Rows:
    """All rows that were written, also by a process that was killed.

    Raises:
        OSError: there is no ledger.
        ValueError: it is not one.
    """
    data = (directory / LEDGER).read_bytes()
    header = json.loads(data[:HEADER_BYTES])
    words = np.frombuffer(data, np.int64, offset=HEADER_BYTES).reshape(-1, WORDS)
    if header.get("journey"):
        header["queues"] = read_names(directory / REQUEST_NAMES)
    return Rows(header, words[words[:, 7] > 0], read_foreign_ids(directory / FOREIGN_IDS))


def summarize(rows: Rows) -> dict[str, Any]:
    """The counts of ``generator.json`` that follow from the rows.

    ``planned = sent + dropped`` and ``sent = accepted + refused + errored``; percentiles are exact
    (the smallest value with that share at or below it), null where nothing was sent.
    """
    was_sent = rows.sent_ns != 0
    status, error, lag = rows.status, rows.error, rows.send_lag_ns
    kinds = np.bincount(error[was_sent], minlength=len(ERROR_KINDS) + 1)
    accepted = int(((status >= 200) & (status < 300)).sum())
    replied = int((status != 0).sum())
    p50, p99, most = (
        np.quantile(lag, (0.5, 0.99, 1.0), method="inverted_cdf").tolist()
        if lag.size
        else (None, None, None)
    )
    return {
        "planned": len(rows.words),
        "sent": int(was_sent.sum()),
        "dropped": int((~was_sent).sum()),
        "late": int((lag > LATE_NS).sum()),
        "blocked": int((rows.words[:, 4] > 0).sum()),
        "accepted": accepted,
        "refused": replied - accepted,
        "errored": int((error[was_sent] != 0).sum()),
        "errors": {
            str(kind): int(kinds[number])
            for number, kind in enumerate(ERROR_KINDS, 1)
            if kinds[number]
        },
        "send_lag_ns": {"p50": p50, "p99": p99, "max": most},
    }


def recover(directory: Path, patience_s: float = _PATIENCE_S) -> bool:
    """Make the two files from the ledger that a killed generator left; False where there is none.

    So did one that ended in order but knows no Arrow (`perfkit.recorder.enqueue`); it also left
    what it cost. Of a killed one that (CPU, loop) is null. The ledger is removed, so a second call
    does nothing. A generator that still lives is about to make the files itself: it is waited for,
    and what it has written until then is taken if that takes longer than ``patience_s``.
    """
    try:
        handle = os.open(directory / LEDGER, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        _wait_for_writer(handle, patience_s)
        if os.fstat(handle).st_nlink == 0:
            return False  # the one we waited for has done it
        if not os.pread(handle, HEADER_BYTES, 0).strip(b"\0"):
            (directory / LEDGER).unlink(missing_ok=True)  # killed as it began: no row was written
            return False
        rows = read_ledger(directory)
        for name in (ARROW, SUMMARY):
            for torn in directory.glob(f"{name}.*.tmp"):
                torn.unlink(missing_ok=True)
        finish(directory, rows, _cost(directory))
    finally:
        os.close(handle)
    return True


def _cost(directory: Path) -> dict[str, Any]:
    try:
        said = json.loads((directory / COST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        said = None
    unknown = dict.fromkeys(("cpu_ns", "wall_ns", "run_queue_wait_ns", "loop", "python"))
    return said if isinstance(said, dict) else {**unknown, "interrupted": True}


def _wait_for_writer(handle: int, patience_s: float) -> None:
    """Until nobody else has the ledger locked; then we have, against another `recover`."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return
            time.sleep(_LOOK_EVERY_S)
        except OSError:  # a file system without locks
            return


def finish(directory: Path, rows: Rows, more: dict[str, Any]) -> None:
    """Write both files, then remove what they were made from.

    Another process may do the same at the same time: each file is that of one or the other, whole.
    """
    _write_arrow(rows, directory / ARROW)
    write_summary(directory, {**summarize(rows), **more})
    (directory / LEDGER).unlink(missing_ok=True)
    for name in (FOREIGN_IDS, COST, REQUEST_NAMES):
        (directory / name).unlink(missing_ok=True)


def _write_arrow(rows: Rows, path: Path) -> None:
    """Write the rows as an Arrow IPC file with the schema REQUESTS, whole or not at all."""
    with (
        replacing(path) as partial,
        pa.OSFile(str(partial), "wb") as file,
        pa.ipc.new_file(file, REQUESTS) as writer,
    ):
        for batch in batches(rows):
            writer.write_batch(batch)


def write_summary(directory: Path, summary: dict[str, Any]) -> None:
    """Write ``generator.json``, whole or not at all."""
    with replacing(directory / SUMMARY) as partial:
        partial.write_text(json.dumps(summary, indent=1) + "\n")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file of this process that takes the name when it is written; none is left if it isn't."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        yield partial
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)


def batches(rows: Rows, first: int = 0) -> Iterator[pa.RecordBatch]:
    """The rows with the schema REQUESTS; ``first`` is the place of the first one in its ledger."""
    queues = pa.array(rows.header["queues"], pa.string())
    kinds = pa.array([str(kind) for kind in ERROR_KINDS], pa.string())
    error = rows.error
    for start in range(0, len(rows.words), _BATCH_ROWS):
        part = rows.words[start : start + _BATCH_ROWS]
        yield _batch(rows, first + start, part, error[start : start + _BATCH_ROWS], queues, kinds)


def _batch(
    rows: Rows, start: int, words: Words, error: Words, queues: pa.Array, kinds: pa.Array
) -> pa.RecordBatch:
    header = rows.header
    count = len(words)
    seq = header["shard"] + np.arange(start, start + count) * header["shards"]
    is_open = header["model"] == "open"
    user, iteration = words[:, 5] >> 32, words[:, 5] & 0xFFFFFFFF
    seed, nonce, foreign = header["seed"], header["nonce"], rows.foreign_ids
    if is_open:
        keys = [f"{seed}/{number}" for number in seq.tolist()]
    else:
        pairs = zip(user.tolist(), iteration.tolist(), strict=True)
        keys = [f"{seed}/u{one}/{turn}" for one, turn in pairs]
    ids: list[str | None] = [
        foreign.get(row) or job_id(nonce, key) for row, key in enumerate(keys, start)
    ]
    has_iterations = not is_open
    if header.get("journey"):
        # Several requests of an iteration; which of them made a job, its reply alone says.
        steps = (words[:, 7] - 1).tolist()
        turns = zip(user.tolist(), iteration.tolist(), steps, strict=True)
        keys = [f"{job_key(seed, turn, one, turn)}/{step}" for one, turn, step in turns]
        ids = [foreign.get(row) for row in range(start, start + count)]
        has_iterations = True
    status = words[:, 6] >> 16 & 0xFFFF
    columns = {
        "trial": pa.array(np.full(count, header["trial"]), pa.int32()),
        "seq": pa.array(seq, pa.int64()),
        "key": pa.array(keys, pa.string()),
        "queue": _named(words[:, 6] & 0xFFFF, queues),
        "job_id": pa.array(ids, pa.string()),
        "user": pa.nulls(count, pa.int32()) if is_open else pa.array(user, pa.int32()),
        "iteration": pa.array(iteration, pa.int32())
        if has_iterations
        else pa.nulls(count, pa.int32()),
        "intended_ns": pa.array(words[:, 0]),
        "sent_ns": pa.array(words[:, 1], mask=words[:, 1] == 0),
        "first_byte_ns": pa.array(words[:, 2], mask=words[:, 2] == 0),
        "done_ns": pa.array(words[:, 3], mask=words[:, 3] == 0),
        "blocked_ns": pa.array(words[:, 4]),
        "status": pa.array(status, pa.int16(), mask=status == 0),
        "error": _named(error - 1, kinds),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in REQUESTS.names], schema=REQUESTS)


def _named(index: Words, names: pa.Array) -> pa.DictionaryArray:
    """Names by index; null below 0."""
    return pa.DictionaryArray.from_arrays(pa.array(index, pa.int32(), mask=index < 0), names)
