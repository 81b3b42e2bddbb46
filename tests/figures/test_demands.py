"""Contributions, demands and laws as a reader sees them."""

from __future__ import annotations

import math

import pandas as pd

from perfkit import figures
from perfkit.verdict import Bottleneck, Resource

NAMES = {0: "workers=1", 1: "<b>&"}


def _contributions(p99: float = 90e6) -> pd.DataFrame:
    rows = [
        {
            "trial": 0, "trials": 3, "queue": queue, "statistic": statistic, "stage": stage,
            "ns": share * whole, "low_ns": share * whole * 0.9, "high_ns": share * whole * 1.1,
            "total_ns": whole, "total_low_ns": whole * 0.9, "total_high_ns": whole * 1.1,
            "n": 9000, "method": "", "note": "",
        }
        for queue in ("payments", "all")
        for statistic, whole in (("p50", 30e6), ("p99", p99))
        for stage, share in (("broker dwell", 0.75), ("service", 0.25), ("retry backoff", 0.0))
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_the_largest_part_of_the_tail_is_the_finding() -> None:
    chart = figures.contributions(_contributions(), NAMES)
    assert chart.title == "Broker dwell is 75 % of the P99 of payments: 67.5 ms of 90.0 ms"
    assert [mark.name for mark in chart.panels[0].marks] == ["broker dwell", "service"]
    assert chart.panels[0].title == "workers=1, 3 trials"
    assert chart.table is not None
    assert "67.5 (60.8 to 74.2)" in chart.table.rows[1]


def test_without_enough_jobs_a_sentence_stands_in_place_of_the_chart() -> None:
    none = _contributions().assign(ns=math.nan, note="fewer than 10 jobs are near")
    chart = figures.contributions(none, NAMES)
    assert not chart.panels
    assert chart.empty == "fewer than 10 jobs are near"


def test_the_bottleneck_is_marked_and_named_and_names_are_escaped() -> None:
    one = Resource(
        name="worker threads", kind="threads", units=4.0, ms_per_job=62.0, utilisation=0.99,
        full=True, queued=True, before_it="90 jobs waited",
    )  # fmt: skip
    limited = Bottleneck(trial=1, resource=one, sentence="worker threads: full", resources=(one,))
    frame = pd.DataFrame(
        [
            {
                "trial": 1, "trials": 1, "resource": "worker threads", "kind": "threads",
                "units": 4.0, "ms_per_job": 62.0, "low_ms": math.nan, "high_ms": math.nan,
                "utilisation": 0.99, "bound_per_s": 64.5, "headroom": 0.01, "note": "",
                "queued": "90 jobs waited", "bottleneck": True,
            }
        ]
    )  # fmt: skip
    shown = figures.demands(frame, [limited], NAMES)
    assert "The bottleneck is worker threads" in shown.plain
    assert "worker threads (bottleneck)" in shown.html
    assert "<b>" not in shown.html
    free = Bottleneck(trial=1, resource=None, sentence="none", resources=())
    assert "nowhere do two signs agree" in figures.demands(frame, [free], NAMES).plain


def test_a_broken_law_comes_first() -> None:
    frame = pd.DataFrame(
        [
            (0, "stage sums", "holds", "all add up", 5),
            (1, "Little's law", "broken", "misses by 1 %", 5),
        ],
        columns=["trial", "law", "state", "observed", "n"],
    )
    shown = figures.laws(frame, NAMES)
    assert shown.plain.splitlines()[0] == "1 of 2 laws are broken: the instrument is wrong"
    assert shown.plain.index("Little's law") < shown.plain.index("stage sums")
    assert "&lt;b&gt;" in shown.html
