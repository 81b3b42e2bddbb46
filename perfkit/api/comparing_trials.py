"""Trials of a comparison: their pairs, which of them are valid, and what they measured."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from perfkit.api.runs import Run
from perfkit.errors import NotARun
from perfkit.frames import AT_EQUAL_SPEED, core_loop_ns, primaries
from perfkit.pairs import ARM, ARMS
from perfkit.stats.adjusting import slopes_of_others
from perfkit.stats.pairing import LEAST_PAIRS

__all__ = ["Attempts", "Judged", "Pair", "attempts_of", "invalid_trials", "measured_trials"]

_CUT: Final = (
    "interrupted",
    "killed while measuring",
    "it was not finished when the run was sealed",
)
"""Why a trial is not whole though nothing is known against it: a person, or a power cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One trial: whether it was measured, and whether its figures mean anything."""

    trial: int
    pair: int
    arm: str
    status: str  # of the verdict, or "NOT MEASURED"
    valid: bool
    unstable: bool
    pending: bool
    """It was not begun or was cut short, and can be measured: nothing is known against it."""
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One attempt at one pair: trial numbers, and what is to be said of each."""

    pair: int
    a: int
    b: int
    valid_a: bool
    valid_b: bool
    unstable_a: bool
    unstable_b: bool

    @property
    def valid(self) -> bool:
        """Whether both trials are."""
        return self.valid_a and self.valid_b


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """Every pair by its attempts."""

    counted: tuple[Pair, ...]
    """Of each pair that was measured the first valid attempt, else the last one."""
    replaced: tuple[Pair, ...]
    """Attempts that were invalid and were followed by another."""
    judged: Mapping[int, Judged]
    values: pd.DataFrame
    """`perfkit.frames.primaries` by trial, and `AT_EQUAL_SPEED` of the pairs that count."""
    unmeasured: int
    """Pairs of the plan of which no attempt was measured."""

    @property
    def invalid(self) -> tuple[int, int]:
        """Trials of A and of B that are not valid, in all attempts."""
        every = (*self.counted, *self.replaced)
        return (
            sum(not each.valid_a for each in every),
            sum(not each.valid_b for each in every),
        )


def attempts_of(run: Run, pairs: int) -> Attempts:
    """Sort the trials of a comparison into pairs.

    Raises:
        NotARun: its plan is not one of pairs.
    """
    judged = {each.trial: each for each in _judged(run)}
    counted: list[Pair] = []
    replaced: list[Pair] = []
    measured: dict[int, list[Pair]] = {}
    for first in sorted(judged)[::2]:
        pair = _pair(judged, first, run)
        if pair is not None:
            measured.setdefault(pair.pair, []).append(pair)
    for number in sorted(measured):
        every = measured[number]
        chosen = next((each for each in every if each.valid), every[-1])
        counted.append(chosen)
        replaced += [each for each in every if each is not chosen]
    values = primaries(run.stored).set_index("trial")
    at_equal_speed = _at_equal_speed(run, counted, values["CPU ms per job"])
    if at_equal_speed.notna().any():
        values[AT_EQUAL_SPEED.name] = at_equal_speed
    return Attempts(
        counted=tuple(counted),
        replaced=tuple(replaced),
        judged=judged,
        values=values,
        unmeasured=max(0, pairs - len(counted)),
    )


def _at_equal_speed(run: Run, counted: Sequence[Pair], cpu_ms: pd.Series) -> pd.Series:
    """CPU per job as if the cores had always been as fast as they were on average; by trial.

    How far it follows the speed is told by the other pairs (`slopes_of_others`); NaN where too few
    of them are valid and know both.
    """
    loop_ns = pd.Series({trial: core_loop_ns(run.stored, trial) for trial in cpu_ms.index})
    known = (cpu_ms > 0) & (loop_ns > 0)
    pairs = [pair for pair in counted if pair.valid and known[pair.a] and known[pair.b]]
    found = pd.Series(math.nan, index=cpu_ms.index)
    if len(pairs) < LEAST_PAIRS:
        return found
    cost, speed = (
        np.log(np.array([[every[pair.a], every[pair.b]] for pair in pairs]))
        for every in (cpu_ms, loop_ns)
    )
    slopes = slopes_of_others(np.diff(cost)[:, 0], np.diff(speed)[:, 0])
    adjusted = np.exp(cost - slopes[:, np.newaxis] * (speed - speed.mean()))
    for pair, (of_a, of_b) in zip(pairs, adjusted, strict=True):
        found[pair.a], found[pair.b] = of_a, of_b
    return found


