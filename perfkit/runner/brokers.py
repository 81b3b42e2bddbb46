"""Which broker is whose: worker processes as Redis knows them, by what each wrote when ready."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from perfkit.launcher.change import WorkerLife
from perfkit.runner.collect import read_json
from perfkit.telemetry import Workers

__all__ = ["Brokers"]


class Brokers:
    """Learns the broker ids of a trial's workers; what it says may be read by any thread.

    Args:
        spool: where the workers say that they are ready.
    """

    def __init__(self, spool: Path) -> None:
        self._spool = spool
        self._names: dict[str, str] = {}  # broker id -> worker
        self._read: set[Path] = set()
        self._known = Workers()

    def learn(self, lives: Iterable[WorkerLife], faults: Iterable[Mapping[str, Any]]) -> None:
        """Take in who is ready, who has ended, and what became of the faults so far."""
        for path in set(self._spool.glob("*.ready")) - self._read:
            note = read_json(path)
            if note.get("broker_id"):
                self._names[note["broker_id"]] = note["name"]
                self._read.add(path)
        ended = {life.name for life in lives if life.ended_ns is not None}
        self._known = Workers(
            dead=frozenset(broker for broker, name in self._names.items() if name in ended),
            outages=sum(
                fault["target"] == "worker-redis" and fault["ended_ns"] is not None
                for fault in faults
            ),
        )

    @property
    def known(self) -> Workers:
        """As last learned."""
        return self._known

    @property
    def names(self) -> Mapping[str, str]:
        """Broker id -> name of the worker."""
        return self._names
