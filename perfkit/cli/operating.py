"""Verbs that operate: stack up, status, down; repair."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from perfkit.cli.choices import (
    SCENARIO,
    as_json,
    redis_options,
    results_option,
    scenario_options,
    values_of,
)
from perfkit.cli.output import emit
from perfkit.plan import build

if TYPE_CHECKING:
    from perfkit.launcher.scaling import Standing

__all__ = ["repair", "stack"]


@click.group()
def stack() -> None:
    """Keep a stack up to look at it, without a measurement."""


@stack.command()
@click.argument("scenario", type=SCENARIO, default="smoke")
@scenario_options
@redis_options
@results_option
@as_json
def up(
    scenario: str,
    redis: str | None,
    redis_server: str | None,
    results: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Start the stack of a scenario and leave it running."""
    from perfkit.api.stacks import stack_text, stack_up

    trial = build([scenario], values=values_of(options)).trials[0]
    document = stack_up(trial.scenario, redis=redis, redis_server=redis_server, results=results)
    emit(document, as_json, "" if as_json else stack_text([document]))


@stack.command()
@results_option
@as_json
def status(results: str | None, as_json: bool) -> None:
    """Show the stacks that are up."""
    from perfkit.api.stacks import stack_status, stack_text

    stacks = stack_status(results=results)
    emit({"stacks": stacks}, as_json, "" if as_json else stack_text(stacks))


@stack.command()
@click.argument("words", nargs=-1, required=True, metavar="[STACK] [POOL=]WORKERS...")
@results_option
@as_json
def scale(words: tuple[str, ...], results: str | None, as_json: bool) -> None:
    """Give a running stack more or fewer workers, also while `perfkit run` measures it.

    `perfkit stack scale 4` for the shared pool, `perfkit stack scale payments=3` for a pool. STACK
    is an id of `perfkit stack status`, or of a run; it may be left out where one stack is up.
    """
    from perfkit.api.stacks import scaled_text, stack_scale, standing_text

    said = ""

    def say(standing: Standing) -> None:
        nonlocal said
        if (line := standing_text(standing)) != said:
            said = line
            click.echo(line, err=True)

    name, wishes = _wishes(words)
    document = stack_scale(wishes, stack=name, results=results, listener=say)
    emit(document, as_json, "" if as_json else scaled_text(document))


def _wishes(words: tuple[str, ...]) -> tuple[str | None, dict[str | None, int]]:
    """Stack, and workers by pool; a first word of several that is no ``POOL=WORKERS`` names it."""
    name = words[0] if len(words) > 1 and "=" not in words[0] else None
    wishes: dict[str | None, int] = {}
    for word in words if name is None else words[1:]:
        pool, sign, number = word.rpartition("=")
        if (sign and not pool) or not number.isascii() or not number.isdecimal():
            raise click.UsageError(
                f"{word!r} is not a number of workers; write 4, or payments=3 for a pool"
            )
        if (pool or None) in wishes:
            raise click.UsageError(f"{pool or 'the shared pool'} is given twice")
        wishes[pool or None] = int(number)
    return name, wishes


@stack.command()
@results_option
@as_json
def down(results: str | None, as_json: bool) -> None:
    """Stop every stack that `stack up` left running."""
    from perfkit.api.stacks import stack_down

    stopped = stack_down(results=results)
    text = f"stopped {len(stopped)}" if stopped else "no stack is up"
    emit({"stopped": stopped}, as_json, text)


@click.command()
@click.argument("run", required=False)
@results_option
@as_json
def repair(run: str | None, results: str | None, as_json: bool) -> None:
    """Seal what a killed run left, as partial (default: every unsealed run)."""
    from perfkit.api.repairing import repair as mend

    reports = mend(run, results=results)
    lines = [
        f"{each.path}: sealed as partial; trials kept {len(each.kept)}, "
        f"rebuilt {len(each.rebuilt)}, lost {len(each.lost)}"
        if each.repaired
        else f"{each.path}: was sealed already"
        for each in reports
    ]
    lines += [f"  {note}" for each in reports for note in each.notes]
    document = {
        "repaired": [
            {
                "run_dir": str(each.path),
                "repaired": each.repaired,
                "kept": list(each.kept),
                "rebuilt": list(each.rebuilt),
                "lost": list(each.lost),
                "notes": list(each.notes),
            }
            for each in reports
        ]
    }
    emit(document, as_json, "\n".join(lines) or "nothing to repair")
