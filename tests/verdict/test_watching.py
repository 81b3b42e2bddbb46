"""Thresholds that stop a trial, on what can be seen while it runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfkit.scenario import Scenario, parse
from perfkit.verdict.watching import Abort, watch_of

ROOT = Path(__file__).resolve().parents[2]


def scenario(*thresholds: dict[str, Any], **load: Any) -> Scenario:
    document = {
        "name": "test",
        "load": {"model": "open", "rate": 100.0} | load,
        "window": {"warmup": "2s"} | ({} if "phase" in load else {"duration": "60s"}),
        "job": [{"queue": "payments"}],
        "gateway": {"payments": {"median": "40ms"}},
        "threshold": list(thresholds),
    }
    if "phase" in load:
        del document["load"]["rate"]  # type: ignore[attr-defined]
    return parse(document, "a test")


def target(metric: str, expr: str, **more: Any) -> dict[str, Any]:
    return {"metric": metric, "expr": expr, "abort": True} | more


def first_abort(
    asked: Scenario, moments: Iterator[tuple[float, dict[str, float]]]
) -> tuple[float, Abort] | None:
    """When the watch says to stop, in seconds of the window, and what it says."""
    watch = watch_of(asked)
    assert watch is not None
    for at_s, figures in moments:
        if (found := watch({"elapsed_window_s": at_s} | figures)) is not None:
            return at_s, found
    return None


def each_tenth(until_s: float, **figures: Any) -> Iterator[tuple[float, dict[str, float]]]:
    """A moment ten times a second from 2 s before the window; a figure may depend on the time."""
    for tick in range(-20, round(until_s * 10)):
        at_s = tick / 10
        yield (
            at_s,
            {
                name.replace("__", "."): value(at_s) if callable(value) else value
                for name, value in figures.items()
            },
        )


def test_without_a_threshold_that_aborts_nothing_is_watched() -> None:
    plain = {"metric": "queue.backlog", "expr": "max<10"}
    assert watch_of(scenario()) is None
    assert watch_of(scenario(plain)) is None


def test_a_maximum_fails_as_soon_as_it_is_crossed() -> None:
    asked = scenario(target("queue.backlog", "max<10000"))
    found = first_abort(asked, each_tenth(60, queue__backlog=lambda at: 9_000 + 1_000 * (at > 12)))
    assert found is not None
    at_s, abort = found
    assert at_s == 12.1
    assert abort.observed == 10_000
    assert abort.threshold == "queue.backlog max<10000"
    assert abort.text.startswith("queue.backlog max<10000 failed 12.1 s into the window: 10")


def test_what_was_before_the_window_does_not_count() -> None:
    asked = scenario(target("queue.backlog", "max<10"))
    assert first_abort(asked, each_tenth(30, queue__backlog=lambda at: 99 * (at < 0))) is None


def test_nothing_fails_before_abort_after() -> None:
    asked = scenario(target("queue.backlog", "max<10", abort_after="20s"))
    found = first_abort(asked, each_tenth(60, queue__backlog=lambda at: 99 * (5 < at < 6)))
    assert found is not None
    assert (found[0], found[1].observed) == (20.0, 99)


def test_a_queue_is_watched_by_its_own_figure() -> None:
    asked = scenario(target("queue.backlog", "max<10", queue="payments"))
    figures = {"queue.backlog": 99.0, "queue.backlog:payments": 5.0}
    assert first_abort(asked, ((at, figures) for at, _ in each_tenth(10))) is None
    more = figures | {"queue.backlog:payments": 10.0}
    assert first_abort(asked, ((at, more) for at, _ in each_tenth(10))) is not None


def test_a_mean_is_judged_after_five_seconds_of_the_window_on_all_that_was_seen() -> None:
    asked = scenario(target("workers.cpu", "avg<50%"))
    early = first_abort(asked, each_tenth(60, workers__cpu=lambda at: 1.0 if at < 3 else 0.2))
    # 3 s of 100 % and 2 s of 20 % are 68 % on average.
    assert early is not None
    assert early[0] == 5.0
    assert early[1].observed == pytest.approx((30 * 1.0 + 21 * 0.2) / 51)
    assert first_abort(asked, each_tenth(60, workers__cpu=lambda at: float(at < 2))) is None


@pytest.mark.parametrize("seen", [0.5, 0.8])
def test_a_range_fails_at_either_end(seen: float) -> None:
    asked = scenario(target("workers.cpu", "avg in 60%..75%"))
    found = first_abort(asked, each_tenth(60, workers__cpu=seen))
    assert found is not None
    assert found[0] == 5.0
    assert first_abort(asked, each_tenth(60, workers__cpu=0.7)) is None


def test_a_lower_limit_waits_for_five_seconds() -> None:
    asked = scenario(target("throughput", "avg>150/s"))
    slow = first_abort(asked, each_tenth(60, done=lambda at: 100 * (at + 2), sent=0))
    assert slow is not None
    assert slow[0] == 5.0
    assert slow[1].observed == pytest.approx(100)
    assert first_abort(asked, each_tenth(60, done=lambda at: 200 * (at + 2), sent=0)) is None


def test_throughput_is_of_the_window_and_not_of_the_warm_up() -> None:
    asked = scenario(target("throughput", "avg>150/s"))
    found = first_abort(asked, each_tenth(60, done=lambda at: 1_000 + 100 * max(0.0, at)))
    assert found is not None
    assert found[1].observed == pytest.approx(100)


def test_errors_are_a_share_of_what_was_sent_in_the_window() -> None:
    asked = scenario(target("errors", "rate<5%", abort_after="8s"))
    figures = {
        "sent": lambda at: 100 * (at + 2),
        "errors": lambda at: 150 + 10 * max(0.0, at),
    }
    found = first_abort(asked, each_tenth(60, **figures))
    assert found is not None
    assert found[0] == 8.0
    assert found[1].observed == pytest.approx(0.1)


def test_a_count_fails_at_once() -> None:
    asked = scenario(target("dropped", "count==0"))
    found = first_abort(asked, each_tenth(60, dropped=lambda at: 3.0 * (at >= 1)))
    assert found is not None
    assert (found[0], found[1].observed) == (1.0, 3.0)


def test_evictions_are_counted_from_the_start_of_the_window() -> None:
    asked = scenario(target("redis.evicted", "max<5"))
    held = first_abort(asked, each_tenth(20, redis__evicted=lambda at: 1_000.0 + (at > 2) * 4))
    assert held is None
    found = first_abort(asked, each_tenth(20, redis__evicted=lambda at: 1_000.0 + (at > 2) * 5))
    assert found is not None
    assert found[1].observed == 5


def test_what_is_not_known_at_a_moment_is_passed_over() -> None:
    asked = scenario(target("redis.memory", "max<80MB"), target("throughput", "avg>150/s"))
    assert first_abort(asked, each_tenth(60)) is None
    gap = first_abort(
        asked, ((at, {"redis.memory": 9e7} if at > 30 else {}) for at, _ in each_tenth(60))
    )
    assert gap is not None
    assert gap[0] == 30.1
    assert "85.8 MiB observed" in gap[1].text


def test_a_threshold_that_does_not_apply_is_not_watched() -> None:
    low = target("throughput", "avg>150/s", needs_offered="150/s")
    assert watch_of(scenario(low)) is None
    assert watch_of(scenario(low, rate=151.0)) is not None


PHASES = [
    {"name": "calm", "duration": "10s", "rate": 20.0},
    {"name": "spike", "duration": "10s", "rate": 120.0, "ramp": "4s"},
    {"name": "after", "duration": "10s", "rate": 20.0},
]


@pytest.mark.parametrize(
    ("over", "peak_s", "expected"),
    [
        ("spike", 5.0, None),
        ("spike", 12.0, 12.0),
        ("spike", 25.0, None),
        ("steady", 12.0, None),  # in its ramp
        ("steady", 15.0, 15.0),
        ("window", 12.0, 12.0),
    ],
)
def test_only_the_time_it_speaks_of_is_watched(
    over: str, peak_s: float, expected: float | None
) -> None:
    asked = scenario(target("queue.backlog", "max<10", over=over), phase=PHASES)
    moments = each_tenth(30, queue__backlog=lambda at: 99.0 * (peak_s <= at < peak_s + 1))
    found = first_abort(asked, moments)
    assert (None if found is None else found[0]) == expected


def test_each_trial_has_a_memory_of_its_own() -> None:
    asked = scenario(target("queue.backlog", "max<10"))
    first, second = watch_of(asked), watch_of(asked)
    assert first is not None
    assert second is not None
    assert first({"elapsed_window_s": 1.0, "queue.backlog": 99.0}) is not None
    assert second({"elapsed_window_s": 1.0, "queue.backlog": 5.0}) is None


@given(
    values=st.lists(st.floats(0, 1e6), min_size=60, max_size=100),
    aggregate=st.sampled_from(["p(95)", "med", "avg", "min", "max"]),
)
def test_what_it_observes_is_the_statistic_of_all_values_so_far(
    values: list[float], aggregate: str
) -> None:
    watch = watch_of(scenario(target("queue.backlog", f"{aggregate}<0")))
    assert watch is not None
    abort = None
    for tick, value in enumerate(values):
        abort = watch({"elapsed_window_s": tick / 10, "queue.backlog": value})
    expected = {
        "p(95)": np.quantile(values, 0.95),
        "med": np.median(values),
        "avg": np.mean(values),
        "min": np.min(values),
        "max": np.max(values),
    }[aggregate]
    assert abort is not None
    assert abort.observed == pytest.approx(expected)


def test_it_loads_nothing_that_analysis_needs() -> None:
    code = (
        "import sys\n"
        "from perfkit.verdict.watching import watch_of\n"
        "from perfkit.verdict import watch_of as same\n"
        "assert watch_of is same\n"
        "heavy = ('pandas', 'duckdb', 'numpy', 'scipy', 'pyarrow', 'matplotlib')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"
