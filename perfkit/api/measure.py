"""Measuring: plan, conduct or resume, judge, report."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfkit.errors import NotARun, ResultsNotWritable, UsageError
from perfkit.paths import is_folder, results_root
from perfkit.plan import SUITE, Plan, Value, build
from perfkit.runner import Interrupt, Listener, Options, conduct
from perfkit.runner import resume as resume_run
from perfkit.store import list_runs
from perfkit.store.durable import read_json
from perfkit.store.layout import MANIFEST, UNSEALED

if TYPE_CHECKING:
    from perfkit.api.runs import Run
    from perfkit.runner.trial import Watch
    from perfkit.scenario import Scenario

__all__ = [
    "manifest_of",
    "measure",
    "options_of",
    "plan",
    "resume",
    "run",
    "sweep",
    "unfinished",
    "watch_for",
]


def plan(
    scenarios: str | Sequence[str] = (),
    *,
    suite: bool = False,
    axes: Mapping[str, Sequence[Value]] | None = None,
    repetitions: int = 1,
    faults: Sequence[str] = (),
    **values: Value,
) -> Plan:
    """What `sweep` with the same arguments would run.

    Raises:
        UsageError: scenarios are named beside the suite, or none is; or as `perfkit.plan.build`.
    """
    names = [scenarios] if isinstance(scenarios, str) else list(scenarios)
    if suite and names:
        raise UsageError(
            f"the suite has its own scenarios; {', '.join(names)} can't be named beside it",
            f"leave out the names, or the suite ({', '.join(SUITE)})",
        )
    return build(
        SUITE if suite else names,
        values=_dotted(values),
        axes=axes,
        repetitions=repetitions,
        name="suite" if suite else None,
        faults=faults,
    )


def run(
    scenario: str,
    *,
    faults: Sequence[str] = (),
    redis: str | None = None,
    redis_server: str | None = None,
    allow_destructive: bool = False,
    results: str | os.PathLike[str] | None = None,
    report: bool = True,
    progress: Listener | None = None,
    **values: Value,
) -> Run:
    """Measure one scenario in this process and return the sealed run.

    In a notebook use ``await perfkit.run_async(...)``: a kernel must not own the stack.

    Args:
        scenario: a built-in's name or a path.
        faults: what is broken on purpose beside the scenario's own, such as "kill worker at 4s".
        redis: URL of a server to use; else a private one is started.
        redis_server: path of the server binary to start.
        allow_destructive: whether faults may pause or fill the server that ``redis`` names.
        results: folder for runs.
        report: render report.html.
        progress: called as the run proceeds.
        values: keys of the scenario, short (``workers=4``) or dotted with ``__``
            (``window__warmup="2s"``).
    """
    return measure(
        build([scenario], values=_dotted(values), faults=faults),
        redis=redis,
        redis_server=redis_server,
        allow_destructive=allow_destructive,
        results=results,
        report=report,
        progress=progress,
    )


def sweep(
    scenarios: str | Sequence[str] = (),
    *,
    suite: bool = False,
    axes: Mapping[str, Sequence[Value]] | None = None,
    repetitions: int = 1,
    faults: Sequence[str] = (),
    redis: str | None = None,
    redis_server: str | None = None,
    allow_destructive: bool = False,
    results: str | os.PathLike[str] | None = None,
    report: bool = True,
    progress: Listener | None = None,
    **values: Value,
) -> Run:
    """Measure every scenario with every combination of the axes' values, in one run.

    ``suite``: the built-in suite instead of scenarios by name. Other arguments as `run`.
    """
    return measure(
        plan(scenarios, suite=suite, axes=axes, repetitions=repetitions, faults=faults, **values),
        redis=redis,
        redis_server=redis_server,
        allow_destructive=allow_destructive,
        results=results,
        report=report,
        progress=progress,
    )


def resume(
    run: str | os.PathLike[str] | None = None,
    *,
    redis: str | None = None,
    redis_server: str | None = None,
    allow_destructive: bool = False,
    results: str | os.PathLike[str] | None = None,
    report: bool = True,
    progress: Listener | None = None,
    interrupt: Interrupt | None = None,
    command: Sequence[str] | None = None,
) -> Run:
    """Measure what an interrupted run lacks: trials that failed, were cut short or never begun.

    Complete trials stay as they are; what there was of the others moves to the run's ``lost/``.

    Args:
        run: folder, run id, or NAME/RUN_ID; None: the newest run that is not complete.
        redis, redis_server, results, report, progress: as `run`.
        interrupt, command: as `measure`.

    Raises:
        UsageError: there is no such run, it is complete, or it can't be carried on here.
        RunNotSealed: it is still being measured.
    """
    folder = unfinished(run, results_root(results))

    def carry_on(options: Options, listener: Listener, interrupt: Interrupt) -> Path:
        return resume_run(folder, options, listener, interrupt, watch_for=watch_for)

    return _carried_out(
        carry_on,
        options_of(redis, redis_server, results, command, allow_destructive),
        progress=progress,
        interrupt=interrupt,
        report=report,
    )


def measure(
    planned: Plan,
    *,
    redis: str | None = None,
    redis_server: str | None = None,
    allow_destructive: bool = False,
    results: str | os.PathLike[str] | None = None,
    report: bool = True,
    progress: Listener | None = None,
    interrupt: Interrupt | None = None,
    command: Sequence[str] | None = None,
) -> Run:
    """Conduct a plan, seal it, and render its report."""

    def carry_out(options: Options, listener: Listener, interrupt: Interrupt) -> Path:
        return conduct(planned, options, listener, interrupt, watch_for=watch_for)

    return _carried_out(
        carry_out,
        options_of(redis, redis_server, results, command, allow_destructive),
        progress=progress,
        interrupt=interrupt,
        report=report,
    )


def options_of(
    redis: str | None,
    redis_server: str | None,
    results: str | os.PathLike[str] | None,
    command: Sequence[str] | None,
    allow_destructive: bool,
    *,
    settle_s: float = 0.0,
) -> Options:
    """How a plan is carried out; arguments as `run`.

    Raises:
        UsageError: a Redis to use and a server to start were both named.
    """
    if redis is not None and redis_server is not None:
        raise UsageError("a Redis to use and a server to start were both named", "name one of them")
    return Options(
        results=results_root(results),
        redis_url=redis,
        redis_server=Path(redis_server) if redis_server else None,
        allow_destructive=allow_destructive,
        command=tuple(command if command is not None else ["python", *sys.argv]),
        settle_s=settle_s,
    )


def _carried_out(
    carry_out: Callable[[Options, Listener, Interrupt], Path],
    options: Options,
    *,
    progress: Listener | None,
    interrupt: Interrupt | None,
    report: bool,
) -> Run:
    # Left before rendering: a Ctrl-C there means the rendering.
    with interrupt or Interrupt() as interrupt:
        folder = carry_out(options, progress or (lambda _: None), interrupt)
    # The reading wing is imported only now: pandas beside a measurement would be part of it.
    from perfkit.api.runs import open_run

    # Who interrupts wants to be done; `perfkit report` is there for later.
    if report and not interrupt.asked:
        from perfkit.api.rendering import report as render

        render(folder)
        return open_run(folder)
    from perfkit.api.rendering import write_summary

    opened = open_run(folder)
    # Lists and histories read the summary. On a full disk the measured run is worth more than it.
    with contextlib.suppress(ResultsNotWritable):
        write_summary(opened)
    return opened


def watch_for(scenario: Scenario) -> Watch | None:
    """What aborts a trial; loads neither pandas nor DuckDB, since it runs beside it."""
    is_watched = any(threshold.abort for threshold in scenario.threshold)
    if not is_watched and scenario.load.abort_below is None:
        return None
    from perfkit.verdict.watching import watch_of

    return watch_of(scenario)


def unfinished(run: str | os.PathLike[str] | None, root: Path, *, compared: bool = False) -> Path:
    """The folder of a run that is to be resumed; ``compared``: of a comparison, else of no such.

    Raises:
        NotARun: there is none.
        UsageError: it is of the other kind.
    """
    if run is None:
        kind = "comparison" if compared else "run"
        for each in list_runs(root):
            if each.state in ("partial", "unsealed") and _is_comparison(each.path) == compared:
                return each.path
        raise NotARun(f"no {kind} in {root} is unfinished", "`perfkit list` shows what there is")
    folder = Path(run) if is_folder(run) else _named(os.fspath(run), root)
    if manifest_of(folder) is not None and _is_comparison(folder) != compared:
        what, verb = ("no comparison", "sweep") if compared else ("a comparison", "compare")
        raise UsageError(f"{folder} is {what}", f"`perfkit {verb} --resume {folder}` carries it on")
    return folder


def manifest_of(folder: Path) -> Mapping[str, Any] | None:
    """What a run's manifest says, sealed or not; None where there is none that can be read."""
    for name in (MANIFEST, UNSEALED):
        with contextlib.suppress(OSError, ValueError):
            return read_json(folder / name)
    return None


def _is_comparison(folder: Path) -> bool:
    return "comparison" in (manifest_of(folder) or {})


def _named(run: str, root: Path) -> Path:
    for each in list_runs(root):
        if run in (each.run_id, f"{each.name}/{each.run_id}"):
            return each.path
    raise NotARun(f"there is no run {run!r} in {root}", "`perfkit list` shows them")


def _dotted(values: Mapping[str, Value]) -> dict[str, Value]:
    return {key.replace("__", "."): value for key, value in values.items()}
