"""Attaching: from what a person names to a feed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from perfkit.errors import UsageError
from perfkit.monitor.attachment import Finder
from perfkit.monitor.finders import (
    DEFAULT_URL,
    OwnerFinder,
    RunFinder,
    StackFinder,
    fixed,
    stacks_up,
)
from perfkit.monitor.live import LiveFeed
from perfkit.monitor.replay import ReplayFeed
from perfkit.monitor.snapshot import Snapshot
from perfkit.monitor.thresholds import parse_threshold
from perfkit.owner import is_alive
from perfkit.paths import results_root
from perfkit.store.layout import MANIFEST, UNSEALED

__all__ = ["attach", "snapshots"]

SPOOL_VARIABLE: Final = "PERFKIT_SPOOL"
_LEASES: Final = ".leases"


def attach(
    redis: str | None = None,
    *,
    run: str | os.PathLike[str] | None = None,
    broker: str | None = None,
    queues: Sequence[str] | None = None,
    namespace: str | None = None,
    spool: str | os.PathLike[str] | None = None,
    heartbeat_timeout: str = "60s",
    thresholds: Sequence[str] = (),
    trial: int | None = None,
    results: str | os.PathLike[str] | None = None,
    owner: Mapping[str, Any] | None = None,
) -> LiveFeed | ReplayFeed:
    """A feed of what is named, else of the one stack that is up, else of redis://127.0.0.1:6379.

    A `LiveFeed` is a context manager, and looks from the moment it is entered.

    Args:
        redis: URL of the server; of a run or stack only where it is not perfkit's own.
        run: folder of a run: one that is being measured is followed, a sealed one shown again.
        broker: ``module:name`` of an application, imported in a child for its queues.
        queues: their names; without them and without a broker they are searched among the keys.
        namespace: the broker's key prefix; "dramatiq" if neither this nor a broker says.
        spool: the recorder's folder; PERFKIT_SPOOL if not given.
        heartbeat_timeout: after which a silent worker is taken for dead, as the broker has it.
        thresholds: targets such as "queue.age:payments max<30s".
        trial: of a sealed run; its first.
        results: where stacks and runs are looked for.
        owner: the process whose run is watched (`perfkit.owner.this_process`).

    Raises:
        UsageError: something named can't be used.
        NotARun, RunNotSealed: as `perfkit.store.open_run`.
    """
    targets = [parse_threshold(each) for each in thresholds]
    leases = results_root(results) / _LEASES
    if owner is not None:
        return LiveFeed(OwnerFinder(leases, owner, url=redis))
    if run is not None:
        return _of_run(Path(run), redis, trial, targets)
    spool = spool if spool is not None else os.environ.get(SPOOL_VARIABLE) or None
    if redis is None and broker is None and not queues and spool is None:
        up = stacks_up(leases)
        if len(up) > 1:
            known = ", ".join(each.id if each.run_dir is None else each.run_dir for each in up)
            raise UsageError(
                f"{len(up)} stacks are up: {known}",
                "name a run with --run, or a server with --redis",
            )
        if up and up[0].run_dir is not None:
            return LiveFeed(RunFinder(leases, Path(up[0].run_dir), thresholds=targets))
        if up:
            return LiveFeed(StackFinder(leases, up[0].id, thresholds=targets))
    return LiveFeed(_of_server(redis, broker, queues, namespace, spool, heartbeat_timeout, targets))


def snapshots(redis: str | None = None, **named: Any) -> Iterator[Snapshot]:
    """Snapshots of what `attach` with the same arguments finds, one a second, until it is over.

    Of a sealed run: one for each of its seconds, without waiting.
    """
    import threading

    feed = attach(redis, **named)
    if isinstance(feed, ReplayFeed):
        for second in range(int(feed.length_s) + 1):
            yield feed.at(float(second))
        return
    news = threading.Event()
    feed.listen(news.set)
    with feed:
        seen = 0
        while True:
            news.wait()
            news.clear()
            for each in feed.after(seen) or ([feed.snapshot] if feed.snapshot else []):
                seen = each.seq
                yield each
            if feed.ended:
                return


def _of_run(
    folder: Path, redis: str | None, trial: int | None, targets: Sequence[Any]
) -> LiveFeed | ReplayFeed:
    from perfkit.store.durable import read_json

    if not (folder / MANIFEST).is_file() and (folder / UNSEALED).is_file():
        try:
            owner = read_json(folder / UNSEALED).get("owner") or {}
        except (OSError, ValueError):
            owner = {}
        if is_alive(owner):
            leases = folder.resolve().parent.parent / _LEASES
            return LiveFeed(RunFinder(leases, folder, url=redis, thresholds=targets))
    return ReplayFeed(folder, trial)


def _of_server(
    redis: str | None,
    broker: str | None,
    queues: Sequence[str] | None,
    namespace: str | None,
    spool: str | os.PathLike[str] | None,
    heartbeat_timeout: str,
    targets: Sequence[Any],
) -> Finder:
    from perfkit.telemetry.redis_link import RedisLink
    from perfkit.units import parse_duration_ns

    url = redis or os.environ.get("REDIS_URL") or DEFAULT_URL
    RedisLink(url, name="perfkit-monitor")  # it says now what is wrong with a URL
    declared: tuple[str, ...] = ()
    of_broker: str | None = None
    if broker is not None:
        from perfkit.monitor.application import declared as ask

        declared, of_broker = ask(broker)
    try:
        timeout_ns = parse_duration_ns(heartbeat_timeout)
    except ValueError as error:
        raise UsageError(f"--heartbeat-timeout: {error}", 'write it as "60s"') from None
    return fixed(
        url,
        queues=tuple(queues or ()) or declared or None,
        namespace=namespace or of_broker or "dramatiq",
        heartbeat_timeout_ns=timeout_ns,
        spool=None if spool is None else Path(spool),
        thresholds=targets,
    )
