"""A user's mistake gets one clear error that says how to mend it: no traceback, exit code 2."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

Tell = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "smok"], ["there is no scenario 'smok'", "did you mean 'smoke'"]),
        (["run", "smoke", "--rate", "-5"], ["load.rate", "greater than 0"]),
        (["run", "smoke", "--users", "5"], ["load.users", "open model"]),
        (["run", "light", "--rate", "5"], ["load.rate", "closed model"]),
        (["run", "smoke", "--set", "stack.wokers=3"], ["stack.wokers", "did you mean 'workers'"]),
        (["run", "smoke", "--set", "nonsense"], ["--set", "KEY=VALUE"]),
        (["run", "smoke", "--duration", "5"], ["window.duration", "250ms"]),
        (["run", "smoke", "--workers", "0"], ["--workers"]),
        (["run", "smoke", "--profile", "turbo"], ["redis.profile", "known are"]),
        (["run", "light", "--users", "9999999"], ["users", "lower users"]),
        (["run"], ["SCENARIO"]),
        (["rum"], ["No such command"]),
        (["sweep", "first", "--axis", "workers"], ["--axis", "KEY=A,B"]),
        (["sweep", "first", "--axis", "workers=1,1"], ["names a value twice"]),
        (["sweep", "first", "--axis", "workers=1", "--axis", "workers=2"], ["given twice"]),
        (["plan", "first", "--axis", "workers=0"], ["stack.workers"]),
        (["run", "smoke", "--redis", "nonsense"], ["redis://"]),
        (["run", "smoke", "--redis-server", "/bin/true"], ["not a Redis or Valkey server"]),
        (["run", "smoke", "--redis-server", "/no/such"], ["no such file"]),
        (["run", "smoke", "--fault", "kill worker"], ["ACTION TARGET at TIME"]),
        (["run", "smoke", "--fault", "kil worker at 1s"], ["did you mean 'kill'"]),
        (["run", "smoke", "--fault", "kill worker at 900s"], ["outside the load"]),
        (["run", "smoke", "--fault", "kill supervisor at 1s"], ["there is no master"]),
        (["run", "smoke", "--fault", "fill redis at 1s"], ["memory limit", "redis.maxmemory"]),
        (["sweep", "smoke", "--fault", "stop worker at 1s"], ["how long stop lasts"]),
    ],
)
def test_a_mistake_is_named_with_its_mend(
    tell: Tell, tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    takes_results = len(arguments) > 1 and arguments[0] in ("run", "sweep")
    code, out, err = tell(*arguments, *(["--results", str(tmp_path)] if takes_results else []))
    assert code == 2
    assert out == ""
    for word in words:
        assert word in err
    assert list(tmp_path.iterdir()) == []


def test_a_redis_that_is_not_there_is_named(tell: Tell, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"redis://:hunter2@127.0.0.1:{taken.getsockname()[1]}/0"
        code, _, err = tell("run", "smoke", "--redis", url, "--results", str(tmp_path))
    assert code == 2
    assert "can't be reached" in err
    assert "hunter2" not in err


def test_a_wrong_password_is_named_and_not_shown(
    tell: Tell, tmp_path: Path, redis_url: str
) -> None:
    wrong = redis_url.partition("@")[2]
    url = f"redis://:hunter2@{wrong}"
    code, _, err = tell("run", "smoke", "--redis", url, "--results", str(tmp_path))
    assert code == 2
    assert "password" in err
    assert "hunter2" not in err


def test_a_read_only_results_folder_is_named(tell: Tell) -> None:
    # A file system that takes no folder from anybody, root included.
    code, _, err = tell("run", "smoke", "--results", "/proc/perfkit-results")
    assert code == 2
    assert "--results" in err


def test_a_results_folder_that_is_a_file_is_named(tell: Tell, tmp_path: Path) -> None:
    file = tmp_path / "results"
    file.write_text("")
    code, _, err = tell("run", "smoke", "--results", str(file))
    assert code == 2
    assert "--results" in err


def test_no_server_to_be_found_names_every_way_to_get_one(
    tell: Tell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perfkit.launcher.server._candidates", lambda: iter(()))
    code, _, err = tell("run", "smoke", "--results", str(tmp_path))
    assert code == 2
    for way in ("perfkit[redis]", "perfkit[valkey]", "PATH", "--redis-server", "--redis URL"):
        assert way in err


@pytest.mark.parametrize("verb", ["report", "show"])
def test_a_foreign_folder_is_no_run(tell: Tell, tmp_path: Path, verb: str) -> None:
    code, _, err = tell(verb, str(tmp_path))
    assert code == 2
    assert "no run" in err


@pytest.mark.parametrize("verb", ["report", "show"])
def test_without_any_run_the_next_step_is_named(tell: Tell, tmp_path: Path, verb: str) -> None:
    code, _, err = tell(verb, "--results", str(tmp_path))
    assert code == 2
    assert "there is no run yet" in err


def test_an_unsealed_run_is_not_read_and_repair_is_named(tell: Tell, tmp_path: Path) -> None:
    folder = tmp_path / "smoke" / "20260101-000000-abcd"
    folder.mkdir(parents=True)
    (folder / "manifest.partial.json").write_text('{"schema_version": 1, "owner": {}}')
    code, _, err = tell("report", str(folder))
    assert code == 2
    assert "perfkit repair" in err


def test_json_is_one_document_on_stdout_and_nothing_else(tell: Tell, tmp_path: Path) -> None:
    for arguments in (
        ["scenarios"],
        ["plan", "first", "--axis", "workers=1,2"],
        ["list", "--results", str(tmp_path)],
        ["repair", "--results", str(tmp_path)],
        ["stack", "status", "--results", str(tmp_path)],
    ):
        code, out, _ = tell(*arguments, "--json")
        assert code == 0
        assert isinstance(json.loads(out), dict)


def test_plan_prints_what_would_run_and_runs_nothing(tell: Tell) -> None:
    code, out, _ = tell("plan", "first", "--axis", "workers=1,2,4")
    assert code == 0
    assert [f"workers={n}" in out for n in (1, 2, 4)] == [True, True, True]
    assert "3 trials" in out


def test_the_help_groups_the_verbs(tell: Tell) -> None:
    code, out, _ = tell("--help")
    assert code == 0
    for heading in ("Set up:", "Measure:", "Read:", "Operate:"):
        assert heading in out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_each_shell(tell: Tell, shell: str) -> None:
    code, out, _ = tell("completion", shell)
    assert code == 0
    assert "_PERFKIT_COMPLETE" in out
