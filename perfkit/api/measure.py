"""Measuring: plan, conduct, judge, report."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from perfkit.errors import UsageError
from perfkit.paths import results_root
from perfkit.plan import Plan, Value, build
from perfkit.runner import Interrupt, Listener, Options, conduct

if TYPE_CHECKING:
    from perfkit.api.runs import Run

__all__ = ["measure", "plan", "run", "sweep"]


def plan(
    scenarios: str | Sequence[str],
    *,
    axes: Mapping[str, Sequence[Value]] | None = None,
    repetitions: int = 1,
    **values: Value,
) -> Plan:
    """What `sweep` with the same arguments would run."""
    names = [scenarios] if isinstance(scenarios, str) else list(scenarios)
    return build(names, values=_dotted(values), axes=axes, repetitions=repetitions)


def run(
    scenario: str,
    *,
    redis: str | None = None,
    redis_server: str | None = None,
    results: str | os.PathLike[str] | None = None,
    report: bool = True,
    progress: Listener | None = None,
    **values: Value,
) -> Run:
    """Measure one scenario in this process and return the sealed run.

    In a notebook use ``await perfkit.run_async(...)``: a kernel must not own the stack.

    Args:
        scenario: a built-in's name or a path.
        redis: URL of a server to use; else a private one is started.
        redis_server: path of the server binary to start.
        results: folder for runs.
        report: render report.html.
        progress: called as the run proceeds.
        values: keys of the scenario, short (``workers=4``) or dotted with ``__``
            (``window__warmup="2s"``).
    """
    return measure(
        build([scenario], values=_dotted(values)),
        redis=redis,
        redis_server=redis_server,
        results=results,
        report=report,
        progress=progress,
    )


def sweep(
    scenarios: str | Sequence[str],
    *,
    axes: Mapping[str, Sequence[Value]],
    repetitions: int = 1,
    redis: str | None = None,
    redis_server: str | None = None,
    results: str | os.PathLike[str] | None = None,
    report: bool = True,
    progress: Listener | None = None,
    **values: Value,
) -> Run:
    """Measure every scenario with every combination of the axes' values; arguments as `run`."""
    return measure(
        plan(scenarios, axes=axes, repetitions=repetitions, **values),
        redis=redis,
        redis_server=redis_server,
        results=results,
        report=report,
        progress=progress,
    )


def measure(
    planned: Plan,
    *,
    redis: str | None = None,
    redis_server: str | None = None,
    results: str | os.PathLike[str] | None = None,
    report: bool = True,
    progress: Listener | None = None,
    interrupt: Interrupt | None = None,
    command: Sequence[str] | None = None,
) -> Run:
    """Conduct a plan, seal it, and render its report."""
    if redis is not None and redis_server is not None:
        raise UsageError("a Redis to use and a server to start were both named", "name one of them")
    options = Options(
        results=results_root(results),
        redis_url=redis,
        redis_server=Path(redis_server) if redis_server else None,
        command=tuple(command if command is not None else ["python", *sys.argv]),
    )
    # Left before rendering: a Ctrl-C there means the rendering.
    with interrupt or Interrupt() as interrupt:
        folder = conduct(planned, options, progress or (lambda _: None), interrupt)
    # The reading wing is imported only now: pandas beside a measurement would be part of it.
    from perfkit.api.runs import open_run

    # Who interrupts wants to be done; `perfkit report` is there for later.
    if report and not interrupt.asked:
        from perfkit.api.rendering import report as render

        render(folder)
    return open_run(folder)


def _dotted(values: Mapping[str, Value]) -> dict[str, Value]:
    return {key.replace("__", "."): value for key, value in values.items()}
