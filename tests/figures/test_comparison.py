"""A comparison in words, tables and charts, on the committed example and on what has gone wrong."""

from __future__ import annotations

import math
from typing import Any, get_args
from xml.etree import ElementTree

import pandas as pd
import plotly.graph_objects as go
import pytest

from perfkit import figures
from perfkit.api import Compared, open_comparison
from perfkit.figures import Chart
from perfkit.paths import example_data
from perfkit.verdict import Outcome

HOSTILE = "</script><b>checkout</b>"
MANIFEST = {"name": "compare-a-b", "run_id": "1", "comparison": {"baseline": "a", "candidate": "b"}}


@pytest.fixture(scope="module")
def compared() -> Compared:
    """Eight simulated pairs; the actor payments of B computes for 18 ms, not for 12 ms."""
    return open_comparison(example_data() / "comparison")


def drawn(chart: Chart) -> str:
    """Its title, once both pictures of it are sound."""
    made = chart.plotly()
    assert go.Figure({"data": made["data"], "layout": made["layout"]}).data
    assert ElementTree.fromstring(chart.svg()).attrib["aria-label"].startswith(chart.title)
    return chart.title


@pytest.mark.parametrize("said", get_args(Outcome))
def test_the_first_screen_answers_whatever_the_outcome(said: Outcome) -> None:
    block = figures.answer(said, ("B is so (8 pairs). Noise 2 %.", "Where: there.", "x"), MANIFEST)
    first, headline, where, *_ = block.plain.splitlines()
    badge = first.partition(": A is")[0]
    expected = "NOT ABLE TO TELL" if said == "inconclusive" else said.upper()
    assert badge == expected
    assert headline == "B is so (8 pairs)."
    assert where == "  - Where: there."
    assert block.html.index("pk-status") < block.html.index("Where: there.")


def test_a_name_from_outside_becomes_no_tag(compared: Compared) -> None:
    asked = {"baseline": HOSTILE, "candidate": HOSTILE}
    block = figures.answer("worse", (f"{HOSTILE} is worse.", "Where."), {"comparison": asked})
    assert HOSTILE not in block.html
    frame = compared.effects().assign(metric=HOSTILE)
    assert HOSTILE not in figures.effects(frame).html
    assert HOSTILE not in figures.forest(frame).html()
    trials = compared.trials()
    assert HOSTILE not in figures.validity(trials, (HOSTILE, HOSTILE)).html
    assert HOSTILE not in figures.unlike_arms([("key", HOSTILE, "")], (HOSTILE, "b")).html


def test_effects_stand_worst_first_with_interval_margin_and_p(compared: Compared) -> None:
    head, first, *_ = figures.effects(compared.effects()).plain.splitlines()
    assert head.startswith("metric  outcome  B against A  interval  margin")
    assert first.startswith("P50 of payments  worse  +11.")
    assert "±5.0 %  0.0078" in first


def test_the_forest_names_what_is_worse_and_draws_a_margin_for_each(compared: Compared) -> None:
    chart = figures.forest(compared.effects())
    assert drawn(chart).startswith("3 of 9 metrics are worse: P50 of payments")
    [panel] = chart.panels
    boxes = [mark for mark in panel.marks if isinstance(mark, figures.Box)]
    # The error rate has no ratio and is in the table alone.
    assert len(boxes) == len(panel.y.ticks) == 8
    assert {(box.left, box.right) for box in boxes} == {(-5.0, 5.0), (-10.0, 10.0)}


def test_without_a_finding_the_forest_says_how_many_are_equivalent(compared: Compared) -> None:
    calm = compared.effects().assign(outcome="equivalent")
    assert figures.forest(calm).title == (
        "No metric is proved to have changed; 9 of 9 are equivalent"
    )


