"""Verbs that measure: run, sweep."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from perfkit.cli.choices import (
    SCENARIO,
    as_json,
    axes_of,
    fault_options,
    redis_options,
    results_option,
    scenario_options,
    values_of,
)
from perfkit.cli.output import emit, progress_view
from perfkit.errors import UsageError
from perfkit.plan import build
from perfkit.runner.progress import Interrupt

if TYPE_CHECKING:
    from perfkit.api.runs import Run

__all__ = [
    "NEWEST",
    "no_report",
    "progress",
    "run",
    "stop_when_stdin_closes",
    "sweep",
    "while_stdin",
]

NEWEST = "newest"
"""What ``--resume`` means without a name."""

progress = click.option(
    "--progress",
    type=click.Choice(["auto", "plain", "json", "none"]),
    default="auto",
    show_default=True,
    help="How progress is shown on stderr.",
)
no_report = click.option("--no-report", is_flag=True, help="Don't render the HTML.")
# A notebook watches its measuring process through a pipe: when the kernel dies the pipe
# closes, and the run is stopped and sealed instead of going on unseen.
while_stdin = click.option("--while-stdin", is_flag=True, hidden=True)


@click.command()
@click.argument("scenario", type=SCENARIO)
@scenario_options
@fault_options
@redis_options
@results_option
@no_report
@click.option("--live", is_flag=True, help="A page to watch it on, as long as it runs.")
@progress
@while_stdin
@as_json
def run(scenario: str, faults: Sequence[str], **options: Any) -> int:
    """Measure one scenario and render its report.

    SCENARIO is a built-in's name or the path of a .toml file.
    """
    from perfkit.api.measure import measure

    planned = build([scenario], values=values_of(options), faults=faults)
    return _measured(functools.partial(measure, planned), **options)


@click.command()
@click.argument("scenarios", type=SCENARIO, nargs=-1, metavar="[SCENARIO]...")
@click.option("--suite", is_flag=True, help="The built-in suite, users and open twins.")
@click.option(
    "--resume",
    is_flag=False,
    flag_value=NEWEST,
    metavar="[RUN]",
    help="Measure what a run lacks that was interrupted; the newest such run by default.",
)
@click.option("--axis", "axes", multiple=True, metavar="KEY=A,B", help="Values to try; repeatable.")
@click.option("--repeat", type=click.IntRange(1), metavar="N", help="Of each variant; default 1.")
@scenario_options
@fault_options
@redis_options
@results_option
@no_report
@progress
@while_stdin
@as_json
def sweep(
    scenarios: Sequence[str],
    suite: bool,
    resume: str | None,
    axes: Sequence[str],
    repeat: int | None,
    faults: Sequence[str],
    **options: Any,
) -> int:
    """Measure scenarios over every combination of the axes' values, in one run."""
    from perfkit.api import measure

    values, crossed = values_of(options), axes_of(axes)
    if resume is not None:
        given = [*scenarios, *crossed, *values, *(["--suite"] if suite else [])]
        given += ["--fault"] if faults else []
        if given := [*given, *(["--repeat"] if repeat is not None else [])]:
            raise UsageError(
                f"--resume carries out the plan of its run, which {', '.join(given)} can't change",
                "leave them out, or measure anew without --resume",
            )
        named = None if resume == NEWEST else resume
        return _measured(functools.partial(measure.resume, named), **options)
    planned = measure.plan(
        scenarios,
        suite=suite,
        axes=crossed,
        repetitions=repeat or 1,
        faults=faults,
        **values,
    )
    return _measured(functools.partial(measure.measure, planned), **options)


def _measured(
    measure: Callable[..., Run],
    *,
    redis: str | None,
    redis_server: str | None,
    allow_destructive: bool,
    results: str | None,
    no_report: bool,
    progress: Any,
    while_stdin: bool,
    as_json: bool,
    live: bool = False,
) -> int:
    interrupt = Interrupt()
    with progress_view(progress) as listener, _page(live, redis, results):
        if while_stdin:
            stop_when_stdin_closes(interrupt.request)
        measured = measure(
            redis=redis,
            redis_server=redis_server,
            allow_destructive=allow_destructive,
            results=results,
            report=not no_report,
            progress=listener,
            interrupt=interrupt,
            command=["perfkit", *sys.argv[1:]],
        )
    from perfkit.api.document import exit_code, outcome

    emit(outcome(measured), as_json, "" if as_json else _told(measured))
    return exit_code(measured)


@contextlib.contextmanager
def _page(live: bool, redis: str | None, results: str | None) -> Iterator[None]:
    """The page of the run, where one is asked for; a browser is opened only for a person."""
    if not live:
        yield
        return
    from perfkit.api.monitoring import beside_run

    def opened(address: str) -> None:
        click.echo(f"live: {address}", err=True)
        if sys.stdout.isatty() and sys.stderr.isatty():
            webbrowser.open(address)

    def failed() -> None:
        click.echo("live: the page could not be opened; the run goes on without it", err=True)

    with beside_run(redis=redis, results=results, opened=opened, failed=failed):
        yield


def _told(run: Run) -> str:
    """The verdict in words, the three lines a person wants to know, and what to type next."""
    from perfkit.api.text import next_command, targets_text

    headline = run.headline()
    lines = [
        "",
        headline.sentence,
        *(f"  - {line}" for line in headline.lines),
        *targets_text(run),
        "",
        f"report: {run.report}" if run.report else f"run: {run.path}",
        f"next:   {next_command(run)}",
    ]
    return "\n".join(lines)


def stop_when_stdin_closes(stop: Callable[[], None]) -> None:
    def watch() -> None:
        # Not through the buffer: a thread that waits in it aborts the interpreter's shutdown.
        while os.read(sys.stdin.fileno(), 4096):
            pass
        stop()

    threading.Thread(target=watch, name="stdin-watch", daemon=True).start()
