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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from perfkit.errors import NotARun, Problem, ScenarioError, UsageError
from perfkit.scenario import (
    ALIASES,
    Scenario,
    blotted,
    digest,
    fault_row,
    load_document,
    parse,
    settings_of,
    with_values,
    workload_digest,
)

__all__ = ["SUITE", "Plan", "Source", "Trial", "build", "parse_value", "restore", "trial_ns"]

Value = str | int | float | bool

_LOADS = ("light", "medium", "heavy", "extreme", "spike", "progressive")
SUITE: Final = tuple(f"{load}{twin}" for twin in ("", "-open") for load in _LOADS)
"""The whole suite: users who wait for their replies, then jobs that come whatever happens."""

_START_NS = 3_000_000_000  # a stack is up and down in about this time
_PREPARE_NS = 1_000_000_000  # the load generator alone
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

    @property
    def digest(self) -> str:
        """SHA-256 over all that is asked, in its order: equal for plans with the same trials."""
        asked = [
            (trial.index, trial.label, trial.repetition, digest(trial.scenario))
            for trial in self.trials
        ]
        return hashlib.sha256(repr(asked).encode()).hexdigest()

    def facts(self) -> dict[str, Any]:
        """What the manifest says of the plan, as JSON's types; `restore` reads it back."""
        scenarios = {}
        for source in self.sources:
            trial = next(trial for trial in self.trials if trial.source == source.name)
            document, text = blotted(source.document, source.text)
            scenarios[trial.scenario.name] = {
                "source": source.name,
                "text": text,
                "digest": digest(trial.scenario),
                "workload_digest": workload_digest(trial.scenario),
                "document": document,
            }
        plan = [
            {
                "trial": trial.index,
                "source": trial.source,
                "scenario": trial.scenario.name,
                "label": trial.label,
                "axes": dict(trial.axes),
                "repetition": trial.repetition,
                "seed": trial.seed,
                "reason": trial.reason,
                "digest": digest(trial.scenario),
                "workload_digest": workload_digest(trial.scenario),
                "document": blotted(trial.document)[0],
            }
            for trial in self.trials
        ]
        return {"scenarios": scenarios, "plan": plan, "plan_digest": self.digest}


def trial_ns(scenario: Scenario) -> tuple[int, int]:
    """Least and most time one trial takes, start and stop of the stack included."""
    least = scenario.load_ns + (_START_NS if scenario.has_stack else _PREPARE_NS)
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
    name: str | None = None,
    faults: Sequence[str] = (),
) -> Plan:
    """Load scenarios and unroll them.

    Args:
        names: built-in names or paths.
        values: dotted keys (or short names) set in every scenario.
        axes: dotted keys (or short names) and the values to try, fully crossed.
        repetitions: how often each variant runs.
        name: of the run; default: the names of its scenarios.
        faults: added to those of every scenario, as `perfkit.scenario.parse_fault` reads them.

    Raises:
        UsageError: unknown scenario, empty axis, a key both set and an axis.
        ScenarioError: a variant is not valid; all such variants, found before anything runs.
    """
    if not names:
        raise UsageError("no scenario was named", "`perfkit scenarios` lists the built-in ones")
    if repetitions < 1:
        raise UsageError(f"{repetitions} repetitions make no run", "use 1 or more")
    values = {ALIASES.get(key, key): value for key, value in (values or {}).items()}
    axes = {ALIASES.get(key, key): tuple(given) for key, given in (axes or {}).items()}
    _check_axes(values, axes)
    sources = _sources(names, values, axes, [fault_row(text) for text in faults])
    trials: list[Trial] = []
    for repetition in range(repetitions):
        variants = [
            _variant(source, values, chosen, repetition)
            for source in sources
            for chosen in _chosen(axes)
        ]
        if repetition == 0:
            _check_unique(variants)
        # The order is drawn anew for each repetition, so that drift of the host does not
        # fall on the same variant every time; with one repetition the order is the asked one.
        if repetitions > 1:
            random.Random(_derived(variants[0].scenario.seed, "order", repetition)).shuffle(
                variants
            )
        trials.extend(variants)
    numbered = tuple(replace(each, index=index) for index, each in enumerate(trials))
    if name is None:
        # A file's own name names the run, whatever path it was found at.
        every = "-".join(dict.fromkeys(trial.scenario.name for trial in numbered))
        name = every[:64].strip("-")
    return Plan(name=name, sources=tuple(sources), trials=numbered)


