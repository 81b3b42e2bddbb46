"""Presets: named settings of the worker and ingest side, and how a stack is completed by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from perfkit.scenario.types import Scenario

__all__ = ["PRESETS", "PoolSettings", "Preset", "StackSettings", "settings_of"]

Enqueue = Literal["thread", "inline"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """Defaults for what a scenario leaves out."""

    workers: int
    threads: int
    prefetch_per_thread: int
    worker_timeout_ns: int
    heartbeat_timeout_ns: int = 60_000_000_000
    maintenance_chance: int = 1000
    ingest_processes: int = 1
    ingest_enqueue: Enqueue = "thread"


PRESETS: Final[dict[str, Preset]] = {
    # What Dramatiq does when nobody turns a knob.
    "stock": Preset(workers=2, threads=8, prefetch_per_thread=2, worker_timeout_ns=1_000_000_000),
    # Poll often: an idle consumer sleeps up to the worker timeout, and a job that arrives then
    # waits for it. Enqueue in the ingest's loop: a thread hop costs more than Redis' answer. The
    # price is CPU when idle. A deeper prefetch gained nothing at 500 jobs/s on 2 x 24 threads,
    # and lets one worker hoard what another could run.
    "low-latency": Preset(
        workers=2,
        threads=8,
        prefetch_per_thread=2,
        worker_timeout_ns=20_000_000,
        ingest_enqueue="inline",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """One pool, nothing left open. ``queues`` None: all queues of the application."""

    name: str
    queues: tuple[str, ...] | None
    workers: int
    threads: int
    prefetch: int  # per queue and process


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSettings:
    """A stack, nothing left open: what the launcher gets and the manifest records."""

    preset: str
    pools: tuple[PoolSettings, ...]
    worker_timeout_ns: int
    heartbeat_timeout_ns: int
    maintenance_chance: int  # per million commands
    supervisor: Literal["perfkit", "dramatiq"]
    restart: bool
    ingest_processes: int
    ingest_enqueue: Enqueue
    gateway_timeout_ns: int
    breaker: bool
    breaker_failures: int
    breaker_reset_ns: int

    @property
    def slots(self) -> int:
        """Jobs that can run at once."""
        return sum(pool.workers * pool.threads for pool in self.pools)

    @property
    def workers(self) -> int:
        """Worker processes in all pools."""
        return sum(pool.workers for pool in self.pools)

    def environment(self) -> dict[str, str]:
        """What the sample system reads from its environment, each variable stated."""
        return {
            "INGEST_ENQUEUE": self.ingest_enqueue,
            "GATEWAY_TIMEOUT_MS": _whole_ms(self.gateway_timeout_ns),
            "GATEWAY_BREAKER": "1" if self.breaker else "0",
            "GATEWAY_BREAKER_FAILURES": str(self.breaker_failures),
            "GATEWAY_BREAKER_RESET_MS": _whole_ms(self.breaker_reset_ns),
        }


def _whole_ms(duration_ns: int) -> str:
    return str(round(duration_ns / 1e6))


def settings_of(scenario: Scenario) -> StackSettings:
    """Complete the scenario's stack from its preset."""
    stack = scenario.stack
    preset = PRESETS[stack.preset]
    threads = stack.threads or preset.threads

    def pool(
        name: str,
        queues: tuple[str, ...] | None,
        workers: int,
        own: int | None,
        prefetch: int | None,
    ) -> PoolSettings:
        slots = own or threads
        return PoolSettings(
            name=name,
            queues=queues,
            workers=workers,
            threads=slots,
            prefetch=prefetch or stack.prefetch or preset.prefetch_per_thread * slots,
        )

    pools = tuple(
        pool(each.name, each.queues, each.workers, each.threads, each.prefetch)
        for each in stack.pool
    ) or (pool("worker", None, stack.workers or preset.workers, None, None),)
    chance = stack.maintenance_chance
    return StackSettings(
        preset=stack.preset,
        pools=pools,
        worker_timeout_ns=stack.worker_timeout_ns or preset.worker_timeout_ns,
        heartbeat_timeout_ns=stack.heartbeat_timeout_ns or preset.heartbeat_timeout_ns,
        maintenance_chance=preset.maintenance_chance if chance is None else chance,
        supervisor=stack.supervisor,
        restart=stack.restart,
        ingest_processes=stack.ingest_processes or preset.ingest_processes,
        ingest_enqueue=stack.ingest_enqueue or preset.ingest_enqueue,
        gateway_timeout_ns=stack.gateway_timeout_ns,
        breaker=stack.breaker,
        breaker_failures=stack.breaker_failures,
        breaker_reset_ns=stack.breaker_reset_ns,
    )
