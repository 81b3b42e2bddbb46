"""Half an hour under load while things break at random: ``make soak``, ``make soak MINUTES=5``.

    python -m tests.benchmarks.soak [--minutes 30] [--seed 1] [--results DIR]

One run of ``soak.toml``, with faults drawn from the seed: no two at once, none that loses data.
Judged are, at the end:

accounting   no job is unexplained, and all counters agree
memory       of every process of perfkit itself the anonymous memory stays level: the upper end of
             the 95 % interval of its Theil-Sen slope is at most LIMIT, after the first fifth

    FLAT      the interval lies below the limit
    GROWS     the interval lies above it
    UNKNOWN   the interval holds the limit, or there is none: too short, or not sampled

Ctrl-C ends the load; the run is sealed as partial, and what there is is judged. Exit codes: 0 all
is well, 1 something grows or does not add up, 5 unknown, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple

from perfkit.api.runs import Run, open_run
from perfkit.stats.trend import backlog_trend
from perfkit.verdict.counters import disagreements

__all__ = ["LIMIT", "Growth", "Word", "growth", "main", "schedule", "troubles"]

SCENARIO: Final = "tests/benchmarks/soak.toml"
LIMIT: Final = 0.25
"""MiB a minute: 7.5 MiB in half an hour, of processes that take 30 to 100."""

_OURS: Final = ("perfkit", "generator", "relay")
_WARMUP: Final = 0.2  # of the window: caches fill, and allocators find their size
_CALM_S: Final = 10.0  # before the first fault, and after the last
_POISON_S: Final = 20.0  # it kills a worker every few seconds until the end, so it comes late
_MIB: Final = 2.0**20
_MINUTE_S: Final = 60.0

Word = Literal["FLAT", "GROWS", "UNKNOWN"]


def schedule(minutes: float, seed: int) -> list[str]:
    """Faults of a window, as ``--fault`` takes them; one after another, by the seed.

    Raises:
        ValueError: less than a minute is too short for any.
    """
    if minutes < 1:
        raise ValueError(f"{minutes:g} minutes are too short for a soak; use 1 or more")
    chance = random.Random(f"soak/{seed}")
    length_s = minutes * _MINUTE_S
    faults = []
    at_s = _CALM_S
    while at_s < length_s - _POISON_S - _CALM_S:
        text, lasts_s = _fault(chance, at_s)
        faults.append(text)
        at_s += lasts_s + chance.uniform(6.0, 15.0)
    queue = chance.choice(("payments", "notifications", "webhooks"))
    return [*faults, f"poison queue:{queue} at {length_s - _POISON_S:.1f}s"]


def _fault(chance: random.Random, at_s: float) -> tuple[str, float]:
    """One at this time, and how long it lasts in seconds."""
    lasts_s = round(chance.uniform(0.3, 3.0), 1)
    kind = chance.choice(("kill", "terminate", "stop", "pause", "redis", "gateway", "outage"))
    match kind:
        case "kill" | "terminate":
            return f"{kind} worker at {at_s:.1f}s", 0.0
        case "stop":
            return f"stop worker at {at_s:.1f}s for {lasts_s}s", lasts_s
        case "pause":
            return f"pause redis at {at_s:.1f}s for {lasts_s}s", lasts_s
        case "outage":
            return f"outage gateway at {at_s:.1f}s for {lasts_s}s", lasts_s
    delay = chance.choice((2, 5, 10))
    return f"slow worker-{kind} at {at_s:.1f}s for {lasts_s}s amount {delay}ms", lasts_s


class Growth(NamedTuple):
    """Memory of one process over the time after the warm-up, in MiB and MiB a minute."""

    process: str
    role: str
    first: float
    last: float
    most: float
    slope: float
    low: float
    high: float

    @property
    def judged(self) -> bool:
        """Whether it is one of perfkit's own."""
        return self.role in _OURS

    @property
    def word(self) -> Word:
        """By the interval; NaN ends are unknown."""
        if self.high <= LIMIT:
            return "FLAT"
        return "GROWS" if self.low > LIMIT else "UNKNOWN"


