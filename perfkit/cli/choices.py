"""Options that several verbs share, and their parsing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

# Scenarios are imported where they are needed: parsing them loads much, and to list runs is to be
# quick.
if TYPE_CHECKING:
    from perfkit.plan import Value

__all__ = [
    "SCENARIO",
    "as_json",
    "axes_of",
    "fault_options",
    "redis_options",
    "results_option",
    "scenario_options",
    "settings_of",
    "split_pair",
    "values_of",
]

F = TypeVar("F", bound=Callable[..., Any])


class _ScenarioName(click.ParamType[str]):
    name = "scenario"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from perfkit.scenario import builtins

        names = [CompletionItem(name) for name in builtins() if name.startswith(incomplete)]
        return [*names, CompletionItem(incomplete, type="file")]


class _Shards(click.ParamType["int | str"]):
    name = "n"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        text = str(value)
        if text == "auto":
            return text
        if text.isdecimal() and int(text) > 0:
            return int(text)
        raise click.BadParameter(f'{text!r} is neither a number from 1 up nor "auto"', ctx, param)


SCENARIO = _ScenarioName()


def _stacked(*options: Callable[[F], F]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
results_option = click.option(
    "--results", metavar="DIR", help="Where runs live (PERFKIT_RESULTS; default results/)."
)
redis_options = _stacked(
    click.option("--redis", metavar="URL", help="Use this server; it must hold no jobs."),
    click.option("--redis-server", metavar="PATH", help="Start this server binary."),
)


fault_options = _stacked(
    click.option(
        "--fault",
        "faults",
        multiple=True,
        metavar="'ACTION TARGET at TIME [for TIME]'",
        help="Break something on purpose, such as 'kill worker at 4s'; repeatable.",
    ),
    click.option(
        "--allow-destructive",
        is_flag=True,
        help="Let faults pause or fill the server of --redis.",
    ),
)


def scenario_options(function: F) -> F:
    """Short flags for the keys people turn most, and ``--set`` for all others."""
    from perfkit.scenario import PRESETS

    return _stacked(
        click.option("--workers", type=click.IntRange(1), help="Worker processes."),
        click.option("--threads", type=click.IntRange(1), help="Threads per worker."),
        click.option("--prefetch", type=click.IntRange(1), help="Per queue and process."),
        click.option(
            "--preset", type=click.Choice(sorted(PRESETS)), help="Worker and ingest side."
        ),
        click.option("--profile", metavar="NAME", help="Redis configuration."),
        click.option("--users", type=click.IntRange(1), help="Of a closed model."),
        click.option("--rate", type=float, help="Jobs per second of an open model."),
        click.option("--speed", type=float, help="Of a trace: 2 replays it in half its time."),
        click.option("--shards", type=_Shards(), help='Processes that send, or "auto".'),
        click.option("--duration", metavar="TIME", help='Measured window, such as "20s".'),
        click.option("--warmup", metavar="TIME", help="Before the window."),
        click.option("--drain", metavar="TIME", help="Limit of the wait for the last jobs."),
        click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Any scenario key."),
    )(function)


def values_of(options: dict[str, Any]) -> dict[str, Value]:
    """The keys that the flags of `scenario_options` set; removes them from ``options``."""
    from perfkit.scenario import ALIASES

    values = settings_of(options.pop("sets"), "--set")
    for flag, dotted in ALIASES.items():
        if flag in options and (given := options.pop(flag)) is not None:
            values[dotted] = given
    return values


def settings_of(given: Iterable[str], flag: str) -> dict[str, Value]:
    """What ``KEY=VALUE`` sets, by dotted key."""
    from perfkit.plan import parse_value
    from perfkit.scenario import ALIASES

    values: dict[str, Value] = {}
    for pair in given:
        key, value = split_pair(pair, flag, "KEY=VALUE")
        values[ALIASES.get(key, key)] = parse_value(value)
    return values


def axes_of(given: Iterable[str]) -> dict[str, list[Value]]:
    """``KEY=A,B`` as the values of an axis."""
    from perfkit.plan import parse_value

    axes: dict[str, list[Value]] = {}
    for text in given:
        key, listed = split_pair(text, "--axis", "KEY=A,B")
        if key in axes:
            raise click.UsageError(f"--axis {key} is given twice; list all values in one")
        axes[key] = [parse_value(value.strip()) for value in listed.split(",") if value.strip()]
    return axes


def split_pair(text: str, flag: str, shape: str) -> tuple[str, str]:
    """The key and the value of a flag's ``KEY=VALUE``.

    Raises:
        click.UsageError: it has no key or no ``=``.
    """
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise click.UsageError(f"{flag} {text!r}: write it as {shape}")
    return key.strip(), value.strip()
