"""The outcome as JSON: a contract that scripts rely on."""

from __future__ import annotations

import json

import pytest

from perfkit.api.document import exit_code, outcome
from perfkit.api.history import example_run

ACCOUNTING = {
    "planned", "sent", "dropped", "late", "blocked", "accepted", "refused", "errored", "done",
    "done_unacked", "dead", "pending", "stranded", "lost", "unexplained", "phantom", "duplicated",
    "redelivered", "ambiguous",
}  # fmt: skip


@pytest.mark.parametrize("name", ["good", "bad"])
def test_the_document_has_the_promised_keys_and_is_strict_json(name: str) -> None:
    document = outcome(example_run(name))
    assert {"run_dir", "report", "verdict", "accounting", "faults", "thresholds"} <= set(document)
    assert set(document["verdict"]) == {"status", "reasons"}
    assert set(document["accounting"]) == ACCOUNTING
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_a_run_that_held_exits_with_nought_and_one_that_failed_with_ninety_nine() -> None:
    assert exit_code(example_run("good")) == 0
    assert exit_code(example_run("bad")) == 99
