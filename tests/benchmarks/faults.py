"""Fault x configuration: what each combination is expected to cost, and the runs that tell.

One scenario (``faults.toml``), one fault 4 s into its window, and some settings. What is expected
comes from reading Dramatiq and from measuring it alone (the design's page on Dramatiq, §3), and was
written down before any of these runs: a result that differs is a finding about one of the two.

    make campaign PART=faults            5 turns of every cell, interleaved, about 70 minutes
    make campaign PART=faults TURNS=1    one turn

Either leaves the summary that ``50_reliability.ipynb`` reads.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from perfkit.api.matrix import FILE, VERSION, observed
from perfkit.api.runs import Run, open_run
from perfkit.paths import example_data
from tests.benchmarks.turns import host_of, turns

__all__ = [
    "CELLS",
    "CONFIGURATIONS",
    "TURNS",
    "Cell",
    "Expected",
    "rows",
    "steps",
    "summarise",
]

SCENARIO: Final = "tests/benchmarks/faults.toml"
TURNS: Final = 5
Likelihood = Literal["none", "possible", "some"]
"""Of a count: nought in each turn; any; above nought in each turn."""

_QUICK: Final = ('stack.heartbeat_timeout="2s"', "stack.maintenance_chance=100_000")
"""Dramatiq waits for 60 s and then for one command in a thousand: longer than these trials."""

CONFIGURATIONS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "base": (
        "two workers, never restarted; RDB; dead after 2 s of silence, one command in 10 looks",
        _QUICK,
    ),
    "restarting": ("as base, dead workers are started again", (*_QUICK, "stack.restart=true")),
    "low-latency": (
        "as base, with the low-latency preset",
        (*_QUICK, 'stack.preset="low-latency"'),
    ),
    "stock timings": (
        "Dramatiq's own timings: dead after 60 s of silence, one command in 1000 looks",
        (),
    ),
    "dramatiq command": (
        "workers are children of the stock `dramatiq` command, which can't set those timings",
        ('stack.supervisor="dramatiq"',),
    ),
    "aof-everysec": (
        "as base, Redis writes a file and syncs it each second",
        (*_QUICK, 'redis.profile="aof-everysec"'),
    ),
    "aof-always": (
        "as base, Redis syncs its file with every command",
        (*_QUICK, 'redis.profile="aof-always"'),
    ),
    "noeviction": (
        "as base, Redis has 32 MB and refuses what does not fit",
        (*_QUICK, 'redis.maxmemory="32MB"', 'redis.policy="noeviction"'),
    ),
    "allkeys-lru": (
        "as base, Redis has 32 MB and evicts whole keys",
        (*_QUICK, 'redis.maxmemory="32MB"', 'redis.policy="allkeys-lru"'),
    ),
}
"""Name -> in words, and what ``--set`` makes of the base scenario."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a cell should show; ``stuck`` are jobs that are pending or stranded at the end.

    Attributes:
        within_s: the longest time until jobs flow again (mended, the backlog back at its level, the
            first job that was taken started again); infinite where that may not be in such a trial.
        mechanism: how it comes about.
        source: where that is known from.
    """

    lost: Likelihood = "none"
    duplicated: Likelihood = "none"
    redelivered: Likelihood = "none"
    stuck: Likelihood = "none"
    within_s: float = math.inf
    mechanism: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One combination."""

    fault: str
    configuration: str
    expected: Expected

    @property
    def name(self) -> str:
        """As the ledger of the campaign has it."""
        return f"{self.fault} | {self.configuration}"

    @property
    def arguments(self) -> tuple[str, ...]:
        """Of ``perfkit``, without the seed."""
        _, sets = CONFIGURATIONS[self.configuration]
        chosen = tuple(part for each in sets for part in ("--set", each))
        return ("run", SCENARIO, "--fault", self.fault, *chosen)

    @property
    def command(self) -> str:
        """What reproduces it."""
        return f"perfkit {shlex.join(self.arguments)}"


def _cell(fault: str, configuration: str, mechanism: str, source: str, **expected: Any) -> Cell:
    told = Expected(mechanism=mechanism, source=source, **expected)
    return Cell(fault=fault, configuration=configuration, expected=told)


_KILL, _STOP, _TERM = "kill worker at 4s", "stop worker at 4s for 5s", "terminate worker at 4s"
_REDIS, _CUT = "restart redis at 4s", "cut worker-redis at 4s for 5s"
_FILL = "fill redis at 4s for 5s"

_TAKEN_OVER: Final = (
    "what the dead worker held (running and fetched ahead) goes back to the queue once its"
    " heartbeat is old; what ran runs again"
)
_PUT_ASIDE: Final = (
    "each worker drops the delayed jobs it keeps in memory with its connection, and they stay in"
    " its ack set as long as it lives; a retry that can't be enqueued is acknowledged all the same,"
    " and lost"
)

