"""Scenarios x axes x repetitions, unrolled into an ordered list of trials before anything runs.

A plan is plain data: printable, and the same for the same arguments. The trial is the unit of
inference: within one repetition all variants share a seed, so that they get the same arrivals and
the same keyed draws; every repetition has a seed of its own.
"""

from __future__ import annotations

import hashlib
import itertools
import random
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from perfkit.errors import UsageError
from perfkit.scenario import (
    ALIASES,
    Scenario,
    load_document,
    parse,
    settings_of,
    with_values,
)

__all__ = ["Plan", "Source", "Trial", "build", "parse_value", "trial_ns"]

Value = str | int | float | bool

_START_NS = 3_000_000_000  # a stack is up and down in about this time
_SHORT = {dotted: short for short, dotted in ALIASES.items()}


@dataclass(frozen=True, slots=True)
class Source:
    """A scenario as it was found: name, text of the file, parsed document."""

    name: str
    text: str
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Trial:
    """One execution of one variant of a scenario."""

    index: int
    source: str  # the built-in's name or the path the scenario was found by
    scenario: Scenario
    document: Mapping[str, Any]  # with axes, sets and seed applied
    label: str
    axes: tuple[tuple[str, Value], ...]  # dotted key and value
    repetition: int
    reason: str

    @property
    def seed(self) -> int:
        """Seed of every draw in this trial."""
        return self.scenario.seed


@dataclass(frozen=True, slots=True)
class Plan:
    """Ordered trials of one run."""

    name: str
    sources: tuple[Source, ...]
    trials: tuple[Trial, ...]

    @property
    def least_ns(self) -> int:
        """How long it takes when every trial drains at once."""
        return sum(trial_ns(trial.scenario)[0] for trial in self.trials)

    @property
    def most_ns(self) -> int:
        """How long it takes when every trial needs its whole drain limit."""
        return sum(trial_ns(trial.scenario)[1] for trial in self.trials)


def trial_ns(scenario: Scenario) -> tuple[int, int]:
    """Least and most time one trial takes, start and stop of the stack included."""
    least = scenario.load_ns + _START_NS
    return least, least + scenario.window.drain_ns


def parse_value(text: str) -> Value:
    """A value from the command line, as TOML would read it; anything else is text."""
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    return value if isinstance(value, str | int | float | bool) else text


def build(
    names: Sequence[str],
    *,
    values: Mapping[str, Value] | None = None,
    axes: Mapping[str, Sequence[Value]] | None = None,
    repetitions: int = 1,
) -> Plan:
    """Load scenarios and unroll them.

    Args:
        names: built-in names or paths.
        values: dotted keys (or short names) set in every scenario.
        axes: dotted keys (or short names) and the values to try, fully crossed.
        repetitions: how often each variant runs.

    Raises:
        UsageError: unknown scenario, empty axis, a key both set and an axis.
        ScenarioError: a variant is not valid; found before anything runs.
    """
    if not names:
        raise UsageError("no scenario was named", "`perfkit scenarios` lists the built-in ones")
    if repetitions < 1:
        raise UsageError(f"{repetitions} repetitions make no run", "use 1 or more")
    values = {ALIASES.get(key, key): value for key, value in (values or {}).items()}
    axes = {ALIASES.get(key, key): tuple(given) for key, given in (axes or {}).items()}
    _check_axes(values, axes)
    sources = [
        Source(name, text, document) for name in names for document, text in [load_document(name)]
    ]
    trials: list[Trial] = []
    seen: set[str] = set()
    for repetition in range(repetitions):
        variants = [
            _variant(source, values, dict(zip(axes, chosen, strict=True)), repetition)
            for source in sources
            for chosen in itertools.product(*axes.values())
        ]
        if repetition == 0:
            for each in variants:
                if (identity := f"{each.scenario.name} {each.label}") in seen:
                    raise UsageError(
                        f"{identity.strip()} is planned twice", "name each variant once"
                    )
                seen.add(identity)
        # The order is drawn anew for each repetition, so that drift of the host does not
        # fall on the same variant every time; with one repetition the order is the asked one.
        if repetitions > 1:
            random.Random(_derived(variants[0].scenario.seed, "order", repetition)).shuffle(
                variants
            )
        trials.extend(variants)
    numbered = tuple(replace(each, index=index) for index, each in enumerate(trials))
    # A file's own name names the run, whatever path it was found at.
    run_name = "-".join(dict.fromkeys(trial.scenario.name for trial in numbered))[:64].strip("-")
    return Plan(name=run_name, sources=tuple(sources), trials=numbered)


def _check_axes(values: Mapping[str, Value], axes: Mapping[str, Sequence[Value]]) -> None:
    for key, given in axes.items():
        if not given:
            raise UsageError(f"axis {key!r} has no values", f"write --axis {key}=A,B")
        if len(set(given)) != len(given):
            raise UsageError(
                f"axis {key!r} names a value twice", "use --repeat to repeat a variant"
            )
        if key in values:
            raise UsageError(f"{key!r} is both set and an axis", "drop one of the two")


def _variant(
    source: Source, values: Mapping[str, Value], chosen: Mapping[str, Value], repetition: int
) -> Trial:
    document = with_values(source.document, {**values, **chosen})
    label = " ".join(f"{_SHORT.get(key, key)}={value}" for key, value in chosen.items())
    named = f"{source.name} {label}".strip()
    scenario = parse(document, named)
    if repetition:
        document["seed"] = _derived(scenario.seed, "repetition", repetition)
        scenario = parse(document, named)
    settings_of(scenario)
    return Trial(
        index=0,
        source=source.name,
        scenario=scenario,
        document=document,
        label=label or scenario.name,
        axes=tuple(chosen.items()),
        repetition=repetition,
        reason="planned",
    )


def _derived(seed: int, *parts: object) -> int:
    text = "/".join(str(part) for part in (seed, *parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1
