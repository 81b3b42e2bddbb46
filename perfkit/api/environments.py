"""In what two arms, or two runs, are not alike: what was asked of them, and where they ran."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from perfkit.api.comparing_trials import Attempts
from perfkit.api.runs import Run

__all__ = [
    "Difference",
    "environment_difference",
    "flat",
    "server_settings",
    "settings_of_trial",
    "unlike",
]

Difference = tuple[str, str, str]

_ALWAYS: Final = ("seed", "name", "description", "build.python", "build.path", "build.folder")
"""Keys that differ of themselves: those of ``build`` are where a version was put to be measured."""
_ABSENT: Final = "not there"
_DIGEST: Final = 12


def environment_difference(run: Run, attempts: Attempts) -> tuple[Difference, ...]:
    """What the arms of a comparison were asked, or ran with, that is not the same."""
    for pair in attempts.counted:
        if {pair.a, pair.b} <= set(run.stored.trials):
            return unlike(settings_of_trial(run, pair.a), settings_of_trial(run, pair.b))
    return ()


def settings_of_trial(run: Run, trial: int) -> dict[str, Any]:
    """What a trial was asked and what was started for it, by dotted key."""
    facts = run.trial_facts(trial)
    redis = (facts.get("stack") or {}).get("redis") or {}
    system = facts.get("system") or {}
    return {
        **dict(flat(facts.get("document") or {})),
        **dict(flat(facts.get("settings") or {}, "settings")),
        **server_settings(redis),
        **{f"system.{key}": system[key] for key in ("broker",) if key in system},
        **dict(flat(system.get("versions") or {}, "system.versions")),
    }


def server_settings(facts: Mapping[str, Any]) -> dict[str, str]:
    """Which server it was, by product, version and build; where its file lies says nothing."""
    found = {f"redis.{key}": str(facts[key]) for key in ("server", "version") if facts.get(key)}
    if digest := facts.get("binary_sha256"):
        found["redis.build"] = str(digest)[:_DIGEST]
    return found


def unlike(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Keys whose values are not the same, each with both of them as text."""
    return tuple(
        (key, _text(a.get(key, _ABSENT)), _text(b.get(key, _ABSENT)))
        for key in sorted(a.keys() | b.keys())
        if key not in _ALWAYS and a.get(key, _ABSENT) != b.get(key, _ABSENT)
    )


def flat(document: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of a document by their dotted keys."""
    if isinstance(document, Mapping) and document:
        for key, value in document.items():
            yield from flat(value, f"{place}.{key}" if place else str(key))
    elif isinstance(document, list) and any(isinstance(each, Mapping) for each in document):
        for number, value in enumerate(document, start=1):
            yield from flat(value, f"{place}[{number}]")
    else:
        yield place, document


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
