"""A whole system under test, up for as long as a ``with`` block.

    redis, gateway ──> relay ──> workers, ingest                      start; pairs together
    ingest ──> workers ──> relay ──> gateway ──> redis ──> keeper     stop, in this order, always

The relay is only there where a link is to be broken (`StackSpec.links`).

Left by return, exception, Ctrl-C, SIGTERM or SIGHUP, the block stops everything in that order.
SIGKILL leaves the stopping to the keeper (`keeper`), and to the lifelines of workers and ingest.
Each of these ways is tried in ``tests/launcher/test_leaks.py``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

from perfkit.errors import ResultsNotWritable
from perfkit.launcher import interrupts, scaling
from perfkit.launcher.change import ScaleEvent, WorkerLife
from perfkit.launcher.channel import Channel
from perfkit.launcher.child import Child, Role
from perfkit.launcher.crew import Crew
from perfkit.launcher.disruption import Disruption
from perfkit.launcher.fleet import Death, Fleet, Process
from perfkit.launcher.guard import Guard
from perfkit.launcher.ingest import Ingests, gateway_child
from perfkit.launcher.lease import Lease, sweep
from perfkit.launcher.links import Links
from perfkit.launcher.ports import port_of, reserve
from perfkit.launcher.privacy import Logs
from perfkit.launcher.probe import answers, answers_ok
from perfkit.launcher.servers import Servers
from perfkit.launcher.spec import StackSpec
from perfkit.launcher.watch import Watch
from perfkit.launcher.workers import Workers
from perfkit.redaction import redact

__all__ = ["Death", "Process", "ScaleEvent", "Stack", "StackSpec", "WorkerLife"]

# Workers finish their jobs and give back what they fetched; Dramatiq needs 1 to 3 s for nothing.
_WORKERS_GRACE_S = 10.0
_GRACE_S = 3.0
_HURRIED_S = 3.0  # for all together


class Stack:
    """Context manager; see the module. Usable once.

    Raises (on entering):
        UsageError: what `find_server`, `ForeignRedis.check`, `PrivateRedis`, `Workers` and
            `reserve` refuse; ``ResultsNotWritable`` where lease or directory can't be written.
        ChildDied, NotReady: a child did not come up.
    """

    def __init__(self, spec: StackSpec) -> None:
        self.spec = spec
        self._exits = contextlib.ExitStack()
        self._signals = contextlib.ExitStack()
        self._closed = False
        self._hurry: threading.Event | None = None
        self._deadline_s = float("inf")
        self._lease_lock = threading.Lock()
        self._started_in_s = 0.0
        self._ingests: Ingests | None = None
        self._links: Links | None = None
        self._gateway_port: int | None = None
        self._channel: Channel | None = None

    def __repr__(self) -> str:
        return f"Stack({str(self.spec.directory)!r})"

    def __enter__(self) -> Stack:
        begun_s = time.monotonic()
        self._signals.enter_context(interrupts.terminable())
        try:
            self._start()
        except BaseException:
            self.close(hurry=True)
            raise
        self._started_in_s = time.monotonic() - begun_s
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(hurry=kind is not None and issubclass(kind, KeyboardInterrupt))

    @property
    def redis_url(self) -> str:
        """With the password: for clients, never to be shown (`redact` it). The first of several."""
        return self._redis.url

    @property
    def redis_servers(self) -> Mapping[str, str]:
        """Every Redis by the queue it serves, ``""`` for all of them: URLs with the password."""
        return self._redis.urls

    @property
    def redis_urls(self) -> Mapping[str, str]:
        """Queue -> URL, with the password, of the queues that pools or gateway name."""
        urls = self._redis.urls
        pools = (queue for pool in self.spec.settings.pools for queue in pool.queues or ())
        queues = dict.fromkeys((*pools, *(self.spec.gateway or ())))
        return {queue: urls.get(queue, self._redis.url) for queue in queues}

    @property
    def ingest_url(self) -> str | None:
        """``http://127.0.0.1:port``, or None without an ingest."""
        return None if self._ingests is None else f"http://127.0.0.1:{self._ingests.port}"

    @property
    def gateway_url(self) -> str | None:
        """``http://127.0.0.1:port``, or None without a gateway."""
        return None if self._gateway_port is None else f"http://127.0.0.1:{self._gateway_port}"

    @property
    def processes(self) -> Mapping[str, Process]:
        """Every process so far by name, in the order of their start; some may be dead by now."""
        return self._fleet.processes()

    @property
    def keeper_pid(self) -> int:
        """The process that clears up when we are killed; another pid where it was replaced."""
        return self._guard.pid

    @property
    def lease(self) -> Lease:
        """As last written."""
        return self._lease

    def deaths(self) -> list[Death]:
        """Processes that ended by themselves, in the order of their ends."""
        return self._fleet.deaths()

    def check(self) -> None:
        """Whether a trial can go on.

        Raises:
            ChildDied: Redis, gateway or an ingest died, or no worker is left; the death of one
                worker of several is a result, not an error, and so are pools that were emptied
                and whatever was broken on purpose (`disruption`).
            StackError: Redis can't write its data any more.
        """
        with self._logs.named_as_kept():
            self._redis.check()
            self._fleet.check()
            self._crew.check()

    @property
    def disruption(self) -> Disruption:
        """What can be broken on purpose while it is up, and mended."""
        return self._disruption

    def scale(self, pool: str | None, workers: int, reason: str) -> ScaleEvent:
        """Ask for another number of workers in a pool (None: the shared one); returns at once.

        Workers are started and stopped in the background; `scale_events` tells how far it is. A
        wish that comes while another is carried out overtakes it. 0 empties the pool. Those that
        are told to stop are the newest, give back what they fetched, and are no deaths.

        Raises:
            UsageError: no such pool, a number that can't be, workers of the stock command line,
                or a stack that is being stopped.
        """
        return self._crew.scale(pool, workers, reason)

    def workers_now(self, pool: str | None = None) -> int:
        """Workers wanted in a pool: as at the start, or as asked for last.

        Raises:
            UsageError: no such pool.
        """
        return self._crew.levels()[self._crew.pool_named(pool)]

    def scale_events(self) -> list[ScaleEvent]:
        """What `scale` was asked for, by whomever, and what has become of it so far."""
        return self._crew.events()

    def worker_lives(self) -> list[WorkerLife]:
        """When each worker process so far was started, ready, told to stop, and ended."""
        return self._crew.lives()

    def facts(self) -> dict[str, Any]:
        """For manifest and ``trial.json``: Redis, addresses, commands, placement. No secret."""
        return {
            "redis": self._redis.facts(),
            "ingest_url": self.ingest_url,
            "gateway_url": self.gateway_url,
            "supervisor": self.spec.settings.supervisor,
            "cpus": sorted(self.spec.cpus or os.sched_getaffinity(0)),
            "processes": {name: each._asdict() for name, each in self.processes.items()},
            "commands": {
                child.spec.name: list(child.spec.argv) for child in self._fleet.children()
            },
            "environment": self.spec.tuning(),
            "links": [] if self._links is None else list(self._links.names),
            "started_in_s": round(self._started_in_s, 3),
        }

    def stop_workers(self, grace_s: float = _WORKERS_GRACE_S) -> None:
        """Stop all workers in order: jobs are finished or given back, records closed."""
        self._crew.close()
        self._fleet.stop("worker", "supervisor", grace_s=grace_s)

    def close(self, *, hurry: bool = False) -> None:
        """Stop everything; a second call does nothing. ``hurry``: within about 3 seconds.

        A signal that comes meanwhile ends all patience, and has its effect when all is stopped.
        """
        with self._signals, interrupts.deferred() as self._hurry:
            if self._closed:
                return
            self._closed = True
            if hurry:
                self._deadline_s = time.monotonic() + _HURRIED_S
            self._exits.close()

    # Starting. What is pushed last is stopped first.

    def _start(self) -> None:
        self._make_folders()
        spec = self.spec
        sweep(spec.leases_folder)
        self._lease = Lease.mine(spec.directory, spec.run_dir)
        self._exits.callback(lambda: self._lease.remove(spec.leases_folder))
        self._lease.write(spec.leases_folder)
        self._guard = Guard()
        self._exits.callback(self._guard.close)
        self._logs = Logs(spec, self._guard)
        self._exits.callback(self._logs.keep)
        self.spec = spec = self._logs.spec
        self._watch = Watch()
        self._exits.callback(self._watch.close)
        self._watch_keeper()
        self._fleet = Fleet(self._guard, self._watch, self._write_lease)
        with self._logs.named_as_kept(), contextlib.ExitStack() as reserved:
            if spec.gateway is not None:
                self._gateway_port = port_of(reserved.enter_context(reserve(spec.gateway_port)))
            self._start_redis()
            self._start_system()
        self._write_lease("up")

    def _make_folders(self) -> None:
        try:
            self.spec.spool.mkdir(parents=True, exist_ok=True)
            self.spec.kept_logs.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ResultsNotWritable(
                f"{self.spec.directory} can't be written: {error.strerror}",
                "choose another folder with --results DIR or PERFKIT_RESULTS, or free some space",
            ) from None

    def _watch_keeper(self) -> None:
        def renew() -> None:
            if not self._closed:
                self._guard.renew()
                self._watch_keeper()

        self._watch.add(self._guard.pid, renew)

    def _start_redis(self) -> None:
        """The Redis in use; the gateway, which needs none, starts beside it."""
        spec = self.spec
        self._redis = Servers(spec, self._guard)
        self._exits.callback(lambda: self._redis.stop(lambda: self._patience_s(_GRACE_S)))
        if self._gateway_port is not None:
            self._exits.callback(self._stop, _GRACE_S, "gateway")
            environment = spec.instrument_environment("", self.gateway_url)
            self._fleet.begin(gateway_child(spec, environment, self._gateway_port))
        self._redis.start(spec.start_timeout_s, self._fleet.adopt)

    def _start_system(self) -> None:
        spec = self.spec
        environment = spec.environment(self._redis.url, self.gateway_url)
        if spec.links:
            self._links = self._start_relay(
                spec.instrument_environment(self._redis.url, self.gateway_url)
            )
        apart = {} if self._links is None else self._links.environment("worker")
        urls = self._redis.urls
        of_urls = (secret for url in urls.values() for secret in _secrets_of(url))
        secrets = (*spec.secrets, *of_urls)
        self._logs.hide(*secrets)
        lifeline, kept_end = os.pipe()
        self._exits.callback(os.close, lifeline)  # open as long as replacements may need it
        self._exits.callback(os.close, kept_end)
        self._exits.callback(self._stop, _WORKERS_GRACE_S, "worker", "supervisor")
        self._workers = Workers(spec, environment | apart, lifeline, secrets, urls)
        self._crew = Crew(
            self._fleet,
            self._workers,
            spec.settings,
            self._write_lease,
            start_timeout_s=spec.start_timeout_s,
            grace_s=_WORKERS_GRACE_S,
        )
        for each in self._workers.children():
            self._fleet.begin(each)
        if spec.ingest_app is not None:
            if self._redis.per_queue:
                environment |= {"REDIS_URLS": json.dumps(dict(urls))}
            if self._links is not None:
                environment |= self._links.environment("ingest")
            self._ingests = Ingests(spec, environment, lifeline, secrets)
            self._exits.callback(self._ingests.close)
            self._exits.callback(self._stop, _GRACE_S, "ingest")
            self._ingests.start(self._fleet.begin)
        self._write_lease()
        self._wait_for_all()
        self._disruption = Disruption(
            self._fleet,
            self._redis,
            self._ingests,
            self._links,
            self._write_lease,
            start_timeout_s=spec.start_timeout_s,
        )
        if spec.settings.restart:
            self._fleet.replace_with(self._crew.replacement)
        self._channel = Channel(functools.partial(scaling.answers, self._crew))
        self._exits.callback(self._channel.close)
        self._exits.callback(self._crew.close)

    def _start_relay(self, environment: Mapping[str, str]) -> Links:
        links = Links(self.spec, self._redis.url, self.gateway_url)
        self._exits.callback(links.close)
        self._exits.callback(self._stop, _GRACE_S, "relay")
        relay = self._fleet.begin(links.child(environment))
        relay.wait_ready(links.answers, self.spec.start_timeout_s)
        return links

    def _wait_for_all(self) -> None:
        for child in self._fleet.children("gateway", "worker", "supervisor", "ingest"):
            child.wait_ready(functools.partial(self._is_ready, child), self.spec.start_timeout_s)
        for master in self._fleet.children("supervisor"):
            for worker in self._workers.named(master):
                self._fleet.admit(worker)

    def _is_ready(self, child: Child) -> bool:
        self._redis.check()  # nobody gets ready on a server that can't write
        role = child.spec.role
        if role == "gateway":
            return self._gateway_port is not None and answers_ok(self._gateway_port, "/healthz")
        if role == "ingest":
            if self.spec.recorder and not list(self.spec.spool.glob(f"{child.spec.name}.*.jsonl")):
                return False
            if self._ingests is None:
                return False
            if self.spec.is_sample:
                return answers_ok(self._ingests.port, "/readyz")
            return answers(self._ingests.port)  # what its pages are, we don't know
        return self._workers.ready(child)

    def _write_lease(self, state: str | None = None) -> None:
        urls = {
            f"redis-{queue}" if queue else "redis": redact(url)
            for queue, url in self._redis.urls.items()
        }
        urls |= {"ingest": self.ingest_url} if self.ingest_url else {}
        urls |= {"gateway": self.gateway_url} if self.gateway_url else {}
        with self._lease_lock:
            self._lease = dataclasses.replace(
                self._lease,
                state=state or self._lease.state,
                urls=urls,
                children=self._fleet.leased(),
                folders=(*self._redis.folders, *self._logs.folders),
                pools=self._crew.levels(),
                channel=None if self._channel is None else self._channel.name,
            )
            self._lease.write(self.spec.leases_folder)

    # Stopping

    def _stop(self, grace_s: float, *roles: Role) -> None:
        self._fleet.stop(*roles, grace_s=self._patience_s(grace_s), hurry=self._hurry)

    def _patience_s(self, grace_s: float) -> float:
        if self._hurry is not None and self._hurry.is_set():
            return 0.0
        return max(0.2, min(grace_s, self._deadline_s - time.monotonic()))


def _secrets_of(redis_url: str) -> tuple[str, ...]:
    """The URL's password, as written and as meant."""
    written = urlsplit(redis_url).password
    return (written, unquote(written)) if written else ()
