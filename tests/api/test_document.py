"""The outcome as JSON: a contract that scripts rely on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perfkit.api.document import exit_code, outcome
from perfkit.api.runs import Run
from tests.examples import example
from tests.sealed import INSTANTS, SECOND, Sketch, delivery, request, seal

ACCOUNTING = {
    "planned", "sent", "dropped", "late", "blocked", "accepted", "refused", "errored", "done",
    "done_unacked", "dead", "pending", "stranded", "lost", "unexplained", "phantom", "duplicated",
    "redelivered", "ambiguous", "double_charges", "charges_stopped", "stalled_max",
    "answered",
}  # fmt: skip


@pytest.mark.parametrize("name", ["good", "bad"])
def test_the_document_has_the_promised_keys_and_is_strict_json(name: str) -> None:
    document = outcome(example(name))
    assert {"run_dir", "report", "verdict", "accounting", "faults", "thresholds"} <= set(document)
    assert set(document["verdict"]) == {"status", "reasons"}
    assert set(document["accounting"]) == ACCOUNTING
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_a_run_that_held_exits_with_nought_and_one_that_failed_with_ninety_nine() -> None:
    assert exit_code(example("good")) == 0
    assert exit_code(example("bad")) == 99


def test_a_threshold_says_its_claim_its_part_and_whether_it_applies() -> None:
    results = outcome(example("bad"))["thresholds"]
    assert {"claimed", "applicable", "over", "limit_high", "unit", "state"} <= set(results[0])
    assert {each["state"] for each in results} >= {"failed", "held", "not applicable at this load"}
    assert all(each["applicable"] for each in results if each["state"] == "held")


def test_what_was_broken_is_there_from_the_start_of_the_window_with_what_it_cost(
    tmp_path: Path,
) -> None:
    at = INSTANTS["window_start"] + 2 * SECOND
    fault = {"action": "kill", "target": "worker", "at_ns": at, "done_ns": at, "ended_ns": None}
    said = {"victim": "worker-1 (pid 7)", "done": True, "error": None}
    sketch = Sketch([request(0)], [delivery(request(0))], facts={"faults": [fault | said]})
    (found,) = outcome(Run(seal(tmp_path, sketch)))["faults"]
    assert (found["action"], found["target"], found["at_s"], found["done"]) == (
        "kill", "worker", 2.0, True,
    )  # fmt: skip
    assert (found["trial"], found["victim"]) == (0, "worker-1 (pid 7)")
    assert (found["redelivered"], found["lost"], found["ended_at_s"]) == (0.0, 0.0, None)
    assert found["p99_during_ns"] is None


def test_changes_of_workers_are_there_with_the_time_they_took() -> None:
    events = outcome(example("bad"))["scale_events"]
    assert [(each["from_workers"], each["to_workers"]) for each in events] == [(1, 2), (2, 1)]
    assert events[0]["trial"] == 4
    assert 0 < events[0]["took_s"] < 1
    assert events[0]["error"] is None


def test_a_trial_that_was_not_aborted_says_so() -> None:
    assert {each["aborted"] for each in outcome(example("bad"))["trials"]} == {None}
