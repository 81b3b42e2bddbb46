"""The batch job behind ``20_compare.ipynb``: parameters in, a comparison out.

As in `perfkit.api.batch`, what comes in is checked here, all of it at once and before anything
starts: papermill takes any parameter and passes everything as text or number.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from perfkit.api.batch import BOOLEANS, injected_names, is_true, misfit_duration, unknown
from perfkit.api.notebook import compare_async, listed
from perfkit.errors import UsageError

if TYPE_CHECKING:
    from perfkit.api.compared import Compared

__all__ = ["EXAMPLE", "comparison"]

EXAMPLE: Final = "comparison"
"""The committed example that has two arms."""

_SETS: Final = ("set_a", "set_b", "set_both")


async def comparison(
    *,
    live: bool | str = False,
    a: str = "light",
    b: str = "",
    set_a: str | Sequence[str] = "",
    set_b: str | Sequence[str] = "",
    set_both: str | Sequence[str] = "",
    pairs: int | str = 8,
    duration: str = "",
    margin: str = "",
    results: str = "",
    run_dir: str = "",
) -> Compared:
    """Measure two arms in interleaved pairs, or open what was compared before.

    Args:
        live: True launches and measures; False opens ``run_dir``, else the committed example.
        a: the baseline, a built-in's name or a path.
        b: the candidate; empty is the same scenario, with what ``set_b`` sets.
        set_a, set_b: what is set in one arm, such as "stack.preset=low-latency", commas between.
        set_both: what is set in both.
        pairs: how many pairs of trials.
        duration: of the measured window of a trial; empty is 20 s.
        margin: what matters, such as "5%"; empty is 5 %, and 10 % of P99.
        results: folder for runs; empty is the usual one.
        run_dir: a comparison to read instead of measuring; refused with ``live``.

    Raises:
        UsageError: all that is wrong with the parameters, at once, before anything starts.
        NotARun: ``run_dir`` holds no comparison.
        PerfkitError: the measurement failed.
    """
    given: dict[str, Any] = dict(locals())
    from perfkit.api.compared import open_comparison
    from perfkit.api.history import example_run, resolve_run

    wrong = [*unknown(injected_names(), comparison), *_misfits(given)]
    if wrong:
        raise UsageError(
            f"parameters of the comparison: {'; '.join(wrong)}",
            "`papermill --help-notebook` on the notebook lists the parameters and their types",
        )
    if not is_true(live):
        return open_comparison(resolve_run(run_dir) if run_dir else example_run(EXAMPLE))
    both = [f"window.duration={duration}"] if duration else []
    values = dict(each.split("=", 1) for each in [*listed(set_both), *both])
    return await compare_async(
        a,
        b,
        set_a=listed(set_a),
        set_b=listed(set_b),
        pairs=int(pairs),
        margin=margin,
        results=results or None,
        **{key.replace(".", "__"): _parsed(value) for key, value in values.items()},
    )


def _parsed(text: str) -> Any:
    from perfkit.plan import parse_value

    return parse_value(text)


def _misfits(given: Mapping[str, Any]) -> Iterator[str]:
    """What does not fit its type, or contradicts something else."""
    live = given["live"]
    if not isinstance(live, bool) and str(live).lower() not in BOOLEANS:
        yield f"live is true or false, not {live!r}"
    elif is_true(live) and given["run_dir"]:
        yield "run_dir reads an old comparison and live measures a new one; give one of them"
    for name in ("a", "b", "margin", "results", "run_dir"):
        if not isinstance(given[name], str | os.PathLike):
            yield f"{name} is text, not {given[name]!r}"
    if not str(given["a"]).strip():
        yield "a names no scenario; `perfkit scenarios` lists the built-in ones"
    for name in _SETS:
        sets = given[name]
        if not isinstance(sets, str | list | tuple):
            yield f'{name} is text such as "stack.workers=4", not {sets!r}'
            continue
        for each in listed([str(part) for part in sets] if not isinstance(sets, str) else sets):
            if not each.partition("=")[2]:
                yield f'{name} has settings such as "stack.workers=4", not {each!r}'
    yield from misfit_duration(given["duration"])
    pairs = given["pairs"]
    if isinstance(pairs, bool) or not str(pairs).isdecimal() or int(pairs) < 1:
        yield f"pairs is a whole number of at least 1, not {pairs!r}"
