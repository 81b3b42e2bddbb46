"""Short trials are kept in memory, long ones stay in their files: nobody can tell."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from perfkit import frames, verdict
from perfkit.paths import example_data
from perfkit.store import open_run
from tests.sealed import Sketch, delivery, request, sample, seal

# The package gives its function the name of its module.
session_module: Any = importlib.import_module("perfkit.frames.session")

ROWS = [request(0), request(1, user=3)]
SKETCH = Sketch(ROWS, [delivery(row) for row in ROWS], [sample(1, "redis.up", 1.0)])


def kind_of(folder: Path) -> set[str]:
    with frames.session(seal(folder, SKETCH), 0) as sql:
        return {
            kind
            for (kind,) in sql.rows(
                "select distinct table_type from information_schema.tables"
                " where table_name in ('requests', 'jobs', 'decided', 'job')"
            )
        }


def test_rows_are_kept_up_to_a_number_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "_MOST_KEPT", 5)
    assert kind_of(tmp_path / "kept") == {"BASE TABLE"}
    monkeypatch.setattr(session_module, "_MOST_KEPT", 4)
    assert kind_of(tmp_path / "read") == {"VIEW"}


def test_what_is_read_of_a_run_does_not_depend_on_where_its_rows_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def found() -> tuple[Any, ...]:
        run = open_run(example_data() / "bad")
        judged = (verdict.accounting, verdict.saturation, verdict.recoveries, verdict.lateness)
        return *(each(run, 0) for each in judged), frames.jobs(run, 0), frames.stages(run, 0)

    kept = found()
    monkeypatch.setattr(session_module, "_MOST_KEPT", 0)
    for one, other in zip(kept, found(), strict=True):
        if isinstance(one, pd.DataFrame):
            pd.testing.assert_frame_equal(one, other, check_exact=True)
        else:
            assert repr(one) == repr(other)  # NaN is not equal to itself


def test_columns_come_as_arrays_in_which_the_missing_is_masked(tmp_path: Path) -> None:
    with frames.session(seal(tmp_path, SKETCH), 0) as sql:
        found = sql.arrays('select seq, queue, "user" from requests order by seq')
        none = sql.arrays("select seq from requests where seq > $1", [7])
    assert found["seq"].tolist() == [0, 1]
    assert found["queue"].tolist() == ["payments", "payments"]
    assert np.ma.getmaskarray(found["user"]).tolist() == [True, False]
    assert none["seq"].shape == (0,)
