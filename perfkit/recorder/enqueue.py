"""Load straight into the queues: ``python -m perfkit.recorder.enqueue --broker M:N ...``.

Imports the application, records what it enqueues, and enqueues a plan that was made before: it
finds two files in ``--plan DIR`` and leaves its rows there, for `perfkit.load.rows` to read.

    enqueue.json    header of the ledger, seed, nonce, jobs (queue, actor, args, kwargs), how long;
                    removed as it is read: an argument may be a secret
    enqueue.plan    of each job four int64: offset from the start of load, job, user, iteration
    requests.ledger one row for each job that came due
    requests.cost.json  what sending cost this process, once it has ended in order

It speaks as the load generator does: ``{"loaded": true}`` on stdout, then it waits for one line on
the lifeline with the start of load (monotonic ns), then twice a second the counts, at last
``{"finished": true, ...}``. SIGTERM, SIGINT and the end of the lifeline make it send nothing more.

One thread enqueues one job after another. More threads are slower (they share the interpreter),
and the order stays that of the plan. So a call that takes long holds up those that come due
meanwhile: each is still enqueued, late, and the time is in its row as ``blocked``, as it is for a
request that waits for a connection. What is left of its lag is the lag it would have had if every
call had taken no time: that is of our own making.

    sent = max(intended, end of the call before) + own
    v = max(intended, v of the job before) + own;   lag = v - intended;   blocked = sent - v

A job is accepted when the call returned (status 202, that of the sample's ingest), and errored when
it raised; it may be in its queue all the same.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import signal
import sys
import threading
import time
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from time import monotonic_ns
from typing import Any, Final

from dramatiq import Actor, Broker, Message

from perfkit.recorder.draws import drawn, is_drawn, job_id, job_key
from perfkit.recorder.ledger import Ledger
from perfkit.recorder.loading import (
    BrokerNotLoaded,
    bind_broker,
    load_broker,
    print_refusal,
    without_password,
)
from perfkit.recorder.middleware import install

__all__ = ["COST", "LEDGER", "PLAN", "SPEC", "main"]

SPEC: Final = "enqueue.json"
PLAN: Final = "enqueue.plan"
LEDGER: Final = "requests.ledger"
COST: Final = "requests.cost.json"

_ACCEPTED: Final = 202
_WORDS: Final = 4  # of a planned job
_TICK_S: Final = 0.5
_LOOK_S: Final = 0.05  # between two looks for a stop
_ORPHAN_S: Final = 4.0  # nothing outlives perfkit by 5 s


def main(argv: Sequence[str] | None = None) -> int:
    """Enqueue a plan; returns the exit code: 0, 1 no file can be written, 2 no such application."""
    options = _parser().parse_args(argv)
    voice = _own_stdout()
    spec = json.loads((options.plan / SPEC).read_text(encoding="utf-8"))
    (options.plan / SPEC).unlink()
    if spec["cpus"]:
        os.sched_setaffinity(0, spec["cpus"])
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        broker = load_broker(options.broker, options.path)
        bind_broker(broker, os.environ.get("REDIS_URL"))
        plan = _Plan(spec, options.plan / PLAN, broker)
    except BrokerNotLoaded as error:
        return print_refusal("perfkit.recorder.enqueue", error)
    recorder = install(broker, options.spool, name=options.name, role="producer")
    try:
        ledger = plan.ledger(options.plan / LEDGER)
    except OSError as error:
        print(f"the load could not be recorded: {error}", file=sys.stderr)
        return 1
    _open_connection(broker)
    gc.collect()
    gc.freeze()
    go = _Go(options.lifeline_fd, stop)
    _say(voice, {"loaded": True})
    start_ns = go.wait(stop)
    sender = _Sender(broker, plan, ledger, stop, voice)
    if start_ns is not None:
        cost = sender.run(start_ns)
        (options.plan / COST).write_text(json.dumps(cost), encoding="utf-8")
        _say(voice, {"finished": True, "interrupted": cost["interrupted"]})
    ledger.close()
    recorder.close()
    return 0


class _Plan:
    """Jobs and their instants, read from the two files.

    Raises:
        BrokerNotLoaded: the application has no such actor.
    """

    def __init__(self, spec: dict[str, Any], path: Path, broker: Broker) -> None:
        words = array("q")
        words.frombytes(path.read_bytes())
        self.offsets = words[0::_WORDS]
        self._jobs, self._users, self._iterations = (words[place::_WORDS] for place in (1, 2, 3))
        self.spec = spec
        self._seed: int = spec["seed"]
        self._nonce: str = spec["nonce"]
        self._kinds = [_Kind(each, broker) for each in spec["jobs"]]

    def message(self, row: int) -> Message[Any]:
        """The message of a job, made now: its timestamp is the present."""
        kind = self._kinds[self._jobs[row]]
        key = job_key(self._seed, row, self._users[row], self._iterations[row])
        return kind.message(key, job_id(self._nonce, key))

    def ledger(self, path: Path) -> Ledger:
        """An empty ledger of the plan."""
        queues = array("q", (self._kinds[job].queue for job in self._jobs))
        return Ledger(path, self.spec["header"], queues, self._users, self._iterations)


class _Kind:
    """One ``[[job]]``: its actor, and how its arguments come to be."""

    def __init__(self, job: dict[str, Any], broker: Broker) -> None:
        actor: Actor[Any, Any] | None = broker.actors.get(job["actor"])
        if actor is None:
            raise BrokerNotLoaded(f"the application has no actor {job['actor']!r}")
        self.queue: int = job["queue"]
        self._actor = actor
        self._args, self._kwargs = job["args"], job["kwargs"]
        self._is_drawn = is_drawn(self._args) or is_drawn(self._kwargs)

    def message(self, key: str, name: str) -> Message[Any]:
        args, kwargs, actor = self._args, self._kwargs, self._actor
        if self._is_drawn:
            args = drawn(args, key, actor.actor_name, "args")
            kwargs = drawn(kwargs, key, actor.actor_name, "kwargs")
        return Message(
            queue_name=actor.queue_name,
            actor_name=actor.actor_name,
            args=tuple(args),
            kwargs=kwargs,
            options={},
            message_id=name,
        )


class _Go:
    """The start of load, heard on the lifeline; its end is a stop, by force if that takes long."""

    def __init__(self, handle: int, stop: threading.Event) -> None:
        self._heard = threading.Event()
        self._start_ns: int | None = None

        def listen() -> None:
            line = b""
            while data := os.read(handle, 64):
                if not line.endswith(b"\n"):
                    line += data
                    if line.endswith(b"\n") and line.strip().isdigit():
                        self._start_ns = int(line)
                        self._heard.set()
            stop.set()
            time.sleep(_ORPHAN_S)
            os._exit(1)

        threading.Thread(target=listen, name="lifeline", daemon=True).start()

    def wait(self, stop: threading.Event) -> int | None:
        """The instant; None when it was stopped before."""
        while not self._heard.wait(_LOOK_S):
            if stop.is_set():
                return None
        return self._start_ns


class _Sender:
    """Enqueues a plan, a row for each job."""

    def __init__(
        self, broker: Broker, plan: _Plan, ledger: Ledger, stop: threading.Event, voice: int
    ) -> None:
        self._broker = broker
        self._plan = plan
        self._ledger = ledger
        self._stop = stop
        self._voice = voice
        self._errors: dict[str, int] = plan.spec["errors"]
        self._told: set[str] = set()
        self._intended = array("q")
        self._start_ns = 0
        self._sent = self._done = self._failed = self._unsent = self._lag_max_ns = 0
        self._in_flight = 0
        self._marked = 0

    def run(self, start_ns: int) -> dict[str, Any]:
        """Send all that comes due; returns what it cost."""
        spec = self._plan.spec
        self._start_ns = start_ns
        self._intended = array("q", (start_ns + offset for offset in self._plan.offsets))
        self._ledger.begin(self._intended)
        end_ns = start_ns + spec["load_ns"]
        self._sleep_until(start_ns)
        ended = threading.Event()
        ticker = threading.Thread(target=self._tick, args=(ended,), name="ticker", daemon=True)
        ticker.start()
        before = _usage()
        row = self._send_all(end_ns + spec["grace_ns"])
        self._sleep_until(end_ns)
        cost = {name: _since(before[name], value) for name, value in _usage().items()}
        ended.set()
        ticker.join()
        self._forgo(row)
        self._report()
        return {
            **cost,
            "loop": "perfkit.recorder.enqueue",
            "python": platform.python_version(),
            "interrupted": self._stop.is_set(),
        }

    def _send_all(self, until_ns: int) -> int:
        """Send one after the other; returns the first row that was not sent."""
        intended, make = self._intended, self._plan.message
        free_ns = virtual_ns = 0
        for row, due_ns in enumerate(intended):
            if not self._sleep_until(due_ns) or free_ns > until_ns:
                return row
            message = make(row)
            sent_ns = monotonic_ns()
            virtual_ns = max(due_ns, virtual_ns) + sent_ns - max(due_ns, free_ns)
            self._lag_max_ns = max(self._lag_max_ns, virtual_ns - due_ns)
            self._send(row, message, sent_ns, sent_ns - virtual_ns)
            free_ns = monotonic_ns()
        return len(intended)

    def _send(self, row: int, message: Message[Any], sent_ns: int, blocked_ns: int) -> None:
        self._ledger.sent(row, sent_ns, blocked_ns)
        self._sent += 1
        self._in_flight = 1
        try:
            self._broker.enqueue(message)
        except Exception as error:  # noqa: BLE001 - whatever an application raises
            self._failed += 1
            self._ledger.failed(row, self._errors[_kind_of(error)])
            self._tell(error)
        else:
            self._done += 1
            self._ledger.accepted(row, monotonic_ns(), _ACCEPTED)
        self._in_flight = 0

    def _sleep_until(self, instant_ns: int) -> bool:
        """Until the instant; False when stopped."""
        while (left_ns := instant_ns - monotonic_ns()) > 0:
            if self._stop.is_set():
                return False
            time.sleep(min(left_ns / 1e9, _LOOK_S))
        return not self._stop.is_set()

    def _forgo(self, first: int) -> None:
        """Leave a row for what came due and will not be sent any more."""
        for row in range(first, self._due(monotonic_ns())):
            self._ledger.failed(row, self._errors["unsent"])
            self._unsent += 1

    def _due(self, now_ns: int) -> int:
        return bisect_right(self._intended, now_ns)

    def _tick(self, ended: threading.Event) -> None:
        while not ended.wait(_TICK_S):
            self._report()

    def _report(self) -> None:
        """Tell the counts; and what came due behind a call that takes long counts from now on."""
        now_ns = monotonic_ns()
        due = self._due(now_ns) if not self._stop.is_set() else self._sent + self._unsent
        for row in range(self._marked, due):
            self._ledger.due(row)
        self._marked = max(self._marked, due)
        lag_ns, self._lag_max_ns = self._lag_max_ns, 0
        _say(
            self._voice,
            {
                "elapsed_s": round((now_ns - self._start_ns) / 1e9, 3),
                "planned": due,
                "sent": self._sent,
                "in_flight": self._in_flight,
                "done": self._done,
                "dropped": self._unsent,
                "errors": self._failed,
                "lag_ms": round(lag_ns / 1e6, 3),
            },
        )

    def _tell(self, error: Exception) -> None:
        """The first of each kind goes to the log."""
        kind = type(error).__qualname__
        if kind not in self._told:
            self._told.add(kind)
            said = " ".join(f"{kind}: {error}".split())
            print(without_password(f"a job could not be enqueued: {said}"), file=sys.stderr)


def _kind_of(error: Exception) -> str:
    """An error's name among those of the generator."""
    names = {each.__name__ for each in type(error).__mro__}
    if "TimeoutError" in names:
        return "timeout"
    return "connect" if "ConnectionError" in names else "raised"


