"""Verbs that read what was measured: report, list, show, history, export, import."""

from __future__ import annotations

from typing import Any

import click

from perfkit.api.selection import STATES, VERDICTS
from perfkit.cli.choices import SCENARIO, as_json, results_option, split_pair
from perfkit.cli.output import emit

__all__ = ["export", "history", "import_", "list_", "report", "show"]

_verdict = click.option(
    "--verdict",
    type=click.Choice(VERDICTS, case_sensitive=False),
    multiple=True,
    help="Repeatable; NONE: no summary says.",
)
_since = click.option("--since", metavar="TIME", help='"12h" or "7d" ago, or a date (UTC).')
_axes = click.option(
    "--axis", "axes", multiple=True, metavar="KEY=VALUE", help="Trials of a sweep; repeatable."
)


@click.command()
@click.argument("run", required=False)
@results_option
@as_json
def report(run: str | None, results: str | None, as_json: bool) -> None:
    """Render the report of a sealed run (default: the newest)."""
    from perfkit.api.history import resolve
    from perfkit.api.rendering import report as render

    path = render(resolve(run, results=results))
    emit({"report": str(path)}, as_json, f"report: {path}")


@click.command("list")
@click.argument("name", required=False)
@click.option(
    "--status", type=click.Choice(STATES, case_sensitive=False), multiple=True, help="Repeatable."
)
@_verdict
@_since
@_axes
@click.option("-n", "--limit", type=click.IntRange(1), default=20, show_default=True)
@results_option
@as_json
def list_(
    name: str | None,
    axes: tuple[str, ...],
    limit: int,
    results: str | None,
    as_json: bool,
    **filters: Any,
) -> None:
    """List runs, newest first.

    NAME is that of a run or of a scenario in it, and may hold * and ?.
    """
    from perfkit.api.history import list_runs
    from perfkit.cli.tables import list_text
    from perfkit.paths import results_root

    entries = list_runs(name, results=results, axes=_values(axes), **filters)
    shown = entries[:limit]
    rows: list[dict[str, Any]] = [
        {
            "name": entry.name,
            "run_id": entry.run_id,
            "status": entry.state,
            "reason": entry.reason,
            "verdict": entry.verdict,
            "created": None if entry.created is None else entry.created.isoformat(),
            "scenarios": list(entry.scenarios),
            "trials": entry.trials,
            "path": str(entry.path),
        }
        for entry in shown
    ]
    if rows:
        text = list_text(shown, len(entries) - len(shown))
    elif name or axes or any(filters.values()):
        text = f"no run under {results_root(results)} is like that"
    else:
        text = f"no runs under {results_root(results)}; make one: perfkit run smoke"
    emit({"runs": rows}, as_json, text)


@click.command()
@click.argument("run", required=False)
@results_option
@as_json
def show(run: str | None, results: str | None, as_json: bool) -> None:
    """Show one run: verdict, trials, accounting (default: the newest)."""
    from perfkit.api.document import outcome
    from perfkit.api.history import resolve
    from perfkit.api.runs import open_run
    from perfkit.api.text import run_text

    opened = open_run(resolve(run, results=results))
    emit(outcome(opened), as_json, "" if as_json else run_text(opened))


@click.command()
@click.argument("scenario", type=SCENARIO)
@_verdict
@_since
@_axes
@click.option("-n", "--limit", type=click.IntRange(1), default=40, show_default=True)
@results_option
@as_json
def history(
    scenario: str,
    axes: tuple[str, ...],
    limit: int,
    results: str | None,
    as_json: bool,
    **filters: Any,
) -> None:
    """Show the trials of one scenario over time, newest last.

    Figures are those of the runs' summaries; nothing is computed anew. A change of P95 is only
    told between trials on the same host of the same scenario and stack.
    """
    from perfkit.api.history import past_trials
    from perfkit.api.strict import strict_json
    from perfkit.cli.tables import history_text
    from perfkit.paths import results_root

    found = past_trials(scenario, results=results, axes=_values(axes), **filters)
    shown = found[-limit:]
    document = {
        "scenario": scenario,
        "trials": [strict_json(each.document() | {"axes": each.trial.axes}) for each in shown],
    }
    text = (
        history_text(shown, len(found) - len(shown))
        if shown
        else f"no trial of {scenario} under {results_root(results)} is like that"
    )
    emit(document, as_json, text)


@click.command()
@click.argument("run", required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(("archive", "csv", "hgrm", "hlog", "k6")),
    default="archive",
    show_default=True,
    help="A zip with the report; tables as CSV; HdrHistogram percentiles or log; k6's summary.",
)
@click.option("-o", "--output", metavar="PATH", help="A file, or a folder for it (default: here).")
@click.option("--trial", type=click.IntRange(0), help="Of hgrm, hlog and k6; default: each.")
@click.option("--queue", metavar="NAME", help="Of hgrm and hlog.")
@click.option(
    "--metric",
    default="latency",
    show_default=True,
    metavar="NAME",
    help="Of hgrm and hlog: latency, response, added, queue_wait, service, request, ...",
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@results_option
@as_json
def export(
    run: str | None,
    form: str,
    output: str | None,
    trial: int | None,
    queue: str | None,
    metric: str,
    force: bool,
    results: str | None,
    as_json: bool,
) -> None:
    """Write a sealed run for a colleague or another tool, without secrets (default: the newest)."""
    from perfkit.api.exporting import export_run
    from perfkit.api.history import resolve

    written = export_run(
        resolve(run, results=results),
        format=form,
        output=output,
        trial=trial,
        queue=queue,
        metric=metric,
        overwrite=force,
    )
    document = {"path": str(written.path), "format": form, "notes": list(written.notes)}
    notes = "".join(f"\n  - {note}" for note in written.notes)
    emit(document, as_json, f"written: {written.path}{notes}")


@click.command("import")
@click.argument("file")
@click.option("--name", metavar="NAME", help="Of the run; of k6's output only.")
@click.option(
    "--expected-interval",
    metavar="TIME",
    help="Of k6's output only: make up the requests that slow ones kept from coming, as "
    "HdrHistogram does; the run's name says so.",
)
@click.option("--most-bytes", type=click.IntRange(1), help="What FILE may unpack to (8 GiB).")
@results_option
@as_json
def import_(
    file: str,
    name: str | None,
    expected_interval: str | None,
    most_bytes: int | None,
    results: str | None,
    as_json: bool,
) -> None:
    """Read an archive of `perfkit export`, or k6's JSON output (`k6 run --out json=FILE`).

    Archives are verified first; nothing in them is executed.
    """
    from perfkit.api.importing import MOST_BYTES, import_run

    found = import_run(
        file,
        results=results,
        name=name,
        expected_interval=expected_interval,
        most_bytes=most_bytes or MOST_BYTES,
    )
    notes = "".join(f"\n  - {note}" for note in found.notes)
    document = {"run_dir": str(found.run.path), "notes": list(found.notes)}
    emit(document, as_json, f"run: {found.run.path}{notes}")


def _values(axes: tuple[str, ...]) -> dict[str, str]:
    values: dict[str, str] = {}
    for text in axes:
        key, value = split_pair(text, "--axis", "KEY=VALUE")
        if key in values:
            raise click.UsageError(f"--axis {key} is given twice")
        values[key] = value
    return values
