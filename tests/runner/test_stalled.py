"""A worker is killed for real: who waits for recovery is known while it lasts, and afterwards."""

from __future__ import annotations

import pytest

from perfkit.api.runs import Run, open_run
from perfkit.plan import build
from perfkit.runner import Interrupt, Options, Progress, conduct

TICK_S = 0.2
HEARTBEAT_S = 3.0
# Jobs long enough that each worker holds some at any instant, and none that fails: a retry that the
# dead worker had put aside is in the live count alone, since the records tell of deliveries.
VALUES = {
    "rate": 40.0,
    "warmup": "1s",
    "duration": "7s",
    "drain": "15s",
    "preset": "low-latency",
    "gateway.payments.median": "400ms",
    "gateway.notifications.median": "400ms",
    "gateway.webhooks.median": "400ms",
    "gateway.payments.errors": 0.0,
    "gateway.notifications.errors": 0.0,
    "gateway.webhooks.errors": 0.0,
    "stack.threads": 16,
    "stack.heartbeat_timeout": f"{HEARTBEAT_S:g}s",
    "stack.maintenance_chance": 200_000,
}


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, list[Progress]]:
    told: list[Progress] = []
    plan = build(["smoke"], values=VALUES, faults=["kill worker:worker-2 at 2s"])
    options = Options(results=tmp_path_factory.mktemp("results"))
    return open_run(conduct(plan, options, told.append, Interrupt())), told


def live(run: Run) -> list[tuple[float, int]]:
    """Readings of all queues together: seconds since the start of load, jobs."""
    start = run.stored.facts(0).instants.load_start
    samples = run.samples(metric="queue.stalled")
    samples = samples[samples["at_ns"] >= start]
    return [
        ((at_ns - start) / 1e9, int(value))
        for at_ns, value in samples.groupby("at_ns")["value"].sum().items()
    ]


def recorded(run: Run, at_s: float) -> int:
    """The same by the frames, at one instant."""
    steps = run.stalled(0)
    before = steps[steps["at_s"] <= at_s]
    return int(before.groupby("queue")["stalled"].last().sum())


def death_s(run: Run) -> float:
    facts = run.trial_facts(0)
    (death,) = facts["deaths"]
    return float(death["at_ns"] - facts["instants_ns"]["load_start"]) / 1e9


def test_the_live_count_is_that_of_the_frames_within_a_tick(
    killed: tuple[Run, list[Progress]],
) -> None:
    run, _ = killed
    died = death_s(run)
    readings = live(run)
    assert {count for at, count in readings if at < died - TICK_S} == {0}
    # Nobody takes over before the heartbeat timeout, so the counts stand still.
    held = [(at, count) for at, count in readings if died + TICK_S < at < died + HEARTBEAT_S - 1]
    assert len(held) >= 5
    assert {count for _, count in held} == {recorded(run, held[0][0])}
    assert held[0][1] > 3
    last = max(at for at, count in readings if count)
    steps = run.stalled(0)
    ends = steps[(steps["stalled"] > 0)]["at_s"].max()
    assert last <= steps[steps["at_s"] > ends]["at_s"].min() + TICK_S
    assert readings[-1][1] == recorded(run, readings[-1][0]) == 0
    assert run.accounting().counts()["stalled_max"] == held[0][1]


def test_it_is_told_while_it_lasts_and_drawn(killed: tuple[Run, list[Progress]]) -> None:
    run, told = killed
    stalled = [each.figures["stalled"] for each in told if "stalled" in each.figures]
    assert max(stalled) == max(count for _, count in live(run))
    assert stalled[-1] == 0
    backlog = run.backlog(0)
    assert backlog["stalled"].max() > 0
    assert (backlog["stalled"].fillna(0) <= backlog["in_flight"] + backlog["delayed"]).all()


def test_nothing_of_it_is_unexplained_and_the_keeper_is_sampled(
    killed: tuple[Run, list[Progress]],
) -> None:
    run, _ = killed
    assert run.accounting().unexplained == 0
    subjects = set(run.samples(metric="process.rss_anon_bytes")["subject"])
    assert {"perfkit", "keeper", "generator"} <= subjects
