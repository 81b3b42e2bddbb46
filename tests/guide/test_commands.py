"""Every command of the README is run, so that one that does not exist fails here.

Measuring takes minutes, so commands that measure run with short windows, and most of them in
`make test-full` alone. What is run instead of what is written stands in this table:

    written                     in `make test`                      in `make test-full`
    source .venv/bin/activate   this environment's activate
    make TARGET                 make -n TARGET: what it would do
    perfkit run smoke           + SHORT, its report by the command for that
    other perfkit run           perfkit plan, of the same           + SHORT, no report
    perfkit sweep SCENARIO      perfkit plan, of the same           + SHORT, once, no report
    ... with an outage          perfkit plan, of the same           + 41 s, for its outage
    perfkit sweep --suite       its options are in the help         + SHORT, no report
    perfkit sweep --resume      its options are in the help         after a sweep was interrupted
    perfkit stack ...           as written, one after the other
    papermill NOTEBOOK          its parameters are the notebook's;  as written; live: one trial
                                `make nbval` executes it            of smoke, 2 s
    RUN_ID                      the run of `perfkit run smoke`
    anything else               as written
"""

from __future__ import annotations

import ast
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.guide.readme import COMMANDS, ROOT, fenced
from tests.waiting import wait_until

UNHURRIED = ["--set", "window.warmup=0s", "--set", "load.ramp=0s"]
SHORT = ["--duration", "2s", *UNHURRIED]
# A verdict is about the machine that the tests run on; that there is one, is about the command.
VERDICTS = {0, 3, 5, 99}
SMOKE = "perfkit run smoke"


def of(*words: str) -> list[str]:
    """The README's commands that begin with these words."""
    return [each for each in COMMANDS if shlex.split(each)[: len(words)] == list(words)]


STACK = of("perfkit", "stack")
RESUME = of("perfkit", "sweep", "--resume")
SUITE = of("perfkit", "sweep", "--suite")
MEASURING = [*of("perfkit", "run"), *of("perfkit", "sweep")]
NOTEBOOKS = [each for each in of("papermill") if "--help-notebook" not in each]
PLANNED = [each for each in MEASURING if each not in [SMOKE, *RESUME, *SUITE]]
WRITTEN = [each for each in COMMANDS if each not in [*STACK, *MEASURING, *NOTEBOOKS]]


@dataclass(frozen=True)
class Workspace:
    """A folder like that of somebody who follows the README, and the run of its first command."""

    folder: Path
    smoke: Path

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return run(self.folder, *argv)


def environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    return {**kept, "PATH": path, "PERFKIT_RESULTS": str(folder / "results")}


def run(folder: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv,
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=600,
        start_new_session=True,
        check=False,
    )


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    folder = tmp_path_factory.mktemp("guide")
    (folder / "notebooks").symlink_to(ROOT / "notebooks")
    (folder / "checkout.toml").write_text(fenced("toml")[0], encoding="utf-8")
    done = run(folder, *shlex.split(SMOKE), *SHORT, "--no-report", "--json")
    assert done.returncode in VERDICTS, done.stderr
    try:
        yield Workspace(folder, Path(json.loads(done.stdout)["run_dir"]))
    finally:
        run(folder, "perfkit", "stack", "down")


def told(done: subprocess.CompletedProcess[str]) -> str:
    return f"{shlex.join(done.args)} ended with {done.returncode}\n{done.stdout}{done.stderr}"


def test_the_first_command_to_measure_is_in_the_readme() -> None:
    assert SMOKE in COMMANDS


@pytest.mark.parametrize("command", WRITTEN)
def test_a_command_works_as_it_is_written(workspace: Workspace, command: str) -> None:
    argv = shlex.split(command.replace("RUN_ID", workspace.smoke.name))
    if argv[0] == "make":
        argv = ["make", "-n", "-C", str(ROOT), *argv[1:]]
    elif argv[0] == "source":
        argv = ["bash", "-c", f". {shlex.quote(str(Path(sys.executable).parent / 'activate'))}"]
    done = workspace.run(*argv)
    assert done.returncode == 0, told(done)


@pytest.mark.parametrize("command", PLANNED)
def test_what_a_command_would_measure_can_be_planned(workspace: Workspace, command: str) -> None:
    done = workspace.run("perfkit", "plan", *shlex.split(command)[2:])
    assert done.returncode == 0, told(done)


@pytest.mark.parametrize("command", [*SUITE, *RESUME])
def test_options_of_a_sweep_are_in_its_help(workspace: Workspace, command: str) -> None:
    program, verb, *options = shlex.split(command)
    shown = workspace.run(program, verb, "--help").stdout.split()
    assert set(options) <= set(shown)


@pytest.mark.parametrize("command", NOTEBOOKS)
def test_parameters_given_to_a_notebook_are_its_own(command: str) -> None:
    words = shlex.split(command)
    cells = json.loads((ROOT / words[1]).read_text(encoding="utf-8"))["cells"]
    (cell,) = (each for each in cells if "parameters" in each["metadata"].get("tags", []))
    code = ast.parse("".join(cell["source"]))
    own = {node.target.id for node in code.body if isinstance(node, ast.AnnAssign)
           and isinstance(node.target, ast.Name)}  # fmt: skip
    given = {words[at + 1] for at, word in enumerate(words) if word == "-p"}
    assert given <= own


def test_the_stack_commands_work_one_after_the_other(workspace: Workspace) -> None:
    assert [command.split()[2] for command in STACK] == ["up", "scale", "status", "down"]
    for command in STACK:
        done = workspace.run(*shlex.split(command))
        assert done.returncode == 0, told(done)


@pytest.mark.full
@pytest.mark.parametrize("command", [*PLANNED, *SUITE])
def test_a_command_measures(workspace: Workspace, command: str) -> None:
    argv = [*shlex.split(command), "--no-report"]
    argv += ["--duration", "41s", *UNHURRIED] if "outage" in command else SHORT
    if argv[1] == "sweep" and command not in SUITE:
        argv += ["--repeat", "1"]
    done = workspace.run(*argv)
    assert done.returncode in VERDICTS, told(done)


@pytest.mark.full
@pytest.mark.parametrize("command", RESUME)
def test_an_interrupted_sweep_is_resumed(workspace: Workspace, command: str) -> None:
    sweep = ["perfkit", "sweep", "first", "--axis", "workers=1,2,3", "--no-report", *SHORT]
    # Its own folder of results: what is resumed is the newest.
    folder = workspace.folder / "interrupted"
    folder.mkdir()
    with subprocess.Popen(
        sweep, cwd=folder, env=environment(folder), stderr=subprocess.DEVNULL
    ) as measuring:
        wait_until(lambda: list(folder.glob("results/first/*/trial=*[0-9]")), 60, "a trial is done")
        measuring.send_signal(signal.SIGINT)
        assert measuring.wait(60) == 130
    done = run(folder, *shlex.split(command), "--no-report")
    assert done.returncode in VERDICTS, told(done)
    (run_dir,) = folder.glob("results/first/*")
    assert len(list(run_dir.glob("trial=*[0-9]"))) == 3


@pytest.mark.full
@pytest.mark.parametrize("command", NOTEBOOKS)
def test_a_notebook_runs_to_its_end(workspace: Workspace, command: str) -> None:
    argv = shlex.split(command.replace("RUN_ID", workspace.smoke.name))
    if "live" in argv:
        argv += ["-p", "scenarios", "smoke", "-p", "workers", "2", "-p", "duration", "2s"]
    done = workspace.run(*argv)
    assert done.returncode == 0, told(done)
