"""The keeper, with an owner that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from perfkit.launcher import keeper
from perfkit.launcher.child import Child
from perfkit.launcher.guard import Guard
from tests.leaks import assert_gone, children_of, identities, living
from tests.waiting import wait_until

DEAF = (
    "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print('deaf', flush=True)\nwhile True: signal.pause()"
)

OWNER = """
import os, signal, subprocess, sys
from pathlib import Path
from perfkit.launcher.guard import Guard
from perfkit.launcher.child import Child, ChildSpec
guard = Guard(grace_s=0.1)
folder = guard.make_folder()
(folder / "inner").mkdir()
(folder / "inner" / "dump.rdb").write_text("x")
log = Path(sys.argv[1]) / "deaf.log"
spec = ChildSpec(name="deaf", role="redis", argv=(sys.executable, "-I", "-S", "-c", sys.argv[2]),
                 env={}, log=log)
child = Child(spec, guard)
child.start()
# One that the keeper was not told of yet.
unknown = subprocess.Popen([sys.executable, "-I", "-S", "-c", sys.argv[2]], cwd=folder,
                           start_new_session=True, stdout=subprocess.DEVNULL)
while not log.read_text():
    pass
# A forked child holds our end of the keeper's pipe open.
fork = os.fork()
if not fork:
    signal.pause()
print(child.pid, unknown.pid, guard.pid, fork, folder, flush=True)
signal.pause()
"""


def test_when_its_owner_is_killed_it_kills_even_the_deaf_and_removes_folders(
    tmp_path: Path,
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path), DEAF],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.getcwd()},  # noqa: PTH109
    ) as owner:
        assert owner.stdout is not None
        child, unknown, kept, fork, folder = owner.stdout.readline().decode().split()
        processes = identities([int(child), int(unknown), int(kept)])
        assert len(processes) == 3
        assert Path(folder).stat().st_mode & 0o777 == 0o700
        owner.kill()
        owner.stdout.close()
        assert_gone(processes, folder=tmp_path)
    os.kill(int(fork), signal.SIGKILL)


def test_a_process_that_has_a_recycled_number_is_not_killed(
    started: Callable[..., Child],
) -> None:
    innocent = started("import signal; signal.pause()")
    other = Guard(grace_s=0.1)
    other.watch(innocent.pid, innocent.start_ticks + 1)
    other.close()
    assert innocent.poll() is None


def test_what_was_forgotten_is_not_killed(started: Callable[..., Child]) -> None:
    child = started("import signal; signal.pause()")
    other = Guard(grace_s=0.1)
    other.watch(child.pid, child.start_ticks)
    other.forget(child.pid)
    other.close()
    assert child.poll() is None


def test_members_of_a_session_are_killed_when_its_leader_is_long_dead(
    guard: Guard, tmp_path: Path
) -> None:
    code = (
        "import os, signal\n"
        "if os.fork(): os._exit(0)\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print(os.getpid(), flush=True)\n"
        "signal.pause()"
    )
    leader = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", code], stdout=subprocess.PIPE, start_new_session=True
    )
    start = keeper.start_ticks(leader.pid) or 0
    assert leader.stdout is not None
    orphan = identities([int(leader.stdout.readline())])
    leader.wait()
    leader.stdout.close()
    other = Guard(grace_s=0.1)
    other.watch(leader.pid, start)
    other.close()
    assert not living(orphan)


def test_a_keeper_that_was_killed_is_replaced_by_one_that_knows_the_same(
    started: Callable[..., Child],
) -> None:
    child = started(DEAF)
    wait_until(child.last_lines, 5, "it is deaf")
    other = Guard(grace_s=0.1)
    folder = other.make_folder()
    other.watch(child.pid, child.start_ticks)
    first = other.pid
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: keeper.start_ticks(first) is None, 5, "the keeper is dead")
    other.renew()
    assert other.pid != first
    other.close()
    assert not living({(child.pid, child.start_ticks)})
    assert not folder.exists()


def test_a_keeper_found_dead_while_it_is_told_something_is_replaced(guard: Guard) -> None:
    first = guard.pid
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: keeper.start_ticks(first) is None, 5, "the keeper is dead")
    folder = guard.make_folder()
    assert guard.pid != first
    guard.remove_folder(folder)
    assert not folder.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_polite_signals_do_not_end_it(guard: Guard, number: signal.Signals) -> None:
    def handlers_are_set() -> bool:
        status = Path(f"/proc/{guard.pid}/status").read_text()
        ignored = int(status.split("SigIgn:")[1].split()[0], 16)
        return bool(ignored >> (number - 1) & 1)

    wait_until(handlers_are_set, 5, "it ignores the signal")
    os.kill(guard.pid, number)
    assert living(identities([guard.pid]))


def test_only_private_folders_are_ever_removed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    (precious / "inner").mkdir(parents=True)
    keeper.remove_tree(str(precious))
    assert (precious / "inner").is_dir()


def test_a_link_in_a_private_folder_is_removed_and_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("x")
    private = tmp_path / "perfkit-x"
    private.mkdir()
    (private / "link").symlink_to(precious)
    keeper.remove_tree(str(private))
    assert not private.exists()
    assert (precious / "file").exists()


def test_it_is_a_child_of_its_owner_in_a_session_of_its_own(guard: Guard) -> None:
    assert guard.pid in children_of(os.getpid())
    assert os.getsid(guard.pid) == guard.pid


def test_it_imports_next_to_nothing() -> None:
    code = (
        "import sys; before = set(sys.modules); "
        f"sys.path.insert(0, {os.path.dirname(keeper.__file__)!r}); import keeper; "  # noqa: PTH120
        "print(sorted(set(sys.modules) - before))"
    )
    out = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, check=True
    ).stdout.decode()
    assert not {"subprocess", "json", "typing", "pathlib", "perfkit"} & set(eval(out))
