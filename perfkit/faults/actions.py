"""What each fault does, and how it is mended.

action       does                                      mended by
kill         SIGKILL                                   nobody
terminate    SIGTERM                                   nobody
stop         SIGSTOP                                   SIGCONT
restart      ends it: Redis by SIGKILL, as a crash     another process in the same place
             does (by SIGTERM it would write a
             snapshot first, and hide what its
             profile risks); the ingest by SIGTERM
pause        CLIENT PAUSE ... ALL                      its own end; nothing can cut it short
fill         memory full of a key of ours              UNLINK
cut, slow    the relay resets and refuses, or delays   the relay
outage       the gateway answers 503                   its own end, or sooner
poison       one job more, that kills its worker       nobody: it comes back until it is dead
"""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import signal
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from perfkit.errors import StackError
from perfkit.faults.filling import Filling
from perfkit.faults.schedule import Due
from perfkit.faults.victims import Role, victims
from perfkit.redaction import redact
from perfkit.scenario import Fault
from perfkit.units import format_bytes

__all__ = ["Breaker", "Broken", "Disrupted", "Site"]

_TIMEOUT_S: Final = 5.0
_SIGNALS: Final = {
    "kill": signal.SIGKILL,
    "terminate": signal.SIGTERM,
    "stop": signal.SIGSTOP,
}


class Disrupted(Protocol):
    """A stack's parts, as far as they can be broken (`perfkit.launcher.disruption`)."""

    def living(self, role: Role) -> list[str]: ...

    def strike(self, name: str, number: signal.Signals, *, orphaning: bool = False) -> int: ...

    def expect_deaths(self, pools: Iterable[str]) -> None: ...

    def set_link(self, name: str, *, cut: bool = False, delay_ns: int = 0) -> int: ...

    def end(self, role: Role) -> None: ...

    def start_again(self, role: Role) -> list[int]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where faults happen. ``pools``: pool -> its queues, None for all."""

    disruption: Disrupted
    redis_url: str = field(repr=False)
    ingest_url: str | None
    gateway_url: str | None
    queues: Sequence[str]
    pools: Mapping[str, Sequence[str] | None]


def _nothing() -> None:
    """There is nothing to do."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A fault that has happened: to whom; ``hold`` keeps it up, ``mend`` ends it."""

    victim: str | None
    mend: Callable[[], None] = _nothing
    hold: Callable[[], None] = _nothing


