"""Several load generators as one, for real: on a stack, and each way it may end."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from perfkit.api.document import outcome
from perfkit.api.runs import Run, open_run
from perfkit.errors import ChildDied, UsageError
from perfkit.launcher.keeper import start_ticks
from perfkit.launcher.placement import Placement, place
from perfkit.plan import build
from perfkit.runner import sharding
from perfkit.runner.ceiling import CEILING, refuse_above_ceiling
from perfkit.runner.sharding import UNMEASURED_PER_S, shards_of, shards_wanted
from perfkit.runner.shards import ShardedGenerator, generator_of, summed
from perfkit.runner.target import Target
from perfkit.scenario import Scenario, load_document, parse, with_values
from tests.leaks import assert_gone, descendants_of, identities
from tests.load.specs import S, spec_for
from tests.runner.conftest import Measuring, Start, generators
from tests.waiting import wait_until

SHORT = ["--warmup", "500ms", "--drain", "15s", "--no-report"]


def scenario(name: str = "smoke", **values: Any) -> Scenario:
    document, _ = load_document(name)
    return parse(
        with_values(document, {key.replace("__", "."): value for key, value in values.items()}),
        "case",
    )


# How many


@pytest.fixture(autouse=True)
def no_ceiling_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CEILING, raising=False)


def test_a_number_is_taken_as_it_is(tmp_path: Path) -> None:
    asked = scenario(load__shards=3)
    assert shards_wanted(asked, tmp_path) == 3
    assert shards_of(asked, 3, cores=1) == 3


def test_auto_takes_what_the_peak_needs_within_the_instruments_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = scenario(rate=2.5 * UNMEASURED_PER_S)
    assert shards_wanted(scenario(), tmp_path) == 1
    assert shards_wanted(asked, tmp_path) == 4  # each at four fifths of it
    assert [shards_of(asked, 4, cores) for cores in (1, 2, 8)] == [1, 2, 4]
    monkeypatch.setenv(CEILING, str(10 * UNMEASURED_PER_S))
    assert shards_wanted(asked, tmp_path) == 1


def test_auto_leaves_no_shard_without_a_connection(tmp_path: Path) -> None:
    assert shards_wanted(scenario(rate=1e6, load__connections=2), tmp_path) == 2


def test_users_without_think_time_are_sent_by_one_process_unless_told(tmp_path: Path) -> None:
    think = {"load__think__low": "0s", "load__think__high": "0s"}
    assert shards_wanted(scenario("light", **think), tmp_path) == 1
    assert shards_wanted(scenario("light", **think, load__shards=2), tmp_path) == 2


def test_a_rate_above_the_ceiling_of_its_shards_is_refused_with_the_number_that_would_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CEILING, "1000")
    (trial,) = build(["smoke"], values={"rate": 1500.0, "shards": 1}).trials
    with pytest.raises(UsageError, match="1 shard of the generator can send 1000/s") as refused:
        refuse_above_ceiling([trial], tmp_path)
    assert "--shards 2" in refused.value.mend
    (trial,) = build(["smoke"], values={"rate": 1500.0, "shards": 2}).trials
    refuse_above_ceiling([trial], tmp_path)


def test_with_four_cores_the_instrument_gets_one_for_each_shard_but_leaves_half() -> None:
    assert place(available=range(8), own=2) == Placement((0, 1, 2, 3, 4, 5), (6, 7))
    assert place(available=range(4), own=9) == Placement((0, 1), (2, 3))
    assert place(available=range(2), own=2) == Placement((0, 1), (0, 1))


def test_straight_into_the_queues_one_process_sends() -> None:
    assert sharding.shards_wanted(scenario_that_enqueues(), Path()) == 1
    with pytest.raises(UsageError, match=r"load\.shards.*one process enqueues"):
        scenario_that_enqueues(shards=2)


def scenario_that_enqueues(**load: Any) -> Scenario:
    document = {
        "name": "straight",
        "load": {"model": "open", "via": "enqueue", "rate": 5.0} | load,
        "job": [{"queue": "payments", "actor": "pay"}],
        "gateway": {"payments": {"median": "40ms"}},
    }
    return parse(document, "straight.toml")


# Their figures


def said(elapsed_s: float, sent: int) -> dict[str, Any]:
    return {"elapsed_s": elapsed_s, "planned": sent + 1, "sent": sent, "in_flight": 2, "done": 1,
            "dropped": 1, "errors": 3, "lag_ms": elapsed_s / 10}  # fmt: skip


def test_counts_are_added_up_once_every_shard_has_told_some() -> None:
    assert summed([said(2.0, 10), {}]) == {}
    assert summed([said(2.0, 10), said(3.0, 5)]) == {
        "elapsed_s": 2.5,
        "planned": 17,
        "sent": 15,
        "in_flight": 4,
        "done": 2,
        "dropped": 2,
        "errors": 6,
        "lag_ms": 0.3,
    }


def test_what_is_due_is_told_of_the_moment_of_the_counts_unless_those_are_old() -> None:
    target = Target(np.arange(0, 100 * S, S // 10))
    target.start_ns = 1000 * S
    assert target.due(3.0, 1003 * S + S // 2) == 31
    assert target.due(3.0, 1010 * S) == 81


# Processes, without a stack


@contextlib.contextmanager
def sharded(folder: Path, shards: int = 3, **spec: Any) -> Iterator[ShardedGenerator]:
    (folder / "logs").mkdir()
    generator = generator_of(spec_for(folder, **spec), folder, shards)
    assert isinstance(generator, ShardedGenerator)
    processes = identities(generator.processes.values())
    assert len(processes) == shards
    try:
        yield generator
    finally:
        generator.close(1.0)
    assert_gone(processes)


def test_all_wait_for_their_go_and_end_in_order(tmp_path: Path) -> None:
    with sharded(tmp_path) as generator:
        generator.wait_loaded()
        assert not generator.ended()
        generator.close()
        assert generator.ended()
        assert generator.death is None
        assert list(generator.processes) == ["generator-1", "generator-2", "generator-3"]


def test_one_that_ends_before_it_is_ready_is_named(tmp_path: Path) -> None:
    with (
        sharded(tmp_path, 2, cpus=(4095,)) as generator,
        pytest.raises(ChildDied, match=r"load shard 1 of 2 ended before it was ready(.|\n)*CPUs"),
    ):
        generator.wait_loaded()


def test_one_that_does_not_hear_sigterm_is_killed_and_so_is_no_other(tmp_path: Path) -> None:
    with sharded(tmp_path) as generator:
        generator.wait_loaded()
        deaf = generator.processes["generator-2"]
        os.kill(deaf, signal.SIGSTOP)
        generator.close(0.3)
        assert start_ticks(deaf) is None
        assert generator.ended()
        assert generator.death is None, "we did that ourselves"


@pytest.mark.parametrize(
    ("number", "how"), [(signal.SIGKILL, "signal 9"), (signal.SIGTERM, "exit status 0")]
)
def test_one_that_dies_is_named_and_stops_the_others(
    tmp_path: Path, number: signal.Signals, how: str
) -> None:
    with sharded(tmp_path, load_ns=60 * S) as generator:
        generator.wait_loaded()
        generator.go(time.monotonic_ns() + S // 2)
        os.kill(generator.processes["generator-2"], number)
        wait_until(generator.ended, 30, "the others have ended too")
        assert generator.death is not None
        assert generator.death.name == "generator-2"
        assert f"load shard 2 of 3 died ({how})" in generator.death.text


# On a stack


def sealed(run: Measuring) -> Run:
    return open_run(run.run_folder())


def requests_of(run: Run) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(run.path / "trial=0000/requests.parquet").to_pylist()
    return rows


def test_two_shards_are_one_load(measuring: Start) -> None:
    one = measuring("run", "smoke", "--duration", "4s", "--rate", "100", *SHORT)
    assert one.code(120) in (0, 3, 99), one.said()  # 3: late, on a busy machine
    alone = requests_of(sealed(one))
    for each in one.results.glob("smoke/*"):
        each.rename(one.results.parent / "alone")
    two = measuring("run", "smoke", "--duration", "4s", "--rate", "100", "--shards", "2", *SHORT)
    assert two.code(120) in (0, 3, 99), two.said()
    run = sealed(two)
    counts = outcome(run)["accounting"]
    assert counts["planned"] == counts["done"] > 300
    assert counts["unexplained"] == 0
    rows = requests_of(run)
    offsets, keys = [], []
    for found in (alone, rows):
        offsets.append([row["intended_ns"] - found[0]["intended_ns"] for row in found])
        keys.append([(row["seq"], row["key"], row["queue"]) for row in found])
    assert offsets[0] == offsets[1]
    assert keys[0] == keys[1]
    facts = run.trial_facts(0)
    assert facts["generator"]["shards"] == 2
    halves = [each["planned"] for each in facts["generator"]["by_shard"]]
    assert sum(halves) == len(rows)
    assert abs(halves[0] - halves[1]) <= 1
    assert {"generator-1", "generator-2"} <= set(facts["processes"])
    watched = set(run.resources(0)["process"])
    assert {"generator-1", "generator-2"} <= watched
    assert sorted(path.name for path in (run.path / "trial=0000").glob("shard-*")) == []


def test_a_shard_that_is_killed_ends_the_trial_which_is_invalid_and_names_it(
    measuring: Start,
) -> None:
    run = measuring("run", "smoke", "--duration", "30s", "--shards", "3", *SHORT)
    run.until_it_says("measuring")
    processes = identities(descendants_of(run.process.pid))
    os.kill(generators(run)["shard-2"], signal.SIGKILL)
    assert run.code(120) == 3, run.said()
    assert_gone(processes)
    found = sealed(run)
    verdict = found.verdict()
    assert verdict.status == "INVALID"
    assert verdict.reasons[0].startswith("load shard 2 of 3 died (signal 9) at ")
    facts = found.trial_facts(0)
    ports = {int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", json.dumps(facts["stack"]))}
    assert len(ports) >= 2
    assert_gone(processes, ports)
    assert facts["outcome"] == "partial"
    assert [death["name"] for death in facts["deaths"]] == ["generator-2"]
    assert (found.manifest["status"], found.manifest["reason"]) == ("partial", "1 trial failed")
    rows, shards = requests_of(found), facts["generator"]["by_shard"]
    assert all(each["rows"] > 0 for each in shards), "its rows up to the kill are kept"
    assert len(rows) == sum(each["rows"] + each["unreached"] for each in shards)
    # What came due up to the end is there, whoever should have sent it.
    assert [row["seq"] for row in rows] == list(range(len(rows)))
    counts = outcome(found)["accounting"]
    assert counts["planned"] == counts["sent"] + counts["dropped"] == len(rows)


@pytest.mark.full
def test_ctrl_c_stops_every_shard_and_seals_what_was_measured(measuring: Start) -> None:
    run = measuring("run", "smoke", "--shards", "2", *SHORT)
    run.until_it_says("measuring")
    processes = identities(descendants_of(run.process.pid))
    run.send(signal.SIGINT)
    assert run.code(120) == 130, run.said()
    assert_gone(processes)
    found = sealed(run)
    assert (found.manifest["status"], found.manifest["reason"]) == ("partial", "interrupted")
    rows = requests_of(found)
    assert [row["seq"] for row in rows] == list(range(len(rows)))
    assert found.trial_facts(0)["deaths"] == []


@pytest.mark.full
@pytest.mark.parametrize("moment", ["starting", "warming up"])
def test_an_interrupt_before_the_window_leaves_a_sealed_run_too(
    measuring: Start, moment: str
) -> None:
    run = measuring("run", "smoke", "--shards", "2", "--warmup", "20s", "--no-report")
    run.until_it_says(moment)
    run.send(signal.SIGINT)
    assert run.code(120) == 130, run.said()
    assert json.loads((run.run_folder() / "manifest.json").read_text())["status"] == "partial"


@pytest.mark.full
def test_a_killed_perfkit_leaves_no_shard_and_repair_merges_their_rows(measuring: Start) -> None:
    run = measuring("run", "smoke", "--shards", "2", *SHORT)
    run.until_it_says("measuring")
    processes = identities(descendants_of(run.process.pid))
    os.kill(run.process.pid, signal.SIGKILL)
    run.code()
    assert_gone(processes)
    mended = measuring("repair")
    assert mended.code() == 0, mended.said()
    rows = requests_of(sealed(run))
    assert len(rows) > 20
    assert [row["seq"] for row in rows] == list(range(len(rows)))


@pytest.mark.full
def test_a_rate_that_the_system_does_not_take_stops_the_trial_as_saturated(
    measuring: Start,
) -> None:
    run = measuring(
        *("run", "smoke", "--duration", "60s", "--rate", "3000", "--shards", "2"),
        *("--set", "load.max_in_flight=2", "--set", "load.connections=2"),
        *("--set", "load.abort_below.after=2s", *SHORT),
    )
    assert run.code(120) == 99, run.said()
    found = sealed(run)
    facts = found.trial_facts(0)
    assert facts["outcome"] == "partial"
    assert facts["aborted"]["behind"] < 0.5
    assert facts["aborted"]["observed"] < 0.9
    assert found.manifest["status"] == "complete"
    verdict = found.verdict()
    assert verdict.status == "FAIL"
    assert verdict.trials[0].state == "saturated"


@pytest.mark.full
def test_a_generator_that_is_halted_stops_the_trial_as_invalid(measuring: Start) -> None:
    run = measuring(
        *("run", "smoke", "--duration", "60s", "--shards", "2"),
        *("--set", "load.abort_below.after=2s", *SHORT),
    )
    run.until_it_says("measuring")
    os.kill(generators(run)["shard-1"], signal.SIGSTOP)
    assert run.code(120) == 3, run.said()
    found = sealed(run)
    assert found.trial_facts(0)["aborted"]["behind"] > 0.5
    assert found.verdict().status == "INVALID"
