"""What the instrument cost, and whether it kept its times."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import pandas as pd

from perfkit.figures.chart import Table
from perfkit.figures.markup import Block, table
from perfkit.figures.multiples import titles
from perfkit.figures.naming import words_of_trials
from perfkit.units import format_count, format_duration, format_percent

__all__ = ["instrument", "instrument_line"]


_RECORDER: Final = " Events, holes, lost: of the recorder; a lost row makes the run INVALID."


def instrument(trials: pd.DataFrame, facts: Callable[[int], Mapping[str, Any]]) -> Block:
    """Generator, recorder and sampler: a row a trial.

    Args:
        trials: ``run.trials()``.
        facts: ``run.trial_facts``.
    """
    names = titles(trials)
    recorded = words_of_trials(trials).things == "jobs"
    rows = []
    for _, row in trials.iterrows():
        known = facts(int(row["trial"]))
        generator: Mapping[str, Any] = known.get("generator") or {}
        recorder: Mapping[str, Any] = known.get("recorder") or {}
        sampler: Mapping[str, Any] = known.get("sampler") or {}
        lag: Mapping[str, Any] = generator.get("send_lag_ns") or {}
        cost = _cost_ns(generator)
        rows.append(
            (
                names[int(row["trial"])],
                format_percent(float(row["generator_cpu_share"])) + _busiest(generator),
                "n/a" if math.isnan(cost) else f"{cost / 1e3:.0f}",
                ", ".join(_duration(lag.get(name)) for name in ("p50", "p99", "max")),
                _count(generator.get("late")),
                _count(generator.get("dropped")),
                *(
                    [", ".join(_count(recorder.get(name)) for name in ("events", "holes", "lost"))]
                    if recorded
                    else []
                ),
                ", ".join(_count(sampler.get(name)) for name in ("ticks", "late")),
            )
        )
    shown = Table(
        columns=(
            "trial",
            "of a core",
            "µs/request",
            "send lag P50, P99, max",
            "late",
            "dropped",
            *(["events, holes, lost"] if recorded else []),
            "ticks, late",
        ),
        rows=tuple(rows),
        note="Of a core and µs/request: the generator's processor time, of shards the sum. Late:"
        " sent more than 10 ms after intended, time blocked not counted."
        f"{_RECORDER if recorded else ''} Ticks: of the sampler.",
    )
    plain = "\n".join("  ".join(row) for row in (shown.columns, *shown.rows))
    return Block(html=table(shown), plain=plain)


def instrument_line(trials: pd.DataFrame, facts: Callable[[int], Mapping[str, Any]]) -> str:
    """The same in one sentence: of each figure the largest over the trials."""
    generators = [facts(int(trial)).get("generator") or {} for trial in trials["trial"]]
    lags = [generator.get("send_lag_ns") or {} for generator in generators]
    share = max((float(each) for each in trials["generator_cpu_share"]), default=math.nan)
    cost = max(map(_cost_ns, generators), default=math.nan)
    lag = ", ".join(
        f"{name.upper() if name != 'max' else name} {format_duration(_largest(lags, name))}"
        for name in ("p50", "p99", "max")
    )
    each = ", at most" if len(trials) > 1 else ""
    if not any(generators) and math.isnan(share):
        return "Instrument: not perfkit's; what it cost, and whether it sent in time, is not known."
    return (
        f"Instrument{each}: generator {format_percent(share)} of a core{_busiest(*generators)},"
        f" {format_duration(cost)} a request; send lag {lag}."
    )


def _busiest(*generators: Mapping[str, Any]) -> str:
    """What the busiest of several load shards used, as words to append; empty of one process."""
    shards = [each for generator in generators for each in generator.get("by_shard") or ()]
    shares = [each["cpu_ns"] / each["wall_ns"] for each in shards if each.get("cpu_ns")]
    if not shares:
        return ""
    most = max(len(generator.get("by_shard") or ()) for generator in generators)
    return f" ({most} shards, the busiest {format_percent(max(shares))})"


def _cost_ns(generator: Mapping[str, Any]) -> float:
    """Processor time of the generator per request sent; NaN when it did not say."""
    sent = float(generator.get("sent") or 0)
    return float(generator.get("cpu_ns") or math.nan) / sent if sent else math.nan


def _largest(lags: Sequence[Mapping[str, Any]], name: str) -> float:
    return max((float(lag[name]) for lag in lags if lag.get(name) is not None), default=math.nan)


def _duration(value: object) -> str:
    return "n/a" if value is None else format_duration(float(str(value)))


def _count(value: object) -> str:
    return "n/a" if value is None else format_count(float(str(value)))
