"""One load from several processes: divided beforehand, merged afterwards.

    LoadSpec --divide--> shard 1 of 3   requests 0, 3, 6, ...   folder shard-1
                         shard 2 of 3            1, 4, 7, ...          shard-2
                         shard 3 of 3            2, 5, 8, ...          shard-3
                                                 |
    requests.arrow, generator.json <--merge------+   as one process would have left them, and
    journey.names, journey.records                   what user code did besides

Connections and the in-flight cap are divided too, so that their sum is as asked; users go as the
requests do. A shard that did not live to the end of the load leaves no rows for what came due after
it; where instants are fixed, `merge` adds them, as dropped, up to the last instant that any shard
has seen. Users who wait for replies were not there any more, so nothing of theirs came due.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from perfkit.errors import PerfkitError
from perfkit.load.demand import demand_of
from perfkit.load.exchange import NEVER_NS, ErrorKind
from perfkit.load.happenings import unite
from perfkit.load.jobs import JobRequests
from perfkit.load.ledger import ERROR_KINDS, WORDS
from perfkit.load.rows import (
    ARROW,
    SUMMARY,
    Rows,
    batches,
    ledger_header,
    recover,
    replacing,
    write_summary,
)
from perfkit.load.spec import LoadSpec, read_spec
from perfkit.records import REQUESTS

__all__ = ["SPEC", "divide", "merge", "shard_folder", "shard_folders"]

SPEC: Final = "load.json"
"""In a shard's folder: its part of the load, as `LoadSpec.to_json` has it."""

_PREFIX: Final = "shard-"
_COUNTS: Final = ("planned", "sent", "dropped", "late", "blocked", "accepted", "refused", "errored")
_COSTS: Final = ("cpu_ns", "wall_ns", "run_queue_wait_ns")
_UNSENT: Final = ERROR_KINDS.index(ErrorKind.UNSENT) + 1


def divide(spec: LoadSpec, shards: int) -> tuple[LoadSpec, ...]:
    """The load of each shard; together they are the load of one process.

    Raises:
        UsageError: there are fewer connections, or requests that may be in flight, than shards.
    """
    return tuple(
        replace(
            spec,
            shard=shard,
            shards=shards,
            connections=_part(spec.connections, shard, shards),
            max_in_flight=_part(spec.max_in_flight, shard, shards),
            output=str(shard_folder(Path(spec.output), shard)),
        )
        for shard in range(shards)
    )


def _part(whole: int, shard: int, shards: int) -> int:
    """As users are divided, so that one connection for each user is that in every shard."""
    return len(range(shard, whole, shards))


def shard_folder(folder: Path, shard: int) -> Path:
    """Where a shard (from 0) leaves its files; its name counts from 1."""
    return folder / f"{_PREFIX}{shard + 1}"


def shard_folders(folder: Path) -> list[Path]:
    """Those that are there, in order."""
    found = [path for path in folder.glob(f"{_PREFIX}*") if path.name[len(_PREFIX) :].isdecimal()]
    return sorted(found, key=lambda path: int(path.name[len(_PREFIX) :]))


@dataclass(frozen=True, slots=True)
class _Shard:
    """What one of them left."""

    spec: LoadSpec
    rows: pa.Table
    summary: Mapping[str, Any]


def merge(folder: Path) -> bool:
    """Make the files of one generator from those of the shards, and remove theirs.

    Rows are in order of their intended instants. Where ``seq`` is no position in the plan, it
    counts in that order, as one process does. ``generator.json`` has the sums, percentiles over
    all rows, and in ``by_shard`` what each said: ``rows`` are those found, beside what it
    ``counted`` as it went.

    Returns: False where there are no shards, or only what an earlier call had no time to remove.

    Raises:
        PerfkitError: the shards had no common start.
    """
    folders = shard_folders(folder)
    if not folders:
        return False
    specs = [read_spec(path / SPEC) for path in folders if (path / SPEC).is_file()]
    whole = len(specs) == max((spec.shards for spec in specs), default=-1)
    if whole:
        if any(spec.journey is not None for spec in specs):
            unite(folder, folders)
        _merge(folder, [_read(path, spec) for path, spec in zip(folders, specs, strict=True)])
    elif not (folder / SUMMARY).is_file():
        raise PerfkitError(
            f"{folder}: files of {len(specs)} load shards are there, and others are missing",
            "restore the missing folders; without them the rows are not those of the load",
        )
    for path in folders:
        shutil.rmtree(path)
    return whole


def _read(folder: Path, spec: LoadSpec) -> _Shard:
    recover(folder)
    rows = REQUESTS.empty_table()
    if (folder / ARROW).is_file():
        with pa.OSFile(str(folder / ARROW)) as source, pa.ipc.open_file(source) as reader:
            rows = reader.read_all()
    summary: dict[str, Any] = {"interrupted": True}  # it never began
    if (folder / SUMMARY).is_file():
        summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    return _Shard(spec, rows, summary)


