"""What is fixed before a comparison begins: arms and names, margins, noise, and the ledger."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from perfkit.api.asked import MARGINS, Asked
from perfkit.errors import UsageError
from perfkit.pairs import (
    ARMS,
    Arm,
    are_same,
    arm_of,
    digest_of,
    repeats_at_most,
    share_work,
)
from perfkit.plan import Plan, Value
from perfkit.runner.application import folder_of
from perfkit.scenario import Scenario
from perfkit.store.aa import Ledger
from perfkit.verdict.foretelling import Design
from perfkit.verdict.telling import FalseAlarms

__all__ = ["SETTLE_S", "arms_of", "ask", "design_of", "margins_of", "metrics_of"]

SETTLE_S: Final = 5.0
"""At most so long before a trial, until the host is idle."""
_PERCENTILES: Final = ("p50", "p95", "p99")
_RATES: Final = {
    "throughput": "throughput",
    "cpu": "CPU ms per job",
    "work": "CPU ms per job at equal speed",
    "errors": "error rate",
}


def arms_of(
    a: str, b: str | None, set_a: Mapping[str, Value], set_b: Mapping[str, Value]
) -> tuple[Arm, Arm]:
    """Two arms with names that tell them apart.

    Raises:
        UsageError: neither another scenario nor a setting makes B differ, and A is named once.
    """
    if b is None and not (set_a or set_b):
        raise UsageError(
            f"{a} is compared with nothing",
            f"name a second scenario, or change one arm with --set-b KEY=VALUE; "
            f"`perfkit compare {a} {a}` measures the noise of this machine (A/A)",
        )
    names = [_named(a, set_a), _named(b or a, set_b)]
    if names[0] == names[1]:
        names = [f"{name} ({arm})" for name, arm in zip(names, ARMS, strict=True)]
    return (
        Arm(name=names[0], scenario=a, values=set_a),
        Arm(name=names[1], scenario=b or a, values=set_b),
    )


def ask(
    plan: Plan,
    arms: tuple[Arm, Arm],
    ledger: Ledger,
    *,
    level: float = 0.95,
    margins: Mapping[str, float] | float | None = None,
    facts: Mapping[str, Any] | None = None,
    gate: bool = False,
) -> Asked:
    """All that is fixed before the first trial.

    Raises:
        UsageError: the level or a margin is out of range.
    """
    if not 0.5 < level < 1:
        raise UsageError(f"a level of {level} is no confidence", "use 0.95 or 0.99")
    first = {arm_of(trial): trial for trial in reversed(plan.trials)}
    a, b = (first[arm].scenario for arm in ARMS)
    pairs = len(plan.trials) // 2
    digest = digest_of(a)
    noise = {
        name: found
        for name, kind in metrics_of(a, b).items()
        if (found := ledger.noise(name, kind, digest)) is not None
    }
    # One file in two folders names two applications.
    same = are_same(a, b) and (
        a.system is None or folder_of(first["A"].source) == folder_of(first["B"].source)
    )
    warnings = []
    if not share_work(a, b):
        warnings.append(
            "the arms are not asked to do the same work: what differs may be the load, and not "
            "the system"
        )
    if ledger.skipped:
        warnings.append(
            f"{ledger.skipped} lines of this machine's A/A ledger can't be read and were skipped"
        )
    return Asked(
        baseline=arms[0].name,
        candidate=arms[1].name,
        arms={
            name: {"name": arm.name, "scenario": arm.scenario, "values": _shown(arm.values)}
            for name, arm in zip(ARMS, arms, strict=True)
        },
        pairs=pairs,
        level=level,
        seed=plan.trials[0].seed,
        cap=repeats_at_most(pairs),
        settle_s=SETTLE_S,
        margins=margins_of(margins),
        same=same,
        noise=noise,
        ledger=FalseAlarms(
            comparisons=len(ledger.entries), tested=ledger.judged, false_alarms=ledger.alarms
        ),
        warnings=tuple(warnings),
        facts=dict(facts or {}),
        gate=gate,
    )


def design_of(plan: Plan, asked: Asked) -> Design:
    """What is said of a comparison beforehand is said of this."""
    first = {arm_of(trial): trial for trial in reversed(plan.trials)}
    a, b = (first[arm].scenario for arm in ARMS)
    # The pause is none where the host is idle at once.
    pauses_ns = round((len(plan.trials) - 1) * asked.settle_s * 1e9)
    return Design(
        a=a,
        b=b,
        baseline=asked.baseline,
        candidate=asked.candidate,
        pairs=asked.pairs,
        cap=asked.cap,
        level=asked.level,
        seed=asked.seed,
        same=asked.same,
        least_ns=plan.least_ns,
        most_ns=plan.most_ns + pauses_ns,
        margins=asked.margins,
        metrics=metrics_of(a, b),
        noise=asked.noise,
        warnings=asked.warnings,
        gate=asked.gate,
    )


def metrics_of(a: Scenario, b: Scenario) -> dict[str, str]:
    """Names and kinds of the metrics that two arms will have, as far as it is known before."""
    queues = sorted({*a.queues, *b.queues})
    by_queue = {f"{kind.upper()} of {queue}": kind for queue in queues for kind in _PERCENTILES}
    return by_queue | {name: kind for kind, name in _RATES.items()}


def margins_of(given: Mapping[str, float] | float | None) -> dict[str, float]:
    margins = dict(MARGINS)
    if isinstance(given, int | float):
        margins |= dict.fromkeys(("p50", "p95", "throughput", "cpu", "work"), float(given))
        margins["p99"] = 2 * float(given)
    elif given:
        if unknown := sorted(given.keys() - margins.keys()):
            raise UsageError(
                f"there is no margin of {unknown[0]!r}", f"known are {', '.join(margins)}"
            )
        margins |= given
    for kind, value in margins.items():
        if not 0 < value < 10:
            raise UsageError(
                f"a margin of {value} for {kind} is no effect that could matter",
                "write the smallest change that matters, such as 5%",
            )
    return margins


def _shown(values: Mapping[str, Value]) -> dict[str, Value]:
    return {key: "***" if key.startswith("system.env") else value for key, value in values.items()}


def _named(scenario: str, values: Mapping[str, Value]) -> str:
    """A scenario's name and, after it, what is set; paths by the file's own name."""
    name = re.sub(r"\.toml$", "", Path(scenario).name)
    told = ", ".join(f"{key.rpartition('.')[2]}={value}" for key, value in _shown(values).items())
    return f"{name} {told}".strip()
