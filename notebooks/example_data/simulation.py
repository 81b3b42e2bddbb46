"""A small simulation of the whole system: requests, ingest, Redis, workers, gateway, telemetry.

Next-free-server queueing with what Dramatiq adds: each worker polls each queue every 5 to 10 ms
and fetches ahead, failed jobs come back after a backoff, the jobs of a dead worker come back when
its heartbeat is missed, and a worker that is told to stop gives back what it did not start. Every
draw is a pure function of its key, so the result is the same wherever it runs. Times are ns;
stamps are whole microseconds.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import Any

from arrivals import arrivals
from system import SECOND, Message, System, Worker, between, uniform

from telemetry import events, readings


class Simulation:
    """Runs one trial; afterwards the rows of its five tables are in the attributes."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.requests: list[dict[str, Any]] = []
        self.jobs: list[dict[str, Any]] = []
        self.calls: list[dict[str, Any]] = []
        self.samples: list[dict[str, Any]] = []
        self.leftovers: list[dict[str, Any]] = []
        self.charged: set[str] = set()
        self.deaths: list[dict[str, Any]] = []
        self.scalings: list[dict[str, Any]] = []
        self.lives: list[dict[str, Any]] = []
        self.end_ns = 0
        self._heap: list[tuple[int, int, Any, tuple[Any, ...]]] = []
        self._sequence = 0
        self._messages = 0
        self.lists: dict[str, deque[Message]] = {queue: deque() for queue in system.services}
        self.delayed: dict[str, list[Message]] = {queue: [] for queue in system.services}
        self.dead: dict[str, list[Message]] = {queue: [] for queue in system.services}
        self._open = 0  # messages that are neither acked nor dead
        self._arrivals = 0  # requests still to come
        self.workers = [self._worker(number, None) for number in range(system.workers)]

    def run(self) -> Simulation:
        system = self.system
        limit = system.load_end + system.drain_ns
        stop = limit if system.cut_ns is None else system.window_start + system.cut_ns
        self._plan()
        for worker in self.workers:
            for queue in system.services:
                self._at(system.start_ns, self._poll, worker, queue)
        for after, count in system.scale:
            self._at(system.window_start + after, self._scale, count)
        self._at(system.start_ns, self._tick)
        if system.death_ns is not None:
            self._at(system.window_start + system.death_ns, self._die, self.workers[0])
        now = system.start_ns
        while self._heap:
            at, _, action, arguments = heapq.heappop(self._heap)
            if at > stop or (at >= system.load_end and not self._arrivals and not self._open):
                break
            now = at
            action(at, *arguments)
        self.end_ns = stop if system.cut_ns is not None else max(now, system.load_end)
        if system.slow:
            for at, metric, subject, value in events(system.start_ns, self.end_ns):
                self._sample(at, metric, subject, value)
        if system.cut_ns is None:
            self._collect()
        else:
            self._cut(stop)
        self.jobs.sort(key=lambda row: (row["enqueued_ns"], row["redis_message_id"]))
        return self

    def _worker(self, number: int, ready: int | None) -> Worker:
        """Of those that the trial began with, ``ready`` is the start of the load."""
        system = self.system
        begun = (
            system.start_ns - SECOND
            if ready is None
            else ready - between(500, 700, system.trial, number, "boot")
        )
        life = {
            "name": f"worker-{number + 1}",
            "pool": "worker",
            "started_ns": begun,
            "ready_ns": system.start_ns if ready is None else ready,
            "stop_ns": None,
            "ended_ns": None,
        }
        self.lives.append(life)
        held = dict.fromkeys(system.services, 0)
        return Worker(life["name"], system.threads, held=held, life=life)

    def _at(self, instant: int, action: Any, *arguments: Any) -> None:
        self._sequence += 1
        heapq.heappush(self._heap, (instant, self._sequence, action, arguments))

    def _plan(self) -> None:
        for request in arrivals(self.system):
            self._arrivals += 1
            self._at(request["intended_ns"], self._arrive, request)

    def _arrive(self, now: int, request: dict[str, Any]) -> None:
        system, key = self.system, request["key"]
        self._arrivals -= 1
        sent = now + between(0.08, 1.1, key, "lag")
        first_byte = sent + between(1.8, 4.2, key, "ingest")
        luck = uniform(key, "luck")
        through: bool = True
        status: int | None = 202
        error: str | None = None
        if luck < system.refused:
            through, status = False, 503
        elif luck < system.refused + system.broken:
            through, status, error = request["seq"] % 2 == 0, None, 'reset <b>&"by peer'
        whole = status is not None
        self.requests.append(
            request
            | {
                "sent_ns": sent,
                "first_byte_ns": first_byte if whole else None,
                "done_ns": first_byte + between(0.02, 0.09, key, "read"),
                "blocked_ns": 0,
                "status": status,
                "error": error,
            }
        )
        if through:
            enqueued = sent + between(0.7, 1.3, key, "enqueue")
            self._open += 1
            self._at(enqueued, self._enqueue, request, 0, None)

    def _enqueue(
        self, now: int, request: dict[str, Any], attempt: int, delayed: int | None
    ) -> None:
        queue = request["queue"]
        self._messages += 1
        number = f"{self.system.trial:08x}-0000-4000-9000-{self._messages:012x}"
        waiting = [each for each in self.delayed[queue] if each.request is request]
        for each in waiting:
            self.delayed[queue].remove(each)
        self.lists[queue].append(Message(request, attempt, number, now, delayed_ns=delayed))

    def _poll(self, now: int, worker: Worker, queue: str) -> None:
        if not worker.alive or worker.stopping:
            return
        waiting = self.lists[queue]
        for _ in range(2 * self.system.threads - worker.held[queue]):
            if not waiting:
                break
            message = waiting.popleft()
            worker.held[queue] += 1
            row = self._row(message, worker, now + between(0.2, 0.5, message.number, "fetch"))
            worker.waiting.append((message, row))
        self._dispatch(now, worker)
        self._at(now + between(5, 10, worker.name, queue, now), self._poll, worker, queue)

    def _row(self, message: Message, worker: Worker, fetched: int) -> dict[str, Any]:
        request = message.request
        row = {
            "trial": self.system.trial,
            "job_id": request["job_id"],
            "redis_message_id": message.number,
            "queue": request["queue"],
            "actor": request["queue"],
            "attempt": message.attempt,
            "delivery": 0,
            "delayed_ns": message.delayed_ns,
            "enqueued_ns": message.enqueued_ns,
            "enqueue_done_ns": message.enqueued_ns + between(0.3, 0.6, message.number, "redis"),
            "fetched_ns": fetched,
            "started_ns": None,
            "finished_ns": None,
            "acked_ns": None,
            "requeued_ns": None,
            "outcome": "fetched",
            "error": None,
            "worker": worker.name,
        }
        self.jobs.append(row)
        return row

    def _dispatch(self, now: int, worker: Worker) -> None:
        while worker.free and worker.waiting:
            message, row = worker.waiting.popleft()
            worker.free -= 1
            worker.running.append((message, row))
            self._start(max(now, row["fetched_ns"]), worker, message, row)

    def _start(self, now: int, worker: Worker, message: Message, row: dict[str, Any]) -> None:
        request, attempt, queue = message.request, message.attempt, message.request["queue"]
        message.starts += 1
        started = now + between(0.05, 0.15, message.number, message.starts, "start")
        row |= {"started_ns": started, "delivery": message.starts, "outcome": "running"}
        service = self.system.services[queue]
        delay = service.delay_ns(request["key"], queue, attempt)
        own = round(service.own_ms * self.system.pace * 1000) * 1000
        worker.own_ns += own
        received = started + own + between(0.4, 0.9, message.number, message.starts, "call")
        answered = received + delay + between(0.1, 1.0, message.number, message.starts, "tick")
        failed = uniform(request["key"], queue, attempt, "error") < service.errors
        self._at(answered, self._answer, request, attempt, (received, answered, delay), failed)
        finished = answered + between(0.3, 0.7, message.number, message.starts, "return")
        self._at(finished, self._finish, worker, message, row, failed)

    def _answer(
        self,
        _now: int,
        request: dict[str, Any],
        attempt: int,
        times: tuple[int, int, int],
        failed: bool,
    ) -> None:
        charged = (
            request["queue"] == "payments" and not failed and request["key"] not in self.charged
        )
        if charged:
            self.charged.add(request["key"])
        received, answered, delay = times
        self.calls.append(
            {
                "trial": self.system.trial,
                "key": request["key"],
                "queue": request["queue"],
                "attempt": attempt,
                "received_ns": received,
                "answered_ns": answered,
                "delay_ns": delay,
                "status": 503 if failed else 200,
                "charged": charged,
            }
        )

    def _finish(
        self, now: int, worker: Worker, message: Message, row: dict[str, Any], failed: bool
    ) -> None:
        if not worker.alive:
            return
        acked = now + between(0.3, 0.6, message.number, message.starts, "ack")
        row |= {"finished_ns": now, "acked_ns": acked, "outcome": "done"}
        queue = message.request["queue"]
        if failed:
            names = self.system.error_names
            row["error"] = names[int(uniform(message.number, "name") * len(names))]
            if message.attempt < self.system.max_retries:
                row["outcome"] = "failed"
                backoff = 1000 * 2**message.attempt
                due = now + between(backoff, 2 * backoff, message.number, "backoff")
                self.delayed[queue].append(message)
                self._at(
                    due + between(5, 300, message.number, "hop"),
                    self._enqueue,
                    message.request,
                    message.attempt + 1,
                    acked + between(2, 12, message.number, "aside"),
                )
            else:
                row["outcome"] = "dead"
                self.dead[queue].append(message)
        worker.running.remove((message, row))
        worker.jobs += 1
        self._at(acked, self._acked, worker, queue, row["outcome"] != "failed")

    def _acked(self, now: int, worker: Worker, queue: str, closed: bool) -> None:
        self._open -= closed
        worker.held[queue] -= 1
        worker.free += 1
        self._dispatch(now, worker)
        if worker.stopping:
            self._end(now, worker)

    def _scale(self, now: int, count: int) -> None:
        """More workers, or fewer, the newest first to go."""
        there = [worker for worker in self.workers if worker.alive and not worker.stopping]
        event: dict[str, Any] = {
            "at_ns": now,
            "pool": None,
            "from_workers": len(there),
            "to_workers": count,
            "reason": "planned",
            "done_ns": None,
            "error": None,
        }
        self.scalings.append(event)
        for number in range(len(there), count):
            ready = now + between(500, 700, self.system.trial, number, "boot")
            event["done_ns"] = max(event["done_ns"] or 0, ready)
            worker = self._worker(len(self.lives), ready)
            worker.life["started_ns"] = now
            self._at(ready, self._join, worker)
        for worker in there[count:]:
            worker.stopping = True
            worker.life["stop_ns"] = now
            while worker.waiting:
                message, row = worker.waiting.pop()
                given_back = max(now, row["fetched_ns"]) + between(0.5, 1, message.number, "back")
                row |= {"requeued_ns": given_back, "outcome": "requeued"}
                queue = message.request["queue"]
                worker.held[queue] -= 1
                self.lists[queue].appendleft(message)
            self._end(now, worker)

    def _join(self, now: int, worker: Worker) -> None:
        self.workers.append(worker)
        for queue in self.system.services:
            self._at(now, self._poll, worker, queue)

    def _end(self, now: int, worker: Worker) -> None:
        """A worker that was told to stop ends with its last job."""
        if worker.running or any(worker.held.values()):
            return
        worker.alive = False
        worker.life["ended_ns"] = now
        for event in self.scalings:
            if event["at_ns"] == worker.life["stop_ns"]:
                event["done_ns"] = now

    def _die(self, now: int, worker: Worker) -> None:
        worker.alive = False
        worker.life["ended_ns"] = now
        self.deaths.append({"name": worker.name, "at_ns": now, "status": -9})
        for message, row in list(worker.running):
            # Started in the loop's future: the stamp was never written.
            if row["started_ns"] > now:
                row |= {"started_ns": None, "delivery": 0, "outcome": "fetched"}
                message.starts -= 1
        back = [message for message, _ in (*worker.running, *worker.waiting)]
        late = self.system.heartbeat_ns + between(50, 900, worker.name, "maintenance")
        self._at(now + late, self._recover, worker, back)

    def _recover(self, _now: int, worker: Worker, back: list[Message]) -> None:
        worker.running.clear()
        worker.waiting.clear()
        worker.held = dict.fromkeys(worker.held, 0)
        for message in back:
            self.lists[message.request["queue"]].append(message)

    def _tick(self, now: int) -> None:
        late = between(0.05, 0.9, now, "sampler")
        for metric, subject, value in readings(self, now):
            self._sample(now + late, metric, subject, value)
        self._at(now + self.system.tick_ns, self._tick)

    def _sample(self, at: int, metric: str, subject: str, value: float) -> None:
        row = {"trial": self.system.trial, "at_ns": at, "metric": metric, "subject": subject}
        self.samples.append(row | {"value": float(value)})

    def _collect(self) -> None:
        """What Redis still held."""
        for queue in self.system.services:
            places = (
                ("list", self.lists[queue]),
                ("delayed", self.delayed[queue]),
                ("dead", self.dead[queue]),
            )
            for place, messages in places:
                for message in messages:
                    self.leftovers.append(
                        {
                            "trial": self.system.trial,
                            "job_id": message.request["job_id"],
                            "redis_message_id": message.number,
                            "queue": queue,
                            "place": place,
                            "owner": None,
                            "owner_alive": None,
                        }
                    )

    def _cut(self, stop: int) -> None:
        """Forget what had not been written when perfkit was killed."""
        for row in (*self.requests, *self.jobs):
            for name, value in row.items():
                if name.endswith("_ns") and name not in ("intended_ns", "blocked_ns"):
                    row[name] = value if value is None or value <= stop else None
        self.requests = [row for row in self.requests if row["sent_ns"] is not None]
        for row in self.requests:
            if row["done_ns"] is None:
                row |= {"status": None, "error": None, "first_byte_ns": None}
        for row in self.jobs:
            if row["finished_ns"] is None and row["requeued_ns"] is None:
                row |= {"outcome": "running" if row["started_ns"] else "fetched", "error": None}
        self.calls = [call for call in self.calls if call["answered_ns"] <= stop]