class Breaker:
    """Carries out faults on a site. Thread-safe.

    Args:
        seed: by which a victim is chosen where several would do, and jobs get their ids.
    """

    def __init__(self, site: Site, seed: int) -> None:
        self._site = site
        self._seed = seed

    def carry_out(self, due: Due) -> Broken:
        """Break it; returns when it is broken.

        Raises:
            StackError: it can't be done, and nothing has changed.
        """
        fault = due.fault
        match fault.action:
            case "kill" | "terminate" | "stop":
                return self._signal(due)
            case "restart":
                return self._restart(fault)
            case "pause":
                return self._pause(fault)
            case "fill":
                return self._fill(fault)
            case "cut" | "slow":
                return self._link(fault)
            case "outage":
                return self._outage(fault)
            case "poison":
                return self._poison(due)
        raise StackError(f"nobody knows how to {fault.action} {fault.target}")

    def _draw(self, due: Due) -> str:
        return f"{self._seed}/fault/{due.index}"

    def _signal(self, due: Due) -> Broken:
        site, number = self._site.disruption, _SIGNALS[due.fault.action]
        names = victims(due.fault.target, site.living, self._draw(due))
        orphaning = due.fault.target == "supervisor" and number is signal.SIGKILL
        hit = {name: site.strike(name, number, orphaning=orphaning) for name in names}

        def go_on() -> None:
            for name in names:
                with contextlib.suppress(StackError):  # it died in its sleep
                    site.strike(name, signal.SIGCONT)

        return Broken(_named(hit), mend=go_on if number is signal.SIGSTOP else _nothing)

    def _restart(self, fault: Fault) -> Broken:
        site = self._site.disruption
        role: Role = "redis" if fault.target == "redis" else "ingest"
        number = signal.SIGKILL if role == "redis" else signal.SIGTERM
        hit = {name: site.strike(name, number) for name in victims(role, site.living, "")}
        site.end(role)

        def start() -> None:
            site.start_again(role)

        return Broken(_named(hit), mend=start)

    def _pause(self, fault: Fault) -> Broken:
        length_ms = (fault.for_ns or 0) // 1_000_000
        with _connected(self._site.redis_url) as client:
            client.execute_command("CLIENT", "PAUSE", str(length_ms), "ALL")
        ends_ns = time.monotonic_ns() + length_ms * 1_000_000

        def wait() -> None:
            # Not even UNPAUSE is heard before.
            left_s = max(0.0, (ends_ns - time.monotonic_ns()) / 1e9)
            with _connected(self._site.redis_url, left_s + _TIMEOUT_S) as client:
                client.ping()

        return Broken("redis", mend=wait)

    def _fill(self, fault: Fault) -> Broken:
        client = _client(self._site.redis_url, _TIMEOUT_S)
        try:
            filling = Filling(client, fault.fill_bytes)
            used = filling.fill()
        except StackError:
            client.close()
            raise

        def free() -> None:
            with contextlib.closing(client):
                filling.free()

        def hold() -> None:
            filling.fill()

        told = f"redis ({format_bytes(used)} of {format_bytes(filling.limit)} in use)"
        return Broken(told, mend=free, hold=hold)

    def _link(self, fault: Fault) -> Broken:
        site, name = self._site.disruption, fault.target
        count = site.set_link(name, cut=fault.action == "cut", delay_ns=fault.amount_ns or 0)

        def restore() -> None:
            site.set_link(name)

        # Those that were cut are gone by the time they could be counted.
        through = f"{name} ({count} connection{'' if count == 1 else 's'})"
        return Broken(name if fault.action == "cut" else through, restore)

    def _outage(self, fault: Fault) -> Broken:
        _, _, queue = fault.target.partition(":")
        queues = [queue] if queue else list(self._site.queues)
        begin_ns = time.monotonic_ns()
        until_ns = begin_ns + (fault.for_ns or 0)
        before = self._outages({})
        ours = [begin_ns, until_ns, "refuse"]
        self._outages({each: [*before.get(each, []), ours] for each in queues})

        def end() -> None:
            now_ns = time.monotonic_ns()
            if now_ns >= until_ns:
                return
            cut = [begin_ns, now_ns, "refuse"]
            current = self._outages({})
            self._outages(
                {
                    each: [cut if outage == ours else outage for outage in current.get(each, [])]
                    for each in queues
                }
            )

        return Broken(f"gateway ({', '.join(queues)})", mend=end)

    def _outages(self, given: Mapping[str, Any]) -> dict[str, list[list[Any]]]:
        """Set the outages of the queues named; returns all there are."""
        answer = _post("gateway", self._site.gateway_url, "/control/outages", given)
        found: dict[str, list[list[Any]]] = answer["outages"]
        return found

    def _poison(self, due: Due) -> Broken:
        _, _, queue = due.fault.target.partition(":")
        bits = random.Random(self._draw(due)).getrandbits(128)
        job_id = str(uuid.UUID(int=bits, version=4))
        self._site.disruption.expect_deaths(
            pool for pool, queues in self._site.pools.items() if queues is None or queue in queues
        )
        job = {"key": f"poison-{due.index}", "amount": 1, "poison": True}
        _post("ingest", self._site.ingest_url, f"/jobs/{queue}", job, {"Idempotency-Key": job_id})
        return Broken(f"job {job_id}")


def _named(hit: Mapping[str, int]) -> str:
    return ", ".join(f"{name} (pid {pid})" for name, pid in hit.items())


def _post(
    whom: str,
    url: str | None,
    path: str,
    document: Mapping[str, Any],
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """What is answered, as JSON. By the standard library: it needs no half a second to set out.

    Raises:
        StackError: it does not take it.
    """
    if url is None:
        raise StackError(f"this stack has no {whom}")
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=_TIMEOUT_S)
    try:
        body = json.dumps(document).encode()
        given = {"Content-Type": "application/json", **(headers or {})}
        connection.request("POST", path, body, given)
        reply = connection.getresponse()
        read = reply.read()
    except (OSError, http.client.HTTPException) as error:
        raise StackError(f"the {whom} did not take it: {error}") from None
    finally:
        connection.close()
    if reply.status not in (200, 202):
        raise StackError(f"the {whom} did not take it: it answered {read.decode()}")
    answer: dict[str, Any] = json.loads(read)
    return answer


def _client(url: str, timeout_s: float) -> redis.Redis:
    return redis.Redis.from_url(
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
    )


@contextlib.contextmanager
def _connected(url: str, timeout_s: float = _TIMEOUT_S) -> Any:
    """A client; what goes wrong with it is a `StackError`."""
    with _client(url, timeout_s) as client:
        try:
            yield client
        except (redis.RedisError, OSError) as error:
            raise StackError(f"Redis did not take it: {redact(str(error))}") from None
