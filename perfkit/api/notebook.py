"""Measuring from a notebook: the kernel watches, another process measures.

A kernel must not own the stack: its children would get its interrupts, and survive it as orphans.
So the measurement runs in a process of its own, which stops and seals what it has when the kernel
goes away (its standard input closes).
"""

from __future__ import annotations

import asyncio
import html
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from perfkit.errors import PerfkitError, UsageError
from perfkit.units import format_count

if TYPE_CHECKING:
    from perfkit.api.calibrating import Calibration
    from perfkit.api.compared import Compared
    from perfkit.api.runs import Run
    from perfkit.plan import Value

__all__ = ["calibrate_async", "compare_async", "listed", "run_async", "sweep_async"]

_GRACE_S = 30.0


async def run_async(
    scenario: str,
    *,
    faults: Sequence[str] = (),
    redis: str | None = None,
    redis_server: str | None = None,
    allow_destructive: bool = False,
    live: bool = True,
    example: str = "good",
    results: str | os.PathLike[str] | None = None,
    report: bool = True,
    **values: Value,
) -> Run:
    """Measure one scenario in another process, with live progress in the cell.

    Args:
        scenario: a built-in's name or a path.
        faults: what is broken on purpose beside the scenario's own, such as "kill worker at 4s".
        live: False opens the committed example run ``example`` instead and launches nothing.
        example: which example.
        redis, redis_server, allow_destructive, results, report, values: as of `perfkit.run`.

    Raises:
        PerfkitError: the measurement failed; the message is the process' own.
    """
    from perfkit.api.history import example_run
    from perfkit.api.runs import open_run

    if not live:
        return example_run(example)
    arguments = ["run", scenario, *_broken(faults)]
    arguments += _server(redis, redis_server, allow_destructive)
    arguments += _options(results, report, values)
    document = await _watched(arguments, _panel())
    return open_run(document["run_dir"])


async def sweep_async(
    scenarios: str | Sequence[str] = (),
    *,
    suite: bool = False,
    axes: Mapping[str, Sequence[Value]] | None = None,
    repetitions: int = 1,
    faults: Sequence[str] = (),
    redis: str | None = None,
    redis_server: str | None = None,
    allow_destructive: bool = False,
    live: bool = True,
    example: str = "good",
    results: str | os.PathLike[str] | None = None,
    report: bool = True,
    **values: Value,
) -> Run:
    """Measure scenarios over all combinations of the axes' values, as `run_async` does one.

    Args:
        scenarios: built-in names or paths, as a list or in one text with commas between them.
        axes: keys and the values to try; none at all measures each scenario once.
        suite: the built-in suite instead of scenarios by name.
        repetitions: how often each variant runs.
        faults, live, example, results, report, values: as of `run_async`; so are ``redis``,
            ``redis_server`` and ``allow_destructive``.

    Raises:
        UsageError: no scenario was named, or some beside the suite, or a value has a comma, which
            the axis can't carry.
        PerfkitError: the measurement failed; the message is the process' own.
    """
    from perfkit.api.history import example_run
    from perfkit.api.runs import open_run

    if not live:
        return example_run(example)
    names = listed(scenarios)
    if not names and not suite:
        raise UsageError("no scenario was named", "`perfkit scenarios` lists the built-in ones")
    if names and suite:
        raise UsageError(
            f"the suite has its own scenarios; {', '.join(names)} can't be named beside it",
            "leave out the names, or the suite",
        )
    arguments = ["sweep", *names, "--repeat", str(repetitions)]
    arguments += ["--suite"] if suite else []
    for key, given in (axes or {}).items():
        if odd := [value for value in given if "," in str(value)]:
            raise UsageError(f"axis {key!r} can't have the value {odd[0]!r}", "leave commas out")
        arguments += ["--axis", f"{key}={','.join(map(_toml, given))}"]
    arguments += [*_broken(faults), *_server(redis, redis_server, allow_destructive)]
    arguments += _options(results, report, values)
    document = await _watched(arguments, _panel())
    return open_run(document["run_dir"])


async def calibrate_async(
    url: str | None = None,
    *,
    rate: float | None = None,
    connections: int = 64,
    duration: str = "5s",
) -> Calibration:
    """What the load generator itself can do, as `perfkit.calibrate`, from another process.

    Raises:
        PerfkitError: it could not be measured; the message is the process' own.
    """
    from perfkit.api.calibrating import Calibration

    arguments = ["calibrate", "--json", "--while-stdin", "--connections", str(connections)]
    arguments += ["--duration", duration]
    arguments += [] if url is None else ["--url", url]
    arguments += [] if rate is None else ["--rate", str(rate)]
    return Calibration.of(await _watched(arguments, lambda _: None))


