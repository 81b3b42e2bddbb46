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
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from perfkit.errors import PerfkitError
from perfkit.units import format_count

if TYPE_CHECKING:
    from perfkit.api.runs import Run
    from perfkit.plan import Value

__all__ = ["run_async"]

_GRACE_S = 30.0


async def run_async(
    scenario: str,
    *,
    live: bool = True,
    example: str = "good",
    results: str | os.PathLike[str] | None = None,
    report: bool = True,
    **values: Value,
) -> Run:
    """Measure one scenario in another process, with live progress in the cell.

    Args:
        scenario: a built-in's name or a path.
        live: False opens the committed example run ``example`` instead and launches nothing.
        example: which example.
        results, report, values: as of `perfkit.run`.

    Raises:
        PerfkitError: the measurement failed; the message is the process' own.
    """
    from perfkit.api.history import example_run
    from perfkit.api.runs import open_run

    if not live:
        return example_run(example)
    arguments = ["run", scenario, "--json", "--progress", "json", "--while-stdin"]
    if results is not None:
        arguments += ["--results", os.fspath(results)]
    if not report:
        arguments.append("--no-report")
    for key, value in values.items():
        arguments += ["--set", f"{key.replace('__', '.')}={_toml(value)}"]
    document = await _watched(arguments, _panel())
    return open_run(document["run_dir"])


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

    def show(progress: dict[str, Any]) -> None:
        nonlocal handle
        bundle = _bundle(progress)
        if handle is None:
            handle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            handle.update(bundle, raw=True)

    return show


def _bundle(progress: dict[str, Any]) -> dict[str, str]:
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
    return {"text/plain": text, "text/html": f"{bar}<div>{html.escape(text)}</div>"}
