"""Loads in shapes and from traces on real stacks: the plan is kept, and is what was sent."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from perfkit.api.runs import Run
from perfkit.store import open_run, verify
from tests.runner.conftest import Start
from tests.runner.test_courses import balanced, run

SHAPES = [
    {"duration": "3s", "shape": "sine", "low": 10, "high": 90},
    {"duration": "2s", "shape": "burst", "size": 20, "every": "1s", "rate": "60/min"},
]


def planned_and_due(found: Run) -> tuple[list[int], list[int]]:
    """Offsets of the kept schedule, and of the requests that came due."""
    start_ns = found.trial_facts(0)["instants_ns"]["load_start"]
    due = found.stored.table("requests", 0)["intended_ns"].to_pylist()
    planned = found.stored.table("schedule", 0)["offset_ns"].to_pylist()
    return planned, sorted(each - start_ns for each in due)


@pytest.fixture
def behind_a_dead_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("behind_a_dead_proxy")
def test_a_run_in_shapes_sends_the_schedule_that_it_keeps_whatever_proxy_the_shell_names(
    tmp_path: Path,
) -> None:
    found = run(
        tmp_path,
        "spike-open",
        load__ramp="0s",
        load__phase=SHAPES,
        load__exact=True,
        gateway__payments__outage_from="4s",
        gateway__payments__outage_until="4500ms",
    )
    counts = balanced(found)
    planned, due = planned_and_due(found)
    assert planned == due
    # Half a second at the sine's trough, its mean of 50/s, and two bursts beside one a second.
    assert len(planned) == counts["planned"] == 5 + 150 + 2 * 20 + 2
    assert verify(found.path) == []
    facts = found.trial_facts(0)
    assert [each.get("shape") for each in facts["stretches"]] == [None, "sine", "burst"]
    assert facts["ledger"]["entries"] > 0  # the sample's own books were read
    phases = found.phases()
    assert phases["level_end"].tolist() == pytest.approx([50, 21])
    assert phases["offered_per_s"].tolist() == pytest.approx([50, 21])


@pytest.mark.full
def test_a_trace_is_replayed_at_its_speed_and_kept_with_the_run(tmp_path: Path) -> None:
    times = [number * 0.04 + (number % 7) * 0.001 for number in range(100)]
    (tmp_path / "times.csv").write_text("at\n" + "\n".join(f"{each:.6f}" for each in times))
    asked: dict[str, Any] = {
        "load__arrivals": "trace",
        "load__trace__file": str(tmp_path / "times.csv"),
        "load__trace__column": "at",
        "load__speed": 2,
    }
    scenario = tmp_path / "replay.toml"
    scenario.write_text(
        'name = "replay"\n[load]\nmodel = "open"\n[[job]]\nqueue = "payments"\n'
        '[gateway.payments]\nmedian = "20ms"\n'
    )
    found = run(tmp_path / "results", str(scenario), **asked)
    counts = balanced(found)
    planned, due = planned_and_due(found)
    assert planned == due == [round(each * 1e9 / 2) for each in times]
    assert counts["planned"] == 100
    # Replayed from the folder of the run, it is the same load.
    asked["load__trace__file"] = str(found.path / "trial=0000" / "schedule.parquet")
    asked |= {"load__trace__column": "offset_ns", "load__trace__unit": "ns", "load__speed": 1}
    again = run(tmp_path / "again", str(scenario), **asked)
    assert planned_and_due(again)[1] == due
    assert not [path.name for path in (found.path / "trial=0000").iterdir() if "times" in path.name]


@pytest.mark.full
def test_of_a_run_that_is_cut_short_the_whole_schedule_is_kept(measuring: Start) -> None:
    cut = measuring("run", "smoke", "--no-report", "--duration", "60s")
    cut.until_it_says("measuring")
    cut.send(signal.SIGINT)
    assert cut.code(240) == 130, cut.said()
    found = Run(open_run(cut.run_folder()))
    planned, due = planned_and_due(found)
    assert 0 < len(due) < len(planned) / 2
    assert planned[: len(due)] == due
    assert len(planned) == pytest.approx(150 * 62, rel=0.1)
    assert verify(found.path) == []


@pytest.mark.full
def test_a_crowd_is_told_before_it_comes_and_with_the_run(measuring: Start) -> None:
    crowd = ("--users", "251", "--set", "load.ramp=0s", "--duration", "2s", "--warmup", "1s")
    found = measuring("run", "light", "--no-report", *crowd)
    assert found.code(240) in (0, 3, 99), found.said()
    assert "warning: light: 251 users come at once at the start of load" in found.said()
    run = Run(open_run(found.run_folder()))
    assert any("251 users" in words for words in run.manifest["warnings"])
    stays = run.stored.table("schedule", 0).to_pylist()
    assert [(each["user"], each["offset_ns"]) for each in stays] == [(n, 0) for n in range(251)]
