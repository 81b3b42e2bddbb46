"""The recorder itself: a dramatiq middleware that writes an event at each stage of a message.

It stands last in the broker's list, so it is the closest to the actor on both sides: its START
comes after every other middleware's work, its END before it, and a retry is enqueued after the END.
Each message carries its own enqueue stamp (option ``pk_t``), which every retry and hop overwrites.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from time import monotonic_ns
from typing import Any, Final

from dramatiq import Broker, Message, MessageProxy, Middleware

from perfkit.recorder.consumer import FETCHED, stamp_fetches
from perfkit.recorder.events import Kind
from perfkit.recorder.spool import SpoolWriter

__all__ = ["STAMP", "Recorder", "install"]

STAMP: Final = "pk_t"
"""Message option: monotonic nanoseconds of the last before_enqueue."""

# Members of an enum are slow to look up.
_ENQ = int(Kind.ENQ)
_DELAY = int(Kind.DELAY)
_START = int(Kind.START)
_END = int(Kind.END)
_ACK = int(Kind.ACK)
_NACK = int(Kind.NACK)
_SKIP = int(Kind.SKIP)
_REQUEUE = int(Kind.REQUEUE)


class _Thread(threading.local):
    """The native id of the running thread: a system call made once per thread."""

    def __init__(self) -> None:
        self.id = threading.get_native_id()


class Recorder(Middleware):
    """Writes the life of every message that passes through this process.

    A failed attempt that will be retried shows as END with an error, then ACK; a dead one as NACK.
    What a worker took and gave back unstarted as it stopped shows as REQUEUE.
    No hook raises: what can't be recorded is counted by the writer as lost.

    The hooks are written flat, and keep what they know as attributes of the message proxy
    (``pk_identity``, ``pk_asked_ns``, the consumer's ``pk_fetched_ns``): they are paid for by every
    job of the system under test, see ``tests/benchmarks/bench_recorder.py``.
    """

    def __init__(self, writer: SpoolWriter) -> None:
        self.writer = writer
        self._identify = writer.identity
        self._record = writer.record
        self._thread = _Thread()

    def close(self) -> None:
        """End the spool in order."""
        self.writer.close()

    def before_enqueue(self, broker: Broker, message: Message[Any], delay: int | None) -> None:
        message.options[STAMP] = monotonic_ns()

    def after_enqueue(self, broker: Broker, message: Message[Any], delay: int | None) -> None:
        now = monotonic_ns()
        try:
            options = message.options
            identity = self._identify(
                message.message_id,
                options.get("redis_message_id"),
                message.queue_name,
                message.actor_name,
                options.get("retries") or 0,
            )
            self._record(identity, _ENQ, options.get(STAMP, 0), now)
        except Exception as error:  # noqa: BLE001
            self._lose(error)

    def before_delay_message(self, broker: Broker, message: MessageProxy) -> None:
        self.before_process_message(broker, message, _DELAY)

    def before_process_message(self, broker: Broker, message: Any, kind: int = _START) -> None:
        # The identity is kept: Retries counts the attempt up before the ack.
        try:
            inner = message._message  # going through the proxy is a Python call for each attribute
            options = inner.options
            identity = message.pk_identity = self._identify(
                inner.message_id,
                options.get("redis_message_id"),
                inner.queue_name,
                inner.actor_name,
                options.get("retries") or 0,
            )
            try:
                fetched = message.pk_fetched_ns
            except AttributeError:
                fetched = 0
            enqueued = options.get(STAMP, 0)
            self._record(identity, kind, enqueued, fetched, monotonic_ns(), 0, self._thread.id)
        except Exception as error:  # noqa: BLE001
            self._lose(error)

    def after_process_message(
        self,
        broker: Broker,
        message: MessageProxy,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        now = monotonic_ns()
        try:
            error = 0 if exception is None else self.writer.index(type(exception).__name__)
            try:
                identity = message.pk_identity
            except AttributeError:
                identity = self._untaken(message)
            self._record(identity, _END, now, 0, 0, error, self._thread.id)
        except Exception as fault:  # noqa: BLE001
            self._lose(fault)

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:
        try:
            identity, thread = self._untaken(message), self._thread.id
            self._record(identity, _SKIP, monotonic_ns(), 0, 0, 0, thread)
        except Exception as error:  # noqa: BLE001
            self._lose(error)

    def before_ack(self, broker: Broker, message: Any) -> None:
        message.pk_asked_ns = monotonic_ns()

    def before_nack(self, broker: Broker, message: Any) -> None:
        message.pk_asked_ns = monotonic_ns()

    def after_ack(self, broker: Broker, message: Any, kind: int = _ACK) -> None:
        now = monotonic_ns()
        try:
            try:
                identity = message.pk_identity
            except AttributeError:
                identity = self._untaken(message)
            self._record(identity, kind, message.pk_asked_ns, now, 0, 0, self._thread.id)
        except Exception as error:  # noqa: BLE001
            self._lose(error)

    def after_nack(self, broker: Broker, message: Any) -> None:
        self.after_ack(broker, message, _NACK)

    def requeued(self, messages: Sequence[Any], now: int) -> None:
        """Redis has taken these messages back; not a hook, but called by the consumer."""
        for message in messages:
            try:
                identity, options = self._untaken(message), message.options
                fetched = getattr(message, FETCHED, 0)
                self._record(identity, _REQUEUE, options.get(STAMP, 0), fetched, now)
            except Exception as error:  # noqa: BLE001
                self._lose(error)

    def _untaken(self, message: MessageProxy) -> bytes:
        """Identity of a message that was never taken: its actor is unknown, or it was skipped."""
        options = message.options
        return self._identify(
            message.message_id,
            options.get("redis_message_id"),
            message.queue_name,
            message.actor_name,
            options.get("retries") or 0,
        )

    def _lose(self, error: Exception) -> None:
        """The recorder's own failure, which must never become the job's."""
        self.writer.lose(f"{type(error).__name__}: {error}")


def install(
    broker: Broker,
    directory: Path,
    *,
    name: str,
    role: str,
    others: Iterable[Broker] = (),
    budget: int | None = None,
) -> Recorder:
    """Record what the broker does in this process, into ``directory`` (made if missing).

    Install after the application has been imported, so that the recorder is the last middleware.
    Role ``worker`` also stamps fetches; any other leaves the broker's class alone. ``others``:
    further brokers of this process, whose events go into the same spool; the same one named again
    is recorded once. ``budget``: bytes of disk for the whole directory; without one it grows.

    Raises:
        ValueError: if the broker has a recorder already, or the name can't be a file name.
        OSError: if the directory can't be made.
    """
    brokers = {id(each): each for each in (broker, *others)}.values()
    for each in brokers:
        if any(isinstance(middleware, Recorder) for middleware in each.middleware):
            raise ValueError("this broker is being recorded already")
    broker_id = str(getattr(broker, "broker_id", ""))
    recorder = Recorder(
        SpoolWriter(directory, name=name, role=role, broker_id=broker_id, budget=budget)
    )
    for each in brokers:
        each.add_middleware(recorder)
        if role == "worker":
            stamp_fetches(each, recorder.requeued)
    return recorder
