"""The sample file: what goes in comes out, and a kill costs a batch at most."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfkit.errors import NotARun, ResultsNotWritable
from perfkit.records import SAMPLES
from perfkit.telemetry.reading import Reading
from perfkit.telemetry.sink import SampleSink, read_samples

_SECOND = 1_000_000_000
_CHARACTERS = st.characters(codec="utf-8")


def _tick(second: int, rows: int = 3) -> list[Reading]:
    return [
        Reading("queue.waiting", f"päyments-{row}", second + row / 4, second * _SECOND + row)
        for row in range(rows)
    ]


def _rows(path: Path) -> list[tuple[int, int, str, str, float]]:
    return [
        (row["trial"], row["at_ns"], row["metric"], row["subject"], row["value"])
        for row in read_samples(path).to_pylist()
    ]


def _expected(trial: int, readings: list[Reading]) -> list[tuple[int, int, str, str, float]]:
    return [(trial, r.at_ns, r.metric, r.subject, r.value) for r in readings]


def test_what_is_appended_is_read_back_in_order_with_the_stored_schema(tmp_path: Path) -> None:
    path = tmp_path / "samples.arrow"
    sink = SampleSink(path, 4)
    readings = [reading for second in range(10) for reading in _tick(second)]
    for second in range(10):
        sink.append(_tick(second))
    sink.close()
    sink.close()
    table = read_samples(path)
    assert table.schema.equals(SAMPLES)
    assert table.num_rows == 30
    assert _rows(path) == _expected(4, readings)


def test_rows_reach_the_file_every_two_seconds_and_not_with_every_tick(tmp_path: Path) -> None:
    path = tmp_path / "samples.arrow"
    sink = SampleSink(path, 0)
    sizes = []
    for second in range(5):
        sink.append(_tick(second))
        sizes.append(read_samples(path).num_rows)
    assert sizes == [0, 0, 9, 9, 15]
    sink.close()


def test_a_file_cut_anywhere_gives_whole_batches_and_never_an_exception(tmp_path: Path) -> None:
    path = tmp_path / "samples.arrow"
    sink = SampleSink(path, 0, flush_every_ns=1)
    for second in range(4):
        sink.append(_tick(second))
    sink.close()
    data = path.read_bytes()
    cut = tmp_path / "cut.arrow"
    counts = []
    for size in range(len(data) + 1):
        cut.write_bytes(data[:size])
        counts.append(read_samples(cut).num_rows)
    assert counts == sorted(counts)
    assert counts[0] == 0
    assert counts[-1] == counts[len(data) - 8] == 12
    assert {count % 3 for count in counts} == {0}


def test_a_last_batch_of_garbage_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "samples.arrow"
    sink = SampleSink(path, 0, flush_every_ns=1)
    sink.append(_tick(0))
    sink.append(_tick(1))
    whole = path.read_bytes()
    path.write_bytes(whole + b"\xff\xff\xff\xff\x40\x00\x00\x00" + b"\x07" * 200)
    assert read_samples(path).num_rows == 6
    path.write_bytes(whole + bytes(500))
    assert read_samples(path).num_rows == 6
    sink.close()


@pytest.mark.parametrize("content", [b"at,metric\n1,2\n" * 100, b"PK\x03\x04"])
def test_a_foreign_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "samples.arrow"
    path.write_bytes(content)
    with pytest.raises(NotARun):
        read_samples(path)


def test_a_stream_of_another_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "samples.arrow"
    schema = pa.schema([(f"column_{i}_of_something_else", pa.int64()) for i in range(20)])
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema):
        pass
    with pytest.raises(NotARun):
        read_samples(path)


def test_no_file_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_samples(tmp_path / "samples.arrow")


def test_an_existing_file_or_a_missing_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "samples.arrow").write_bytes(b"")
    for path in (tmp_path / "samples.arrow", tmp_path / "none" / "samples.arrow"):
        with pytest.raises(ResultsNotWritable):
            SampleSink(path, 0)


def test_a_closed_sink_takes_nothing_more(tmp_path: Path) -> None:
    sink = SampleSink(tmp_path / "samples.arrow", 0)
    sink.close()
    with pytest.raises(ValueError, match="closed"):
        sink.append(_tick(0))


class _Disk:
    """A file on a disk that holds only so much; a write past that is torn."""

    def __init__(self, file: object, room: int) -> None:
        self._file = file
        self.room = room

    def write(self, data: memoryview) -> int:
        position = self._file.tell()  # type: ignore[attr-defined]
        if position >= self.room:
            raise OSError(28, "No space left on device")
        return int(self._file.write(data[: self.room - position]))  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


def test_a_full_disk_is_outlived_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "samples.arrow"
    sink = SampleSink(path, 0, flush_every_ns=1)
    disk = _Disk(sink._file, path.stat().st_size + 700)
    monkeypatch.setattr(sink, "_file", disk)
    sizes = []
    for second in range(5):
        sink.append(_tick(second, rows=4))
        sizes.append(read_samples(path).num_rows)
    assert sizes[-1] < 20
    assert sink.errors["OSError"] > 0
    disk.room = 1_000_000
    sink.append(_tick(5, rows=4))
    sink.close()
    assert _rows(path) == _expected(0, [r for s in range(6) for r in _tick(s, rows=4)])


def test_a_disk_still_full_at_the_end_is_said_and_what_fitted_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "samples.arrow"
    sink = SampleSink(path, 0)
    monkeypatch.setattr(sink, "_file", _Disk(sink._file, path.stat().st_size + 100))
    sink.append(_tick(0))
    with pytest.raises(ResultsNotWritable, match="No space left"):
        sink.close()
    assert read_samples(path).num_rows == 0


def test_sampling_never_imports_pandas(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from perfkit.telemetry import Reading, SampleSink, read_samples\n"
        "path = Path(sys.argv[1])\n"
        "sink = SampleSink(path, 0)\n"
        "sink.append([Reading('sampler.lag_ns', '', 1.0, 5)])\n"
        "sink.close()\n"
        "assert read_samples(path).num_rows == 1\n"
        "heavy = {'pandas', 'duckdb', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "s.arrow")], cwd=root, check=True)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.builds(
            Reading,
            metric=st.text(_CHARACTERS, max_size=8),
            subject=st.text(_CHARACTERS, max_size=8),
            value=st.floats(allow_nan=False),
            at_ns=st.integers(0, 2**63 - 1),
        ),
        max_size=20,
    )
)
def test_any_reading_survives_the_file(
    tmp_path_factory: pytest.TempPathFactory, readings: list[Reading]
) -> None:
    path = tmp_path_factory.mktemp("sink") / "samples.arrow"
    sink = SampleSink(path, 1)
    sink.append(readings)
    sink.close()
    assert _rows(path) == _expected(1, readings)
