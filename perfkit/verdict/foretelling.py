"""What a comparison will take, and what it can and cannot resolve: said before it starts.

What it can find follows from the noise of A/A comparisons on this machine; without any it is not
known, and that is said. What the load does to a single trial follows from a queue's own law
(statistics.md, 1.2): near saturation a mean is known badly after however many jobs, and noise in
the service time comes out 1 / (1 - utilisation) as large in the latency.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from perfkit.scenario import Scenario, settings_of
from perfkit.stats.detecting import detectable_by_flips, interval_multiple
from perfkit.stats.flips import smallest_p
from perfkit.stats.pairing import LEAST_PAIRS
from perfkit.store.aa import Noise
from perfkit.units import format_duration, format_percent
from perfkit.verdict.comparing import p_words

__all__ = ["Design", "Resolution", "foretell", "half_width", "resolutions", "utilisation"]

_BUSY: Final = 0.75
"""Utilisation from which on the load itself makes a comparison of latencies blunt."""
_LEAST_BEYOND: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """All that the words need to know."""

    a: Scenario
    b: Scenario
    baseline: str
    candidate: str
    pairs: int
    cap: int
    level: float
    seed: int
    same: bool
    least_ns: int
    most_ns: int
    margins: Mapping[str, float]
    """By kind of metric."""
    metrics: Mapping[str, str]
    """Names and kinds."""
    noise: Mapping[str, Noise]
    """By name, of those in the ledger."""
    warnings: tuple[str, ...] = ()
    gate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """One metric: what is found with a power of 80 %, against what matters."""

    name: str
    kind: str
    mde: float
    half: float
    """Upper end of the interval that is to be expected where nothing differs."""
    margin: float

    @property
    def suffices(self) -> bool:
        """Whether an effect as large as the margin would be found."""
        return self.mde <= self.margin


def resolutions(design: Design) -> list[Resolution]:
    """One of each metric of which the ledger knows the noise."""
    multiple = detectable_by_flips(design.pairs, len(design.metrics), level=design.level)
    half = interval_multiple(design.pairs, design.level)
    return [
        Resolution(
            name=name,
            kind=kind,
            mde=_effect(multiple, design.noise[name].sd, kind),
            half=_effect(half, design.noise[name].sd, kind),
            margin=design.margins[kind],
        )
        for name, kind in design.metrics.items()
        if name in design.noise
    ]


def _effect(multiple: float, sd: float, kind: str) -> float:
    if math.isinf(multiple):
        return math.inf
    shift = multiple * sd
    return shift if kind == "errors" else math.expm1(shift) if shift < 700 else math.inf


def foretell(design: Design) -> list[str]:
    """Sentences, one a matter: duration, rules, what can be found and what cannot, cautions."""
    windows = design.a.window
    return [
        (
            f"{design.candidate} against {design.baseline}: {design.pairs} pairs of trials, "
            f"{format_duration(design.least_ns)} to {format_duration(design.most_ns)}"
            f"{'; both are the same (A/A)' if design.same else ''}."
        ),
        (
            f"In each trial {format_duration(design.a.window_start_ns)} of warm-up, "
            f"{format_duration(design.a.window_ns)} measured, at most "
            f"{format_duration(windows.drain_ns)} of drain, on a fresh stack. The order within a "
            f"pair is drawn from seed {design.seed}; at most {design.cap} pairs are measured again "
            "where a trial is INVALID."
        ),
        f"What matters: {_margins(design.margins)}.",
        *_findable(design),
        *(f"Warning: {words}." for words in _cautions(design)),
    ]


def _margins(margins: Mapping[str, float]) -> str:
    words = {
        "p50": "P50",
        "p95": "P95",
        "p99": "P99",
        "throughput": "throughput",
        "cpu": "CPU per job",
        "work": "CPU at equal speed",
    }
    ratios = ", ".join(f"{words[kind]} {format_percent(margins[kind])}" for kind in words)
    return f"{ratios}; error rate {100 * margins['errors']:.3g} points"


def _findable(design: Design) -> Iterator[str]:
    found = resolutions(design)
    least, wanted = smallest_p(design.pairs), 1 - design.level
    if least > wanted:
        yield (
            f"It can prove no difference: {design.pairs} pairs have a p of {p_words(least)} at "
            f"the least, and {p_words(wanted)} is wanted."
        )
    elif not found:
        yield (
            "What it can resolve is not known: this machine's A/A ledger has nothing on it. "
            "`perfkit compare A A` measures it, in as many pairs."
        )
    else:
        yield from _told(design, found)


def _told(design: Design, found: list[Resolution]) -> Iterator[str]:
    own = all(design.noise[each.name].own for each in found)
    basis = "of this scenario" if own else "of other scenarios, so take it as a hint"
    count = max(design.noise[each.name].comparisons for each in found)
    told = ", ".join(f"{each.name} {_size(each)}" for each in found)
    yield (
        f"With 80 % power it finds (noise from {count} A/A "
        f"{'comparison' if count == 1 else 'comparisons'} {basis}): {told}."
    )
    blunt = [each for each in found if not each.suffices]
    if blunt:
        names = ", ".join(f"{each.name} (margin {_size(each, each.margin)})" for each in blunt)
        yield f"It cannot resolve what matters in: {names}."
    wide = [each for each in found if each.half >= each.margin]
    if wide and design.gate:
        names = ", ".join(f"{each.name} (±{_size(each, each.half)})" for each in wide)
        yield (
            f"The gate would hardly pass even what is equal: intervals as wide as the margin in "
            f"{names}. More pairs, a longer window (--duration) or a wider --margin help."
        )


def _size(each: Resolution, value: float | None = None) -> str:
    size = each.mde if value is None else value
    if math.isinf(size):
        return "∞"
    return f"{100 * size:.2g} points" if each.kind == "errors" else format_percent(size)


def _cautions(design: Design) -> Iterator[str]:
    if design.pairs < LEAST_PAIRS:
        yield (
            f"{design.pairs} pairs are exploratory, no verdict can come of them; {LEAST_PAIRS} are "
            "the least, 8 the usual number"
        )
    yield from design.warnings
    arm = max((design.a, design.b), key=lambda each: _or(utilisation(each), -1.0))
    busiest = utilisation(arm)
    jobs = arm.offered_per_s * arm.window_ns / 1e9
    if busiest >= 1:
        yield (
            f"the gateway alone keeps the workers' slots {format_percent(busiest, 0)} busy: an arm "
            "will not sustain its load, and latencies at unstable load do not compare"
        )
    elif busiest >= _BUSY:
        yield (
            f"the slots are about {format_percent(busiest, 0)} busy: one trial of {jobs:,.0f} jobs "
            f"knows its mean wait to ±{format_percent(half_width(busiest, jobs), 0)} at best, and "
            f"noise in the service time is {1 / (1 - busiest):.0f} times as large in the latency; "
            "compare at 50 to 70 %, or judge CPU per job"
        )
    few = [
        queue
        for queue, share in _shares(arm).items()
        if math.isfinite(jobs) and jobs * share * 0.01 < _LEAST_BEYOND
    ]
    if few:
        yield (
            f"fewer than {_LEAST_BEYOND} jobs of a trial lie beyond the P99 of {', '.join(few)}: "
            "it is nearly their maximum, and noisy; a longer window (--duration) helps"
        )


def utilisation(scenario: Scenario) -> float:
    """Share of the worker slots that the gateway's mean delays keep busy; NaN where unknown.

    Offered load times the mean of a log-normal delay, median x exp(sigma^2 / 2), over the slots: a
    lower bound, as an actor's own time is not in it.
    """
    if scenario.system is not None or not scenario.gateway or not scenario.has_stack:
        return math.nan
    if not math.isfinite(scenario.offered_per_s):
        return math.nan
    slots = sum(pool.workers * pool.threads for pool in settings_of(scenario).pools)
    busy = sum(
        scenario.offered_per_s
        * share
        * (scenario.gateway[queue].median_ns / 1e9)
        * math.exp(scenario.gateway[queue].sigma ** 2 / 2)
        for queue, share in _shares(scenario).items()
        if queue in scenario.gateway
    )
    return busy / slots if slots else math.nan


def half_width(rho: float, jobs: float) -> float:
    """Relative half-width at 95 % of the mean wait of so many jobs, M/M/1 (Whitt 1989).

    1.96 sqrt((2 + 5 rho - 4 rho^2 + rho^3) / (rho n)) / (1 - rho).

    Raises:
        ValueError: rho is outside 0, 1, or there are no jobs.
    """
    if not (0 < rho < 1 and jobs > 0):
        raise ValueError(f"rho = {rho} must lie between 0 and 1, jobs = {jobs} be positive")
    spread = 2 + 5 * rho - 4 * rho**2 + rho**3
    return 1.96 * math.sqrt(spread / (rho * jobs)) / (1 - rho)


def _or(value: float, instead: float) -> float:
    return instead if math.isnan(value) else value


def _shares(scenario: Scenario) -> dict[str, float]:
    """Share of the jobs that each queue gets."""
    whole = sum(job.weight for job in scenario.job)
    shares: dict[str, float] = {}
    for job in scenario.job:
        shares[job.queue] = shares.get(job.queue, 0.0) + job.weight / whole
    return shares
