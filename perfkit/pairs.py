"""Two arms over interleaved pairs of trials: a plan for a comparison.

    pair 0      pair 1      pair 2     ...     pair 1, again
    A0  B1      B2  A3      A4  B5             B16 A17

One pair is two neighbouring trials, one of each arm, with the same seed and so the same keyed
draws. Which of them comes first is drawn for each pair from the seed, so that drift of the machine
falls on both arms alike (statistics.md, 2.3). A pair that is measured again is appended, with the
reason, and gets a seed of its own. The trial says which it is: its axis ``arm``, and its pair as
the repetition. See tests/test_pairs.py.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from perfkit.errors import NotARun, UsageError
from perfkit.plan import Plan, Source, Trial, build
from perfkit.scenario import ALIASES, Scenario, digest, parse, with_values, workload_digest

__all__ = [
    "ARM",
    "ARMS",
    "DRAIN",
    "PAIRS",
    "WARMUP",
    "WINDOW",
    "Arm",
    "are_same",
    "arm_of",
    "digest_of",
    "measured_again",
    "pair_up",
    "partner_of",
    "repeats_at_most",
    "share_work",
]

Value = str | int | float | bool

ARM: Final = "arm"
"""The axis that says which arm a trial is of."""
ARMS: Final = ("A", "B")
"""Baseline and candidate."""
PAIRS: Final = 8
"""The least whose exact test can pass a threshold of 1 % (statistics.md, 1.3)."""
WARMUP: Final = "5s"
WINDOW: Final = "20s"
DRAIN: Final = "5s"
_MOST_NAME: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One side of a comparison: a scenario, and what is set in this arm alone."""

    name: str
    scenario: str  # a built-in's name or a path
    values: Mapping[str, Value] = field(default_factory=dict)  # dotted keys, or short ones


def pair_up(
    a: Arm,
    b: Arm,
    *,
    pairs: int = PAIRS,
    values: Mapping[str, Value] | None = None,
    faults: Sequence[str] = (),
) -> Plan:
    """Unroll two arms into interleaved pairs.

    Warm-up, window and drain are those of a comparison (5 s, 20 s, at most 5 s) whatever the
    scenario says, unless ``values`` or an arm sets them; phases keep their length.

    Args:
        a: the baseline.
        b: the candidate.
        pairs: how many.
        values: keys set in both arms.
        faults: added to those of both.

    Raises:
        UsageError: unknown scenario, no pair, a key set for both arms and for one, or the seed for
            one.
        ScenarioError: an arm is not valid.
    """
    if pairs < 1:
        raise UsageError(f"{pairs} pairs make no comparison", f"use 1 or more; {PAIRS} is usual")
    both = _dotted(values or {})
    for arm in (a, b):
        if "seed" in _dotted(arm.values):
            raise UsageError(
                "the seed is that of both arms, which get the same draws",
                "set it in both, with --set seed=N",
            )
        if twice := sorted(both.keys() & _dotted(arm.values).keys()):
            raise UsageError(
                f"{twice[0]!r} is set for both arms and for one of them", "drop one of the two"
            )
    sides = [_side(arm, both, faults) for arm in (a, b)]
    seed = sides[0].scenario.seed
    trials = [
        each for pair in range(pairs) for each in _pair(sides, seed, pair, 0, 2 * pair, "planned")
    ]
    sources = {side.source.name: side.source for side in sides}
    name = "-".join(["compare", *(side.scenario.name for side in sides)])
    return Plan(
        name=name[:_MOST_NAME].strip("-"), sources=tuple(sources.values()), trials=tuple(trials)
    )


