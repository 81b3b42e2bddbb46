"""Colours and type: the only place that has any.

A colour is named by a *token*; a theme gives it a value. Hues follow Okabe and Ito (2008), which
stay apart for the common colour deficiencies; where two lines share a hue they differ by dash.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

__all__ = [
    "COLOURS",
    "DARK",
    "FLOWS",
    "FONT",
    "LIGHT",
    "PERCENTILES",
    "ROLES",
    "STAGES",
    "Theme",
    "css_variables",
    "dark_of_light",
    "palette",
    "queue_colours",
    "trial_colours",
    "value",
]

FONT: Final = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'


@dataclass(frozen=True, slots=True)
class Theme:
    """One value, ``#rrggbb``, for each token."""

    name: Literal["light", "dark"]
    colours: Mapping[str, str]


LIGHT: Final = Theme(
    "light",
    MappingProxyType(
        {
            "paper": "#ffffff",
            "raised": "#f5f7fa",
            "ink": "#1b2430",
            "muted": "#566273",
            "rule": "#c9d1db",
            "grid": "#e6eaef",
            "window": "#e9f1fa",
            "blue": "#0072b2",
            "orange": "#c98500",
            "green": "#00875f",
            "vermilion": "#cc4d00",
            "sky": "#4aa3d8",
            "pink": "#b8568f",
            "grey": "#7a8594",
            "olive": "#8a8b2f",
            "good": "#0b7a4b",
            "bad": "#b3261e",
            "unsure": "#8a5a00",
            "broken": "#6d3fb0",
        }
    ),
)

DARK: Final = Theme(
    "dark",
    MappingProxyType(
        {
            "paper": "#12161c",
            "raised": "#1a2028",
            "ink": "#e6eaf0",
            "muted": "#a2adbb",
            "rule": "#3a4452",
            "grid": "#28303b",
            "window": "#1a2634",
            "blue": "#58aee6",
            "orange": "#f0b43c",
            "green": "#3cc79d",
            "vermilion": "#ff8b4d",
            "sky": "#9bd4f5",
            "pink": "#e79cc6",
            "grey": "#94a0af",
            "olive": "#c7c86a",
            "good": "#4fd39a",
            "bad": "#ff8078",
            "unsure": "#f0b43c",
            "broken": "#bd9cf2",
        }
    ),
)

STAGES: Final = MappingProxyType(
    {
        "client lag": "grey",
        "blocked": "olive",
        "ingest": "sky",
        "broker dwell": "blue",
        "prefetch wait": "orange",
        "service": "green",
        "retry backoff": "vermilion",
    }
)
"""Where a job's time goes, in the order of a job's life."""

ROLES: Final = MappingProxyType(
    {
        "worker": "green",
        "ingest": "sky",
        "redis": "vermilion",
        "gateway": "pink",
        "generator": "grey",
        "perfkit": "olive",
        "host": "ink",
    }
)

FLOWS: Final = MappingProxyType(
    {
        "offered": "grey",
        "done": "green",
        "failed": "bad",
    }
)

PERCENTILES: Final = MappingProxyType({"p50": "sky", "p95": "blue", "p99": "vermilion"})

_KNOWN_QUEUES = MappingProxyType(
    {"payments": "blue", "notifications": "orange", "webhooks": "green"}
)
_SERIES = ("blue", "orange", "green", "vermilion", "sky", "pink", "olive", "grey")


COLOURS: Final = len(_SERIES)
"""More series than this repeat a colour and need a dash."""


def palette(count: int) -> tuple[str, ...]:
    """Tokens for ``count`` series without a meaning of their own; they repeat after eight."""
    return tuple(_SERIES[i % len(_SERIES)] for i in range(count))


def trial_colours(count: int) -> tuple[str, ...]:
    """Tokens for trials and scenarios, away from those of the sample's queues while they last."""
    return tuple(_SERIES[(i + 3) % len(_SERIES)] for i in range(count))


def queue_colours(queues: Iterable[str]) -> dict[str, str]:
    """A token for each queue: fixed for the sample's three, the rest of the palette for others.

    The order of ``queues`` does not matter, so a queue keeps its colour in every chart of a run.
    """
    names = sorted(set(queues))
    free = [token for token in _SERIES if token not in {_KNOWN_QUEUES.get(name) for name in names}]
    others = [name for name in names if name not in _KNOWN_QUEUES]
    given = {name: free[i % len(free)] for i, name in enumerate(others)}
    return {name: _KNOWN_QUEUES.get(name) or given[name] for name in names}


def value(token: str, theme: Theme = LIGHT) -> str:
    """``#rrggbb`` of a token.

    Raises:
        KeyError: for a token that does not exist.
    """
    return theme.colours[token]


def css_variables(theme: Theme) -> str:
    """Declarations ``--pk-blue: #0072b2; ...`` for a style sheet."""
    return " ".join(f"--pk-{token}: {colour};" for token, colour in theme.colours.items())


def dark_of_light() -> dict[str, str]:
    """What the page's script puts in place of each light colour when the page is dark."""
    return {LIGHT.colours[token]: DARK.colours[token] for token in LIGHT.colours}
