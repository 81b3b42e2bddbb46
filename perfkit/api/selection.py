"""Which runs and trials of a results folder are wanted."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from perfkit.errors import UsageError
from perfkit.store.entries import RunEntry, TrialEntry
from perfkit.units import parse_duration_ns

__all__ = ["STATES", "VERDICTS", "Selection", "named", "nearest", "parse_since"]

STATES: Final = ("complete", "partial", "measuring", "unsealed", "unreadable")
VERDICTS: Final = ("PASS", "FAIL", "INCONCLUSIVE", "INVALID", "NONE")
"""NONE: no summary says, or the run is not sealed."""

_GLOB: Final = frozenset("*?[")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What a run must be like to be listed, and a trial to be in a history."""

    status: frozenset[str] = frozenset()  # any of them; empty: all
    verdict: frozenset[str] = frozenset()
    since_ns: int | None = None  # wall clock
    axes: Mapping[str, str] | None = None  # name, short or dotted, and value as text

    @classmethod
    def of(
        cls,
        *,
        status: str | Sequence[str] = (),
        verdict: str | Sequence[str] = (),
        since: str | datetime | None = None,
        axes: Mapping[str, Any] | None = None,
        now_ns: int,
    ) -> Selection:
        """From what a person wrote.

        Raises:
            UsageError: a status or verdict there is not, or no time.
        """
        return cls(
            status=_known("status", status, STATES),
            verdict=_known("verdict", verdict, VERDICTS),
            since_ns=None if since is None else parse_since(since, now_ns),
            axes={key: _plain(value) for key, value in (axes or {}).items()},
        )

    def takes(self, entry: RunEntry) -> bool:
        """Whether the run is wanted."""
        return (
            (not self.status or entry.state in self.status)
            and (not self.verdict or (entry.verdict or "NONE") in self.verdict)
            and (self.since_ns is None or (entry.created_ns or 0) >= self.since_ns)
            and (not self.axes or any(self.has_axes(each) for each in entry.planned))
        )

    def has_axes(self, trial: TrialEntry) -> bool:
        """Whether the trial has every value that was asked for."""
        return all(
            any(_plain(trial.axes[axis]) == value for axis in trial.axes if _named(axis, key))
            for key, value in (self.axes or {}).items()
        )

    def check_axes(self, entries: Iterable[RunEntry]) -> None:
        """Refuse an axis that no trial has: nothing could ever match.

        Raises:
            UsageError: with the one it may have been.
        """
        known = {axis for entry in entries for trial in entry.planned for axis in trial.axes}
        for key in self.axes or {}:
            if not any(_named(axis, key) for axis in known):
                short = sorted({axis.rpartition(".")[2] for axis in known})
                there = f"axes are {', '.join(short)}" if short else "none of them was a sweep"
                raise UsageError(
                    f"no run here has an axis {key!r}", f"{nearest(key, short)}{there}"
                )


def named(entries: Sequence[RunEntry], name: str) -> list[RunEntry]:
    """Runs of that name, or with a scenario of that name; ``*``, ``?`` and ``[ab]`` may be used.

    Raises:
        UsageError: there is none of an exact name.
    """
    found = [
        entry
        for entry in entries
        if any(fnmatch.fnmatchcase(each, name) for each in (entry.name, *entry.scenarios))
    ]
    if not found and not _GLOB & set(name):
        known = sorted({each for entry in entries for each in (entry.name, *entry.scenarios)})
        raise UsageError(
            f"there is no run of {name!r}",
            f"{nearest(name, known)}`perfkit list` shows what is there",
        )
    return found


def nearest(name: str, known: Iterable[str]) -> str:
    """A question to put before the mend, "did you mean 'heavy'? ", or nothing."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]!r}? " if close else ""


def parse_since(given: str | datetime, now_ns: int) -> int:
    """Nanoseconds since the epoch of "7d" (ago) or of a date; without a zone it is UTC.

    Raises:
        UsageError: it is neither.
    """
    if isinstance(given, str):
        ago_ns = _duration(given)
        if ago_ns is not None and ago_ns >= 0:
            return now_ns - ago_ns
        try:
            given = datetime.fromisoformat(given.strip())
        except ValueError:
            raise UsageError(
                f"{given!r} is neither a time ago nor a date",
                'write it as "12h", "7d", "2w", "2026-01-31" or "2026-01-31T18:00" (UTC)',
            ) from None
    zoned = given if given.tzinfo else given.replace(tzinfo=UTC)
    return round(zoned.timestamp() * 1e9)


def _duration(text: str) -> int | None:
    try:
        return parse_duration_ns(text)
    except ValueError:
        return None


def _known(what: str, given: str | Sequence[str], known: Sequence[str]) -> frozenset[str]:
    wanted = [given] if isinstance(given, str) else list(given)
    by_name = {each.casefold(): each for each in known}
    for each in wanted:
        if each.casefold() not in by_name:
            raise UsageError(
                f"{each!r} is no {what} of a run",
                f"{nearest(each.casefold(), by_name)}use {', '.join(known)}",
            )
    return frozenset(by_name[each.casefold()] for each in wanted)


def _named(axis: str, key: str) -> bool:
    return key in (axis, axis.rpartition(".")[2])


def _plain(value: Any) -> str:
    """A value as text that is the same however it was written: 4 and 4.0, true and True."""
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value).strip()
    try:
        return repr(float(text))
    except ValueError:
        return text.lower() if text.lower() in ("true", "false") else text
