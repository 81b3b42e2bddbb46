"""The batch job behind ``05_benchmark.ipynb``: parameters in, a sealed run out, a loud end.

papermill takes any parameter and warns of unknown ones; it passes ``-p live true`` as the text
"true" and ``-p workers 4`` as a number. So what comes in is checked here, all of it at once and
before anything starts.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from perfkit.api.notebook import listed, sweep_async
from perfkit.errors import RunInvalid, UsageError
from perfkit.units import parse_duration_ns

if TYPE_CHECKING:
    from perfkit.api.runs import Run
    from perfkit.figures import Block

__all__ = [
    "BOOLEANS",
    "benchmark",
    "conclude",
    "injected_names",
    "is_true",
    "misfit_duration",
    "unknown",
]

_INJECTED: Final = "# Parameters"  # what papermill's own cell begins with
BOOLEANS: Final = {"true": True, "false": False}
_SHOWN: Final = 6


async def benchmark(
    *,
    live: bool | str = False,
    scenarios: str | Sequence[str] = "light",
    workers: str | int | Sequence[int] = "",
    duration: str = "",
    repeat: int | str = 1,
    preset: str = "",
    profile: str = "",
    results: str = "",
    run_dir: str = "",
) -> Run:
    """Measure scenarios with each number of workers, or open what was measured before.

    Args:
        live: True launches and measures; False opens ``run_dir``, else the committed example.
        scenarios: built-in names or paths, commas between them.
        workers: numbers of workers, commas between them; empty leaves it to each scenario.
        duration: of the measured window, such as "20s"; empty leaves it to each scenario.
        repeat: how often each variant runs.
        preset, profile: of the stack and of Redis; empty leaves them to each scenario.
        results: folder for runs; empty is the usual one.
        run_dir: a run to read instead of measuring; refused with ``live``.

    Raises:
        UsageError: all that is wrong with the parameters, at once, before anything starts.
        PerfkitError: the measurement failed.
    """
    given: dict[str, Any] = dict(locals())
    from perfkit.api.history import resolve_run

    wrong = [*unknown(injected_names(), benchmark), *_misfits(given)]
    if wrong:
        raise UsageError(
            f"parameters of the benchmark: {'; '.join(wrong)}",
            "`papermill --help-notebook` on the notebook lists the parameters and their types",
        )
    if not is_true(live):
        return resolve_run(run_dir)
    counts = _counts(workers)
    values: dict[str, Any] = {
        key: value
        for key, value in (("duration", duration), ("preset", preset), ("profile", profile))
        if value
    }
    return await sweep_async(
        scenarios,
        axes={"workers": counts} if counts else {},
        repetitions=int(repeat),
        results=results or None,
        **values,
    )


def conclude(run: Run) -> Block:
    """The end of a batch job: a sentence, or an exception, so that papermill exits with 1.

    A threshold that failed, a saturated trial and one that a threshold aborted are results.

    Raises:
        RunInvalid: a trial is INVALID, was cut short, or was never measured; the trials are named.
    """
    from perfkit.figures.markup import sentence

    found = list(_disqualified(run))
    if found:
        more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise RunInvalid(
            f"{run.name} {run.run_id}: {'; '.join(found[:_SHOWN])}{more}",
            f"the sections above show the rest; the rows are in {run.path}",
        )
    count = len(run.verdict().trials)
    return sentence(
        f"{count} trial{'' if count == 1 else 's'} measured, none of them INVALID or cut short."
    )


def injected_names() -> list[str]:
    """Names that papermill's cell of parameters set in this kernel; none outside of one."""
    if "IPython" not in sys.modules:
        return []
    from IPython.core.getipython import get_ipython

    shell: Any = get_ipython()
    cells: Sequence[str] = shell.user_ns.get("In", ()) if shell is not None else ()
    return [name for cell in cells if cell.startswith(_INJECTED) for name in _assigned(cell)]


def _assigned(cell: str) -> Iterator[str]:
    for node in ast.parse(cell).body:
        if isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def unknown(names: Sequence[str], verb: Callable[..., object]) -> Iterator[str]:
    """What is wrong with names that a verb has no parameter for."""
    known = list(inspect.signature(verb).parameters)
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            yield f"there is no {name!r}" + (f", did you mean {near[0]!r}?" if near else "")


def _misfits(given: Mapping[str, Any]) -> Iterator[str]:
    """What does not fit its type, or contradicts something else."""
    live = given["live"]
    if not isinstance(live, bool) and str(live).lower() not in BOOLEANS:
        yield f"live is true or false, not {live!r}"
    elif is_true(live) and given["run_dir"]:
        yield "run_dir reads an old run and live measures a new one; give one of them"
    scenarios = given["scenarios"]
    if isinstance(scenarios, str | list | tuple) and all(isinstance(n, str) for n in scenarios):
        if not listed(scenarios):
            yield "scenarios names none; `perfkit scenarios` lists the built-in ones"
    else:
        yield f'scenarios is text such as "light,heavy", not {scenarios!r}'
    try:
        _counts(given["workers"])
    except ValueError:
        yield f'workers is text such as "1,2,4", each at least 1, not {given["workers"]!r}'
    yield from misfit_duration(given["duration"])
    repeat = given["repeat"]
    if isinstance(repeat, bool) or not str(repeat).isdecimal() or int(repeat) < 1:
        yield f"repeat is a whole number of at least 1, not {repeat!r}"
    for name in ("preset", "profile", "results", "run_dir"):
        if not isinstance(given[name], str | os.PathLike):
            yield f"{name} is text, not {given[name]!r}"


def misfit_duration(duration: object) -> Iterator[str]:
    """What is wrong with a duration; empty leaves it to the scenario."""
    example = 'duration is text with a unit, such as "20s"'
    if not isinstance(duration, str):
        yield f"{example}, not {duration!r}"
    elif duration:
        try:
            if parse_duration_ns(duration) <= 0:
                yield f"{example}, and more than nothing, not {duration!r}"
        except ValueError:
            yield f"{example}, not {duration!r}"


def is_true(live: bool | str) -> bool:
    """Whether ``live`` says so, which papermill passes as text."""
    return live if isinstance(live, bool) else BOOLEANS.get(str(live).lower(), False)


def _counts(workers: object) -> list[int]:
    """Numbers of workers; empty where the scenario decides.

    Raises:
        ValueError: they are none.
    """
    if isinstance(workers, bool):
        raise ValueError
    parts = [workers] if isinstance(workers, int) else workers
    if isinstance(parts, str):
        parts = listed(parts)
    if not isinstance(parts, list | tuple) or any(isinstance(part, bool) for part in parts):
        raise ValueError
    counts = [int(str(part)) for part in parts]
    if any(count < 1 for count in counts):
        raise ValueError
    return counts


def _disqualified(run: Run) -> Iterator[str]:
    """Trials that a batch job must not pass over, named, and what is wrong with them."""
    from perfkit import frames

    names = frames.titles(run.stored)
    for each in run.verdict().trials:
        facts = run.trial_facts(each.trial)
        if each.status == "INVALID":
            yield f"{names[each.trial]} is INVALID: {each.reasons[0]}"
        elif facts["outcome"] != "complete" and not facts.get("aborted"):
            yield f"{names[each.trial]} was cut short: {facts['reason'] or 'no reason is known'}"
    for trial in run.manifest["trials"]:
        if trial["outcome"] == "failed":
            yield f"trial {trial['trial']} could not be measured: {trial['reason']}"
    planned, there = len(run.manifest.get("plan") or ()), len(run.manifest["trials"])
    if there < planned:
        yield f"{planned - there} of {planned} planned trials were never begun"
