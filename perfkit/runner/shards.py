"""Several load generators as one: on one clock, with one sum, and one end.

    state      does                                              leaves when
    loaded     each waits for its "go"                           all wait: each is told one instant
    load       the sum of their counts is told                   each has ended
               one died: it is noted, the others are stopped     at once
    closed     each was told to stop, then waited for

A shard that dies ends the trial. What the others could still measure would be the system under a
load that nobody asked for, and the trial is INVALID anyway; ended at once, it costs no more time.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from perfkit.load.shards import divide
from perfkit.load.spec import LoadSpec
from perfkit.runner.generator import GeneratorProcess, ShardDeath

__all__ = ["LoadSource", "ShardedGenerator", "generator_of", "summed"]

_SUMS: Final = ("planned", "sent", "in_flight", "done", "dropped", "errors")
_GRACE_S: Final = 5.0


class LoadSource(Protocol):
    """What sends a trial's load, as its conductor sees it; `Sender` says what each does."""

    @property
    def lead_ns(self) -> int: ...

    @property
    def death(self) -> ShardDeath | None: ...

    @property
    def processes(self) -> Mapping[str, int]: ...

    @property
    def figures(self) -> Mapping[str, Any]: ...

    def wait_loaded(self) -> None: ...

    def go(self, start_ns: int) -> None: ...

    def ended(self) -> bool: ...

    def close(self, grace_s: float = 5.0) -> None: ...


def generator_of(spec: LoadSpec, folder: Path, shards: int) -> LoadSource:
    """The load generator: one process, or several."""
    return GeneratorProcess(spec, folder) if shards == 1 else ShardedGenerator(spec, folder, shards)


class ShardedGenerator:
    """As many `GeneratorProcess` as there are shards, named generator-1 and so on."""

    def __init__(self, spec: LoadSpec, folder: Path, shards: int) -> None:
        self.death: ShardDeath | None = None
        """The first that died, and why the trial is to end."""
        with contextlib.ExitStack() as started:
            self._shards: list[GeneratorProcess] = []
            for number, part in enumerate(divide(spec, shards), 1):
                Path(part.output).mkdir()
                shard = GeneratorProcess(
                    part,
                    folder,
                    name=f"generator-{number}",
                    title=f"load shard {number} of {shards}",
                )
                started.callback(shard.close, 0.0)
                self._shards.append(shard)
            started.pop_all()
        self.lead_ns = max(shard.lead_ns for shard in self._shards)

    @property
    def processes(self) -> Mapping[str, int]:
        """Names and pids."""
        return {shard.name: shard.pid for shard in self._shards}

    @property
    def figures(self) -> Mapping[str, Any]:
        """Sums of the last counts; the mean of their times, the largest lag.

        Empty until each has told some: a part of the sum would look like a load that is missed.
        """
        return summed([shard.figures for shard in self._shards])

    def wait_loaded(self) -> None:
        """Return when all wait for their "go".

        Raises:
            ChildDied: one ended instead.
            NotReady: one said nothing for 30 s.
        """
        for shard in self._shards:
            shard.wait_loaded()

    def go(self, start_ns: int) -> None:
        """Load starts at this instant, of all."""
        for shard in self._shards:
            shard.go(start_ns)

    def ended(self) -> bool:
        """Whether none runs any more; one that died is noted, and the others are stopped."""
        are_over = [shard.ended() for shard in self._shards]
        if self.death is None:
            self.death = next((each.death for each in self._shards if each.death), None)
            if self.death is not None:
                self._stop()
        return all(are_over)

    def close(self, grace_s: float = _GRACE_S) -> None:
        """Be sure that all are gone; they are told to stop before any is waited for."""
        self.ended()
        deadline = time.monotonic() + grace_s
        with contextlib.ExitStack() as left:
            for shard in self._shards:
                left.callback(self._close, shard, deadline)
            self._stop()
        self.ended()  # one that stood still was noted as it was killed

    def _close(self, shard: GeneratorProcess, deadline: float) -> None:
        shard.close(max(0.0, deadline - time.monotonic()))

    def _stop(self) -> None:
        for shard in self._shards:
            if shard.status is None:
                shard.stop()


def summed(figures: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The counts of several generators as those of one; empty where one has told none."""
    if not all(figures):
        return {}
    return {
        "elapsed_s": sum(float(each["elapsed_s"]) for each in figures) / len(figures),
        **{name: sum(int(each[name]) for each in figures) for name in _SUMS},
        "lag_ms": max(float(each["lag_ms"]) for each in figures),
    }
