"""Spools of an application in use as a frame: wall time, also over a restart of the host."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import uuid4

import perfkit
from perfkit.recorder import Kind, SpoolWriter

S = 1_000_000_000
DAY = 86_400 * S


def spool(folder: Path, name: str, role: str, boot_ns: int) -> tuple[SpoolWriter, Path]:
    """A writer, and its sidecar, which says that the host was started then (wall time)."""
    before = set(folder.glob("*.jsonl"))
    writer = SpoolWriter(folder, name=name, role=role, slots=64)
    (sidecar,) = set(folder.glob("*.jsonl")) - before
    head, *rest = sidecar.read_text().splitlines()
    told = json.loads(head) | {"mono_ns": S, "wall_ns": boot_ns + S}
    sidecar.write_text("\n".join([json.dumps(told), *rest]) + "\n")
    return writer, sidecar


def enqueue(writer: SpoolWriter, at_ns: int) -> tuple[str, str]:
    ids = (str(uuid4()), str(uuid4()))
    writer.record(writer.identity(*ids, "mail", "write", 0), int(Kind.ENQ), at_ns, at_ns + 1)
    return ids


def work(writer: SpoolWriter, ids: tuple[str, str], enqueued_ns: int, at_ns: int) -> None:
    identity = writer.identity(*ids, "mail", "write", 0)
    writer.record(identity, int(Kind.START), enqueued_ns, at_ns, at_ns + 10, 0, 7)
    writer.record(identity, int(Kind.END), at_ns + 30, 0, 0, 0, 7)
    writer.record(identity, int(Kind.ACK), at_ns + 31, at_ns + 40, 0, 0, 7)


def test_stamps_are_wall_time_and_durations_are_of_one_clock(tmp_path: Path) -> None:
    producer, _ = spool(tmp_path, "producer", "producer", DAY)
    worker, _ = spool(tmp_path, "worker", "worker", DAY)
    work(worker, enqueue(producer, 5 * S), 5 * S, 6 * S)
    enqueue(producer, 7 * S)
    done, waiting = perfkit.recorded(tmp_path).jobs.sort_values("enqueued_ns").to_dict("records")
    assert (done["enqueued_ns"], done["started_ns"]) == (DAY + 5 * S, DAY + 6 * S + 10)
    assert (done["queue_wait_ns"], done["prefetch_wait_ns"], done["service_ns"]) == (S + 10, 10, 20)
    assert (done["outcome"], waiting["outcome"]) == ("done", "enqueued")
    assert waiting["service_ns"] != waiting["service_ns"]  # NaN


def test_a_job_that_outlives_a_restart_of_the_host_is_one_row(tmp_path: Path) -> None:
    before, _ = spool(tmp_path, "before", "producer", DAY)
    after, _ = spool(tmp_path, "after", "worker", 2 * DAY)
    ids = enqueue(before, 3600 * S)
    work(after, ids, 3600 * S, 6 * S)  # by a clock that has begun anew
    found = perfkit.recorded(tmp_path)
    (job,) = found.jobs.to_dict("records")
    assert (job["outcome"], job["started_ns"]) == ("done", 2 * DAY + 6 * S + 10)
    assert found.jobs["enqueued_ns"].isna().all()
    assert found.jobs["queue_wait_ns"].isna().all()
    assert job["service_ns"] == 20


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    writer, _ = spool(tmp_path, "worker", "worker", DAY)
    enqueue(writer, S)
    assert perfkit.recorded(tmp_path).complete
    writer.lose("no room")
    found = perfkit.recorded(tmp_path)
    (process,) = found.processes.to_dict("records")
    assert (process["lost"], process["ended"]) == (1, False)
    assert not found.complete
