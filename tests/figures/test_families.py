"""What each figure says, from frames as `perfkit.frames` gives them."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from perfkit import figures
from perfkit.figures import Chart, Line, Note, Points
from perfkit.figures.load import load_line
from perfkit.figures.multiples import PANELS, at_least
from perfkit.frames import STAGES
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
    assert chart.title == (
        "workers=1 finishes 145/s of the 203/s that came due; 2 of 3 trials keep up"
    )
    assert [panel.title for panel in chart.panels] == ["workers=1", "workers=2", "workers=4"]
    assert series(chart)["done"].y[5] == 145
    assert series(chart)["offered"].dash == "dash"  # type: ignore[union-attr]
    assert all(line.step for line in series(chart).values())  # type: ignore[union-attr]
    # The last second has a length too.
    assert series(chart)["done"].x[-2:] == (25.0, 26.0)


def test_throughput_says_when_all_keep_up() -> None:
    kept = TRIALS[TRIALS["workers"] > 1]
    title = figures.throughput(TIMELINE, kept).title
    assert title == "Every trial keeps up with the 203/s that came due"
    title = figures.throughput(TIMELINE, kept.iloc[:1]).title
    assert title == "The stack keeps up with the 203/s that came due"


@pytest.mark.parametrize("column", [{"state": "partial"}, {"status": "INVALID"}])
def test_a_trial_cut_short_or_invalid_carries_nothing(column: dict[str, str]) -> None:
    trials = TRIALS.copy()
    for name, value in column.items():
        trials.loc[trials["workers"] == 2, name] = value
    left_out = "; 1 of 3 trials is cut short or invalid"
    assert figures.against_workers(trials).title == f"4 workers carry 200/s{left_out}"
    assert figures.throughput(TIMELINE, trials).title.endswith(f"; 1 of 2 trials keep up{left_out}")
    assert figures.latency_against_workers(trials).title.endswith(left_out)


def test_nothing_is_said_to_keep_up_where_that_is_not_decided() -> None:
    trials = TRIALS.assign(state="undecided")
    title = figures.throughput(TIMELINE, trials).title
    assert title == "Not decided whether 3 of 3 trials keep up with the 203/s that came due"
    assert figures.against_workers(trials).title == (
        "Not decided whether 200/s is carried; the most is 200/s with 2 workers"
    )


def test_the_load_is_told_with_what_came_due_of_it() -> None:
    said = load_line(TRIALS, examples.facts)
    assert said == "Load: open model, 200/s offered, 203/s came due."


def test_a_closed_model_says_its_users_and_what_it_hides() -> None:
    trials = TRIALS.assign(model="closed", offered_per_s=500.0, due_per_s=[140.0, 200.0, 212.0])
    said = load_line(trials, lambda _: {"users": 50})
    assert said.startswith(
        "Load: closed model, 50 users, at most 500/s, 140/s to 212/s came due. In a closed model a"
        " slow reply delays the requests after it"
    )
    assert "<td class=num>≤ 500/s</td>" in figures.trials(trials).html
    assert figures.against_workers(trials).title == "Users get the most, 200/s with 2 workers"


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


def test_jobs_that_wait_for_recovery_have_lines_of_their_own_where_there_are_any() -> None:
    calm = series(figures.in_flight(BACKLOG.assign(stalled=0.0)))
    assert set(calm) == set(series(figures.in_flight(BACKLOG))) == set(examples.QUEUES)
    stuck = series(figures.in_flight(BACKLOG.assign(stalled=3.0)))
    assert set(stuck) == {*examples.QUEUES, *(f"{queue} stalled" for queue in examples.QUEUES)}
    assert "payments stalled" not in series(figures.waiting(BACKLOG.assign(stalled=3.0)))


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
    assert chart.title == (
        "P95 is 100 ms (payments, workers=1, n 800) to 900 ms (webhooks, workers=4, n 800)"
    )


def test_a_p95_that_was_never_reached_is_said_and_not_drawn() -> None:
    curve = examples.curve(by=("trial", "queue"))
    curve.loc[curve["quantile"] > 0.9, "value_ns"] = math.inf
    table = examples.percentiles().assign(p95_ns=math.inf)
    chart = figures.by_percentile(curve, table, NAMES, WINDOWS)
    # Whoever was never done had waited for the whole drain, 12 s here.
    assert "≥ 12.0 s (payments, workers=1, n 800)" in chart.title
    assert series(chart)["workers=1"].y[-1] is None


def test_a_p95_that_was_never_reached_is_no_less_than_what_was_seen() -> None:
    assert at_least(math.inf, 0, WINDOWS, 30e9) == "≥ 30.0 s"
    assert at_least(math.inf, 0, WINDOWS) == "≥ 12.0 s"
    assert at_least(math.inf, 9, WINDOWS) == "∞"
    assert at_least(2e9, 0, WINDOWS) == "2.00 s"


def test_a_line_that_ends_early_says_why() -> None:
    curve = examples.curve(by=("trial", "queue"))
    curve.loc[(curve["trial"] == 0) & (curve["quantile"] > 0.87), "value_ns"] = math.inf
    table = examples.percentiles().assign(unfinished=[96] * 3 + [0] * 6)
    chart = figures.by_percentile(curve, table, NAMES)
    notes = [mark for panel in chart.panels for mark in panel.marks if isinstance(mark, Note)]
    assert [note.text for note in notes] == ["12 % never finished"] * 3
    line = series(chart)["workers=1"]
    assert notes[0].x == max(x for x, y in zip(line.x, line.y, strict=True) if y is not None)
    both = figures.intended_and_sent(
        curve[curve["queue"] == "payments"], examples.curve("response_ns"), NAMES
    )
    [note] = [mark for panel in both.panels for mark in panel.marks if isinstance(mark, Note)]
    assert note.text == "the rest never finished"


def test_more_lines_than_colours_differ_by_dash() -> None:
    curve = pd.concat(
        [examples.curve(by=("trial", "queue"), count=1).assign(trial=i) for i in range(9)]
    )
    names = {i: f"t{i}" for i in range(9)}
    lines = series(figures.by_percentile(curve, examples.percentiles(9), names))
    assert lines["t0"].colour == lines["t8"].colour
    assert (lines["t0"].dash, lines["t8"].dash) == ("solid", "dash")  # type: ignore[union-attr]


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
    assert [mark.name for mark in chart.panels[0].marks] == list(STAGES)  # type: ignore[union-attr]
    assert chart.panels[0].title == "workers=1: 2.08 s"


def test_resources_add_up_by_role() -> None:
    chart = figures.cpu(RESOURCES, 2)
    assert chart.title == "All parts together use 0.64 to 1.48 of 2 cores"
    [worker] = [mark for mark in chart.panels[0].marks if mark.name == "worker"]  # type: ignore[union-attr]
    assert worker.y == pytest.approx((0.28, 0.56, 1.12))  # type: ignore[union-attr]
    assert figures.memory(RESOURCES).title == (
        "The largest memory is that of worker: 244 MiB at workers=4"
    )


def test_memory_claims_nothing_of_other_machines() -> None:
    assert "machine of its own" not in figures.memory(RESOURCES).reading
    assert "what forked processes share counts in each" in figures.memory(RESOURCES).reading


def test_a_process_has_the_role_that_frames_say() -> None:
    pool = figures.across(TRIALS, examples.resource_timeline)
    pool = pool.assign(process=pool["process"].str.replace("worker", "payments"))
    assert "worker" in series(figures.cpu_over_time(pool))
    assert "payments" not in series(figures.cpu_over_time(pool))


def test_the_host_is_never_the_busiest_process() -> None:
    frame = pd.DataFrame(
        {
            "trial": 0,
            "title": "t",
            "at_s": [1.0, 1.0],
            "process": ["host", "redis"],
            "role": ["host", "redis"],
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
            "role": ["generator", "worker"],
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
    assert latency.title == "P95 goes from 4.90 s (workers=1) to 102 ms (workers=4)"
    assert list(series(latency)) == ["P50", "P95", "P99"]
    assert "all queues and 2\u202f436 jobs a trial" in latency.reading
    assert "<td class=num>2\u202f436</td>" in latency.html()


def test_a_trial_whose_p95_was_never_reached_is_the_slowest() -> None:
    trials = TRIALS.assign(p95_ns=[math.inf, 2e8, 1e8])
    title = figures.latency_against_workers(trials, WINDOWS).title
    assert title == "P95 goes from ≥ 12.0 s (workers=1) to 100 ms (workers=4)"


def test_scenarios_stand_against_each_other_and_each_has_its_say() -> None:
    second = examples.trials(scenario="second").assign(
        trial=[3, 4, 5],
        state=["saturated", "saturated", "carried"],
        p95_ns=[9e9, 8e9, 5e6],
        title=[f"second, workers={count}" for count in (1, 2, 4)],
    )
    both = pd.concat([TRIALS, second])
    chart = figures.against_workers(both)
    assert list(series(chart)) == ["first", "second"]
    assert chart.title == "first: 2 workers carry 200/s; second: 4 workers carry 200/s"
    latency = figures.latency_against_workers(both)
    assert [panel.title for panel in latency.panels] == ["first", "second"]
    assert latency.title == (
        "P95 first: from 4.90 s (workers=1) to 102 ms (workers=4);"
        " second: from 9.00 s (second, workers=1) to 5.00 ms (second, workers=4)"
    )


def test_every_other_axis_has_a_line_and_a_say_of_its_own() -> None:
    parts = [
        examples.trials().assign(
            trial=range(first, first + 3),
            label=[f"workers={count} preset={preset}" for count in (1, 2, 4)],
            state=states,
        )
        for first, preset, states in (
            (0, "stock", ["saturated", "saturated", "carried"]),
            (3, "fast", ["saturated", "carried", "carried"]),
        )
    ]
    both = pd.concat(parts)
    chart = figures.against_workers(both)
    lines = series(chart)
    assert list(lines) == ["preset=stock", "preset=fast"]
    assert all(isinstance(line, Line) for line in lines.values())
    assert chart.title == "preset=stock: 4 workers carry 200/s; preset=fast: 2 workers carry 200/s"
    panels = figures.latency_against_workers(both).panels
    assert [panel.title for panel in panels] == ["preset=stock", "preset=fast"]


def test_repeats_are_points_because_nothing_joins_them() -> None:
    twice = pd.concat([TRIALS, TRIALS.assign(trial=[3, 4, 5], repetition=1)])
    chart = figures.against_workers(twice)
    assert isinstance(series(chart)["first"], Points)
    assert chart.title == "2 workers carry 200/s in each of 2 repetitions"


def test_workers_carry_a_load_only_if_they_do_in_every_repetition() -> None:
    repeats = pd.concat(
        [
            TRIALS.iloc[:1].assign(trial=i, repetition=i, state=state)
            for i, state in enumerate(["carried", "saturated", "saturated"])
        ]
        + [TRIALS.iloc[2:].assign(trial=3 + i, repetition=i) for i in range(3)]
    )
    title = figures.against_workers(repeats).title
    assert title == "4 workers carry 200/s in each of 3 repetitions"
    repeats.loc[repeats["trial"] == 5, "state"] = "saturated"
    assert figures.against_workers(repeats).title.startswith(
        "No number of workers carries 200/s in every repetition"
    )


def test_names_are_those_of_the_frame() -> None:
    assert figures.titles(TRIALS.assign(title=["x", "y", "z"])) == {0: "x", 1: "y", 2: "z"}


def test_trials_alike_in_workers_stand_beside_each_other_by_name() -> None:
    alike = TRIALS.assign(workers=2, title=["a", "b", "c"])
    chart = figures.against_workers(alike)
    assert chart.panels[0].x.ticks == ((0.0, "a"), (1.0, "b"), (2.0, "c"))
    assert chart.title == "2 of 3 trials carry their offered load"


ELSEWHERE = TRIALS.assign(
    workers=math.nan, efficiency=math.nan, title=["a", "b", "c"], label=["a", "b", "c"],
    p99_ns=math.inf,
)  # fmt: skip


def test_trials_on_a_server_elsewhere_stand_beside_each_other_and_nobody_asks_for_workers() -> None:
    chart = figures.against_workers(ELSEWHERE)
    assert chart.title == "2 of 3 trials carry their offered load"
    assert chart.panels[0].x.title == "requests/s"
    assert chart.table is not None
    assert chart.table.columns == ("trial", "offered", "came due", "done")
    assert "worker" not in chart.reading
    latency = figures.latency_against_workers(ELSEWHERE)
    assert "queues" not in latency.reading
    assert latency.table is not None
    assert latency.table.columns == ("trial", "n", "P50 ms", "P95 ms", "P99 ms")
    shown = figures.trials(ELSEWHERE)
    assert "efficiency" not in shown.plain
    assert "workers" not in shown.plain


def test_beside_a_stack_a_server_elsewhere_has_its_say_without_a_number_of_workers() -> None:
    mixed = pd.concat([
        TRIALS,
        ELSEWHERE.assign(trial=[3, 4, 5], scenario="orders", label="orders"),
    ])  # fmt: skip
    assert "2 of 3 carry 200/s" in figures.against_workers(mixed).title


def test_what_is_infinite_has_no_place_on_an_axis() -> None:
    names = series(figures.latency_against_workers(ELSEWHERE))
    assert set(names) == {"P50", "P95"}
    assert all(math.isfinite(value) for mark in names.values() for value in mark.x)


def test_what_perfkit_uses_is_not_taken_for_what_a_server_elsewhere_uses() -> None:
    roles = RESOURCES["role"].astype(str)
    own = RESOURCES[roles.isin(["generator", "perfkit", "host"])]
    assert figures.cpu(own).title.startswith("perfkit itself uses ")
    assert figures.cpu(RESOURCES).title.startswith("All parts together use ")


def test_one_trial_is_not_compared() -> None:
    chart = figures.against_workers(TRIALS.iloc[:1])
    assert chart.empty
    title = figures.latency_against_workers(TRIALS.iloc[:1]).title
    assert title == "P95 is 4.90 s (workers=1)"


def test_many_trials_are_not_all_drawn() -> None:
    def twenty(frame: pd.DataFrame) -> pd.DataFrame:
        first = frame[frame["trial"] == 0]
        return pd.concat([first.assign(trial=i, title=f"t{i}") for i in range(20)])

    names = {i: f"t{i}" for i in range(20)}
    cores = figures.across(TRIALS, examples.resource_timeline)
    for chart in (
        figures.throughput(twenty(TIMELINE), TRIALS),
        figures.waiting(twenty(BACKLOG)),
        figures.cpu_over_time(twenty(cores)),
        figures.intended_and_sent(
            twenty(examples.curve()), twenty(examples.curve("response_ns")), names
        ),
        figures.breakdown(twenty(examples.stages()), names),
    ):
        assert len(chart.panels) == PANELS
        assert f"{PANELS} of 20 trials are drawn" in chart.reading
    assert "are drawn" not in figures.throughput(TIMELINE, TRIALS).reading


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
