"""The verb that compares: two arms measured in pairs, or two runs that are there."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from perfkit.cli.choices import (
    SCENARIO,
    as_json,
    fault_options,
    redis_options,
    results_option,
    scenario_options,
    settings_of,
    values_of,
)
from perfkit.cli.gating import Asked as Gating
from perfkit.cli.gating import gate_options
from perfkit.cli.measuring import NEWEST, no_report, progress, stop_when_stdin_closes, while_stdin
from perfkit.cli.output import emit, progress_view
from perfkit.errors import UsageError
from perfkit.runner.progress import Interrupt

if TYPE_CHECKING:
    from perfkit.api.asked import Asked
    from perfkit.plan import Plan
    from perfkit.store.aa import Ledger

__all__ = ["compare"]

_KINDS: Final = ("p50", "p95", "p99", "throughput", "cpu", "work", "errors")


@click.command()
@click.argument("arms", type=SCENARIO, nargs=-1, metavar="A [B]")
@click.option("--pairs", type=click.IntRange(1), help="Of trials, one of each arm; default 8.")
@click.option("--set-a", "sets_a", multiple=True, metavar="KEY=VALUE", help="In A alone.")
@click.option("--set-b", "sets_b", multiple=True, metavar="KEY=VALUE", help="In B alone.")
@click.option(
    "--margin",
    "margins",
    multiple=True,
    metavar="[KIND=]SHARE",
    help=f"What matters, such as 5% or p99=10%; of {', '.join(_KINDS)}.",
)
@click.option(
    "--resume",
    is_flag=False,
    flag_value=NEWEST,
    metavar="[RUN]",
    help="Measure the pairs that an interrupted comparison lacks; the newest one by default.",
)
@click.option("--force", is_flag=True, help="Compare runs whose conditions differ.")
@gate_options
@scenario_options
@fault_options
@redis_options
@results_option
@no_report
@progress
@while_stdin
@as_json
def compare(
    arms: Sequence[str],
    pairs: int | None,
    sets_a: Sequence[str],
    sets_b: Sequence[str],
    margins: Sequence[str],
    resume: str | None,
    force: bool,
    faults: Sequence[str],
    gating: Gating,
    **options: Any,
) -> int:
    """Is B better or worse than A? Scenarios are measured in pairs; runs are read.

    A and B are built-in names, paths of .toml files, or sealed runs (folder, id or NAME/RUN_ID).
    With --set-a or --set-b, B may be left out. With --baseline, A is a commit and B the working
    tree, both under the one scenario that is named.
    """
    values = values_of(options)
    first, second = settings_of(sets_a, "--set-a"), settings_of(sets_b, "--set-b")
    asked = [*arms, *values, *first, *second, *faults, *margins, *([pairs] if pairs else [])]
    gating.check(arms, [*first, *second], pairs)
    if resume is not None:
        if asked:
            raise UsageError(
                "--resume carries out what its comparison was asked; nothing else can be given",
                "leave the rest out, or measure anew without --resume",
            )
        from perfkit.api.comparing import resume_comparison

        named = None if resume == NEWEST else resume
        carry_on = functools.partial(resume_comparison, named, gate=gating.gate)
        return _measured(carry_on, gating, **options)
    if not arms:
        raise UsageError("nothing to compare was named", "write perfkit compare A B")
    if len(arms) > 2:
        raise UsageError(f"{len(arms)} arms were named", "compare two at a time")
    from perfkit.api.exploring import are_runs

    if are_runs(arms, results=options["results"]):
        gating.refuse("runs that are there: they were not measured in turns")
        if len(asked) > len(arms):
            raise UsageError(
                "runs are compared as they are: nothing can be set in them any more",
                "leave the settings out, or name scenarios to measure them",
            )
        return _explored(arms, force, options)
    if force:
        raise UsageError("--force is for runs that differ", "leave it out")
    from perfkit.api.comparing import compare_arms
    from perfkit.api.comparing_plan import arms_of
    from perfkit.pairs import PAIRS

    if gating.baseline is not None:
        compare_both = gating.against(arms[0])
    else:
        a, b = arms_of(arms[0], arms[1] if len(arms) > 1 else None, first, second)
        compare_both = functools.partial(compare_arms, a, b)
    measure = functools.partial(
        compare_both,
        **gating.asked,
        pairs=pairs or PAIRS,
        margins=_shares(margins),
        values=values,
        faults=faults,
        tell=_foretold,
    )
    return _measured(measure, gating, **options)


def _measured(
    measure: Any,
    gating: Gating,
    *,
    redis: str | None,
    redis_server: str | None,
    allow_destructive: bool,
    results: str | None,
    no_report: bool,
    progress: Any,
    while_stdin: bool,
    as_json: bool,
) -> int:
    interrupt = Interrupt()
    with progress_view(progress) as listener:
        if while_stdin:
            stop_when_stdin_closes(interrupt.request)
        found = measure(
            redis=redis,
            redis_server=redis_server,
            allow_destructive=allow_destructive,
            results=results,
            report=not no_report,
            progress=listener,
            interrupt=interrupt,
            command=["perfkit", *sys.argv[1:]],
        )
    if found.asked.gate:  # also of one that is resumed
        return gating.decided(found, as_json)
    lines = [
        *found.sentences(),
        "",
        f"report: {found.run.report}" if found.run.report else f"run: {found.path}",
    ]
    emit(found.document(), as_json, "" if as_json else "\n".join(lines))
    if found.manifest.get("reason") == "interrupted":
        return 130
    return 4 if found.outcome in ("worse", "worse: unstable") else 0


def _explored(arms: Sequence[str], force: bool, options: dict[str, Any]) -> int:
    from perfkit.api.exploring import compare_runs

    if len(arms) < 2:
        raise UsageError("one run was named", "name the run to compare it with")
    found = compare_runs(arms[0], arms[1], force=force, results=options["results"])
    shown = options["as_json"]
    emit(found.document(), shown, "" if shown else "\n".join(found.sentences()))
    return 0


def _foretold(plan: Plan, asked: Asked, ledger: Ledger) -> None:
    from perfkit.api.comparing_plan import design_of
    from perfkit.verdict.foretelling import foretell

    for line in foretell(design_of(plan, asked)):
        click.echo(line, err=True)


def _shares(given: Sequence[str]) -> dict[str, float] | None:
    """``--margin 5%`` and ``--margin p99=10%`` as shares by kind."""
    of_all: dict[str, float] = {}
    of_one: dict[str, float] = {}
    for text in given:
        kind, sign, value = text.rpartition("=")
        share = _share(value, text)
        if sign:
            of_one[kind.strip().lower()] = share
        else:
            of_all = dict.fromkeys(("p50", "p95", "throughput", "cpu", "work"), share) | {
                "p99": 2 * share
            }
    return of_all | of_one or None


def _share(value: str, text: str) -> float:
    try:
        number = float(value.strip().removesuffix("%"))
    except ValueError:
        raise UsageError(f"--margin {text!r} is no share", "write 5%, or p99=10%") from None
    if value.strip().endswith("%"):
        return number / 100
    if number >= 1:
        what = f"--margin {text!r} would be {100 * number:g} %"
        raise UsageError(what, f"write {number:g}% or {100 * number:g}%, whichever is meant")
    return number
