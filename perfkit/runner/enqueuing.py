"""The child that enqueues jobs straight into the queues, as the runner sees it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from perfkit.launcher.stack import Stack
from perfkit.load.spec import LoadSpec
from perfkit.load.straight import ActorCall, write_plan
from perfkit.runner.generator import Sender
from perfkit.scenario import Job

__all__ = ["EnqueueProcess"]

_LEAD_NS: Final = 300_000_000
_PER_JOB_NS: Final = 1_000  # it turns offsets into instants, at a fifth of this


class EnqueueProcess(Sender):
    """Imports the application in a child of `perfkit.recorder.enqueue`, with a plan made here.

    It runs somebody's code, which may end it. Its rows and events are on the disk then, so the
    trial ends there and is accounted for as any other, partial.
    """

    def __init__(self, spec: LoadSpec, jobs: Sequence[Job], stack: Stack, folder: Path) -> None:
        calls = [ActorCall(job.actor or "", job.args, job.kwargs) for job in jobs]
        planned = write_plan(spec, calls)
        asked = stack.spec
        argv = [*asked.python(), "-m", "perfkit.recorder.enqueue", "--broker", asked.broker]
        if asked.broker_path is not None:
            argv += ["--path", str(asked.broker_path)]
        super().__init__(
            [*argv, "--spool", str(asked.spool), "--plan", str(folder)],
            asked.environment(stack.redis_url, stack.gateway_url),
            folder,
            lead_ns=_LEAD_NS + planned * _PER_JOB_NS,
            secrets=asked.secrets,
            title="the process that enqueues",
            logs=asked.logs,
            cwd=asked.working_directory(),
        )

    def _last_words(self) -> str:
        """None: they are the application's, whose log is not for everybody's eyes."""
        return ""
