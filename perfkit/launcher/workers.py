"""Worker pools as children.

Supervisor ``perfkit``: every worker is one child, one process with one Dramatiq ``Worker``, named
``worker-1``, ``worker-2`` … or ``<pool>-1`` …; one may die without the others. Supervisor
``dramatiq``: every pool is one child, the stock command line, which starts the pool's processes
itself and ends all of them when one dies. By design nothing is adopted then: the pool has died as
one child, and where ``restart`` is set the whole command is started again (`Workers.replacement`).
Its new processes have pids, and so names, spools and ready notes, of their own.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from perfkit.errors import UsageError
from perfkit.launcher.child import Child, ChildSpec
from perfkit.launcher.probe import ready_notes
from perfkit.launcher.spec import StackSpec
from perfkit.paths import instrument
from perfkit.scenario import PoolSettings

__all__ = ["Named", "Workers"]

_STOCK_RECOVERY = (60_000, 1000)  # RedisBroker's heartbeat_timeout (ms), maintenance_chance


class Named(NamedTuple):
    """A worker process and the name it records under."""

    name: str
    pid: int
    pool: str


class Workers:
    """Makes the children of all pools, and the replacement of one that died.

    Raises:
        UsageError: the stock command line was asked for something that it can't do.
    """

    def __init__(
        self,
        spec: StackSpec,
        environment: Mapping[str, str],
        lifeline: int,
        secrets: tuple[str, ...],
        redis_urls: Mapping[str, str] | None = None,
    ) -> None:
        """``redis_urls``: queue -> URL, where queues have a Redis of their own."""
        _refuse_what_stock_cannot(spec)
        self._spec = spec
        self._environment = environment
        self._redis_urls = redis_urls or {}
        self._lifeline = lifeline
        self._secrets = secrets
        # Whichever thread starts one: it gets the cores that the first ones have.
        self._cpus = spec.cpus or tuple(sorted(os.sched_getaffinity(0)))
        self._pools = {pool.name: pool for pool in spec.settings.pools}
        self._numbers = {pool.name: itertools.count(1) for pool in spec.settings.pools}

    def children(self) -> Iterator[ChildSpec]:
        """One for each child to start, in the order of the pools."""
        for pool in self._spec.settings.pools:
            if self._spec.settings.supervisor == "dramatiq":
                yield self._stock(pool)
            else:
                for _ in range(pool.workers):
                    yield self._worker(pool)

    def another(self, pool: str) -> ChildSpec:
        """One more worker of a pool. It has the next number: its records are its own."""
        return self._worker(self._pools[pool])

    def replacement(self, died: ChildSpec) -> ChildSpec:
        """One like the one that died: `another` worker, or the stock command again."""
        pool = died.pool or ""
        return self.another(pool) if died.role == "worker" else self._stock(self._pools[pool])

    def ready(self, child: Child) -> bool:
        """Whether all processes of this child poll their queues."""
        pool = self._pools[child.spec.pool or ""]
        expected = pool.workers if child.spec.role == "supervisor" else 1
        return len(self.named(child)) == expected

    def named(self, child: Child) -> list[Named]:
        """The worker processes of a child that are alive and ready."""
        pool = child.spec.pool or ""
        if child.spec.role == "supervisor":
            notes = ready_notes(self._spec.spool, f"{pool}-*.ready")
            return [
                Named(f"{pool}-{note['pid']}", int(note["pid"]), pool)
                for note in notes
                # Not those of a pool whose longer name begins like this one's.
                if note["name"] == f"{pool}-{note['pid']}"
            ]
        notes = ready_notes(self._spec.spool, f"{child.spec.name}.ready")
        # A note of an earlier process of this name says nothing about this one.
        return [
            Named(child.spec.name, child.pid, pool) for note in notes if note["pid"] == child.pid
        ]

    def _environment_of(self, pool: PoolSettings) -> Mapping[str, str]:
        """Workers know the Redis of their queue and no other."""
        url = self._redis_urls.get(pool.queues[0]) if pool.queues else None
        return self._environment if url is None else {**self._environment, "REDIS_URL": url}

    def _worker(self, pool: PoolSettings) -> ChildSpec:
        settings = self._spec.settings
        name = f"{pool.name}-{next(self._numbers[pool.name])}"
        arguments = [
            "--broker",
            self._spec.broker,
            "--name",
            name,
            "--spool",
            str(self._spec.spool),
        ]
        if self._spec.broker_path is not None:
            arguments += ["--path", str(self._spec.broker_path)]
        if pool.queues is not None:
            arguments += ["--queues", ",".join(pool.queues)]
        arguments += ["--threads", str(pool.threads), "--prefetch", str(pool.prefetch)]
        arguments += ["--worker-timeout-ms", str(_ms(settings.worker_timeout_ns))]
        arguments += ["--heartbeat-timeout-ms", str(_ms(settings.heartbeat_timeout_ns))]
        arguments += ["--maintenance-chance", str(settings.maintenance_chance)]
        arguments += ["--lifeline-fd", str(self._lifeline)]
        if not self._spec.recorder:
            arguments.append("--no-recorder")
        return ChildSpec(
            name=name,
            role="worker",
            pool=pool.name,
            argv=(*self._spec.python(), "-m", "perfkit.recorder.worker", *arguments),
            env=self._environment_of(pool),
            log=self._spec.logs / f"{name}.log",
            cpus=self._cpus,
            pass_fds=(self._lifeline,),
            cwd=self._spec.working_directory(),
            secrets=self._secrets,
        )

    def _stock(self, pool: PoolSettings) -> ChildSpec:
        settings = self._spec.settings
        arguments = ["--processes", str(pool.workers), "--threads", str(pool.threads)]
        if self._spec.import_path is not None:
            # The command's own default is the working directory.
            arguments += ["--path", str(self._spec.import_path)]
            if self._spec.build is not None:
                # The last goes first: there may be another perfkit beside the application.
                arguments.append(str(instrument(self._spec.leases_folder.parent)))
        if pool.queues is not None:
            arguments += ["--queues", *pool.queues]
        return ChildSpec(
            name=f"{pool.name}-master",
            role="supervisor",
            pool=pool.name,
            argv=(
                *self._spec.python(),
                "-m",
                "dramatiq",
                "perfkit.recorder.cli:broker",
                *arguments,
            ),
            env={
                **self._environment_of(pool),
                # The stock command takes these from the environment only.
                "dramatiq_queue_prefetch": str(pool.prefetch),
                "dramatiq_worker_timeout": str(_ms(settings.worker_timeout_ns)),
                "PERFKIT_BROKER": self._spec.broker,
                "PERFKIT_SPOOL": str(self._spec.spool),
                "PERFKIT_NAME": pool.name,
            },
            log=self._spec.logs / f"{pool.name}-master.log",
            cpus=self._cpus,
            cwd=self._spec.working_directory(),
            secrets=self._secrets,
        )


def _refuse_what_stock_cannot(spec: StackSpec) -> None:
    if spec.settings.supervisor != "dramatiq":
        return
    settings = spec.settings
    recovery = (_ms(settings.heartbeat_timeout_ns), settings.maintenance_chance)
    if recovery != _STOCK_RECOVERY:
        raise UsageError(
            "the stock dramatiq command can't set heartbeat_timeout and maintenance_chance",
            'leave them out, or use supervisor = "perfkit"',
        )
    if not spec.recorder:
        raise UsageError(
            "the stock dramatiq command does not say when its workers are ready",
            'keep the recorder, or use supervisor = "perfkit"',
        )


def _ms(ns: int) -> int:
    """Milliseconds, never 0 for a time that is not: Dramatiq would take 0 for "not given"."""
    return math.ceil(ns / 1_000_000)
