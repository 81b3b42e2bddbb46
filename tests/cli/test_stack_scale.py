"""``perfkit stack scale``: what it says, and what it refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from perfkit.api.stacks import stack_down, stack_status, stack_text, stack_up
from perfkit.cli import main
from perfkit.launcher.lease import leases
from perfkit.paths import checkout
from perfkit.plan import build
from tests.leaks import assert_gone, descendants_of, identities, no_leaks
from tests.waiting import wait_until

Tell = Callable[..., tuple[int, str, str]]
POOLS = """
name = "pools"
[load]
model = "open"
rate = 1.0
[[job]]
queue = "payments"
[gateway.payments]
median = "5ms"
[[stack.pool]]
name = "payments"
queues = ["payments"]
[[stack.pool]]
name = "rest"
queues = ["notifications", "webhooks"]
"""


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Tell:
    """Run ``perfkit stack scale``; returns exit code, stdout, stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(["stack", "scale", *words, "--results", str(tmp_path)])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return int(caught.value.code or 0), out, err

    return run


@contextmanager
def up(results: Path, scenario: str = "smoke", **values: Any) -> Iterator[dict[str, Any]]:
    """A stack of the sample."""
    values = {"stack.preset": "low-latency", **values}
    trial = build([scenario], values=values).trials[0]
    with no_leaks():
        document = stack_up(trial.scenario, results=results)
        (lease,) = [each for each in leases(results / ".leases") if each.id == document["id"]]
        family = identities({lease.owner_pid, *descendants_of(lease.owner_pid)})
        try:
            yield document
        finally:
            family |= identities(descendants_of(lease.owner_pid))
            stack_down(results=results)
            assert_gone(family)
            assert not list((results / ".stacks").iterdir())


def test_the_shared_pool_is_scaled_and_shown(tell: Tell, tmp_path: Path) -> None:
    with up(tmp_path, **{"stack.workers": 1}) as stack:
        code, out, err = tell("2")
        assert code == 0
        assert out.startswith("worker has 2 workers, before 1; it took ")
        assert err.splitlines()[-1] == "worker: 2 ready of 2 wanted"
        (shown,) = stack_status(results=tmp_path)
        assert shown["pools"] == [{"name": "worker", "workers": 2, "wanted": 2}]
        assert "pool worker" in stack_text([shown])
        code, out, err = tell(stack["id"], "worker=1", "--json")
        assert code == 0
        document = json.loads(out)
        assert document["stack"] == stack["id"]
        (scaled,) = document["scaled"]
        assert (scaled["from_workers"], scaled["to_workers"], scaled["error"]) == (2, 1, None)
        assert 0 < scaled["took_s"] < 60


def test_pools_are_scaled_together_or_not_at_all(tell: Tell, tmp_path: Path) -> None:
    file = tmp_path / "pools.toml"
    file.write_text(POOLS)
    with up(tmp_path, str(file)):
        code, out, _ = tell("payments=2", "rest=0")
        assert code == 0
        assert out.splitlines()[0].startswith("payments has 2 workers, before 1")
        assert out.splitlines()[1].startswith("rest has 0 workers, before 1")
        for words, what, mend in (
            (["payments=1", "paiments=1"], "no pool 'paiments'", "it has payments, rest"),
            (["3"], "several pools", "name one: payments, rest"),
            (["payments=5000"], "can't have 5000 workers", "ask for 0 to 1024"),
        ):
            code, out, err = tell(*words)
            assert (code, out) == (2, "")
            assert what in err
            assert mend in err
        (shown,) = stack_status(results=tmp_path)
        assert [(pool["name"], pool["wanted"]) for pool in shown["pools"]] == [
            ("payments", 2),
            ("rest", 0),
        ]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ([], "Missing argument"),
        (["payments"], "'payments' is not a number of workers; write 4, or payments=3"),
        (["payments=x"], "'payments=x' is not a number"),
        (["payments="], "'payments=' is not a number"),
        (["=3"], "'=3' is not a number"),
        (["3.5"], "'3.5' is not a number"),
        (["a", "b", "3"], "'b' is not a number"),
        (["payments=1", "payments=2"], "payments is given twice"),
        (["2"], "no stack is up"),
        (["deadbeef", "2"], "there is no stack 'deadbeef'"),
    ],
)
def test_a_mistake_is_named(tell: Tell, words: list[str], what: str) -> None:
    code, out, err = tell(*words)
    assert (code, out) == (2, "")
    assert what in err


def test_a_stack_that_has_gone_is_no_stack(tell: Tell, tmp_path: Path) -> None:
    with up(tmp_path) as stack:
        (lease,) = leases(tmp_path / ".leases")
        os.kill(lease.owner_pid, signal.SIGKILL)
        wait_until(lambda: lease.stale, 5, "its owner is dead")
        code, _, err = tell(stack["id"], "2")
        assert code == 2
        assert f"there is no stack {stack['id']!r}" in err
        assert "up are: none" in err


def test_a_level_that_is_not_reached_is_an_error(tell: Tell, tmp_path: Path) -> None:
    with up(tmp_path) as stack:
        # The spool is where a worker records; without it none can start.
        spool = Path(stack["directory"]) / "spool"
        spool.rename(spool.with_name("elsewhere"))
        spool.touch()
        code, out, err = tell("3")
        assert (code, out) == (1, "")
        assert "worker did not get 3 workers: only 2 of 3 are ready" in err


def test_a_run_that_is_being_measured_is_scaled(tell: Tell, tmp_path: Path) -> None:
    command = ["run", "smoke", "--no-report", "--duration", "20s", "--set", "stack.workers=1"]
    with subprocess.Popen(
        [sys.executable, "-m", "perfkit", *command, "--results", str(tmp_path)],
        cwd=checkout(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as run:
        try:
            wait_until(
                lambda: [x for x in stack_status(results=tmp_path) if x["state"] == "up"],
                60,
                "its stack is up",
            )
            (shown,) = stack_status(results=tmp_path)
            assert "measuring" in stack_text([shown])
            code, _, err = tell(Path(shown["run_dir"]).name, "2")
            assert (code, err.splitlines()[-1]) == (0, "worker: 2 ready of 2 wanted")
        finally:
            run.send_signal(signal.SIGINT)
            run.wait(60)
    (facts,) = Path(shown["run_dir"]).glob("trial=*/trial.json")
    document = json.loads(facts.read_text())
    (event,) = document["scale_events"]
    assert (event["reason"], event["from_workers"], event["to_workers"]) == ("stack scale", 1, 2)
    assert event["done_ns"] is not None
    assert [life["name"] for life in document["worker_lives"]] == ["worker-1", "worker-2"]
