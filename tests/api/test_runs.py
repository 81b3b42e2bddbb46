"""A sealed run, as notebooks read it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from perfkit.api.runs import Run
from tests.courses import Phase, phased
from tests.sealed import seal


def test_every_frame_and_judgement_of_a_run_is_a_method(tmp_path: Path) -> None:
    phases = [Phase("calm", 6, 20), Phase("spike", 6, 40), Phase("after", 6, 20)]
    run = Run(seal(tmp_path, phased(*phases)))
    tables = [
        run.phases(),
        run.scale_events(),
        run.worker_time(),
        run.workers_over_time(0),
        run.slow_commands(),
        run.latency_events(),
    ]
    assert all(isinstance(each, pd.DataFrame) for each in tables)
    assert run.phases()["state"].tolist() == ["carried"] * 3
    assert run.verdict().status == "PASS"
    assert run.headline().lines[0] == "1 worker carried up to 40.0/s."
