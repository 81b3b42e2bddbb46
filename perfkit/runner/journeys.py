"""User code and HTTP targets of a plan: checked before anything starts, and told to the generator.

User code is imported in a child, never here: it may do anything as it is imported.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from perfkit.errors import Problem, ScenarioError
from perfkit.load.spec import JobIdRule, JourneySpec
from perfkit.plan import Plan, Trial
from perfkit.redaction import redact
from perfkit.runner.application import folder_of
from perfkit.scenario import Scenario, Target

__all__ = ["base_url_of", "check_journeys", "journey_spec"]

_PATIENCE_S: Final = 60.0
_SAMPLE_RULE: Final = JobIdRule(pointer="/id")
"""The sample's ingest answers with the id of the job that it enqueued."""


def check_journeys(plan: Plan, todo: Sequence[Trial]) -> None:
    """Import the user code of each scenario in a child, and look for the variables it needs.

    Raises:
        ScenarioError: with everything that is missing or can't be imported.
    """
    found: dict[str, Problem] = {}
    asked: dict[tuple[str, Path | None], str | None] = {}
    for trial in todo:
        for problem in _missing(trial.scenario):
            found[str(problem)] = problem
        user = trial.scenario.load.user
        if user is None:
            continue
        place = user, folder_of(trial.source)
        if place not in asked:
            asked[place] = _why_not(*place, trial.scenario.secrets)
        if (why := asked[place]) is not None:
            found[why] = Problem("load.user", why, "mend it, and try again")
    if found:
        raise ScenarioError(plan.name, list(found.values()))


def _missing(scenario: Scenario) -> Iterator[Problem]:
    variables = {} if scenario.target is None else scenario.target.variables
    for place, name in variables.items():
        if name not in os.environ:
            what = f"the variable {name} is not set"
            yield Problem(f"target.{place}", what, f"export {name}=...")
        elif place.startswith("headers.") and not _is_header(os.environ[name]):
            what = f"the variable {name} holds no header's value: one line of ASCII text"
            yield Problem(f"target.{place}", what, f"look for a line break or an accent in {name}")


def _is_header(value: str) -> bool:
    return value.isascii() and value.isprintable()


def _why_not(user: str, folder: Path | None, secrets: Sequence[str]) -> str | None:
    """Why user code can't be imported; None if it can."""
    command = [sys.executable, "-m", "perfkit.load.probe", user]
    command += [] if folder is None else ["--folder", str(folder)]
    try:
        asked = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            timeout=_PATIENCE_S,
        )
    except subprocess.TimeoutExpired:
        return f"{user} was not imported within {_PATIENCE_S:g} s: let nothing wait in it"
    if asked.returncode == 0:
        return None
    words = asked.stderr.strip().splitlines()[-1:] or [f"{user} ended the process as it came"]
    return str(redact(words[0], *secrets))


def journey_spec(trial: Trial) -> JourneySpec | None:
    """What the generator is told; None where it makes the built-in requests."""
    scenario = trial.scenario
    if not scenario.is_journey:
        return None
    target = scenario.target or Target()
    folder = folder_of(trial.source)
    user = scenario.load.user
    name = user.rpartition(":")[2] if user else target.name or f"{target.method} {_path(target)}"
    return JourneySpec(
        name=name,
        user=user or "",
        folder="" if folder is None else str(folder),
        headers=dict(target.headers),
        job_id=_rule(scenario, target),
        body_limit=target.body_limit_bytes,
        # Of a template the base is the whole URL: it is merged with nothing.
        url="" if user else target.url,
        method=target.method,
        query=dict(target.query),
        body=target.body,
    )


def base_url_of(scenario: Scenario, ingest_url: str | None) -> str:
    """What relative URLs are relative to: the target, else the way in of the stack."""
    target = scenario.target
    if target is None:
        return ingest_url or ""
    if scenario.load.user is None:
        # A template has its whole path in its own URL.
        return target.origin or ingest_url or ""
    return target.url if target.is_absolute else f"{ingest_url or ''}{target.url}"


def _path(target: Target) -> str:
    rest = target.url.partition("://")[2] if target.is_absolute else target.url
    return "/" + rest.partition("/")[2].partition("?")[0]


def _rule(scenario: Scenario, target: Target) -> JobIdRule | None:
    if target.job_id is None:
        of_sample = scenario.system is None and not target.is_absolute
        return _SAMPLE_RULE if of_sample else None
    given = target.job_id
    return JobIdRule(header=given.header or "", pointer=given.pointer, requests=given.requests)
