"""When a running stack gets more or fewer workers: by plan (`Planned`) or by rule (`Autoscaler`).

Both are pure. They are told the time and what was measured, and answer with what to ask of
`Stack.scale`; whoever asks them does it, in the order given::

    for change in source.due(now_ns, figures):
        stack.scale(change.pool, change.workers, change.reason)

``now_ns`` counts from the start of the measured window and is negative before it. ``figures`` are
metrics by name; what is missing or NaN is not known.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from perfkit.scenario import Autoscale, Scale
from perfkit.units import format_duration

__all__ = ["Autoscaler", "Change", "Planned"]

_QUIET = 0.5  # of the target: younger than this, and there may be a worker too many


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """So many workers, from now on. ``pool`` None: the shared pool."""

    pool: str | None
    workers: int
    reason: str


class Planned:
    """The ``[[scale]]`` entries of a scenario, each of them once, when its time has come."""

    def __init__(self, scale: Sequence[Scale]) -> None:
        # A stable sort: of two at one instant, the later in the file has the last word.
        self._rest = sorted(scale, key=lambda each: each.at_ns)

    def due(self, now_ns: int, figures: Mapping[str, float]) -> list[Change]:
        """Those whose time has come since the last call; ``figures`` are not looked at."""
        del figures
        come = [each for each in self._rest if each.at_ns <= now_ns]
        self._rest = self._rest[len(come) :]
        return [Change(pool=each.pool, workers=each.workers, reason="planned") for each in come]


class Autoscaler:
    """Keeps the oldest waiting job younger than a target, by the number of workers.

    Looks once in ``every``, and not while a change is still going on. Then, with ``workers`` as
    asked for last and ``age`` of the oldest waiting job::

        age > target                          ceil(workers * age / target)
        age < target / 2, for ``cooldown``    workers - 1
        workers outside minimum..maximum      the nearer of the two

    all clamped to minimum..maximum. The first line is what a Kubernetes autoscaler computes from a
    metric of type ``Value`` (see `keda_document`). ``cooldown`` counts from the last change, or
    from the end of the last look that was not quiet, whichever is later.

    A level that was gone down to and did not hold is not tried again for two cooldowns, then four,
    eight, and so on: under a constant load the changes die out
    (`test_under_a_constant_load_the_changes_die_out`). Going on down from a level forgets its
    failures.

    Figures: ``queue.age`` in ns, or ``queue.age:<queue>`` for each of ``queues`` (those of the
    pool), of which the oldest counts; ``workers``: the level asked for last (`Stack.workers_now`);
    ``changing``: not 0 while a change is going on. Unknown age or level: nothing is asked.
    """

    def __init__(self, rule: Autoscale, queues: Sequence[str] = ()) -> None:
        self.rule = rule
        self._keys = [f"{rule.metric}:{queue}" for queue in queues] or [rule.metric]
        self._next_ns: int | None = None
        self._quiet_since_ns: int | None = None
        self._on_trial: int | None = None  # the level that was last gone down to
        self._failures: dict[int, int] = {}
        self._not_before_ns: dict[int, int] = {}

    def due(self, now_ns: int, figures: Mapping[str, float]) -> list[Change]:
        """What to ask for now: nothing, or one change."""
        rule = self.rule
        if figures.get("changing", 0.0):
            # What it is going to bring can't be seen yet, and quiet begins when it is over.
            self._quiet_since_ns = None
            return []
        if self._next_ns is not None and now_ns < self._next_ns:
            return []
        first_ns = now_ns if self._next_ns is None else self._next_ns
        self._next_ns = first_ns + ((now_ns - first_ns) // rule.every_ns + 1) * rule.every_ns
        age_ns = max((figures.get(key, math.nan) for key in self._keys), key=_known_first)
        workers = figures.get("workers", math.nan)
        if math.isnan(age_ns) or math.isnan(workers):
            self._quiet_since_ns = None
            return []
        wanted = self._wanted(now_ns, age_ns, int(workers))
        if wanted == int(workers):
            return []
        self._quiet_since_ns = None
        return [
            Change(
                pool=rule.pool, workers=wanted, reason=self._reason(age_ns, int(workers), wanted)
            )
        ]

    def _wanted(self, now_ns: int, age_ns: float, workers: int) -> int:
        rule = self.rule
        if age_ns >= rule.target_ns * _QUIET:
            self._quiet_since_ns = None
        elif self._quiet_since_ns is None:
            self._quiet_since_ns = now_ns
        if age_ns > rule.target_ns:
            # None at all can't be multiplied.
            wanted = self._clamped(math.ceil(max(workers, 1) * age_ns / rule.target_ns))
            if wanted > workers:
                self._went_up(now_ns, workers)
            return wanted
        wanted = self._clamped(workers)
        if wanted == workers > rule.minimum and self._may_go_down(now_ns, workers):
            self._failures.pop(workers, None)  # it has carried the load
            self._on_trial = workers - 1
            return workers - 1
        return wanted

    def _clamped(self, workers: int) -> int:
        return min(max(workers, self.rule.minimum), self.rule.maximum)

    def _may_go_down(self, now_ns: int, workers: int) -> bool:
        quiet_ns = -1 if self._quiet_since_ns is None else now_ns - self._quiet_since_ns
        return quiet_ns >= self.rule.cooldown_ns and now_ns >= self._not_before_ns.get(
            workers - 1, now_ns
        )

    def _went_up(self, now_ns: int, workers: int) -> None:
        if self._on_trial != workers:
            return
        self._on_trial = None
        failures = self._failures[workers] = self._failures.get(workers, 0) + 1
        self._not_before_ns[workers] = now_ns + 2**failures * self.rule.cooldown_ns

    def _reason(self, age_ns: float, workers: int, wanted: int) -> str:
        rule = self.rule
        if workers != self._clamped(workers):
            return f"autoscale: {rule.minimum} to {rule.maximum} workers are allowed"
        if wanted < workers:
            quiet, cooldown = rule.target_ns * _QUIET, rule.cooldown_ns
            return (
                f"autoscale: no job has waited for {format_duration(quiet)} "
                f"in {format_duration(cooldown)}"
            )
        age, target = format_duration(age_ns), format_duration(rule.target_ns)
        return f"autoscale: the oldest job has waited {age}, wanted is at most {target}"


def _known_first(value: float) -> float:
    return -math.inf if math.isnan(value) else value
