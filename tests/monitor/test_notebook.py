"""The panel: the same snapshot in a cell."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from perfkit.figures.markup import text
from perfkit.monitor import ManualFeed, ReplayFeed, panel
from perfkit.monitor.picture import QUEUES, bundle, charts, standing
from perfkit.paths import example_data, report_notebook
from perfkit.reporting import document, execute
from tests.monitor import plant
from tests.waiting import wait_until

GOOD = example_data() / "good"


class Words(HTMLParser):
    """Text and tags of a piece of HTML."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words = ""
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.words += data


def test_html_and_text_tell_the_same_queues_and_their_state() -> None:
    made = bundle(plant.stalled(plant.snapshot(60), "payments"))
    for each in (Words(made["text/html"]).words, made["text/plain"]):
        assert "3 stalled" in each
        assert all(name in each for name in plant.SAMPLE)
        assert "offered 160/s" in each


def test_a_broken_source_is_named_and_its_figures_are_not_nought() -> None:
    made = bundle(plant.without_redis(plant.snapshot(60)))
    for each in (Words(made["text/html"]).words, made["text/plain"]):
        assert "redis is broken: connection refused (for 12.0 s)" in each
    assert "No queue is known" in made["text/html"]
    assert "workers not known" in made["text/plain"]


@pytest.mark.parametrize("mode", ["waiting", "ended"])
def test_where_there_is_nothing_to_look_at_nothing_is_called_broken(mode: str) -> None:
    whole = plant.without_redis(plant.snapshot(60), "the next trial has not begun")
    made = bundle(dataclasses.replace(whole, mode=mode))  # type: ignore[arg-type]
    for each in (Words(made["text/html"]).words, made["text/plain"]):
        assert f"{mode}; workers not known; the next trial has not begun" in each
        assert "is broken" not in each


def test_names_from_outside_stay_text() -> None:
    made = bundle(plant.snapshot(1, queues=(plant.HOSTILE,), subject=plant.HOSTILE))
    assert "img" not in Words(made["text/html"]).tags
    assert text(plant.HOSTILE) in made["text/html"]


def test_many_queues_are_counted_and_the_worst_are_listed() -> None:
    names = tuple(f"queue-{place:02d}" for place in range(50))
    whole = plant.stalled(plant.snapshot(60, queues=names, workers=200), "queue-49")
    told = bundle(whole)["text/plain"]
    assert told.count("in flight") == QUEUES
    assert "queue-49: 3 stalled" in told
    assert "30 more queues are not listed" in told
    assert "188 more are not listed" in Words(bundle(whole)["text/html"]).words


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "working"),
        ({"waiting": 0, "in_flight": 0, "rate_out": 0.0}, "idle"),
        ({"stalled": 2}, "2 stalled"),
        ({"waiting": 4, "in_flight": 0, "rate_out": 0.0, "oldest_age_s": 9.0}, "none is fetched"),
        ({"net_rate": 20.0}, "backlog grows"),
        ({"waiting": None}, "not known"),
        ({"problem": "its keys are of other types"}, "its keys are of other types"),
    ],
)
def test_a_queue_stands_as_it_does(changes: dict[str, object], state: str) -> None:
    queue = dataclasses.replace(plant.queue("payments", 60, 0), net_rate=0.0)
    assert standing(dataclasses.replace(queue, **changes))[1] == state  # type: ignore[arg-type]


def test_charts_show_backlog_age_and_rates() -> None:
    feed = ManualFeed()
    for second in range(90):
        feed.push(plant.snapshot(second))
    chart = charts(feed.history(3600, 300))
    assert [each.title for each in chart.panels] == ["waiting", "oldest waiting job", "in and out"]
    highest = max(
        each.waiting or 0 for second in range(90) for each in plant.snapshot(second).queues
    )
    assert chart.title == f"At most {highest} jobs waited in one queue"
    assert charts(ManualFeed().history(60, 60)).empty


def test_a_panel_goes_on_until_it_is_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    feed = ManualFeed()
    shown = panel(feed)
    told = capsys.readouterr().out
    assert told == "Waiting for the first figures.\n"
    feed.push(plant.snapshot(1))

    def grown(word: str) -> bool:
        nonlocal told
        told += capsys.readouterr().out
        return word in told

    wait_until(lambda: grown("payments: "), 10, "the first figures are shown")
    feed.push(plant.stalled(plant.snapshot(2), "payments"))
    wait_until(lambda: grown("payments: 3 stalled"), 10, "the next ones are")
    shown.stop()
    feed.push(plant.snapshot(3, subject="afterwards"))
    assert "afterwards" not in capsys.readouterr().out
    assert list(shown.queues()["name"]) == list(plant.SAMPLE)
    assert len(shown.workers()) == 5
    assert len(shown.slow_jobs()) == 6


def test_a_sealed_run_is_shown_at_its_end_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    shown = panel(run=GOOD, seconds=3600)
    assert capsys.readouterr().out.count("recorded, at ") == 1
    replay = ReplayFeed(GOOD)
    assert shown.snapshot is not None
    assert shown.snapshot.replay is not None
    assert shown.snapshot.replay.position_s == replay.length_s
    assert shown.charts().panels


def test_asking_for_the_panel_loads_no_plotting_before_it_draws() -> None:
    asked = "import sys, perfkit.monitor; print('matplotlib' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


@pytest.mark.full
def test_the_notebook_watches_a_running_system_and_keeps_its_last_state(
    tmp_path: Path, clean_redis: str
) -> None:
    made = tmp_path / "live.ipynb"
    parameters = {"live": True, "redis": clean_redis, "seconds": 3}
    execute(report_notebook("90_live"), made, parameters)
    cells = [cell for cell in document.read(made).cells if "monitor.panel(" in cell.source]
    [output] = cells[0].outputs
    assert output.output_type == "display_data"
    assert ": live;" in output.data["text/plain"]
    assert "Redis: " in output.data["text/plain"]