def _open_connection(broker: Any) -> None:
    """Have the first job not pay for the connection; who has none to open, or can't, will tell."""
    ping = getattr(getattr(broker, "client", None), "ping", None)
    if ping is not None:
        try:
            ping()
        except Exception as error:  # noqa: BLE001 - the first call will tell it as its own
            print(without_password(f"no connection yet: {error}"), file=sys.stderr)


def _usage() -> dict[str, int | None]:
    """Clocks of this process, and how long its main thread wanted a core and had none."""
    try:
        waited = int(Path("/proc/self/schedstat").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        waited = None
    return {
        "wall_ns": monotonic_ns(),
        "cpu_ns": time.process_time_ns(),
        "run_queue_wait_ns": waited,
    }


def _since(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before


def _own_stdout() -> int:
    """A descriptor of our own for what we say; what the application prints goes to stderr."""
    sys.stdout.flush()
    voice = os.dup(1)
    os.dup2(2, 1)
    os.set_blocking(voice, False)
    return voice


def _say(voice: int, line: dict[str, Any]) -> None:
    """Below PIPE_BUF a write is whole or refused; who does not read loses lines, and holds up

    nobody.
    """
    try:
        os.write(voice, json.dumps(line).encode() + b"\n")
    except (BlockingIOError, BrokenPipeError):
        return


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m perfkit.recorder.enqueue")
    add = parser.add_argument
    add("--broker", required=True, metavar="MODULE:NAME")
    add("--path", type=Path, metavar="DIR", help="put first on the module search path")
    add("--name", default="enqueue", help="name of this producer, part of its files' names")
    add("--spool", required=True, type=Path, metavar="DIR", help="where it records")
    add("--plan", required=True, type=Path, metavar="DIR", help="where the plan is, and rows go")
    add("--lifeline-fd", required=True, type=int, metavar="N", help="says go; its end: stop")
    return parser


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    # Not by way of the interpreter's end: a thread of the application could keep it from coming.
    os._exit(code)