def restore(manifest: Mapping[str, Any]) -> Plan:
    """The plan of a run from its manifest: the same trials, with the same draws.

    Raises:
        NotARun: the manifest does not say, or says something else than what was run.
    """
    try:
        trials = tuple(
            Trial(
                index=each["trial"],
                source=each["source"],
                scenario=parse(each["document"], f"trial {each['trial']}"),
                document=each["document"],
                label=each["label"],
                axes=tuple(each["axes"].items()),
                repetition=each["repetition"],
                reason=each["reason"],
            )
            for each in manifest["plan"]
        )
        sources = tuple(
            Source(each["source"], each["text"], each["document"])
            for each in manifest["scenarios"].values()
        )
        plan = Plan(name=manifest["name"], sources=sources, trials=trials)
        unchanged = plan.digest == manifest["plan_digest"]
    except (KeyError, TypeError, AttributeError, ScenarioError) as error:
        said = f"{type(error).__name__}: {error}"
        raise NotARun(
            f"the manifest holds no plan that can be carried on: {said}", _AGAIN
        ) from None
    if any(trial.scenario.system and trial.scenario.system.env for trial in trials):
        raise NotARun("values of system.env, which may be secret, are not kept", _AGAIN)
    if not unchanged:
        raise NotARun("the plan in the manifest is not the one that was run", _AGAIN)
    return plan


_AGAIN: Final = "measure again from the start: leave out --resume"


def _sources(
    names: Sequence[str],
    values: Mapping[str, Value],
    axes: Mapping[str, Sequence[Value]],
    faults: Sequence[Mapping[str, str]] = (),
) -> list[Source]:
    """The scenarios, proved valid in each variant.

    Raises:
        UsageError, ScenarioError: one error for all that is wrong with any of them.
    """
    sources: list[Source] = []
    refused: dict[str, list[UsageError]] = {}
    for name in names:
        try:
            document, text = load_document(name)
        except UsageError as error:
            refused.setdefault(name, []).append(error)
            continue
        if faults:
            document = {**document, "fault": [*document.get("fault", ()), *faults]}
        sources.append(Source(name, text, document))
        for chosen in _chosen(axes):
            try:
                _variant(sources[-1], values, chosen, 0)
            except UsageError as error:
                refused.setdefault(name, []).append(error)
    found = [error for errors in refused.values() for error in errors]
    if len(found) == 1:
        raise found[0]
    if found:
        whole = f"{len(refused)} of {len(names)} scenarios" if len(names) > 1 else names[0]
        raise ScenarioError(whole, list(_problems(refused)))
    return sources


def _problems(refused: Mapping[str, Sequence[UsageError]]) -> Iterator[Problem]:
    """Each thing that is wrong, once, however many scenarios and variants have it."""
    places: dict[Problem, dict[str, str]] = {}  # of each problem: scenario -> its first variant
    for name, errors in refused.items():
        for error in errors:
            if isinstance(error, ScenarioError):
                for problem in error.problems:
                    places.setdefault(problem, {}).setdefault(name, error.source)
            else:
                places.setdefault(Problem("", error.what, error.mend), {})[name] = name
    for problem, found in places.items():
        first, more = next(iter(found.values())), len(found) - 1
        place = f"{first} and {more} more" if more else first
        key = f"{place}: {problem.key}" if problem.key else place
        yield Problem(key, problem.what, problem.mend)


def _chosen(axes: Mapping[str, Sequence[Value]]) -> list[dict[str, Value]]:
    """Every combination of the axes' values, in the asked order."""
    return [dict(zip(axes, chosen, strict=True)) for chosen in itertools.product(*axes.values())]


def _check_unique(variants: Sequence[Trial]) -> None:
    seen: set[str] = set()
    for each in variants:
        if (identity := f"{each.scenario.name} {each.label}") in seen:
            raise UsageError(f"{identity.strip()} is planned twice", "name each variant once")
        seen.add(identity)


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
    label = " ".join(f"{_SHORT.get(key, key)}={_written(value)}" for key, value in chosen.items())
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


def _written(value: Value) -> str:
    """A value as a scenario's file has it: ``false``, not Python's ``False``."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _derived(seed: int, *parts: object) -> int:
    text = "/".join(str(part) for part in (seed, *parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1
