"""The verb that watches: monitor."""

from __future__ import annotations

import json
import os
from typing import Any

import click

from perfkit.cli.choices import as_json, results_option
from perfkit.cli.output import emit

__all__ = ["monitor"]


@click.command()
@click.option("--redis", metavar="URL", help="The server a Dramatiq application uses.")
@click.option("--run", metavar="RUN", help="Follow a run, or show a sealed one again.")
@click.option("--trial", type=click.IntRange(0), help="Of a sealed run; default its first.")
@click.option("--broker", metavar="MODULE:NAME", help="Application, asked for its queues.")
@click.option("--queue", "queues", multiple=True, metavar="NAME", help="A queue; repeatable.")
@click.option("--namespace", metavar="NS", help="Key prefix of the broker (dramatiq).")
@click.option("--spool", metavar="DIR", help="Where the recorder writes (PERFKIT_SPOOL).")
@click.option("--heartbeat-timeout", default="60s", show_default=True, help="As the broker has it.")
@click.option(
    "--threshold",
    "thresholds",
    multiple=True,
    metavar="'METRIC[:QUEUE] EXPR'",
    help="A target to watch, such as 'queue.age:payments max<30s'; repeatable.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to serve on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8090, show_default=True, help="0: a free one."
)
@click.option(
    "--allow-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    help="Another name clients use; repeatable.",
)
@results_option
@as_json
@click.option("--owner", hidden=True)
@click.option("--redis-from-env", is_flag=True, hidden=True)
@click.option("--while-stdin", is_flag=True, hidden=True)
def monitor(
    host: str,
    port: int,
    allowed_hosts: tuple[str, ...],
    as_json: bool,
    owner: str | None,
    redis_from_env: bool,
    while_stdin: bool,
    **named: Any,
) -> None:
    """Watch a Dramatiq-on-Redis system live, without touching it.

    Without options: the stack that is up, else redis://127.0.0.1:6379 (or REDIS_URL). Serves a
    page, a REST API (/docs), /metrics for Prometheus and /events. On an address that is not
    loopback clients need a token (PERFKIT_MONITOR_TOKEN). --json prints one snapshot instead.
    """
    from perfkit.api.monitoring import monitor as watch
    from perfkit.api.monitoring import one_snapshot

    if redis_from_env:
        named["redis"] = os.environ.get("REDIS_URL")
    if owner is not None:
        named["owner"] = json.loads(owner)
    if as_json:
        emit(one_snapshot(named), True, "")
        return
    watch(
        named,
        host=host,
        port=port,
        allowed_hosts=allowed_hosts,
        say=click.echo,
        while_stdin=while_stdin,
    )
