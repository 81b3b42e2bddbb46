"""A run as text: every trial by the name it has everywhere, with what it was asked and got."""

from __future__ import annotations

import perfkit
from perfkit.api.text import run_text
from perfkit.paths import example_data


def test_each_trial_has_its_name_its_load_its_n_and_all_that_is_said_of_it() -> None:
    run = perfkit.open_run(example_data() / "bad")
    lines = run_text(run).splitlines()
    [head] = [line for line in lines if line.lstrip().startswith("trial ")]
    assert head.split("  ")[1:2] == ["trial"]
    for column in ("offered", "came due", "achieved", " n ", "state"):
        assert column in head
    rows = lines[lines.index(head) + 1 :]
    for trial, row in zip(run.trials().to_dict("records"), rows, strict=False):
        assert row.lstrip().startswith(trial["title"])
        assert row.endswith(f"{trial['status'].lower()}, {trial['state']}")
