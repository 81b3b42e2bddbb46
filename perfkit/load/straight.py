"""The plan of a load that goes straight into the queues, as files for the child that enqueues it.

Instants, queues and keys are those of the same load over HTTP; `perfkit.recorder.enqueue` says what
the two files hold. Only plans whose instants are fixed can be written down: open ones, and closed
ones with pacing.
"""

from __future__ import annotations

import json
import os
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from perfkit.errors import UsageError
from perfkit.load.demand import demand_of
from perfkit.load.exchange import NEVER_NS, ErrorKind
from perfkit.load.ledger import ERROR_KINDS
from perfkit.load.rows import ledger_header
from perfkit.load.spec import LoadSpec
from perfkit.recorder.draws import choice, unit

__all__ = ["ActorCall", "write_plan"]

SPEC: Final = "enqueue.json"
PLAN: Final = "enqueue.plan"


@dataclass(frozen=True, slots=True)
class ActorCall:
    """Which actor does the jobs of a share, and its arguments (`perfkit.scenario.arguments`)."""

    actor: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]


def write_plan(spec: LoadSpec, calls: Sequence[ActorCall]) -> int:
    """Write both files into the spec's output directory; returns how many jobs are planned.

    Args:
        spec: the load; its start is offset 0, whatever it says.
        calls: one for each of its jobs, in their order.

    Raises:
        UsageError: the instants depend on replies, which jobs that are enqueued don't give.
    """
    if spec.model == "closed" and spec.pacing_ns is None:
        raise UsageError(
            "a closed model without pacing waits for replies", "set pacing, or use an open model"
        )
    header = ledger_header(spec)
    weights = [job.weight for job in spec.jobs]
    demand, words = demand_of(spec), array("q")
    while demand.next_ns != NEVER_NS:
        due = demand.take()
        job = choice(weights, unit(due.key, "queue")) if len(weights) > 1 else 0
        words.extend((due.intended_ns - spec.start_ns, job, due.user, due.iteration))
    folder = Path(spec.output)
    (folder / PLAN).write_bytes(words.tobytes())
    document = {
        "header": header,
        "seed": spec.seed,
        "nonce": spec.nonce,
        "load_ns": spec.load_ns,
        "grace_ns": spec.grace_ns,
        "cpus": list(spec.cpus),
        "errors": {
            str(kind): ERROR_KINDS.index(kind) + 1
            for kind in (ErrorKind.CONNECT, ErrorKind.RAISED, ErrorKind.TIMEOUT, ErrorKind.UNSENT)
        },
        "jobs": [
            {
                "queue": header["queues"].index(share.queue),
                "actor": call.actor,
                "args": list(call.args),
                "kwargs": dict(call.kwargs),
            }
            for share, call in zip(spec.jobs, calls, strict=True)
        ],
    }
    # Arguments may be secret: nobody else reads it, and the child removes it as it reads it.
    handle = os.open(folder / SPEC, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(document, file, indent=1)
    return len(words) // 4
