"""What the application under test says of itself, asked in a child before anything starts."""

from __future__ import annotations

import difflib
import json
import os
import subprocess
import sys
from collections.abc import Iterator

from perfkit.errors import Problem, ScenarioError, UsageError
from perfkit.paths import checkout, sample_module
from perfkit.plan import Plan, Trial
from perfkit.scenario import settings_of

__all__ = ["check_queues"]


def check_queues(plan: Plan) -> None:
    """Refuse a plan that names a queue the application does not have.

    Raises:
        ScenarioError: with every such queue.
        UsageError: the application can't be imported; its own words.
    """
    known = _queues()
    problems = {str(each): each for trial in plan.trials for each in _unknown(trial, known)}
    if problems:
        raise ScenarioError(plan.name, list(problems.values()))


def _queues() -> list[str]:
    tree = checkout()
    asked = subprocess.run(
        [
            sys.executable,
            "-m",
            "perfkit.recorder.probe",
            "--broker",
            f"{sample_module('app')}:broker",
        ],
        capture_output=True,
        text=True,
        # The sample is imported from the tree that perfkit is imported from.
        env=os.environ | ({"PYTHONPATH": str(tree)} if tree is not None else {}),
        start_new_session=True,
    )
    if asked.returncode != 0:
        words = asked.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise UsageError(f"the application can't be imported: {words[0]}", "mend it, and try again")
    return sorted(json.loads(asked.stdout)["queues"])


def _unknown(trial: Trial, known: list[str]) -> Iterator[Problem]:
    named = [(f"job.{index}.queue", job.queue) for index, job in enumerate(trial.scenario.job)]
    for pool in settings_of(trial.scenario).pools:
        named += [(f"stack.pool.{pool.name}", queue) for queue in pool.queues or ()]
    for key, queue in named:
        if queue not in known:
            close = difflib.get_close_matches(queue, known, n=1)
            mend = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(known)}"
            yield Problem(key, f"the application has no queue {queue!r}", mend)