async def compare_async(
    a: str,
    b: str = "",
    *,
    set_a: Sequence[str] = (),
    set_b: Sequence[str] = (),
    pairs: int = 8,
    margin: str = "",
    results: str | os.PathLike[str] | None = None,
    report: bool = True,
    **values: Value,
) -> Compared:
    """Compare two scenarios, or two settings of one, in another process, as `run_async` does.

    Args:
        a: the baseline, a built-in's name or a path.
        b: the candidate; empty is the same scenario.
        set_a, set_b: keys set in one arm, each as "KEY=VALUE".
        pairs: how many pairs of trials.
        margin: what matters, such as "5%"; empty is 5 %, and 10 % of P99.
        results, report, values: as of `perfkit.run`; values are set in both arms.

    Raises:
        PerfkitError: the measurement failed; the message is the process' own.
    """
    from perfkit.api.compared import open_comparison

    arguments = ["compare", a, *([b] if b else []), "--pairs", str(pairs)]
    arguments += [part for each in set_a for part in ("--set-a", each)]
    arguments += [part for each in set_b for part in ("--set-b", each)]
    arguments += [*(("--margin", margin) if margin else ()), *_options(results, report, values)]
    document = await _watched(arguments, _panel())
    return open_comparison(document["run_dir"])


def listed(given: str | Sequence[str]) -> list[str]:
    """The names in a text with commas between them; a list stays as it is."""
    parts = given.split(",") if isinstance(given, str) else given
    return [part.strip() for part in parts if part.strip()]


def _broken(faults: Sequence[str]) -> list[str]:
    return [part for each in faults for part in ("--fault", each)]


def _server(redis: str | None, redis_server: str | None, allow_destructive: bool) -> list[str]:
    arguments = [] if redis is None else ["--redis", redis]
    arguments += [] if redis_server is None else ["--redis-server", redis_server]
    return [*arguments, *(["--allow-destructive"] if allow_destructive else [])]


def _options(
    results: str | os.PathLike[str] | None, report: bool, values: Mapping[str, Value]
) -> list[str]:
    """The rest of the command line of the process that measures."""
    arguments = ["--json", "--progress", "json", "--while-stdin"]
    if results is not None:
        arguments += ["--results", os.fspath(results)]
    if not report:
        arguments.append("--no-report")
    for key, value in values.items():
        arguments += ["--set", f"{key.replace('__', '.')}={_toml(value)}"]
    return arguments


def _toml(value: Value) -> str:
    return json.dumps(value) if isinstance(value, bool | str) else str(value)


async def _watched(arguments: Sequence[str], show: Callable[[dict[str, Any]], None]) -> Any:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "perfkit",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdin is not None
    told: list[str] = []

    async def follow(stream: asyncio.StreamReader) -> None:
        async for line in stream:
            text = line.decode(errors="replace").rstrip()
            if text.startswith("{"):
                show(json.loads(text))
            elif text:
                told.append(text)

    try:
        output, _ = await asyncio.gather(process.stdout.read(), follow(process.stderr))
        await process.wait()
    except BaseException:
        # Interrupting the cell stops the run cleanly: it seals what it measured.
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), _GRACE_S)
        except TimeoutError:
            process.kill()
        raise
    if not output.strip():
        raise PerfkitError("\n".join(told[-20:]).removeprefix("perfkit: ") or "it said nothing")
    return json.loads(output)


def _panel() -> Callable[[dict[str, Any]], None]:
    """A display that is updated in place and keeps only its last state."""
    from IPython.display import display

    handle: Any = None
    warnings: list[str] = []  # each is told once, and stays

    def show(progress: dict[str, Any]) -> None:
        nonlocal handle
        if progress.get("warning"):
            warnings.append(progress["warning"])
        bundle = _bundle(progress, warnings)
        if handle is None:
            handle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            handle.update(bundle, raw=True)

    return show


def _bundle(progress: dict[str, Any], warnings: Sequence[str] = ()) -> dict[str, str]:
    figures = "  ".join(
        f"{name.replace('_', ' ')} {format_count(value)}"
        for name, value in progress["figures"].items()
    )
    whole = progress["elapsed_s"] + progress["left_s"]
    share = progress["elapsed_s"] / whole if whole else 1.0
    text = (
        f"trial {progress['trial'] + 1} of {progress['trials']} {progress['label']}: "
        f"{progress['phase']}, {progress['elapsed_s']:.0f} s, "
        f"about {progress['left_s']:.0f} s left  {figures}"
    )
    bar = f'<progress value="{share:.3f}" max="1" style="width:100%"></progress>'
    lines = [text, *(f"warning: {words}" for words in warnings)]
    shown = "".join(f"<div>{html.escape(line)}</div>" for line in lines)
    return {"text/plain": "\n".join(lines), "text/html": f"{bar}{shown}"}
