"""Verbs that set up: doctor, calibrate, scenarios, plan, completion."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from typing import Any

import click
from click.shell_completion import get_completion_class

from perfkit.cli.choices import (
    SCENARIO,
    as_json,
    axes_of,
    redis_options,
    results_option,
    scenario_options,
    values_of,
)
from perfkit.cli.measuring import stop_when_stdin_closes, while_stdin
from perfkit.cli.output import emit
from perfkit.plan import build

__all__ = ["calibrate", "completion", "doctor", "plan", "scenarios"]


@click.command()
@redis_options
@results_option
@as_json
def doctor(redis: str | None, redis_server: str | None, results: str | None, as_json: bool) -> int:
    """Check whether this machine can measure, and say how to mend what is not right."""
    from perfkit.api.doctor import examine

    checks = examine(redis=redis, redis_server=redis_server, results=results)
    signs = {True: "ok  ", False: "FAIL", None: "note"}
    lines = []
    for check in checks:
        lines.append(f"{signs[check.ok]}  {check.name}: {check.detail}")
        if check.ok is not True and check.mend:
            lines.append(f"      mend: {check.mend}")
    failed = sum(check.ok is False for check in checks)
    lines.append(f"\n{failed} to mend" if failed else "\nready: perfkit run smoke")
    document = {
        "ok": not failed,
        "checks": [
            {"name": c.name, "ok": c.ok, "detail": c.detail, "mend": c.mend} for c in checks
        ],
    }
    emit(document, as_json, "\n".join(lines))
    return 1 if failed else 0


@click.command()
@click.option(
    "--url", metavar="URL", help="http://host:port[/path]; left out: a bare server of our own."
)
@click.option("--rate", type=float, metavar="R", help="Requests per second at fixed instants.")
@click.option("--connections", type=click.IntRange(1), default=64, show_default=True, metavar="N")
@click.option("--duration", default="5s", show_default=True, metavar="TIME")
@while_stdin
@as_json
def calibrate(
    url: str | None,
    rate: float | None,
    connections: int,
    duration: str,
    while_stdin: bool,
    as_json: bool,
) -> None:
    """Measure the load generator itself: its rate, its CPU, how late it sends.

    Without --rate every connection sends back to back. There is no warm-up and no verdict.
    """
    from perfkit.api.calibrating import calibrate as measure
    from perfkit.api.calibrating import calibration_text

    if while_stdin:
        stop_when_stdin_closes(lambda: os.kill(os.getpid(), signal.SIGTERM))
    found = measure(url, rate=rate, connections=connections, duration=duration)
    emit(found.document(), as_json, calibration_text(found))


@click.command()
@as_json
def scenarios(as_json: bool) -> None:
    """List the built-in scenarios."""
    from perfkit.api.planning import scenarios as known

    listed = known()
    width = max(len(name) for name in listed)
    text = "\n".join(f"{name:<{width}}  {each.description}" for name, each in listed.items())
    emit(
        {
            "scenarios": [
                {"name": name, "description": each.description, "model": each.load.model}
                for name, each in listed.items()
            ]
        },
        as_json,
        text,
    )


@click.command()
@click.argument("scenarios", type=SCENARIO, nargs=-1, required=True)
@click.option("--axis", "axes", multiple=True, metavar="KEY=A,B")
@click.option("--repeat", type=click.IntRange(1), default=1, show_default=True, metavar="N")
@scenario_options
@as_json
def plan(
    scenarios: Sequence[str], axes: Sequence[str], repeat: int, as_json: bool, **options: Any
) -> None:
    """Print what would run, in which order, and how long it takes."""
    from perfkit.api.planning import plan_document, plan_text

    planned = build(scenarios, values=values_of(options), axes=axes_of(axes), repetitions=repeat)
    emit(plan_document(planned), as_json, plan_text(planned))


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@as_json
def completion(shell: str, as_json: bool) -> None:
    """Print the completion script: eval "$(perfkit completion bash)"."""
    root = click.get_current_context().find_root()
    kind = get_completion_class(shell)
    if kind is not None:
        script = kind(root.command, {}, "perfkit", "_PERFKIT_COMPLETE").source()
        emit({"shell": shell, "script": script}, as_json, script)
