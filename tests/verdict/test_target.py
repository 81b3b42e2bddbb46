"""A rate that is not sent: noticed while the trial runs, and whose doing it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from perfkit import verdict
from perfkit.frames import gauge
from perfkit.scenario.sending import AbortBelow
from perfkit.verdict.target import MissedRate, TargetRate
from perfkit.verdict.watching import watch_of
from tests.sealed import MS, SECOND, Sketch, dropped, request, sample, seal
from tests.verdict.test_watching import scenario


def below(rate: float) -> AbortBelow:
    return TypeAdapter(AbortBelow).validate_python({"rate": rate, "after": "5s"})


FIVE = below(0.9)


def first_miss(
    moments: Iterator[dict[str, float]], asked: AbortBelow = FIVE
) -> tuple[float, MissedRate] | None:
    watched = TargetRate(asked, 60.0)
    for each in moments:
        if (found := watched.look(each)) is not None:
            return each["elapsed_window_s"], found
    return None


def steady(
    sent_share: Any = 1.0, taken_share: Any = 1.0, rate: float = 100.0, until_s: float = 60.0
) -> Iterator[dict[str, float]]:
    """Five moments a second; shares may depend on the time. 200 were due before the window."""
    due = taken = sent = 200.0
    for tick in range(-5, round(until_s * 5)):
        at_s = tick / 5
        shares = [each(at_s) if callable(each) else each for each in (sent_share, taken_share)]
        yield {"elapsed_window_s": at_s, "due": due, "planned": taken, "sent": sent}
        due += rate / 5
        sent, taken = sent + shares[0] * rate / 5, taken + shares[1] * rate / 5


def test_a_rate_that_is_sent_is_no_reason_to_stop() -> None:
    assert first_miss(steady()) is None
    assert first_miss(steady(sent_share=0.91)) is None


def test_a_rate_that_is_missed_is_borne_for_so_long_and_no_longer() -> None:
    found = first_miss(steady(sent_share=lambda at_s: 1.0 if at_s < 20 else 0.5))
    assert found is not None
    at_s, missed = found
    # Half of what is due is missing: a tenth of five seconds is, after one.
    assert 20.8 < at_s < 21.8
    assert missed.share < 0.9
    assert missed.behind == 0.0
    assert "dropped or waited for a connection" in missed.text


def test_from_the_beginning_of_the_window_it_takes_the_whole_time() -> None:
    found = first_miss(steady(sent_share=0.5))
    assert found is not None
    assert found[0] == 5.0
    assert found[1].share == pytest.approx(0.5)


def test_a_pause_that_is_made_up_for_is_not_missed() -> None:
    def share(at_s: float) -> float:
        return (0.0 if at_s < 12 else 2.0) if 10 <= at_s < 14 else 1.0

    paused = steady(sent_share=share)
    assert first_miss(paused, below(0.5)) is None


def test_what_the_generator_did_not_take_up_is_told_from_what_the_system_held() -> None:
    late = first_miss(steady(sent_share=0.5, taken_share=0.5))
    mixed = first_miss(steady(sent_share=0.5, taken_share=0.75))
    assert late is not None
    assert late[1].behind == pytest.approx(1.0)
    assert mixed is not None
    assert mixed[1].behind == pytest.approx(0.5)


def test_one_request_that_is_on_its_way_is_not_missing() -> None:
    assert first_miss(steady(sent_share=lambda at_s: 0.0 if at_s > 55 else 1.0, rate=0.2)) is None


def test_before_and_after_the_window_nothing_is_judged() -> None:
    late = ({**each, "elapsed_window_s": each["elapsed_window_s"] + 60} for each in steady(0.1))
    early = ({**each, "elapsed_window_s": each["elapsed_window_s"] - 60} for each in steady(0.1))
    assert first_miss(late) is None
    assert first_miss(early) is None


def test_without_counts_nothing_is_judged() -> None:
    assert first_miss({"elapsed_window_s": n / 5} for n in range(100)) is None


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200)), min_size=30, max_size=80))
def test_it_agrees_with_the_slow_oracle(steps: list[tuple[int, int]]) -> None:
    """Five seconds of quarters: what was due and sent between now and 20 moments ago."""
    due, sent, moments = [0], [0], []
    for more_due, more_sent in steps:
        due.append(due[-1] + more_due)
        sent.append(min(due[-1], sent[-1] + more_sent))
    for place, (one, other) in enumerate(zip(due, sent, strict=True)):
        moments.append(
            {"elapsed_window_s": place / 4, "due": one, "planned": one, "sent": float(other)}
        )
    expected = None
    for place in range(20, len(due)):
        grown, went = due[place] - due[place - 20], sent[place] - sent[place - 20]
        if grown - went > 1 and went < 0.9 * grown:
            expected = place / 4
            break
    found = first_miss(iter(moments))
    assert (None if found is None else found[0]) == expected


def test_the_watch_of_a_scenario_looks_at_the_rate() -> None:
    asked = scenario(abort_below={"rate": 0.8, "after": "2s"})
    watch = watch_of(asked)
    assert watch is not None
    found = next(abort for each in steady(0.5, 1.0) if (abort := watch(each)) is not None)
    assert found.threshold == "abort_below 80 % of the rate for 2.00 s"
    assert found.observed == pytest.approx(0.5)
    assert found.behind == 0.0
    assert "failed 2.00 s into the window" in found.text


# The verdict on a trial that was stopped for it.

IDLE: dict[str, Any] = {"cpu_ns": SECOND, "wall_ns": 10 * SECOND, "run_queue_wait_ns": 10 * MS}
STARVED: dict[str, Any] = IDLE | {"run_queue_wait_ns": 2 * SECOND}


def stopped(lag_ns: int, behind: float, generator: dict[str, Any]) -> Sketch:
    rows = []
    for seq in range(100):
        at = 12 * SECOND + seq * 20 * MS
        rows.append(request(seq, at, sent_ns=at + lag_ns, done_ns=at + lag_ns + MS))
    rows += [dropped(seq, 15 * SECOND) for seq in range(100, 150)]
    aborted = {
        "at_ns": 17 * SECOND,
        "threshold": "abort_below 90 % of the rate for 5.00 s",
        "observed": 0.66,
        "text": "abort_below failed",
        "behind": behind,
    }
    told = {"outcome": "partial", "reason": "aborted: abort_below failed", "aborted": aborted}
    return Sketch(rows, facts={"generator": generator, **told})


def test_a_system_that_took_up_too_little_is_saturated(tmp_path: Path) -> None:
    found = verdict.judge(seal(tmp_path, stopped(MS, 0.0, IDLE)))
    assert found.status == "FAIL"
    assert found.trials[0].state == "saturated"
    assert "stopped: abort_below failed" in found.reasons
    assert any(reason.startswith("SATURATED: requests waited") for reason in found.reasons)


def test_a_generator_that_was_late_of_its_own_making_makes_the_trial_invalid(
    tmp_path: Path,
) -> None:
    found = verdict.judge(seal(tmp_path, stopped(50 * MS, 0.9, IDLE)))
    assert found.status == "INVALID"
    assert found.reasons[0].startswith("late sending of the generator's own making: 100.0 %")
    assert "stopped: abort_below failed" in found.reasons


def test_one_that_sent_nothing_by_which_to_judge_it_is_late_too(tmp_path: Path) -> None:
    sketch = stopped(MS, 0.9, IDLE)
    sketch.requests = sketch.requests[100:]
    found = verdict.judge(seal(tmp_path, sketch))
    assert found.status == "INVALID"
    assert found.reasons[0] == "late sending of the generator's own making"


def test_a_generator_whose_core_was_taken_says_that_the_host_was_saturated(tmp_path: Path) -> None:
    found = verdict.judge(seal(tmp_path, stopped(50 * MS, 0.9, STARVED)))
    assert found.status == "FAIL"
    assert found.trials[0].saturated
    assert any("the host was saturated" in reason for reason in found.reasons)


# A load that several processes sent.


def shards_of(*cpu_ns: int, **given: Any) -> dict[str, Any]:
    return {
        "cpu_ns": sum(cpu_ns),
        "wall_ns": 10 * SECOND,
        "run_queue_wait_ns": 10 * MS,
        "shards": len(cpu_ns),
        "by_shard": [
            {
                "shard": number,
                "rows": 50,
                "counted": 50,
                "unreached": 0,
                "cpu_ns": used_ns,
                "wall_ns": 10 * SECOND,
                "run_queue_wait_ns": 10 * MS,
            }
            | given
            for number, used_ns in enumerate(cpu_ns, 1)
        ],
    }


def test_the_busiest_shard_is_the_one_that_is_judged(tmp_path: Path) -> None:
    generator = shards_of(SECOND, 9_500 * MS, SECOND)
    sketch = Sketch([request(0)], facts={"generator": generator})
    found = verdict.lateness(seal(tmp_path, sketch), 0)
    assert found.cpu_share == 0.95


def test_a_shard_that_died_makes_the_trial_invalid_and_is_named(tmp_path: Path) -> None:
    words = "load shard 2 of 3 died (signal 9) at 12.3 s"
    sketch = Sketch(
        [request(0)],
        facts={
            "generator": shards_of(SECOND, SECOND, SECOND),
            "outcome": "partial",
            "reason": words,
            "processes": {"generator-2": {"pid": 7, "role": "generator", "pool": None}},
            "deaths": [{"name": "generator-2", "at_ns": 22 * SECOND, "status": -9, "text": words}],
        },
    )
    found = verdict.judge(seal(tmp_path, sketch))
    assert found.status == "INVALID"
    assert found.trials[0].reasons[0] == words


def test_a_shard_whose_rows_are_not_those_it_counted_makes_the_trial_invalid(
    tmp_path: Path,
) -> None:
    generator = shards_of(SECOND, SECOND, counted=51)
    found = verdict.judge(seal(tmp_path, Sketch([request(0)], facts={"generator": generator})))
    assert found.status == "INVALID"
    assert "lost rows: load shard 1 of 2 counted 51 requests, its rows are 50" in found.reasons


def test_the_busiest_shard_is_what_a_threshold_on_the_generator_sees(tmp_path: Path) -> None:
    readings = {"generator-1": (0.0, 0.2, 0.3), "generator-2": (5.0, 5.1, 5.9)}
    samples = [
        sample(2.0 + second, "process.cpu_ns", used_s * 1e9, name)
        for name, used in readings.items()
        for second, used_s in enumerate(used)
    ]
    run = seal(tmp_path, Sketch([request(0)], samples=samples))
    found = gauge(run, 0, "generator.cpu", spans=((10 * SECOND, 21 * SECOND),))
    assert found.values.tolist() == pytest.approx([0.2, 0.8])
