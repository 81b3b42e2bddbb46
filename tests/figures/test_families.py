"""What each figure says, from frames as `perfkit.frames` gives them."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from perfkit import figures
from perfkit.figures import Chart, Line, Points
from perfkit.figures.multiples import PANELS
from tests.figures import examples

TRIALS = examples.trials()
NAMES = figures.titles(TRIALS)
WINDOWS = figures.windows(TRIALS, examples.facts)
TIMELINE = figures.across(TRIALS, examples.timeline)
BACKLOG = figures.across(TRIALS, examples.backlog)
RESOURCES = figures.across(TRIALS, examples.resources)


def series(chart: Chart, panel: int = 0) -> dict[str, Line | Points]:
    """Lines and points of a panel by name."""
    return {
        mark.name: mark for mark in chart.panels[panel].marks if isinstance(mark, Line | Points)
    }


def test_throughput_says_which_trial_falls_behind() -> None:
    chart = figures.throughput(TIMELINE, TRIALS, WINDOWS)
    assert chart.title == ("workers=1 finishes 145/s of the 200/s offered; 2 of 3 trials keep up")
    assert [panel.title for panel in chart.panels] == ["workers=1", "workers=2", "workers=4"]
    assert series(chart)["done"].y[5] == 145
    assert series(chart)["offered"].dash == "dash"  # type: ignore[union-attr]


def test_throughput_says_when_all_keep_up() -> None:
    kept = TRIALS[TRIALS["workers"] > 1]
    title = figures.throughput(TIMELINE, kept).title
    assert title == "Every trial keeps up with the offered load of 200/s"
    title = figures.throughput(TIMELINE, kept.iloc[:1]).title
    assert title == "The stack keeps up with the offered load of 200/s"


def test_the_window_is_shaded_where_it_was() -> None:
    chart = figures.throughput(TIMELINE, TRIALS, WINDOWS)
    [shade] = [mark for mark in chart.panels[0].marks if isinstance(mark, figures.Span)]
    assert (shade.start, shade.end) == (2.0, 14.0)


def test_a_trial_that_never_reached_its_window_has_no_shade() -> None:
    assert figures.windows(TRIALS, lambda _: {"instants_ns": None}).empty


def test_a_failed_line_is_drawn_only_where_jobs_failed() -> None:
    quiet = TIMELINE.assign(failed_per_s=0.0)
    assert "failed" not in series(figures.throughput(quiet, TRIALS))
    assert "failed" in series(figures.throughput(TIMELINE, TRIALS))


def test_backlog_names_its_peak_by_queue_and_trial() -> None:
    chart = figures.waiting(BACKLOG, WINDOWS)
    assert chart.title.startswith("At most 355 jobs of notifications wait in Redis, at workers=1")
    assert set(series(chart)) == set(examples.QUEUES)
    assert figures.oldest(BACKLOG).title.startswith("The oldest waiting job reaches 3.78 s")
    assert "at most 16 jobs" in figures.in_flight(BACKLOG).title


def test_a_backlog_that_never_was_says_so() -> None:
    calm = BACKLOG.assign(waiting=0.0, in_flight=0.0, oldest_age_ns=math.nan)
    assert figures.waiting(calm).title == "No job was ever seen waiting in Redis"
    assert figures.in_flight(calm).title == "No job was ever seen in flight"
    assert figures.oldest(calm).title == "No job was old enough to be seen waiting"


def test_nines_lie_equally_far_apart() -> None:
    curve = pd.DataFrame(
        {"trial": 0, "queue": "q", "quantile": [0.0, 0.9, 0.99, 0.999], "value_ns": [1e6] * 4}
    )
    chart = figures.by_percentile(curve, examples.percentiles(1), {0: "one"})
    assert chart.panels[0].x.ticks[2:] == ((1.0, "90 %"), (2.0, "99 %"), (3.0, "99.9 %"))
    assert series(chart)["one"].x == pytest.approx((0, 1, 2, 3))


def test_latency_by_percentile_states_the_range_of_p95() -> None:
    table = examples.percentiles().assign(p95_ns=[i * 1e8 for i in range(1, 10)])
    chart = figures.by_percentile(examples.curve(by=("trial", "queue")), table, NAMES)
    assert chart.title == ("P95 is 100 ms (payments, workers=1) to 900 ms (webhooks, workers=4)")


def test_a_p95_that_was_never_reached_is_said_and_not_drawn() -> None:
    curve = examples.curve(by=("trial", "queue"))
    curve.loc[curve["quantile"] > 0.9, "value_ns"] = math.inf
    table = examples.percentiles().assign(p95_ns=math.inf)
    chart = figures.by_percentile(curve, table, NAMES)
    assert "beyond the end of the trial" in chart.title
    assert series(chart)["workers=1"].y[-1] is None


def test_from_intended_and_from_sent_are_told_apart() -> None:
    latency, sent = examples.curve(), examples.curve("response_ns")
    chart = figures.intended_and_sent(latency, sent, NAMES)
    assert chart.title.startswith("Requests left on time: counting from sending would hide at most")
    late = figures.intended_and_sent(latency, sent.assign(value_ns=sent["value_ns"] / 2), NAMES)
    assert late.title.startswith("Counting from sending would hide")
    assert set(series(chart)) == {"from intended", "from sent"}


def test_stages_name_the_largest_of_the_slowest_trial() -> None:
    chart = figures.breakdown(examples.stages(), NAMES)
    assert chart.title.startswith("Broker dwell takes 86 % of the time of a job at workers=1")
    assert [mark.name for mark in chart.panels[0].marks] == list(examples.STAGES)  # type: ignore[union-attr]
    assert chart.panels[0].title == "workers=1: 2.08 s"


def test_resources_add_up_by_role() -> None:
    chart = figures.cpu(RESOURCES, 2)
    assert chart.title == "All parts together use 0.64 to 1.48 of 2 cores"
    [worker] = [mark for mark in chart.panels[0].marks if mark.name == "worker"]  # type: ignore[union-attr]
    assert worker.y == pytest.approx((0.28, 0.56, 1.12))  # type: ignore[union-attr]
    assert figures.memory(RESOURCES).title == (
        "The largest memory is that of worker: 244 MiB at workers=4"
    )


def test_the_host_is_never_the_busiest_process() -> None:
    frame = pd.DataFrame(
        {
            "trial": 0,
            "title": "t",
            "at_s": [1.0, 1.0],
            "process": ["host", "redis"],
            "cpu_share": [1.9, 0.4],
        }
    )
    chart = figures.cpu_over_time(frame)
    assert chart.title == "The busiest process is redis: 0.40 cores at its peak"
    assert set(series(chart)) == {"host", "redis"}


def test_the_busiest_process_is_looked_for_inside_the_window() -> None:
    frame = pd.DataFrame(
        {
            "trial": 0,
            "title": "t",
            "at_s": [0.1, 5.0],
            "process": ["generator", "worker-1"],
            "cpu_share": [1.2, 0.4],
        }
    )
    chart = figures.cpu_over_time(frame, WINDOWS)
    assert chart.title.startswith("The busiest process is worker-1: 0.40")


def test_scaling_says_how_many_workers_carry_the_load() -> None:
    chart = figures.against_workers(TRIALS)
    assert chart.title == "2 workers carry 200/s"
    assert series(chart)["first"].x == (1.0, 2.0, 4.0)
    assert series(chart, 1)["first"].y[0] == 100
    latency = figures.latency_against_workers(TRIALS)
    assert latency.title == "P95 goes from 4.90 s with 1 worker to 102 ms with 4 workers"
    assert list(series(latency)) == ["P50", "P95", "P99"]


def test_scenarios_stand_against_each_other() -> None:
    both = pd.concat([TRIALS, examples.trials(scenario="second").assign(trial=[3, 4, 5])])
    chart = figures.against_workers(both)
    assert list(series(chart)) == ["first", "second"]
    assert chart.title == "first: 2 workers carry 200/s"
    panels = figures.latency_against_workers(both).panels
    assert [panel.title for panel in panels] == ["first", "second"]
    assert figures.titles(both)[5] == "second workers=4"


def test_repeats_are_points_because_nothing_joins_them() -> None:
    twice = pd.concat([TRIALS, TRIALS.assign(trial=[3, 4, 5], repetition=1)])
    assert isinstance(series(figures.against_workers(twice))["first"], Points)
    assert figures.titles(twice)[0] == "workers=1, repeat 1"


def test_trials_alike_in_workers_stand_beside_each_other_by_name() -> None:
    alike = TRIALS.assign(workers=2, label=["a", "b", "c"])
    chart = figures.against_workers(alike)
    assert chart.panels[0].x.ticks == ((0.0, "a"), (1.0, "b"), (2.0, "c"))
    assert chart.title == "2 of 3 trials carry their offered load"


def test_one_trial_is_not_compared() -> None:
    chart = figures.against_workers(TRIALS.iloc[:1])
    assert chart.empty
    assert figures.latency_against_workers(TRIALS.iloc[:1]).title == "P95 is 4.90 s with 1 worker"


def test_many_trials_are_not_all_drawn() -> None:
    many = pd.concat(
        [TIMELINE[TIMELINE["trial"] == 0].assign(trial=i, title=f"t{i}") for i in range(20)]
    )
    assert len(figures.throughput(many, TRIALS).panels) == PANELS


def test_no_jobs_at_all_draw_sentences() -> None:
    none = TRIALS.iloc[:0]
    nothing = pd.DataFrame(columns=["trial", "title"])
    curve = pd.DataFrame(columns=["trial", "queue", "quantile", "value_ns"])
    stages = examples.stages().iloc[:0]
    for chart in (
        figures.throughput(nothing, none),
        figures.waiting(nothing),
        figures.oldest(nothing),
        figures.in_flight(nothing),
        figures.by_percentile(curve, examples.percentiles(0), {}),
        figures.intended_and_sent(curve, curve, {}),
        figures.breakdown(stages, {}),
        figures.cpu(nothing),
        figures.memory(nothing),
        figures.cpu_over_time(nothing),
        figures.against_workers(none),
        figures.latency_against_workers(none),
    ):
        assert chart.empty, chart.title
        assert chart.empty in chart.html()