def invalid_trials(run: Run) -> dict[int, str]:
    """Trials that were measured and mean nothing, or that failed, and why; by trial."""
    return {
        each.trial: each.reasons[0] if each.reasons else each.status
        for each in _judged(run)
        if not each.valid and not each.pending
    }


def measured_trials(run: Run, attempts: Attempts) -> pd.DataFrame:
    """See `perfkit.api.compared.Compared.trials`."""
    again = {trial for pair in attempts.replaced for trial in (pair.a, pair.b)}
    anchors = {
        trial: (run.trial_facts(trial).get("anchor") or {}).get("wall_ns")
        or run.stored.facts(trial).instants.load_start
        for trial in run.stored.trials
    }
    began = min(anchors.values(), default=0)
    rows = [
        {
            "trial": each.trial,
            "pair": each.pair,
            "arm": each.arm,
            "at_s": (anchors[each.trial] - began) / 1e9,
            "status": each.status,
            "valid": each.valid,
            "unstable": each.unstable,
            "replaced": each.trial in again,
            "reasons": "; ".join(each.reasons),
        }
        for each in sorted(attempts.judged.values(), key=lambda each: each.trial)
        if each.trial in anchors
    ]
    columns = ["trial", "pair", "arm", "at_s", "status", "valid", "unstable", "replaced", "reasons"]
    frame = pd.DataFrame(rows, columns=columns)
    # A pair that was measured after an interrupt may stand before others in the plan.
    frame = frame.sort_values(["at_s", "trial"], ignore_index=True)
    frame.insert(3, "order", range(len(frame)))
    return frame.join(attempts.values, on="trial")


def _judged(run: Run) -> Iterator[Judged]:
    outcomes = {each["trial"]: each for each in run.manifest["trials"]}
    verdicts = {each.trial: each for each in run.verdict().trials}
    for planned in run.manifest["plan"]:
        trial = planned["trial"]
        arm = planned.get("axes", {}).get(ARM)
        if arm not in ARMS:
            raise NotARun(f"trial {trial} of {run.path} is of no arm", "restore it from a copy")
        common = {"trial": trial, "pair": planned["repetition"], "arm": arm}
        if trial not in verdicts:
            failed = outcomes.get(trial, {}).get("outcome") == "failed"
            why = str(outcomes[trial]["reason"]) if failed else "not measured"
            yield Judged(
                **common,
                status="NOT MEASURED",
                valid=False,
                unstable=False,
                pending=not failed or why in _CUT,
                reasons=(why,),
            )
            continue
        verdict, facts = verdicts[trial], run.stored.facts(trial)
        # Stopped by a threshold is a result; cut short by a person is none.
        cut = facts.outcome != "complete" and facts.aborted is None
        valid = verdict.status != "INVALID" and not cut
        yield Judged(
            **common,
            status=verdict.status,
            valid=valid,
            unstable=valid and (verdict.saturated or facts.aborted is not None),
            pending=cut and facts.reason in _CUT,
            reasons=verdict.reasons,
        )


def _pair(judged: Mapping[int, Judged], first: int, run: Run) -> Pair | None:
    """The pair that begins with this trial; None where it is yet to be measured."""
    both = [judged[each] for each in (first, first + 1) if each in judged]
    arms = {each.arm: each for each in both}
    if set(arms) != set(ARMS) or len({each.pair for each in both}) > 1:
        raise NotARun(
            f"trials {first} and {first + 1} of {run.path} are no pair", "restore it from a copy"
        )
    if any(each.pending for each in both):
        return None
    a, b = arms["A"], arms["B"]
    return Pair(
        pair=a.pair,
        a=a.trial,
        b=b.trial,
        valid_a=a.valid,
        valid_b=b.valid,
        unstable_a=a.unstable,
        unstable_b=b.unstable,
    )
