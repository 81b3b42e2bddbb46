"""Finding a run that measures somebody else's server: there is no stack, and its load is seen."""

from __future__ import annotations

import json
from array import array
from pathlib import Path
from typing import Any

import pytest

from perfkit import owner
from perfkit.clock import SystemClock
from perfkit.monitor.attachment import Finder
from perfkit.monitor.finders import OwnerFinder, RunFinder
from perfkit.monitor.live import LiveFeed
from perfkit.recorder.ledger import Ledger
from perfkit.store.layout import FACTS, MANIFEST, UNSEALED

SECOND = 1_000_000_000


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run that this process measures, before its first trial."""
    folder = tmp_path / "shop" / "20261124-120000-abcd"
    folder.mkdir(parents=True)
    (folder / UNSEALED).write_text(json.dumps({"owner": owner.this_process()}))
    other = tmp_path / "shop" / "20261124-110000-ffff"
    other.mkdir()
    (other / UNSEALED).write_text(json.dumps({"owner": {"pid": 1, "started": 1, "boot": "x"}}))
    return folder


def _begin(run: Path, **facts: Any) -> Path:
    trial = run / "trial=0000.partial"
    trial.mkdir(exist_ok=True)
    known = {"label": "shop #1", "jobs_recorded": False, "document": {}}
    (trial / FACTS).write_text(json.dumps(known | facts))
    return trial


def _send(trial: Path, count: int) -> None:
    none = array("q", [-1] * count)
    made = Ledger(trial / "requests.ledger", {"version": 1}, array("q", [0] * count), none, none)
    now_ns = SystemClock().now_ns()
    made.begin(array("q", [now_ns - SECOND] * count))
    for row in range(count):
        made.sent(row, now_ns - SECOND + 1_000_000, 0)
    made.close()


def _finders(run: Path) -> list[Finder]:
    leases = run.parent.parent / ".leases"
    return [RunFinder(leases, run), OwnerFinder(leases, owner.this_process())]


@pytest.mark.parametrize("which", [0, 1], ids=["by its folder", "by its process"])
def test_the_load_of_a_run_without_a_stack_is_watched(run: Path, which: int) -> None:
    feed = LiveFeed(_finders(run)[which])
    try:
        assert feed.look().mode == "waiting"
        start_ns = SystemClock().now_ns() - 2 * SECOND
        instants = {"load_start": start_ns, "window_start": start_ns, "load_end": start_ns * 2}
        trial = _begin(run, instants_ns=instants)
        before = feed.look()
        assert (before.mode, before.broken) == ("live", ()), "not yet sending is no fault"
        _send(trial, 50)
        seen = feed.look()
    finally:
        feed.close()
    assert seen.subject == "run 20261124-120000-abcd, shop #1"
    assert list(seen.sources) == ["load"]
    assert seen.load is not None
    assert (seen.load.phase, seen.load.sent, seen.load.offered) == ("measure", 50, 10.0)
    assert seen.redis is None
    assert seen.totals.workers is None


def test_a_trial_whose_stack_is_not_up_yet_is_waited_for(run: Path) -> None:
    _begin(run, jobs_recorded=True)
    for finder in _finders(run):
        found = finder()
        assert (found.attachment, found.ended) == (None, False)
        assert found.waiting


def test_a_sealed_run_is_over(run: Path) -> None:
    _begin(run)
    (run / MANIFEST).write_text("{}")
    found = RunFinder(run.parent.parent / ".leases", run)()
    assert (found.attachment, found.ended, found.waiting) == (None, True, "the run is over")


def test_what_is_half_written_is_not_there_yet(run: Path) -> None:
    trial = run / "trial=0000.partial"
    trial.mkdir()
    for text in ("", "{", "[]", '{"jobs_recorded": null}'):
        (trial / FACTS).write_text(text)
        assert [each().attachment for each in _finders(run)] == [None, None]