def growth(run: Run) -> list[Growth]:
    """Of every process that lived from the end of the warm-up to the end of the window."""
    facts = run.stored.facts(0)
    begin_ns, end_ns = facts.instants.window_start, facts.instants.window_end
    begin_ns += round((end_ns - begin_ns) * _WARMUP)
    samples = run.samples(metric="process.rss_anon_bytes")
    samples = samples[(samples["at_ns"] >= begin_ns) & (samples["at_ns"] < end_ns)]
    found = []
    for name, rows in samples.groupby(samples["subject"].astype(str), sort=False):
        rows = rows.sort_values("at_ns")
        at_s = (rows["at_ns"].to_numpy() - begin_ns) / 1e9
        memory = rows["value"].to_numpy() / _MIB
        role = facts.role(str(name))
        covered = (at_s[-1] - at_s[0]) * 1e9 / max(1, end_ns - begin_ns)
        if role not in _OURS and covered < 0.5:
            continue  # one of many workers that came and went
        trend = backlog_trend(at_s, memory)
        slope, low, high = (each * _MINUTE_S for each in (trend.point, trend.low, trend.high))
        found.append(
            Growth(str(name), role, memory[0], memory[-1], float(memory.max()), slope, low, high)
        )
    return sorted(found, key=lambda each: (not each.judged, each.process))


def troubles(run: Run) -> list[str]:
    """What does not add up; empty where all does."""
    books = run.accounting()
    found = [f"{books.unexplained} jobs are unexplained"] if books.unexplained else []
    found += [f"{each.name} does not hold: {each.left} and {each.right}"
              for each in books.identities() if not each.holds]  # fmt: skip
    return found + disagreements(run.stored, 0)


@dataclass(frozen=True)
class _Judged:
    """What is said at the end, and the exit code it stands for."""

    lines: tuple[str, ...]
    code: int


def judge(run: Run) -> _Judged:
    """The table, the accounting, one word."""
    grown = growth(run)
    wrong = troubles(run)
    ours = [each for each in grown if each.judged]
    missing = [name for name in ("perfkit", "keeper", "generator")
               if not any(each.process.startswith(name) for each in ours)]  # fmt: skip
    words = {each.word for each in ours} | ({"UNKNOWN"} if missing else set())
    counts = run.accounting().counts()
    shown = ("planned", "accepted", "done", "dead", "stranded", "lost", "unexplained",
             "redelivered", "duplicated", "stalled_max")  # fmt: skip
    faults = run.stored.facts(0).faults
    done = sum(each.done_ns is not None for each in faults)
    lines = [
        *_table(grown),
        "",
        f"faults: {done} of {len(faults)} carried out",
        "jobs: " + ", ".join(f"{name} {counts[name]}" for name in shown),
        *wrong,
        *(f"{name} was not sampled" for name in missing),
    ]
    if "GROWS" in words or wrong:
        word, code = "NOT SOUND", 1
    elif "UNKNOWN" in words:
        word, code = "UNKNOWN: too short or too noisy to tell whether memory grows", 5
    else:
        word, code = f"SOUND: all adds up, nothing grows by more than {LIMIT:g} MiB/min", 0
    return _Judged((*lines, "", word), code)


def _table(grown: Sequence[Growth]) -> Iterator[str]:
    yield f"{'memory, MiB':<16}{'first':>8}{'last':>8}{'most':>8}{'MiB/min':>10}   95 % interval"
    for each in grown:
        word = each.word if each.judged else "not perfkit's"
        yield (
            f"{each.process:<16}{each.first:>8.1f}{each.last:>8.1f}{each.most:>8.1f}"
            f"{each.slope:>10.3f}   {each.low:.3f} .. {each.high:.3f}  {word}"
        )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", type=Path)
    options = parser.parse_args(argv)
    try:
        faults = schedule(options.minutes, options.seed)
    except ValueError as error:
        print(f"soak: {error}", file=sys.stderr)
        return 2
    command = [
        *(sys.executable, "-m", "perfkit", "run", SCENARIO, "--json", "--no-report"),
        *("--duration", f"{options.minutes * _MINUTE_S:g}s", "--set", f"seed={options.seed}"),
        *(part for fault in faults for part in ("--fault", fault)),
        *(("--results", str(options.results)) if options.results else ()),
    ]
    # A Ctrl-C reaches the run as well: it seals what it has, and then we read it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        out, _ = process.communicate()
    if not out.strip():
        return process.returncode or 1  # it has said why
    run = open_run(json.loads(out)["run_dir"])
    judged = judge(run)
    print("\n".join((*judged.lines, f"run: {run.path}")))
    return 130 if process.returncode == 130 else judged.code


if __name__ == "__main__":
    sys.exit(main())