CELLS: Final = (
    _cell(
        _KILL, "base", _TAKEN_OVER, "§3 SIGKILL one worker",
        duplicated="some", redelivered="some", within_s=8.0,
    ),
    _cell(
        _KILL, "restarting", f"{_TAKEN_OVER}; a new worker helps", "§3 SIGKILL one worker",
        duplicated="some", redelivered="some", within_s=8.0,
    ),
    _cell(
        _KILL, "low-latency", f"{_TAKEN_OVER}; more polls look sooner", "§3 SIGKILL one worker",
        duplicated="some", redelivered="some", within_s=6.0,
    ),
    _cell(
        _KILL, "stock timings",
        "nobody takes the dead worker for dead within 60 s: its jobs wait in its ack set",
        "§0.6 crash recovery is probabilistic", stuck="some",
    ),
    _cell(
        _KILL, "dramatiq command",
        "the master ends all workers when one dies; what comes in waits for ever",
        "§3 SIGKILL a CLI child", stuck="some",
    ),
    _cell(
        "kill workers at 4s", "base",
        "nobody is left: what they held stays in their ack sets, what comes in waits",
        "§3 SIGKILL one worker", stuck="some",
    ),
    _cell(
        "kill workers at 4s", "restarting", f"{_TAKEN_OVER}: the new workers take it over",
        "§3 SIGKILL one worker", duplicated="some", redelivered="some", within_s=10.0,
    ),
    _cell(
        _STOP, "base",
        "taken for dead after 2 s, its jobs run elsewhere; when it goes on it finishes them too and"
        " runs what it had fetched ahead: nothing fences it off",
        "§3 SIGSTOP then SIGCONT", duplicated="some", redelivered="some", within_s=10.0,
    ),
    _cell(
        _STOP, "stock timings",
        "5 s of silence are below the 60 s of the timeout: its jobs wait for it, and run once",
        "§3 SIGSTOP then SIGCONT", within_s=10.0,
    ),
    _cell(
        _TERM, "restarting",
        "it finishes what runs and puts what it fetched ahead back at the tail of the queue",
        "§3 SIGTERM", within_s=8.0,
    ),
    _cell(
        "poison queue:payments at 4s", "restarting",
        "the job that kills its worker comes back with its retries unchanged, so that no limit of"
        " retries ever ends it; what ran beside it runs again each time",
        "§2 crash redelivery", duplicated="some", redelivered="some", stuck="possible",
    ),
    _cell(
        "kill supervisor at 4s", "dramatiq command",
        "the workers live on as orphans and go on working", "§3 SIGKILL the CLI master",
        within_s=4.0,
    ),
    _cell(
        _REDIS, "base",
        "everything since the last snapshot is gone: what waits, and what is put aside for a retry;"
        " running jobs finish and their acks do nothing",
        "§3 Redis restart, no AOF", lost="some", duplicated="possible", redelivered="possible",
        stuck="possible", within_s=12.0,
    ),
    _cell(
        _REDIS, "aof-everysec",
        f"the file survives the death of the process (not that of the machine); {_PUT_ASIDE}",
        "§3 Redis restart, AOF; Redis connection loss", lost="possible", duplicated="possible",
        redelivered="possible", stuck="some", within_s=12.0,
    ),
    _cell(
        _REDIS, "aof-always", f"every command is in the file; {_PUT_ASIDE}",
        "§3 Redis restart, AOF; Redis connection loss", lost="possible", duplicated="possible",
        redelivered="possible", stuck="some", within_s=12.0,
    ),
    _cell(
        "pause redis at 4s for 3s", "base",
        "nobody's heartbeat is heard for 3 s: whoever speaks first may take the others for dead"
        " and hand out again what they run",
        "§3 SIGSTOP; heartbeats are of the client", duplicated="possible",
        redelivered="possible", within_s=8.0,
    ),
    _cell(
        _FILL, "noeviction",
        "every command writes a heartbeat and is refused, acks too: the queue can't drain itself;"
        " a refused ack is dropped, a retry that is refused is lost",
        "§0.4, §3 maxmemory + noeviction", lost="possible", duplicated="possible",
        redelivered="possible", stuck="possible", within_s=15.0,
    ),
    _cell(
        _FILL, "allkeys-lru",
        "keys are evicted whole, without an error anywhere: a queue's list, or the bodies of all"
        " its jobs",
        "§3 allkeys-lru", lost="some", duplicated="possible", redelivered="possible",
        stuck="possible",
    ),
    _cell(
        _CUT, "base",
        f"silent for longer than 2 s, their jobs are handed out again; {_PUT_ASIDE}",
        "§3 Redis connection loss", lost="possible", duplicated="possible",
        redelivered="possible", stuck="some", within_s=15.0,
    ),
    _cell(
        _CUT, "low-latency",
        f"silent for longer than 2 s, their jobs are handed out again; {_PUT_ASIDE}",
        "§3 Redis connection loss", lost="possible", duplicated="possible",
        redelivered="possible", stuck="some", within_s=15.0,
    ),
    _cell(
        "cut ingest-redis at 4s for 5s", "base",
        "requests are refused while it lasts; of those caught in the middle nobody knows",
        "§3 Redis connection loss", within_s=8.0,
    ),
    _cell(
        "slow worker-redis at 4s for 5s amount 200ms", "base",
        "each command takes 400 ms more: jobs come later, and none is taken twice",
        "§0.3 polling", within_s=10.0,
    ),
    _cell(
        "outage gateway at 4s for 5s", "base",
        "calls fail, and each job is tried again after 1 s, 2 s, 4 s: late, and in the end done",
        "§2 Retries", stuck="possible", within_s=15.0,
    ),
    _cell(
        "restart ingest at 4s for 2s", "base",
        "requests are refused while it is away; what was accepted is in Redis",
        "§2 exact counting: ambiguous", within_s=6.0,
    ),
)  # fmt: skip


