"""What the command line shows: results on stdout, progress and errors on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import click

from perfkit.errors import PerfkitError
from perfkit.units import format_count, format_duration

if TYPE_CHECKING:
    from perfkit.runner.progress import Listener, Progress

__all__ = ["emit", "fail", "progress_view"]

Style = Literal["auto", "plain", "json", "none"]

_EVERY_S = 5.0
_WORDS = {
    "start": "starting the stack",
    "warm-up": "warming up",
    "measure": "measuring",
    "drain": "draining",
    "collect": "collecting",
    "sealed": "sealed",
}


def emit(document: Mapping[str, Any], as_json: bool, text: str) -> None:
    """Print the result: one JSON document, or text for a person."""
    click.echo(json.dumps(document, indent=2, default=str) if as_json else text)


def fail(error: PerfkitError) -> None:
    """Print an error and its mend."""
    click.echo(f"perfkit: {error}", err=True)


def _figures(progress: Progress) -> str:
    shown = ("sent", "done", "waiting", "in_flight", "stalled", "dropped", "errors")
    parts = [
        f"{name.replace('_', ' ')} {format_count(progress.figures[name])}"
        for name in shown
        if name in progress.figures and (progress.figures[name] or name in ("sent", "done"))
    ]
    return "  ".join(parts)


def _doing(progress: Progress) -> str:
    if progress.phase == "start" and not progress.has_stack:
        return "starting the load generator"
    return _WORDS[progress.phase]


def _named(progress: Progress) -> str:
    return f"trial {progress.trial + 1} of {progress.trials}  {progress.label}"


def _left(progress: Progress) -> str:
    """In seconds while there are few of them."""
    seconds = round(progress.left_s)
    return f"{seconds} s" if seconds < 100 else format_duration(seconds * 1e9)


class _Plain:
    """Lines for pipes and logs: one at each change of phase, and one every five seconds."""

    def __init__(self) -> None:
        self._last: tuple[int, str] | None = None
        self._next_s = 0.0

    def __call__(self, progress: Progress) -> None:
        here = (progress.trial, progress.phase)
        if here == self._last and progress.elapsed_s < self._next_s:
            return
        self._last, self._next_s = here, progress.elapsed_s + _EVERY_S
        click.echo(
            f"[{progress.elapsed_s:6.1f} s] {_named(progress)}  {_doing(progress)}"
            f"  {_figures(progress)}  about {_left(progress)} left".rstrip(),
            err=True,
        )


class _Json:
    """JSON lines, for a notebook that watches this process."""

    def __call__(self, progress: Progress) -> None:
        click.echo(json.dumps(progress.document()), err=True)


@contextmanager
def progress_view(style: Style) -> Iterator[Listener]:
    """A listener that shows progress on stderr; a bar on a terminal, lines in a pipe.

    Warnings are shown in every style, also in none.
    """
    with _view(style) as view:

        def show(progress: Progress) -> None:
            if progress.warning is None or style == "json":
                view(progress)
            else:
                click.echo(f"warning: {progress.warning}", err=True)

        yield show


@contextmanager
def _view(style: Style) -> Iterator[Listener]:
    if style == "none":
        yield lambda _: None
    elif style == "json":
        yield _Json()
    elif style == "plain" or not sys.stderr.isatty():
        yield _Plain()
    else:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        columns = (
            TextColumn("{task.fields[named]}"),
            BarColumn(),
            TextColumn("{task.fields[phase]}  {task.fields[figures]}"),
            TimeElapsedColumn(),
            TextColumn("about {task.fields[left]} left"),
        )
        with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
            task = bars.add_task("", total=1.0, named="", phase="", figures="", left="?")

            def show(progress: Progress) -> None:
                whole = progress.elapsed_s + progress.left_s
                bars.update(
                    task,
                    completed=progress.elapsed_s / whole if whole else 1.0,
                    named=_named(progress),
                    phase=_doing(progress),
                    figures=_figures(progress),
                    left=_left(progress),
                )

            yield show