def measured_again(plan: Plan, reasons: Mapping[int, str]) -> Plan:
    """The plan and, after it, the pairs that are to be measured again.

    Args:
        plan: of a comparison.
        reasons: of each such pair, why.

    Raises:
        UsageError: the plan has no such pair.
    """
    trials = list(plan.trials)
    seed = plan.trials[0].seed
    for pair, reason in sorted(reasons.items()):
        mine = [each for each in plan.trials if each.repetition == pair]
        if not mine:
            raise UsageError(f"there is no pair {pair}", "number pairs from 0")
        sides = [_Side.of(plan, next(each for each in mine if arm_of(each) == arm)) for arm in ARMS]
        trials += _pair(sides, seed, pair, len(mine) // 2, len(trials), reason)
    return replace(plan, trials=tuple(trials))


def partner_of(index: int) -> int:
    """The trial that a trial makes a pair with."""
    return index ^ 1


def arm_of(trial: Trial) -> str:
    """ "A" or "B".

    Raises:
        NotARun: the trial is of no comparison.
    """
    arm = dict(trial.axes).get(ARM)
    if arm not in ARMS:
        raise NotARun(f"trial {trial.index} is of no arm", "name the run of a comparison")
    return str(arm)


def repeats_at_most(pairs: int) -> int:
    """How many pairs may be measured again: half of them, and two at least."""
    return max(2, pairs // 2)


def are_same(a: Scenario, b: Scenario) -> bool:
    """Whether two arms ask for the same thing, whatever they are called: an A/A comparison."""
    # The digest knows no values of the environment, since they may be secret.
    return digest_of(a) == digest_of(b) and a.system == b.system


def digest_of(scenario: Scenario) -> str:
    """SHA-256 over what an arm asks, its name and seed aside."""
    return digest(replace(scenario, name="same", description="", seed=1))


def share_work(a: Scenario, b: Scenario) -> bool:
    """Whether both arms are asked to do the same work."""
    return workload_digest(a) == workload_digest(b)


@dataclass(frozen=True, slots=True)
class _Side:
    """An arm with its scenario, before pairs give it their seeds."""

    source: Source
    scenario: Scenario
    document: Mapping[str, Any]

    @classmethod
    def of(cls, plan: Plan, trial: Trial) -> _Side:
        # Two files of one name leave one of them in a manifest; the trial's document is whole.
        known = (each for each in plan.sources if each.name == trial.source)
        source = next(known, Source(trial.source, "", trial.document))
        return cls(source, trial.scenario, trial.document)


def _side(arm: Arm, both: Mapping[str, Value], faults: Sequence[str]) -> _Side:
    given = {**both, **_dotted(arm.values)}
    found = build([arm.scenario], faults=faults)
    source = found.sources[0]
    phased = bool(source.document.get("load", {}).get("phase"))
    windows: dict[str, Value] = {"window.warmup": WARMUP, "window.drain": DRAIN}
    if not phased:
        windows["window.duration"] = WINDOW
    document = with_values(source.document, {**windows, **given})
    # Built again with all values: what is wrong with them is found before anything runs.
    checked = build([arm.scenario], values={**windows, **given}, faults=faults).trials[0]
    return _Side(source, checked.scenario, document)


def _pair(
    sides: Sequence[_Side], seed: int, pair: int, attempt: int, index: int, reason: str
) -> list[Trial]:
    # As in a sweep, the first has the scenario's own.
    own = _derived(seed, "pair", pair, attempt) if pair or attempt else seed
    ordered = list(zip(ARMS, sides, strict=True))
    if random.Random(_derived(seed, "order", pair, attempt)).random() < 0.5:
        ordered.reverse()
    found = []
    for place, (arm, side) in enumerate(ordered):
        document = with_values(side.document, {"seed": own})
        found.append(
            Trial(
                index=index + place,
                source=side.source.name,
                scenario=parse(document, f"{side.source.name} ({arm})"),
                document=document,
                label=arm,
                axes=((ARM, arm),),
                repetition=pair,
                reason=reason,
            )
        )
    return found


def _dotted(values: Mapping[str, Value]) -> dict[str, Value]:
    return {ALIASES.get(key, key): value for key, value in values.items()}


def _derived(seed: int, *parts: object) -> int:
    text = "/".join(str(part) for part in (seed, *parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1
