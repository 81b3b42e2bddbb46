"""A target that is nobody's stack of ours: an absolute URL, and no ``[system]``.

Nothing is started for it, so what a stack is made of, and what is only known of one, is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from perfkit.errors import Problem
from perfkit.scenario.raw import rows, table
from perfkit.scenario.target import is_absolute

__all__ = ["elsewhere", "is_elsewhere"]

_OF_STACK: Final = ("job", "gateway", "stack", "redis", "build", "fault", "scale", "autoscale")
_KNOWN: Final = ("generator.cpu", "host.cpu")
_OF_JOBS: Final = ("queue_wait", "service", "added", "lost", "dead", "duplicated")
_SAMPLED: Final = ("redis.", "queue.", "workers.", "ingest.")


def is_elsewhere(document: Mapping[str, Any]) -> bool:
    """Whether requests go to a server that we neither start nor look into."""
    url = str(table(document, "target").get("url", ""))
    return "system" not in document and is_absolute(url)


def elsewhere(document: Mapping[str, Any]) -> Iterator[Problem]:
    """Problems of a document for which `is_elsewhere` holds."""
    if found := list(_of_stack(document)):
        listed = f"{', '.join(found[:-1])} and {found[-1]}" if len(found) > 1 else found[0]
        verb = "are" if len(found) > 1 else "is"
        yield Problem(
            found[0],
            f"{listed} {verb} of a stack, and for a target elsewhere (target.url) none is started",
            f"leave {'them' if len(found) > 1 else 'it'} out; or let perfkit start the system: "
            'name its broker in [system], or write a path, such as url = "/orders"',
        )
    for index, threshold in enumerate(rows(document, "threshold")):
        metric = str(threshold.get("metric"))
        if metric in _OF_JOBS or (metric.startswith(_SAMPLED) and metric not in _KNOWN):
            mend = "use latency, response, request, send_lag, errors, throughput or dropped"
            what = f"{metric} is of jobs, queues or processes of a stack, and none is started"
            yield Problem(f"threshold.{index}.metric", what, mend)
        if "queue" in threshold:
            what = "there are no queues: none is started that would have any"
            yield Problem(f"threshold.{index}.queue", what, 'use request = "NAME"')


def _of_stack(document: Mapping[str, Any]) -> Iterator[str]:
    """Keys that say something of a stack, as far as a table has any, dotted."""
    for name in _OF_STACK:
        value = document.get(name)
        if isinstance(value, Mapping) and name in ("stack", "redis", "build"):
            yield from (f"{name}.{key}" for key in value)
        elif value:
            yield name
    if table(document, "host").get("system_cpus", "auto") != "auto":
        yield "host.system_cpus"
