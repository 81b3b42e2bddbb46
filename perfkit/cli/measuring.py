"""Verbs that measure: run, sweep."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from perfkit.cli.choices import (
    SCENARIO,
    as_json,
    axes_of,
    redis_options,
    results_option,
    scenario_options,
    values_of,
)
from perfkit.cli.output import emit, progress_view
from perfkit.plan import Plan, Value, build
from perfkit.runner.progress import Interrupt

if TYPE_CHECKING:
    from perfkit.api.runs import Run

__all__ = ["run", "sweep"]

_progress = click.option(
    "--progress",
    type=click.Choice(["auto", "plain", "json", "none"]),
    default="auto",
    show_default=True,
    help="How progress is shown on stderr.",
)
_no_report = click.option("--no-report", is_flag=True, help="Don't render the HTML.")
# A notebook watches its measuring process through a pipe: when the kernel dies the pipe
# closes, and the run is stopped and sealed instead of going on unseen.
_while_stdin = click.option("--while-stdin", is_flag=True, hidden=True)


@click.command()
@click.argument("scenario", type=SCENARIO)
@scenario_options
@redis_options
@results_option
@_no_report
@_progress
@_while_stdin
@as_json
def run(scenario: str, **options: Any) -> int:
    """Measure one scenario and render its report.

    SCENARIO is a built-in's name or the path of a .toml file.
    """
    return _measured(build([scenario], values=values_of(options)), **options)


@click.command()
@click.argument("scenarios", type=SCENARIO, nargs=-1, required=True)
@click.option("--axis", "axes", multiple=True, metavar="KEY=A,B", help="Values to try; repeatable.")
@click.option("--repeat", type=click.IntRange(1), default=1, show_default=True, metavar="N")
@scenario_options
@redis_options
@results_option
@_no_report
@_progress
@_while_stdin
@as_json
def sweep(scenarios: Sequence[str], axes: Sequence[str], repeat: int, **options: Any) -> int:
    """Measure scenarios over every combination of the axes' values, in one run."""
    crossed: dict[str, list[Value]] = axes_of(axes)
    planned = build(scenarios, values=values_of(options), axes=crossed, repetitions=repeat)
    return _measured(planned, **options)


def _measured(
    planned: Plan,
    *,
    redis: str | None,
    redis_server: str | None,
    results: str | None,
    no_report: bool,
    progress: Any,
    while_stdin: bool,
    as_json: bool,
) -> int:
    from perfkit.api.measure import measure

    interrupt = Interrupt()
    with progress_view(progress) as listener:
        if while_stdin:
            _stop_when_stdin_closes(interrupt)
        measured = measure(
            planned,
            redis=redis,
            redis_server=redis_server,
            results=results,
            report=not no_report,
            progress=listener,
            interrupt=interrupt,
            command=["perfkit", *sys.argv[1:]],
        )
    from perfkit.api.document import exit_code, outcome

    emit(outcome(measured), as_json, "" if as_json else _told(measured))
    return exit_code(measured)


def _told(run: Run) -> str:
    """The verdict in words, the three lines a person wants to know, and what to type next."""
    from perfkit.api.text import next_command

    headline = run.headline()
    lines = [
        "",
        headline.sentence,
        *(f"  - {line}" for line in headline.lines),
        "",
        f"report: {run.report}" if run.report else f"run: {run.path}",
        f"next:   {next_command(run)}",
    ]
    return "\n".join(lines)


def _stop_when_stdin_closes(interrupt: Interrupt) -> None:
    def watch() -> None:
        while sys.stdin.buffer.read(4096):
            pass
        interrupt.request()

    threading.Thread(target=watch, name="stdin-watch", daemon=True).start()
