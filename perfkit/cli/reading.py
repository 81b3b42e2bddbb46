"""Verbs that read what was measured: report, list, show."""

from __future__ import annotations

from typing import Any

import click

from perfkit.cli.choices import as_json, results_option
from perfkit.cli.output import emit

__all__ = ["list_", "report", "show"]


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
@click.option("-n", "--limit", type=click.IntRange(1), default=20, show_default=True)
@results_option
@as_json
def list_(name: str | None, limit: int, results: str | None, as_json: bool) -> None:
    """List runs, newest first."""
    from perfkit.api.history import list_runs
    from perfkit.paths import results_root

    entries = list_runs(name, results=results)
    rows: list[dict[str, Any]] = [
        {
            "name": entry.name,
            "run_id": entry.run_id,
            "status": entry.state,
            "trials": entry.trials,
            "path": str(entry.path),
        }
        for entry in entries[:limit]
    ]
    if not rows:
        text = f"no runs under {results_root(results)}; make one: perfkit run smoke"
    else:
        width = max(len(str(row["name"])) for row in rows)
        text = "\n".join(
            f"{row['run_id']}  {row['name']:<{width}}  {row['status']:<9}  "
            f"{row['trials']} trial{'' if row['trials'] == 1 else 's'}"
            for row in rows
        )
        if len(entries) > limit:
            text += f"\n({len(entries) - limit} more; --limit {len(entries)} shows all)"
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
