"""A queue under faults, simulated in plain Python: what is recorded, and what is true of each job.

Not a line is shared with what is tested. Workers take messages from a list into their own set,
start, finish, acknowledge; faults strike between any two steps. What a recorder would have written
becomes rows; what Redis holds at the end becomes leftovers; what truly became of each job, and how,
is kept beside them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from tests.sealed import INSTANTS, MS, SECOND, Row, Sketch, delivery, left, request, sample, waiting

__all__ = ["TIMEOUT_NS", "Truth", "World"]

TIMEOUT_NS = 2 * SECOND
TICK_NS = 20 * MS
WIPED = "Redis died, and keeps nothing on a disk"
EVICTED = "evicted by Redis"
UNRETRIED = "its retry could not be enqueued, and the failure was acknowledged"
_CHARGING = "payments"


@dataclass
class Truth:
    """What became of each job, by its id."""

    repeated: set[str]
    redelivered: set[str]  # messages that started more than once
    reclaimed: set[str]  # messages that were given to one worker, and back to the list
    classes: dict[str, str] = field(default_factory=dict)
    mechanisms: dict[str, str] = field(default_factory=dict)


@dataclass
class _Message:
    rid: str
    job: Row
    attempt: int
    enqueued_ns: int


@dataclass
class _Running:
    message: _Message
    row: Row
    ends_ns: int
    fails: bool


@dataclass
class _Worker:
    name: str
    acks: dict[str, _Message] = field(default_factory=dict)
    ahead: list[tuple[_Message, int]] = field(default_factory=list)
    running: list[_Running] = field(default_factory=list)
    died_ns: int | None = None
    stopped: tuple[int, int] | None = None
    heard_ns: int = 0
    declared: bool = False

    def acts(self, now: int) -> bool:
        if self.died_ns is not None:
            return False
        return self.stopped is None or not self.stopped[0] <= now < self.stopped[1]


class World:
    """One trial, driven by a seed; `run` plays it to its end."""

    def __init__(self, seed: int, faults: list[str]) -> None:
        self.draw = random.Random(seed)
        self.now = INSTANTS["load_start"]
        self.list: list[_Message] = []
        self.bodies: dict[str, _Message] = {}
        self.dead: dict[str, _Message] = {}
        self.forgotten: dict[str, str] = {}  # rid -> how Redis lost it
        self.workers = [_Worker(f"worker-{number}") for number in (1, 2, 3)]
        self.requests: list[Row] = []
        self.jobs: list[Row] = []
        self.samples: list[Row] = []
        self.starts: dict[tuple[str, int], int] = {}
        self.message_starts: dict[str, int] = {}
        self.facts: dict[str, Any] = {
            "faults": [],
            "deaths": [],
            "settings": {
                "heartbeat_timeout_ns": TIMEOUT_NS,
                "pools": [{"name": "worker", "workers": 3, "threads": 2}],
            },
            "stack": {"redis": {"config": {"appendonly": "no", "save": ""}}},
            "processes": {"redis": {"role": "redis"}},
        }
        self.outage: tuple[int, int] | None = None
        self.evicted = 0
        self.unretried: set[str] = set()
        self.made: dict[str, _Message] = {}
        self.ends: dict[str, str] = {}
        self.lossy: list[int] = []  # when Redis lost something
        self.reclaimed: set[str] = set()
        self.maintained = self.draw.random() < 0.7
        instants = sorted(self.draw.sample(range(13, 19), len(faults)))
        self.plan = [(at * SECOND, name) for at, name in zip(instants, faults, strict=True)]

    def run(self) -> tuple[Sketch, Truth]:
        """Play the whole trial."""
        while self.now < INSTANTS["drain_end"]:
            self._faults()
            self._arrivals()
            if not self._down():
                self._maintenance()
            for worker in self.workers:
                if worker.acts(self.now):
                    self._work(worker)
            if (self.now - INSTANTS["load_start"]) % (10 * TICK_NS) == 0:
                at_s = (self.now - INSTANTS["load_start"]) / 1e9
                self.samples.append(sample(at_s, "redis.evicted", self.evicted))
            self.now += TICK_NS
        last_s = (self.now - INSTANTS["load_start"]) / 1e9
        self.samples.append(sample(last_s, "redis.evicted", self.evicted))
        return self._tables(), self._truth()

    # What happens from outside.

    def _down(self) -> bool:
        return self.outage is not None and self.outage[0] <= self.now < self.outage[1]

    def _arrivals(self) -> None:
        if self.now >= INSTANTS["load_end"] or self.draw.random() > 0.4:
            return
        job = request(len(self.requests), self.now, queue=_CHARGING)
        if self._down():
            job |= {"status": 503, "error": None}
            self.requests.append(job)
            return
        if (luck := self.draw.random()) < 0.1:
            job |= {"status": None, "error": "timeout"}
        self.requests.append(job)
        if luck >= 0.05:
            self._enqueue(job, 0, self.now + 2 * MS)

    def _enqueue(self, job: Row, attempt: int, at: int) -> None:
        message = _Message(f"m-{len(self.made)}", job, attempt, at)
        self.made[message.rid] = message
        self.list.append(message)
        self.bodies[message.rid] = message

    def _faults(self) -> None:
        while self.plan and self.plan[0][0] <= self.now:
            _, name = self.plan.pop(0)
            getattr(self, f"_{name}")()

    def _note(self, action: str, target: str, victim: str | None, ended: int | None) -> None:
        self.facts["faults"].append(
            {
                "action": action,
                "target": target,
                "at_ns": self.now,
                "done_ns": self.now,
                "ended_ns": ended,
                "victim": victim,
                "done": True,
                "error": None,
            }
        )

    def _kill(self) -> None:
        living = [each for each in self.workers if each.acts(self.now)]
        if len(living) > 1:
            victim = self.draw.choice(living)
            victim.died_ns = self.now
            if victim.running and self.draw.random() < 0.5:
                self._die_before_the_ack(victim.running[0])
            self.facts["deaths"].append({"name": victim.name, "at_ns": self.now, "status": -9})
            self._note("kill", "worker", f"{victim.name} (pid 7)", None)

    def _die_before_the_ack(self, each: _Running) -> None:
        done = max(self.now - MS, each.row["started_ns"])
        each.row |= {"finished_ns": done, "outcome": "done"}
        self.ends.setdefault(each.row["job_id"], "done_unacked")

    def _stop(self) -> None:
        living = [each for each in self.workers if each.acts(self.now)]
        if len(living) > 1:
            victim = self.draw.choice(living)
            until = self.now + 4 * SECOND
            victim.stopped = (self.now, until)
            self._note("stop", "worker", f"{victim.name} (pid 7)", until)

    def _wipe(self) -> None:
        self.outage = (self.now, self.now + SECOND)
        self.lossy.append(self.now)
        for rid in self.bodies:
            self.forgotten[rid] = WIPED
        self.bodies.clear()
        self.list.clear()
        self.dead.clear()
        for worker in self.workers:
            worker.acks.clear()
        self._note("restart", "redis", None, self.outage[1])

    def _evict(self) -> None:
        for rid in list(self.bodies):
            if self.draw.random() < 0.3 and any(each.rid == rid for each in self.list):
                self.forgotten[rid] = EVICTED
                del self.bodies[rid]
                self.list = [each for each in self.list if each.rid != rid]
                self.evicted += 1
                self.lossy.append(self.now)

    def _cut(self) -> None:
        """Redis is away for a moment; what it holds it keeps."""
        self.outage = (self.now, self.now + SECOND // 2)
        self._note("cut", "worker-redis", None, self.outage[1])

    # What Redis and the workers do.

    def _maintenance(self) -> None:
        for worker in self.workers:
            if worker.acts(self.now):
                worker.heard_ns, worker.declared = self.now, False
            elif (
                self.maintained and self.now - worker.heard_ns > TIMEOUT_NS and not worker.declared
            ):
                worker.declared = True
                for rid, message in worker.acks.items():
                    if rid in self.bodies:
                        self.list.append(message)
                        self.reclaimed.add(rid)
                worker.acks.clear()

    def _work(self, worker: _Worker) -> None:
        if not self._down():
            while self.list and len(worker.ahead) < 3:
                message = self.list.pop(0)
                worker.acks[message.rid] = message
                worker.ahead.append((message, self.now + 5 * MS))
        for each in list(worker.running):
            if each.ends_ns <= self.now:
                worker.running.remove(each)
                self._finish(worker, each)
        while worker.ahead and len(worker.running) < 2:
            self._start(worker, *worker.ahead.pop(0))

    def _start(self, worker: _Worker, message: _Message, fetched: int) -> None:
        fails = message.attempt < 2 and self.draw.random() < 0.15
        started = max(self.now, fetched) + MS
        key = (message.job["job_id"], message.attempt)
        self.starts[key] = self.starts.get(key, 0) + 1
        self.message_starts[message.rid] = self.message_starts.get(message.rid, 0) + 1
        row = delivery(
            message.job,
            redis_message_id=message.rid,
            attempt=message.attempt,
            delivery=self.message_starts[message.rid],
            enqueued_ns=message.enqueued_ns,
            enqueue_done_ns=message.enqueued_ns + MS,
            fetched_ns=fetched,
            started_ns=started,
            finished_ns=None,
            acked_ns=None,
            outcome="running",
            worker=worker.name,
        )
        self.jobs.append(row)
        length = self.draw.randrange(2, 15) * TICK_NS
        worker.running.append(_Running(message, row, started + length, fails))

    def _finish(self, worker: _Worker, each: _Running) -> None:
        row, message, job = each.row, each.message, each.row["job_id"]
        if each.fails and message.attempt == 1:
            if self._down():
                worker.running.append(each)  # as if it took longer
                return
            row |= {"finished_ns": self.now + MS, "outcome": "dead", "acked_ns": self.now + 3 * MS}
            if worker.acks.pop(message.rid, None) and self.bodies.pop(message.rid, None):
                self.dead[message.rid] = message
            if self.ends.get(job) != "done":
                self.ends[job] = self.ends.get(job, "dead")
            return
        row |= {"finished_ns": self.now + MS, "outcome": "failed" if each.fails else "done"}
        if not each.fails:
            self.ends[job] = "done"
        elif self._down():
            # The retry raises, its error is swallowed, and the ack is repeated until it works.
            self.unretried.add(job)
        else:
            self._enqueue(message.job, message.attempt + 1, self.now + 2 * MS)
        down = self.outage if self._down() else None
        row["acked_ns"] = self.now + 3 * MS if down is None else down[1] + MS
        if worker.acks.pop(message.rid, None):
            self.bodies.pop(message.rid, None)

    # What is left, and what is true.

    def _tables(self) -> Sketch:
        listed = {each.rid for each in self.list}
        held = {rid: each for each in self.workers for rid in each.acks}
        leftovers = []
        for rid, message in self.bodies.items():
            owner = held.get(rid)
            of = {"redis_message_id": rid}
            if owner is not None and rid not in listed:
                of |= {"owner": owner.name, "owner_alive": owner.died_ns is None}
            leftovers.append(left(message.job, "list" if rid in listed else "acks", **of))
        leftovers += [
            left(message.job, "dead", redis_message_id=rid) for rid, message in self.dead.items()
        ]
        # Of a retry that nobody took there is no row: it was in the delayed half of its queue.
        untaken = [
            waiting(
                each.job,
                redis_message_id=each.rid,
                enqueued_ns=each.enqueued_ns,
                enqueue_done_ns=each.enqueued_ns + MS,
            )
            for each in self.made.values()
            if each.rid not in self.message_starts and each.attempt == 0
        ]
        jobs = [*self.jobs, *untaken]
        return Sketch(self.requests, jobs, self.samples, (), leftovers, self.facts)

    def _truth(self) -> Truth:
        truth = Truth(
            repeated={job for (job, _), count in self.starts.items() if count > 1},
            redelivered={rid for rid, count in self.message_starts.items() if count > 1},
            reclaimed=self.reclaimed,
        )
        listed = {each.rid for each in self.list}
        for asked in self.requests:
            job = asked["job_id"]
            mine = [each for each in self.made.values() if each.job["job_id"] == job]
            here = [each.rid for each in mine if each.rid in self.bodies]
            started = any(name == job for name, _ in self.starts)
            if asked["status"] == 503:
                truth.classes[job] = "refused"
            elif asked["status"] is None:
                hidden = any(at >= asked["sent_ns"] for at in self.lossy)
                truth.classes[job] = (
                    "phantom" if started else "ambiguous" if mine or hidden else "absent"
                )
            elif job in self.ends:
                truth.classes[job] = self.ends[job]
            elif here:
                pending = any(rid in listed for rid in here)
                truth.classes[job] = "pending" if pending else "stranded"
            elif job in self.unretried:
                truth.classes[job] = "lost"
                truth.mechanisms[job] = UNRETRIED
            else:
                truth.classes[job] = "lost"
                truth.mechanisms[job] = self.forgotten[mine[-1].rid]
        return truth
