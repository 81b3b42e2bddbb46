from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from perfkit.errors import ResultsNotWritable
from perfkit.launcher.child import Child
from perfkit.launcher.keeper import start_ticks
from perfkit.launcher.lease import Lease, LeasedChild, leases, sweep
from tests.waiting import wait_until


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / ".leases"


def of_a_dead_owner(**changes: object) -> Lease:
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", ""]) as owner:
        start = start_ticks(owner.pid) or 1
    lease = Lease(id="dead", owner_pid=owner.pid, owner_start=start, directory="/d", run_dir=None)
    return dataclasses.replace(lease, **changes)  # type: ignore[arg-type]


def leased(child: Child) -> LeasedChild:
    return LeasedChild(name="redis", pid=child.pid, start=child.start_ticks, role="redis")


def test_a_lease_is_read_as_it_was_written(folder: Path) -> None:
    child = LeasedChild(name="worker-1", pid=7, start=9, role="worker", pool="worker")
    lease = dataclasses.replace(
        Lease.mine(Path("/d"), Path("/run")),
        urls={"redis": "redis://:***@h/0"},
        children=(child,),
        folders=("/tmp/perfkit-x",),
    )
    lease.write(folder)
    assert leases(folder) == [lease]
    (path,) = folder.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    lease.remove(folder)
    assert not list(folder.iterdir())


def test_one_of_a_living_owner_is_not_stale(folder: Path) -> None:
    lease = Lease.mine(Path("/d"), Path("/run"))
    assert not lease.stale
    lease.write(folder)
    assert sweep(folder) == []
    assert leases(folder) == [lease]


@pytest.mark.parametrize(
    "change", [{"owner_start": 1}, {"boot_id": "another boot"}, {"owner_pid": 2**22 - 1}]
)
def test_a_recycled_number_or_another_boot_makes_it_stale(change: dict[str, object]) -> None:
    lease = Lease.mine(Path("/d"), None)
    assert dataclasses.replace(lease, **change).stale  # type: ignore[arg-type]


def test_a_sweep_clears_what_a_dead_owner_left(
    folder: Path, started: Callable[..., Child], tmp_path: Path
) -> None:
    deaf = "import signal; signal.signal(15, signal.SIG_IGN); print(1, flush=True); signal.pause()"
    child = started(deaf)
    wait_until(child.last_lines, 5, "it is deaf")
    private = tmp_path / "perfkit-left"
    private.mkdir()
    lease = of_a_dead_owner(children=(leased(child),), folders=(str(private),))
    lease.write(folder)
    assert sweep(folder) == [lease]
    wait_until(lambda: child.poll() is not None, 5, "the child is gone")
    assert not private.exists()
    assert leases(folder) == []


def test_after_another_boot_nobody_is_killed(folder: Path, started: Callable[..., Child]) -> None:
    child = started("import signal; signal.pause()")
    of_a_dead_owner(children=(leased(child),), boot_id="another").write(folder)
    assert len(sweep(folder)) == 1
    assert child.poll() is None


def test_what_is_no_lease_is_passed_over(folder: Path) -> None:
    folder.mkdir()
    (folder / "broken.json").write_text("{")
    (folder / "other.json").write_text(json.dumps({"id": "x"}))
    (folder / "list.json").write_text("[]")
    assert leases(folder) == []
    assert leases(folder / "nowhere") == []


def test_a_folder_that_cannot_be_written_is_said_with_a_mend(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResultsNotWritable, match="can't be written") as caught:
        Lease.mine(tmp_path, None).write(tmp_path / "file" / ".leases")
    assert "PERFKIT_RESULTS" in caught.value.mend


def test_it_is_owned_by_this_very_process() -> None:
    lease = Lease.mine(Path("relative"), None)
    assert (lease.owner_pid, lease.owner_start) == (os.getpid(), start_ticks(os.getpid()))
    assert Path(lease.directory).is_absolute()
