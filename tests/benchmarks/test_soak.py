"""The soak: faults that can be carried out, and a judgement that tells a leak from a level."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perfkit.api.runs import Run
from perfkit.plan import build
from perfkit.scenario import parse_fault
from tests.benchmarks import soak
from tests.sealed import INSTANTS, SECOND, Sketch, delivery, request, sample, seal

MIB = 2.0**20
MINUTES = 10
END = INSTANTS["window_start"] + MINUTES * 60 * SECOND
LONG = INSTANTS | dict.fromkeys(("window_end", "load_end", "drain_end"), END)
PROCESSES = {
    "perfkit": {"pid": 1, "role": "perfkit", "pool": None},
    "keeper": {"pid": 2, "role": "perfkit", "pool": None},
    "generator": {"pid": 3, "role": "generator", "pool": None},
    "redis": {"pid": 4, "role": "redis", "pool": None},
}


@pytest.mark.parametrize("seed", range(20))
def test_faults_are_what_a_scenario_takes_and_no_two_come_at_once(seed: int) -> None:
    texts = soak.schedule(5, seed)
    assert texts == soak.schedule(5, seed)
    faults = [parse_fault(text) for text in texts]
    build([soak.SCENARIO], values={"duration": "5m"}, faults=texts)
    assert len(faults) > 10
    assert [fault.action for fault in faults].count("poison") == 1
    assert faults[-1].action == "poison"
    ends_ns = 0
    for fault in faults:
        assert fault.at_ns >= ends_ns
        ends_ns = fault.at_ns + (fault.for_ns or 0)
    assert not {"fill", "restart", "cut"} & {fault.action for fault in faults}
    assert not any(fault.target == "redis" and fault.action == "kill" for fault in faults)


def test_another_seed_breaks_other_things() -> None:
    assert soak.schedule(5, 1) != soak.schedule(5, 2)


def test_what_is_too_short_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert soak.main(["--minutes", "0.5"]) == 2
    assert "too short" in capsys.readouterr().err


Memory = Callable[[float], float]


def a_run(folder: Path, jobs: list[dict[str, Any]] | None = None, **memory: Memory) -> Run:
    """Ten minutes at one reading in two seconds; of each process MiB by minute, and noise."""
    noise = np.random.default_rng(1)
    level: dict[str, Memory] = dict.fromkeys(PROCESSES, lambda _: 50.0)
    samples = [
        sample(
            1 + second,
            "process.rss_anon_bytes",
            MIB * (size(second / 60) + noise.normal(scale=0.1)),
            name,
        )
        for name, size in (level | memory).items()
        for second in range(0, MINUTES * 60, 2)
        if not math.isnan(size(second / 60))
    ]
    row = request(0)
    jobs = [delivery(row)] if jobs is None else jobs
    sketch = Sketch([row], jobs, samples, facts={"instants_ns": LONG, "processes": PROCESSES})
    return Run(seal(folder, sketch))


def words(run: Run) -> dict[str, str]:
    return {each.process: each.word for each in soak.growth(run) if each.judged}


def test_level_memory_is_flat_and_the_systems_own_is_not_judged(tmp_path: Path) -> None:
    run = a_run(tmp_path, redis=lambda minute: 50 + 5 * minute)
    assert words(run) == {"generator": "FLAT", "keeper": "FLAT", "perfkit": "FLAT"}
    (redis,) = [each for each in soak.growth(run) if each.process == "redis"]
    assert redis.slope == pytest.approx(5, rel=0.05)
    assert soak.judge(run).code == 0
    assert soak.judge(run).lines[-1].startswith("SOUND")


def test_a_leak_is_found_with_its_slope(tmp_path: Path) -> None:
    run = a_run(tmp_path, perfkit=lambda minute: 50 + minute)
    (leak,) = [each for each in soak.growth(run) if each.process == "perfkit"]
    assert leak.word == "GROWS"
    assert leak.low < 1 < leak.high
    assert soak.judge(run).code == 1


def test_what_fills_during_the_warm_up_is_no_leak(tmp_path: Path) -> None:
    run = a_run(tmp_path, perfkit=lambda minute: min(50, 20 + 20 * minute))
    assert words(run)["perfkit"] == "FLAT"


def test_a_process_that_was_not_sampled_is_unknown(tmp_path: Path) -> None:
    run = a_run(tmp_path, keeper=lambda _: math.nan)
    judged = soak.judge(run)
    assert judged.code == 5
    assert "keeper was not sampled" in judged.lines
    assert "UNKNOWN" in judged.lines[-1]


def test_a_job_that_nothing_explains_is_not_sound(tmp_path: Path) -> None:
    judged = soak.judge(a_run(tmp_path, jobs=[]))
    assert judged.code == 1
    assert "1 jobs are unexplained" in judged.lines
    assert judged.lines[-1] == "NOT SOUND"