def _merge(folder: Path, shards: Sequence[_Shard]) -> None:
    until_ns = max((_last_ns(shard.rows) for shard in shards), default=0)
    start_ns = _start_ns(shards)
    missing = [_unreached(shard, start_ns, until_ns) for shard in shards]
    table = pa.concat_tables([*(shard.rows for shard in shards), *missing]).unify_dictionaries()
    table = table.sort_by([(name, "ascending") for name in ("intended_ns", "user", "seq")])
    if shards[0].spec.model == "closed" or shards[0].spec.journey is not None:
        place = REQUESTS.names.index("seq")
        counted = pa.array(np.arange(len(table)), pa.int64())
        table = table.set_column(place, REQUESTS.field("seq"), counted)
    with (
        replacing(folder / ARROW) as partial,
        pa.OSFile(str(partial), "wb") as file,
        pa.ipc.new_file(file, REQUESTS) as writer,
    ):
        writer.write_table(table.cast(REQUESTS))
    write_summary(folder, _summary(shards, [len(each) for each in missing], table))


def _last_ns(rows: pa.Table) -> int:
    return int(pc.max(rows["intended_ns"]).as_py()) if len(rows) else 0


def _start_ns(shards: Sequence[_Shard]) -> int | None:
    """The start of load that all were told, by their first rows; None where it can't be told."""
    found = set()
    for shard in shards:
        if _is_fixed(shard.spec) and len(shard.rows) and shard.spec.journey is None:
            first_ns = demand_of(replace(shard.spec, start_ns=0)).next_ns
            found.add(int(pc.min(shard.rows["intended_ns"]).as_py()) - first_ns)
    if len(found) > 1:
        raise PerfkitError(
            f"the load shards had starts of their own, {max(found) - min(found)} ns apart",
            "report it: they are told one instant",
        )
    return found.pop() if found else None


def _is_fixed(spec: LoadSpec) -> bool:
    """Whether each row is an instant of the plan; a journey has several for one."""
    return spec.journey is None and (spec.model == "open" or spec.pacing_ns is not None)


def _unreached(shard: _Shard, start_ns: int | None, until_ns: int) -> pa.Table:
    """What came due up to ``until_ns`` and is in no row, of a shard that ended before its load."""
    if shard.spec.journey is not None:
        return REQUESTS.empty_table()  # iterations come due, and nobody knows their requests
    if start_ns is None or not shard.summary.get("interrupted") or not _is_fixed(shard.spec):
        return REQUESTS.empty_table()
    spec = replace(shard.spec, start_ns=start_ns)
    words = np.array(list(_unsent_words(spec, len(shard.rows), until_ns)), np.int64)
    rows = Rows(ledger_header(spec), words.reshape(-1, WORDS), {})
    return pa.Table.from_batches(batches(rows, len(shard.rows)), REQUESTS)


def _unsent_words(spec: LoadSpec, passed: int, until_ns: int) -> Iterator[list[int]]:
    """Rows as the ledger has them, from the place ``passed`` on."""
    demand, jobs = demand_of(spec), JobRequests(spec)
    place = 0
    while demand.next_ns <= until_ns and demand.next_ns != NEVER_NS:
        due = demand.take()
        if place >= passed:
            who = due.user << 32 | (due.iteration & 0xFFFFFFFF)
            outcome = jobs.queue(due.key) | _UNSENT << 32
            yield [due.intended_ns, 0, 0, 0, 0, who, outcome, 1]
        place += 1


def _summary(shards: Sequence[_Shard], unreached: Sequence[int], table: pa.Table) -> dict[str, Any]:
    said = [shard.summary for shard in shards]
    sums = {name: sum(int(each.get(name) or 0) for each in said) for name in _COUNTS}
    for name in ("planned", "dropped"):
        sums[name] += sum(unreached)
    errors: Counter[str] = Counter()
    for each in said:
        errors.update(each.get("errors") or {})
    known = next((each for each in said if each.get("loop")), {})
    return {
        **sums,
        "errors": dict(sorted(errors.items())),
        "send_lag_ns": _lags(table),
        "cpu_ns": _total(said, "cpu_ns"),
        "wall_ns": max((each["wall_ns"] for each in said if each.get("wall_ns")), default=None),
        "run_queue_wait_ns": _total(said, "run_queue_wait_ns"),
        "loop": known.get("loop"),
        "python": known.get("python"),
        "interrupted": any(each.get("interrupted") for each in said),
        "shards": len(shards),
        "by_shard": [
            {
                "shard": number,
                "rows": len(shard.rows),
                **{name: int(shard.summary.get(name) or 0) for name in _COUNTS},
                "counted": shard.summary.get("counted"),
                "unreached": missing,
                **{name: shard.summary.get(name) for name in _COSTS},
                "send_lag_ns": shard.summary.get("send_lag_ns"),
                "interrupted": bool(shard.summary.get("interrupted")),
            }
            for number, (shard, missing) in enumerate(zip(shards, unreached, strict=True), 1)
        ],
    }


def _total(said: Sequence[Mapping[str, Any]], name: str) -> int | None:
    """The sum; unknown where one did not say."""
    values = [each.get(name) for each in said]
    return None if None in values else sum(int(each or 0) for each in values)


def _lags(table: pa.Table) -> dict[str, int | None]:
    """Exact percentiles, as of `perfkit.load.rows.summarize`."""
    sent = table.filter(pc.is_valid(table["sent_ns"]))
    if not len(sent):
        return dict.fromkeys(("p50", "p99", "max"))
    stamps = [sent[name].to_numpy() for name in ("sent_ns", "intended_ns", "blocked_ns")]
    lag = stamps[0] - stamps[1] - stamps[2]
    found = np.quantile(lag, (0.5, 0.99, 1.0), method="inverted_cdf").tolist()
    return dict(zip(("p50", "p99", "max"), found, strict=True))