def steps() -> dict[str, tuple[str, ...]]:
    """One step a cell and turn; turns are interleaved, so that a slow drift falls on all cells."""
    return {
        f"{cell.name} | turn {turn}": (*cell.arguments, "--set", f"seed={turn}", "--no-report")
        for turn in range(1, turns(TURNS) + 1)
        for cell in CELLS
    }


def rows(run: Run) -> list[dict[str, Any]]:
    """What the campaign prints of one run."""
    told = _observed(run)
    shown = ("lost", "duplicated", "redelivered", "pending", "stranded", "unexplained", "agree")
    return [{**{name: told[name] for name in shown}, "recovered_s": told["recovered_s"]}]


def summarise(measured: Mapping[str, str], path: Path | None = None) -> str:
    """Write the summary of what was measured, a line a trial; says where.

    Args:
        measured: step -> folder of its run.
        path: committed beside the notebooks, where it is not said.
    """
    path = path or example_data() / "reliability" / FILE
    hosts: dict[str, Any] = {}
    trials = []
    for cell in CELLS:
        for turn in range(1, TURNS + 1):
            folder = measured.get(f"{cell.name} | turn {turn}")
            if folder is not None:
                run = open_run(folder)
                hosts[run.manifest["host"]["fingerprint"]] = host_of(run)
                trials.append(_row(cell, turn, run))
    if not trials:
        return "nothing of this campaign was measured"
    days = sorted(row["created"][:10] for row in trials)
    document = {
        "reliability": VERSION,
        "recorded": {"from": days[0], "to": days[-1], "hosts": hosts},
        "configurations": {name: words for name, (words, _) in CONFIGURATIONS.items()},
        "cells": [_told(cell) for cell in CELLS],
        "columns": list(trials[0]),
        "trials": [[_rounded(value) for value in row.values()] for row in trials],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_lines(document), encoding="utf-8")
    return f"{len(trials)} trials summed up in {path}"


def _row(cell: Cell, turn: int, run: Run) -> dict[str, Any]:
    created = datetime.fromtimestamp(run.manifest["created_ns"] // 10**9, UTC)
    return {
        "fault": cell.fault,
        "configuration": cell.configuration,
        "turn": turn,
        "created": created.isoformat().replace("+00:00", "Z"),
        "host": run.manifest["host"]["fingerprint"],
        "verdict": run.verdict().status,
        "disturbed": any("another perfkit" in each for each in run.manifest.get("warnings", ())),
        **_observed(run),
    }


def _observed(run: Run) -> dict[str, Any]:
    [fact] = run.trial_facts(0)["faults"]
    return observed(run.accounting(0), run.recovery().iloc[0], fact)


def _rounded(value: Any) -> Any:
    """Nine digits of a number that was divided; the clock gives no more."""
    return float(f"{value:.9g}") if isinstance(value, float) else value


def _told(cell: Cell) -> dict[str, Any]:
    expected = asdict(cell.expected)
    if math.isinf(cell.expected.within_s):
        expected["within_s"] = "never"
    return {
        "fault": cell.fault,
        "configuration": cell.configuration,
        "command": cell.command,
        "expected": expected,
    }


def _lines(document: Mapping[str, Any]) -> str:
    """JSON with a line for each cell and each trial, so that a change shows where it is."""
    parts = []
    for key, value in document.items():
        if isinstance(value, list):
            inner = ",\n".join(f"  {json.dumps(row, ensure_ascii=False)}" for row in value)
            parts.append(f" {json.dumps(key)}: [\n{inner}\n ]")
        else:
            parts.append(f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"