def test_an_effect_that_is_not_known_has_a_word_in_its_place(compared: Compared) -> None:
    frame = compared.effects()
    frame.loc[0, ["point", "low", "high"]] = math.nan
    frame.loc[1, ["point", "high"]] = math.inf
    chart = figures.forest(frame)
    drawn(chart)
    notes = [mark for mark in chart.panels[0].marks if isinstance(mark, figures.Note)]
    assert [note.text for note in notes] == ["not known, or infinite"] * 2
    assert "∞" in figures.effects(frame).plain


def test_the_shift_says_of_each_queue_how_far_its_percentiles_moved(compared: Compared) -> None:
    chart = figures.shift(compared.shift())
    assert "notifications: no percentile is proved to have moved" in drawn(chart)
    assert "payments: all 9 percentiles moved, P10 +" in chart.title
    assert [panel.title for panel in chart.panels] == ["notifications", "payments"]


def test_the_stage_that_changed_most_is_named_with_its_actor(compared: Compared) -> None:
    assert drawn(figures.changes_by_stage(compared.stages())).startswith(
        "Service of payments changed most: +6."
    )


def test_stages_of_both_arms_stand_one_above_the_other(compared: Compared) -> None:
    chart = figures.arms_by_stage(compared.stages())
    drawn(chart)
    bars = [mark for mark in chart.panels[1].marks if isinstance(mark, figures.Bars)]
    assert bars[0].x[:2] == ("mean, A", "mean, B")
    sums = [sum(bar.y[place] or 0.0 for bar in bars) for place in (0, 1)]
    assert sums[1] - sums[0] == pytest.approx(7.5, abs=1.5)


def test_trials_in_time_say_whether_the_machine_drifted(compared: Compared) -> None:
    effects, trials = compared.effects(), compared.trials()
    chart = figures.trials_in_time(trials, effects, compared.drift())
    assert drawn(chart).startswith("No drift stands out within the 15 minutes")
    assert sum(len(mark.x) for mark in chart.panels[0].marks
               if isinstance(mark, figures.Points)) == 16  # fmt: skip
    steep = pd.DataFrame([{"metric": "CPU", "point": 0.06, "low": 0.02, "high": 0.1}])
    assert figures.trials_in_time(trials, effects, steep).title.startswith("Both arms drifted")


def test_the_noise_floor_stands_beside_this_comparison(compared: Compared) -> None:
    block = figures.noise_floor(compared.noise_floor, compared.effects(), "False alarms: 0 of 12.")
    assert block.plain.startswith("False alarms: 0 of 12.")
    assert "P50 of payments  2.0 %  96 pairs of this scenario  1.5 %" in block.plain


def test_validity_tells_of_each_arm_and_of_each_trial_that_does_not_count(
    compared: Compared,
) -> None:
    names = (compared.baseline, compared.candidate)
    assert figures.validity(compared.trials(), names).plain.startswith("All 16 trials are valid")
    frame = compared.trials()
    frame.loc[3, ["valid", "reasons"]] = [False, "late sending"]
    finding, *_, last = figures.validity(frame, names).plain.splitlines()
    assert finding.startswith("1 of 16 trials are INVALID: ")
    assert last.endswith("is INVALID: late sending")


def test_arms_that_are_alike_are_said_to_be(compared: Compared) -> None:
    names = (compared.baseline, compared.candidate)
    assert (
        "The arms differ in 1 thing"
        in figures.unlike_arms(compared.environment_difference, names).plain
    )
    assert "asked for the same" in figures.unlike_arms((), names).plain


def test_nothing_measured_is_a_sentence_each_time(compared: Compared) -> None:
    def none(frame: pd.DataFrame) -> Any:
        return frame.iloc[0:0]

    effects, trials = none(compared.effects()), none(compared.trials())
    for chart in (
        figures.forest(effects),
        figures.shift(none(compared.shift())),
        figures.changes_by_stage(none(compared.stages())),
        figures.arms_by_stage(none(compared.stages())),
        figures.trials_in_time(trials, effects, none(compared.drift())),
    ):
        assert chart.empty
        assert "not known" in chart.title or "No " in chart.title
    assert "nothing is compared" in figures.effects(effects).plain
