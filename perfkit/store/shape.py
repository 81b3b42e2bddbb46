"""Shapes of the JSON documents of a run: what is where it can be, of the type it must have.

A shape is a type, a tuple of them (any of these), a list with one shape (of all its items), or a
dict: of the fields that are known, or, with the key ``...``, of all its values. Fields that are not
there are nobody's business here but for those that ``!`` lists, nor are those that are not known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

__all__ = ["MANIFEST_SHAPE", "TRIAL_SHAPE", "misfits"]

Shape = Any
_ANY: Final = object()

_TEXT: Final = (str, None)
_COUNT: Final = (int, None)
_NUMBER: Final = (int, float, None)
_INT64: Final = 2**63

_TRIAL_OF_PLAN: Final = {
    "trial": int,
    "scenario": str,
    "label": str,
    "axes": dict,
    "repetition": int,
    "seed": int,
    "digest": _TEXT,
    "workload_digest": _TEXT,
}

MANIFEST_SHAPE: Final[Shape] = {
    "run_id": str,
    "name": str,
    "status": str,
    "reason": _TEXT,
    "created_ns": _COUNT,
    "sealed_ns": _COUNT,
    "perfkit_version": _TEXT,
    "command": [str],
    "plan": [_TRIAL_OF_PLAN],
    "scenarios": {...: {"text": _TEXT, "digest": _TEXT, "document": dict}},
    "host": ({"cpus": _COUNT, "cpu_model": _TEXT, "memory_bytes": (int, float, None)}, None),
    "versions": ({...: _TEXT}, None),
    "redis": ({"config": (dict, None), "warnings": [str], "servers": [dict]}, None),
    "git": ({"commit": _TEXT, "dirty": (bool, None)}, None),
    "placement": ({"system_cpus": ([int], None), "instrument_cpus": ([int], None)}, None),
    "trials": [{"trial": int, "outcome": str, "reason": _TEXT}],
    "files": {...: {"!": ("rows", "sha256"), "rows": _COUNT, "sha256": str}},
    "warnings": [str],
    "resumed": [dict],
}

_INSTANTS: Final = dict.fromkeys(
    ("load_start", "window_start", "window_end", "load_end", "drain_end"), int
)

TRIAL_SHAPE: Final[Shape] = {
    "trial": int,
    "scenario": str,
    "label": str,
    "axes": dict,
    "repetition": int,
    "seed": int,
    "outcome": str,
    "reason": _TEXT,
    "instants_ns": _INSTANTS,
    "model": str,
    "offered_per_s": _NUMBER,
    "users": _COUNT,
    "jobs_recorded": bool,
    "omission": _TEXT,
    "expected_interval_ns": _COUNT,
    "document": (dict, None),
    "stretches": (
        [
            {
                "name": str,
                "begin_ns": int,
                "end_ns": int,
                "level_start": (int, float),
                "level_end": (int, float),
                "phase": _COUNT,
            }
        ],
        None,
    ),
    "settings": ({"pools": [{"!": ("workers", "threads"), "name": str, "workers": int,
                             "threads": int}]}, None),
    "processes": ({...: {"pid": _COUNT, "role": str, "pool": _TEXT}}, None),
    "generator": ({"planned": _COUNT, "sent": _COUNT, "dropped": _COUNT, "accepted": _COUNT,
                   "refused": _COUNT, "errored": _COUNT, "cpu_ns": _NUMBER, "wall_ns": _NUMBER,
                   "run_queue_wait_ns": _NUMBER, "shards": int, "interrupted": bool,
                   "by_shard": [{"!": ("shard", "rows"), "shard": int, "rows": int,
                                 "counted": _COUNT, "unreached": int, "cpu_ns": _NUMBER,
                                 "wall_ns": _NUMBER, "run_queue_wait_ns": _NUMBER}]}, None),
    "recorder": ({"corrupt": _COUNT, "lost": _COUNT, "holes": _COUNT}, None),
    "sampler": (dict, None),
    "deaths": [{"name": str, "at_ns": int, "status": _COUNT, "text": str}],
    "scale_events": ([{"at_ns": int, "pool": _TEXT, "from_workers": int, "to_workers": int,
                       "reason": str, "done_ns": _COUNT, "error": _TEXT}], None),
    "worker_lives": ([{"name": str, "pool": _TEXT, "started_ns": int, "ready_ns": _COUNT,
                       "stop_ns": _COUNT, "ended_ns": _COUNT}], None),
    "aborted": ({"at_ns": int, "threshold": str, "observed": (int, float), "text": str,
                 "behind": _NUMBER}, None),
    "faults": ([{"action": str, "target": str, "at_ns": int, "done_ns": _COUNT,
                 "ended_ns": _COUNT, "victim": _TEXT, "done": bool, "error": _TEXT}], None),
    "ledger": ({"entries": _COUNT}, None),
    "stack": ({"redis": (dict, None)}, None),
}  # fmt: skip


def misfits(document: Any, shape: Shape, place: str = "") -> Iterator[str]:
    """Where a document is not of its shape, one short text each."""
    if isinstance(shape, tuple):
        if any(next(misfits(document, each, place), None) is None for each in shape):
            return
        # What is of a kind, but wrong further in, is told as such.
        for each in shape:
            if isinstance(document, type(each)) and isinstance(each, dict | list):
                yield from misfits(document, each, place)
                return
        yield _said(document, place)
    elif isinstance(shape, dict):
        if not isinstance(document, Mapping):
            yield _said(document, place)
            return
        for key in shape.get("!", ()):
            if key not in document:
                yield f"{place or 'it'} lacks {key}"
        for key, value in document.items():
            inner = shape.get(key, shape.get(..., _ANY))
            if inner is not _ANY:
                yield from misfits(value, inner, f"{place}.{key}" if place else str(key))
    elif isinstance(shape, list):
        if not isinstance(document, list):
            yield _said(document, place)
            return
        for index, value in enumerate(document):
            yield from misfits(value, shape[0], f"{place}.{index}")
    elif not _is_of(document, shape):
        yield _said(document, place)


def _is_of(value: Any, kind: Any) -> bool:
    if kind is None:
        return value is None
    if kind in (int, float):
        fits = isinstance(value, kind) and not isinstance(value, bool)
        # What tables can hold; JSON knows no limit.
        return fits and -_INT64 <= value < _INT64
    return isinstance(value, kind)


def _said(value: Any, place: str) -> str:
    shown = "" if isinstance(value, Mapping | list | int) else repr(value)
    return f"{place or 'it'} can't be {shown if 0 < len(shown) <= 40 else type(value).__name__}"
