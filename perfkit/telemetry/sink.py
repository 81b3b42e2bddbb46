"""Where readings go while a trial runs: an Arrow IPC stream that a kill can only cut short.

The stream holds plain strings, and every batch is written with one append: a file that ends in the
middle of a batch has lost that batch and nothing else. Dictionaries are made when it is read.
"""

from __future__ import annotations

import threading
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Final

import pyarrow as pa

from perfkit.errors import NotARun, ResultsNotWritable
from perfkit.records import SAMPLES
from perfkit.telemetry.reading import Reading

__all__ = ["SampleSink", "read_samples"]

_STREAM: Final = pa.schema(
    [
        pa.field(field.name, pa.string() if pa.types.is_dictionary(field.type) else field.type)
        for field in SAMPLES
    ]
)
_END: Final = b"\xff\xff\xff\xff\x00\x00\x00\x00"  # end-of-stream marker of the IPC format


class SampleSink:
    """Columnar buffers, written as one record batch each time they span ``flush_every_ns``.

    A disk that is full is outlived: the torn batch is cut off, the rows stay in memory and are
    tried again with the next ones; only `close` gives up, loudly.
    """

    def __init__(self, path: Path, trial: int, *, flush_every_ns: int = 2_000_000_000) -> None:
        """Create the file.

        Raises:
            ResultsNotWritable: it exists already, or can't be created.
        """
        self._path = path
        self._trial = trial
        self._flush_every_ns = flush_every_ns
        self._lock = threading.Lock()
        self._errors: Counter[str] = Counter()
        self._closed = False
        self._tried_ns: int | None = None
        self._readings: list[Reading] = []
        self._good_size = 0
        try:
            self._file = path.open("xb", buffering=0)
        except OSError as error:
            raise self._refusal(error) from error
        try:
            self._write(_STREAM.serialize().to_pybytes())
        except OSError as error:
            self._file.close()
            raise self._refusal(error) from error

    @property
    def errors(self) -> Mapping[str, int]:
        """Writes that failed, by kind of error."""
        return self._errors

    def append(self, readings: Iterable[Reading]) -> None:
        """Take readings; now and then write them."""
        with self._lock:
            if self._closed:
                raise ValueError("the sink is closed")
            self._readings.extend(readings)
            if not self._readings:
                return
            newest_ns = self._readings[-1].at_ns
            if self._tried_ns is None:
                self._tried_ns = newest_ns
            if newest_ns - self._tried_ns >= self._flush_every_ns:
                self._tried_ns = newest_ns
                try:
                    self._flush()
                except OSError as error:
                    self._errors[type(error).__name__] += 1

    def close(self) -> None:
        """Write what is left and end the stream; may be called twice.

        Raises:
            ResultsNotWritable: the last readings can't be written; those before are in the file.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            try:
                self._flush()
                self._write(_END)
            except OSError as error:
                self._errors[type(error).__name__] += 1
                raise self._refusal(error) from error
            finally:
                self._file.close()

    def _flush(self) -> None:
        rows = self._readings
        if not rows:
            return
        columns = [
            _numbers(pa.int32(), array("i", [self._trial]) * len(rows)),
            _numbers(pa.int64(), array("q", [row.at_ns for row in rows])),
            _texts([row.metric for row in rows]),
            _texts([row.subject for row in rows]),
            _numbers(pa.float64(), array("d", [row.value for row in rows])),
        ]
        self._write(pa.record_batch(columns, schema=_STREAM).serialize().to_pybytes())
        self._readings = []

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        self._file.seek(self._good_size)
        try:
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
        except OSError:
            self._file.truncate(self._good_size)
            raise
        self._good_size += len(data)

    def _refusal(self, error: OSError) -> ResultsNotWritable:
        return ResultsNotWritable(
            f"can't write samples to {self._path}: {error.strerror or error}",
            "free disk space, or choose another folder with --results",
        )


def read_samples(path: Path) -> pa.Table:
    """All readings of a sink's file, as a table of schema SAMPLES in one chunk a column.

    A last batch that is cut short, as by a kill, is left out; so is a file cut short in its head.

    Raises:
        FileNotFoundError: there is no such file.
        NotARun: the file is something else.
    """
    data = path.read_bytes()
    head = _STREAM.serialize().to_pybytes()
    if len(data) < len(head) and head.startswith(data):
        return SAMPLES.empty_table()
    try:
        reader = pa.ipc.open_stream(pa.py_buffer(data))
    except (pa.ArrowInvalid, OSError) as error:
        raise _foreign(path) from error
    if not reader.schema.equals(_STREAM):
        raise _foreign(path)
    batches: list[pa.RecordBatch] = []
    while True:
        try:
            batch = reader.read_next_batch()
            batch.validate(full=True)
        except (StopIteration, pa.ArrowInvalid, OSError):
            break
        batches.append(batch)
    table = pa.Table.from_batches(batches, schema=_STREAM).combine_chunks()
    columns = [
        table[field.name].dictionary_encode().cast(field.type)
        if pa.types.is_dictionary(field.type)
        else table[field.name]
        for field in SAMPLES
    ]
    return pa.table(columns, schema=SAMPLES)


# pa.array(...) of a list imports pandas where it is installed: half a second, in the middle of a
# tick (`test_sampling_never_imports_pandas`). Columns are made of their buffers instead.
def _numbers(kind: pa.DataType, values: array[int] | array[float]) -> pa.Array:
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])


def _texts(values: Sequence[str]) -> pa.Array:
    encoded = [value.encode() for value in values]
    offsets = array("i", accumulate(map(len, encoded), initial=0))
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(values), buffers)


def _foreign(path: Path) -> NotARun:
    return NotARun(f"{path} holds no samples of this version", "name a run made by this perfkit")
