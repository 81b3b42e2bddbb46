"""Comparing: plan the pairs, say what they can find, conduct them, judge, and keep the ledger.

    plan ── foretell ── conduct ── sealed ── which pairs are INVALID? ── none ── read, report
                                     ^                  |
                                     └── extend  <── some, and the cap is not reached

Whether a trial is valid is judged in a process of its own: it does not see which figures an arm
had, and pandas does not come into the one that measures.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfkit.api.asked import KEY, Asked
from perfkit.api.comparing_plan import SETTLE_S, arms_of, ask
from perfkit.api.measure import manifest_of, options_of, unfinished, watch_for
from perfkit.errors import PerfkitError, ResultsNotWritable, UsageError
from perfkit.pairs import (
    ARMS,
    PAIRS,
    Arm,
    arm_of,
    measured_again,
    pair_up,
)
from perfkit.paths import results_root
from perfkit.plan import Plan, Value, restore
from perfkit.runner import Interrupt, Listener, Options, Progress, conduct, extend
from perfkit.runner import resume as resume_run
from perfkit.store.aa import Ledger, read_ledger
from perfkit.telemetry.facts import HostFacts

if TYPE_CHECKING:
    from perfkit.api.compared import Compared

__all__ = ["Arm", "Tell", "compare", "compare_arms", "resume_comparison"]

Tell = Callable[[Plan, Asked, Ledger], None]
"""Called once the plan is known to be sound, before anything starts."""


def compare(
    a: str,
    b: str | None = None,
    *,
    pairs: int = PAIRS,
    set_a: Mapping[str, Value] | None = None,
    set_b: Mapping[str, Value] | None = None,
    margins: Mapping[str, float] | float | None = None,
    level: float = 0.95,
    faults: Sequence[str] = (),
    redis: str | None = None,
    redis_server: str | None = None,
    allow_destructive: bool = False,
    results: str | os.PathLike[str] | None = None,
    report: bool = True,
    progress: Listener | None = None,
    **values: Value,
) -> Compared:
    """Measure whether B is better or worse than A, in interleaved pairs.

    In a notebook use ``await perfkit.compare_async(...)``.

    Args:
        a: the baseline: a built-in scenario's name or a path.
        b: the candidate; None: the same scenario, which ``set_b`` changes.
        pairs: how many; fewer than 6 are exploratory.
        set_a, set_b: keys of the scenario, dotted or short, that are set in one arm alone.
        margins: the smallest effects that matter, by kind (p50, p95, p99, throughput, cpu, errors),
            as shares of one; one number is for all but P99, which has twice as much, and errors,
            which keep one point of a hundred.
        level: confidence.
        faults, redis, redis_server, allow_destructive, results, report, progress: as `run`.
        values: keys set in both arms; windows default to those of a comparison: 5 s of warm-up,
            20 s measured, at most 5 s of drain.

    Raises:
        UsageError, ScenarioError: an arm can't be measured; nothing was started.
        PerfkitError: every trial failed.
    """
    first, second = arms_of(a, b, _dotted(set_a or {}), _dotted(set_b or {}))
    return compare_arms(
        first,
        second,
        pairs=pairs,
        level=level,
        margins=margins,
        values=_dotted(values),
        faults=faults,
        redis=redis,
        redis_server=redis_server,
        allow_destructive=allow_destructive,
        results=results,
        report=report,
        progress=progress,
    )


def compare_arms(
    a: Arm,
    b: Arm,
    *,
    pairs: int = PAIRS,
    level: float = 0.95,
    margins: Mapping[str, float] | float | None = None,
    values: Mapping[str, Value] | None = None,
    faults: Sequence[str] = (),
    redis: str | None = None,
    redis_server: str | None = None,
    allow_destructive: bool = False,
    results: str | os.PathLike[str] | None = None,
    report: bool = True,
    progress: Listener | None = None,
    interrupt: Interrupt | None = None,
    command: Sequence[str] | None = None,
    facts: Mapping[str, Any] | None = None,
    gate: bool = False,
    tell: Tell | None = None,
) -> Compared:
    """`compare` of two arms, each a scenario with what is set in it alone.

    Args:
        interrupt, command: as `perfkit.api.measure.measure`.
        facts: JSON that is kept with what was asked.
        gate: whether `perfkit.api.gating.decide` is to have it; kept too.
        tell: called before anything starts, with the plan, what was asked, and the ledger.
    """
    options = options_of(
        redis, redis_server, results, command, allow_destructive, settle_s=SETTLE_S
    )
    plan = pair_up(a, b, pairs=pairs, values=values, faults=faults)
    ledger = read_ledger(options.results, HostFacts.read().fingerprint)
    asked = ask(plan, (a, b), ledger, level=level, margins=margins, facts=facts, gate=gate)
    if tell is not None:
        tell(plan, asked, ledger)

    def begin(listener: Listener, interrupt: Interrupt) -> Path:
        return conduct(
            plan,
            options,
            listener,
            interrupt,
            watch_for=watch_for,
            facts={KEY: asked.document()},
        )

    return _carried_out(begin, plan, asked, options, progress, interrupt, report)


def resume_comparison(
    run: str | os.PathLike[str] | None = None,
    *,
    redis: str | None = None,
    redis_server: str | None = None,
    allow_destructive: bool = False,
    results: str | os.PathLike[str] | None = None,
    report: bool = True,
    progress: Listener | None = None,
    interrupt: Interrupt | None = None,
    command: Sequence[str] | None = None,
    gate: bool = False,
) -> Compared:
    """Measure the pairs that an interrupted comparison lacks; half a pair is measured anew.

    Args:
        run: folder, run id, or NAME/RUN_ID; None: the newest comparison that is not complete.
        gate: refuse one that was not begun as a gate.

    Raises:
        NotARun: there is none.
        UsageError: it is complete, or it can't be carried on here.
    """
    folder = unfinished(run, results_root(results), compared=True)
    options = options_of(
        redis, redis_server, results, command, allow_destructive, settle_s=SETTLE_S
    )
    manifest = manifest_of(folder)
    if manifest is None:
        raise UsageError(f"{folder} holds no run", "`perfkit list` shows what there is")
    asked, plan = Asked.of(manifest, folder), restore(manifest)
    if gate and not asked.gate:
        raise UsageError(
            f"{folder} was not begun as a gate: its level is {100 * asked.level:g} %",
            "leave out --gate, or measure anew with it",
        )
    whole = manifest.get("status") == "complete"
    if whole and not _wanting(folder, plan, asked):
        raise UsageError(
            f"{folder} is complete: no pair of it is left to measure",
            f"`perfkit report {folder}` shows it",
        )
    if asked.of_versions:
        raise UsageError(
            f"{folder} can't be carried on: the trees and environments of its versions are gone",
            f"measure it anew, with --baseline {asked.facts['ref']}",
        )

    def carry_on(listener: Listener, interrupt: Interrupt) -> Path:
        if whole:
            return folder  # killed before the INVALID ones were measured again
        return resume_run(folder, options, listener, interrupt, watch_for=watch_for)

    return _carried_out(carry_on, plan, asked, options, progress, interrupt, report)


def _carried_out(
    begin: Callable[[Listener, Interrupt], Path],
    plan: Plan,
    asked: Asked,
    options: Options,
    progress: Listener | None,
    interrupt: Interrupt | None,
    report: bool,
) -> Compared:
    with interrupt or Interrupt() as interrupt:
        folder = begin(_in_pairs(progress, plan, asked), interrupt)
        while not interrupt.asked:
            wanted = _wanting(folder, plan, asked)
            if not wanted:
                break
            plan = measured_again(plan, wanted)
            listener = _in_pairs(progress, plan, asked)
            try:
                folder = extend(folder, plan, options, listener, interrupt, watch_for=watch_for)
            except ResultsNotWritable:
                raise
            except PerfkitError:
                break  # it is sealed, and says which trials failed
    # The reading wing is imported only now: pandas beside a measurement would be part of it.
    from perfkit.api.comparing_ledger import kept

    return kept(folder, options.results, report and not interrupt.asked)


def _wanting(folder: Path, plan: Plan, asked: Asked) -> dict[int, str]:
    """The pairs that are to be measured again now, and why; none when the cap is reached."""
    left = asked.cap - (len(plan.trials) // 2 - asked.pairs)
    if left <= 0:
        return {}
    told = subprocess.run(
        [sys.executable, "-m", "perfkit.api.validity", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,  # a Ctrl-C in the terminal must not break it off
    )
    if told.returncode:
        said = told.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise PerfkitError(
            f"{folder} was measured, but its trials could not be judged: {said[0]}",
            f"`perfkit compare --resume {folder}` tries again",
        )
    found: dict[str, str] = json.loads(told.stdout)
    return {int(pair): reason for pair, reason in sorted(found.items())[:left]}


def _in_pairs(progress: Listener | None, plan: Plan, asked: Asked) -> Listener:
    """Tell of pairs and arms where a run tells of trials."""
    tell = progress or (lambda _: None)

    def listen(told: Progress) -> None:
        trial = plan.trials[told.trial]
        arm = arm_of(trial)
        name = asked.baseline if arm == ARMS[0] else asked.candidate
        again = " again" if trial.reason != "planned" else ""
        tell(replace(told, label=f"pair {trial.repetition + 1} of {asked.pairs}{again}: {name}"))

    return listen


def _dotted(values: Mapping[str, Value]) -> dict[str, Value]:
    from perfkit.scenario import ALIASES

    dotted = {key.replace("__", "."): value for key, value in values.items()}
    return {ALIASES.get(key, key): value for key, value in dotted.items()}
