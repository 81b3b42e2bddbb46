"""Logs of somebody's own application: private while they are written, blotted when kept."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from perfkit.errors import ChildDied, ResultsNotWritable
from perfkit.launcher.guard import Guard
from perfkit.launcher.privacy import Logs
from perfkit.launcher.spec import StackSpec
from tests.launcher.small_stack import stack_settings

SECRET = "of-the-environment"
PASSWORD = "of-the-server"


@pytest.fixture
def guard() -> Iterator[Guard]:
    found = Guard()
    yield found
    found.close()


def spec(tmp_path: Path, **given: str) -> StackSpec:
    found = StackSpec(
        settings=stack_settings(), directory=tmp_path, env={"SHOP_KEY": SECRET}, **given
    )
    found.kept_logs.mkdir()
    return found


def test_they_are_where_nobody_else_looks_until_they_are_kept_without_secrets(
    tmp_path: Path, guard: Guard
) -> None:
    foreign = spec(tmp_path, broker="shop:broker")
    logs = Logs(foreign, guard)
    private = logs.spec.logs
    assert logs.folders == (str(private),)
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert foreign.kept_logs not in (private, *private.parents)
    logs.hide(PASSWORD)
    (private / "worker-1.log").write_bytes(f"key {SECRET}, redis {PASSWORD}\n\xff".encode("latin1"))
    assert list(foreign.kept_logs.iterdir()) == []
    for _ in range(2):
        logs.keep()
        assert (foreign.kept_logs / "worker-1.log").read_bytes() == b"key ***, redis ***\n\xff"
    assert not private.exists()
    assert logs.folders == ()


def test_those_of_the_sample_are_written_where_they_stay(tmp_path: Path, guard: Guard) -> None:
    sample = spec(tmp_path)
    logs = Logs(sample, guard)
    assert logs.spec.logs == sample.kept_logs
    assert logs.folders == ()
    (sample.kept_logs / "worker-1.log").write_text(SECRET)  # its variables are settings
    logs.keep()
    assert (sample.kept_logs / "worker-1.log").read_text() == SECRET


def test_an_error_names_the_log_where_it_will_be(tmp_path: Path, guard: Guard) -> None:
    foreign = spec(tmp_path, broker="shop:broker")
    logs = Logs(foreign, guard)
    with pytest.raises(ChildDied) as caught, logs.named_as_kept():
        raise ChildDied("worker-1 ended", f"the whole log: {logs.spec.logs / 'worker-1.log'}")
    assert caught.value.mend == f"the whole log: {foreign.kept_logs / 'worker-1.log'}"
    logs.keep()


def test_logs_that_can_not_be_kept_are_nowhere(tmp_path: Path, guard: Guard) -> None:
    foreign = spec(tmp_path, broker="shop:broker")
    logs = Logs(foreign, guard)
    private = logs.spec.logs
    (private / "worker-1.log").write_text(SECRET)
    foreign.kept_logs.rmdir()
    with pytest.raises(ResultsNotWritable):
        logs.keep()
    assert not private.exists()
