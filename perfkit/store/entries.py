"""One line of a list of runs, and what of a manifest and a summary goes into it.

    manifest.json ──┐
                    ├── condense ── a small JSON document ── RunEntry
    summary.json  ──┘              (what the index keeps)

Foreign and damaged documents are met here: whatever is not of its type counts as not there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

__all__ = ["FIGURES", "LEVELS", "RunEntry", "State", "TrialEntry", "condense"]

State = Literal["complete", "partial", "measuring", "unsealed", "unreadable"]
Document = dict[str, Any]

LEVELS: Final = (
    "offered_per_s",
    "due_per_s",
    "throughput_per_s",
    "n",
    "p50_ns",
    "p95_ns",
    "p99_ns",
)
"""Columns of `perfkit.verdict.trials` that a list shows."""

FIGURES: Final = (*LEVELS, "worst_queue_p95_ns", "errors")
"""Numbers of a trial that ``summary.json`` holds and a list shows; see `perfkit.api.measured`."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialEntry:
    """One trial of a listed run: of its plan, and of its summary where there is one."""

    trial: int
    scenario: str
    label: str
    axes: Mapping[str, Any]
    repetition: int
    digest: str | None  # of the whole scenario, the stack included
    workload_digest: str | None
    outcome: str  # complete, partial, failed, or "not measured"
    verdict: str | None  # None: no summary says
    saturated: bool | None
    worst_queue: str | None  # the one with the highest P95
    figures: Mapping[str, float] = field(default_factory=dict)  # of `FIGURES`, those known


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEntry:
    """One line of a list.

    States: ``complete`` and ``partial`` are sealed; ``measuring`` belongs to a living process;
    ``unsealed`` was killed and wants `repair`; ``unreadable`` has a manifest that can't be parsed.
    """

    path: Path
    name: str
    run_id: str
    state: State
    created_ns: int | None  # wall clock
    reason: str | None
    verdict: str | None  # None: not sealed, or no summary says
    host: str | None  # fingerprint
    commit: str | None  # of the checkout, with "+" where files differed from it
    perfkit_version: str | None
    synthetic: bool
    planned: tuple[TrialEntry, ...]

    @classmethod
    def of(cls, path: Path, state: State, condensed: Mapping[str, Any]) -> RunEntry:
        """The entry of what `condense` made."""
        run = condensed["run"]
        return cls(
            path=path,
            name=path.parent.name,
            run_id=path.name,
            state=state,
            planned=tuple(TrialEntry(**each) for each in condensed["planned"]),
            **run,
        )

    @property
    def sealed(self) -> bool:
        """Whether it can be opened."""
        return self.state in ("complete", "partial")

    @property
    def created(self) -> datetime | None:
        """When it began, in UTC."""
        return None if self.created_ns is None else _EPOCH + timedelta(0, self.created_ns // 10**9)

    @property
    def trials(self) -> int:
        """How many are planned."""
        return len(self.planned)

    @property
    def scenarios(self) -> tuple[str, ...]:
        """Names of the scenarios it measures, in order."""
        return tuple(dict.fromkeys(each.scenario for each in self.planned))

    @property
    def summarised(self) -> bool:
        """Whether a summary says what came out."""
        return self.verdict is not None


def condense(manifest: Mapping[str, Any], summary: Mapping[str, Any] | None = None) -> Document:
    """What a list needs of a run; JSON's types alone."""
    if summary and summary.get("sealed_ns", manifest.get("sealed_ns")) != manifest.get("sealed_ns"):
        summary = None  # the run was resumed since
    git = _mapping(manifest.get("git"))
    commit = _text(git.get("commit"))
    verdict = _mapping((summary or {}).get("verdict"))
    outcomes = _by_trial(manifest.get("trials"))
    judged = _by_trial((summary or {}).get("trials"))
    return {
        "run": {
            "created_ns": _instant(manifest.get("created_ns")),
            "reason": None if (why := manifest.get("reason")) is None else str(why),
            "verdict": _text(verdict.get("status")),
            "host": _text(_mapping(manifest.get("host")).get("fingerprint")),
            "commit": commit and commit[:12] + ("+" if git.get("dirty") else ""),
            "perfkit_version": _text(manifest.get("perfkit_version")),
            "synthetic": manifest.get("synthetic") is True,
        },
        "planned": [
            _trial(place, _mapping(each), outcomes, judged)
            for place, each in enumerate(_sequence(manifest.get("plan")))
        ],
    }


def _trial(
    place: int,
    planned: Mapping[str, Any],
    outcomes: Mapping[int, Mapping[str, Any]],
    judged: Mapping[int, Mapping[str, Any]],
) -> Document:
    index = _integer(planned.get("trial"))
    index = place if index is None else index
    said = judged.get(index, {})
    saturated = said.get("saturated")
    return {
        "trial": index,
        "scenario": _text(planned.get("scenario")) or "",
        "label": _text(planned.get("label")) or "",
        "axes": dict(_mapping(planned.get("axes"))),
        "repetition": _integer(planned.get("repetition")) or 0,
        "digest": _text(planned.get("digest")),
        "workload_digest": _text(planned.get("workload_digest")),
        "outcome": _text(outcomes.get(index, {}).get("outcome")) or "not measured",
        "verdict": _text(said.get("status")),
        "saturated": saturated if isinstance(saturated, bool) else None,
        "worst_queue": _text(said.get("worst_queue")),
        "figures": {
            name: number for name in FIGURES if (number := _number(said.get(name))) is not None
        },
    }


def _by_trial(given: Any) -> dict[int, Mapping[str, Any]]:
    each_of = (_mapping(each) for each in _sequence(given))
    return {each["trial"]: each for each in each_of if _integer(each.get("trial")) is not None}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _sequence(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else ()


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _instant(value: Any) -> int | None:
    known = _integer(value)
    return known if known is not None and 0 <= known < 2**63 else None


def _number(value: Any) -> float | None:
    """A number; JSON has no infinity, so that a summary writes "inf" for what never ended."""
    if value == "inf":
        return math.inf
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return value if known and math.isfinite(value) else None
