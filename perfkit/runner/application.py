"""What the application under test says of itself, asked in a child before anything starts."""

from __future__ import annotations

import difflib
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from perfkit.errors import Problem, ScenarioError, UsageError
from perfkit.launcher.spec import module_path
from perfkit.paths import checkout, results_root, sample_module
from perfkit.plan import Plan, Trial
from perfkit.redaction import redact
from perfkit.scenario import Build, Job, Scenario, System, settings_of

__all__ = [
    "ActorFacts",
    "Application",
    "applications_of",
    "folder_of",
    "inspect_application",
]

_PATIENCE_S: Final = 60.0
# An application may read it as it is imported, before there is a server: nothing answers there.
_NOWHERE: Final = "redis://127.0.0.1:1/0"
_PREFIX: Final = "perfkit.recorder.probe: "


_KINDS: Final = {
    kind.name: kind
    for kind in (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.VAR_POSITIONAL,
        inspect.Parameter.KEYWORD_ONLY,
        inspect.Parameter.VAR_KEYWORD,
    )
}


@dataclass(frozen=True, slots=True)
class ActorFacts:
    """An actor's queue, and its function's signature where Python can tell it."""

    queue: str
    signature: inspect.Signature | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """A system that was imported once: ``folder`` is where it is looked for first."""

    broker: str
    folder: Path | None
    queues: tuple[str, ...]  # all that it declares, sorted
    actors: Mapping[str, ActorFacts]
    namespace: str
    versions: Mapping[str, str]  # of the interpreter and the packages that matter, as it has them

    def facts(self, scenario: Scenario) -> dict[str, Any]:
        """For ``trial.json``: of its environment only the names."""
        return {
            "broker": self.broker,
            "namespace": self.namespace,
            "queues": list(self.queues),
            "env": sorted(scenario.system.env) if scenario.system is not None else [],
            "versions": dict(self.versions),
            "version": scenario.build.version if scenario.build is not None else "",
        }


def applications_of(plan: Plan, results: Path | None = None) -> dict[int, Application]:
    """The application of each trial that has a stack, by its index; each build imported once.

    ``results``: as for `inspect_application`.

    Raises:
        ScenarioError: with every queue, actor and argument that does not fit it.
        UsageError: one can't be imported; its own words.
    """
    known: dict[str, Application] = {}
    found: dict[int, Application] = {}
    problems: dict[str, Problem] = {}
    for trial in (each for each in plan.trials if each.scenario.has_stack):
        system, folder = trial.scenario.system, folder_of(trial.source)
        build = trial.scenario.build
        key = repr((system, system and sorted(system.env.items()), system and folder, build))
        if key not in known:
            known[key] = inspect_application(system, folder, build, results)
        found[trial.index] = known[key]
        problems |= {str(each): each for each in _misfits(trial, known[key])}
    if problems:
        raise ScenarioError(plan.name, list(problems.values()))
    return found


def folder_of(source: str) -> Path | None:
    """Of a scenario's file; None of a built-in one."""
    path = Path(source)
    return path.absolute().parent if path.is_file() else None


def inspect_application(
    system: System | None,
    folder: Path | None = None,
    build: Build | None = None,
    results: Path | None = None,
) -> Application:
    """Import an application in a child; None is the sample.

    ``results``: the folder for runs, None for the one that is in use here.

    Raises:
        UsageError: it can't be imported, takes too long, or has no queues in Redis.
    """
    broker = f"{sample_module('app')}:broker" if system is None else system.broker
    build = None if build is None else build.placed()
    apart = build is not None and (build.python is not None or bool(build.path))
    where = None if system is None else folder
    if build is not None and build.path:
        where = Path(build.path[0])
    env = {} if system is None else system.env
    # The sample is imported from the tree that perfkit is imported from, and from nowhere else.
    safe = system is None or apart
    interpreter = sys.executable if build is None else build.python or sys.executable
    python = (interpreter, "-P") if safe else (interpreter,)
    command = [*python, "-m", "perfkit.recorder.probe", "--broker", broker]
    command += [] if where is None else ["--path", str(where)]
    given = {"REDIS_URL": _NOWHERE, **os.environ, **env}
    if build is not None and apart:
        given["PYTHONPATH"] = module_path(
            build, results or results_root(), sample=system is None, given=given.get("PYTHONPATH")
        )
    elif (tree := checkout()) is not None:
        path = given.get("PYTHONPATH")
        given["PYTHONPATH"] = f"{tree}{os.pathsep}{path}" if path else str(tree)
    try:
        asked = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env=given,
            cwd=None if build is None else build.folder,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            timeout=_PATIENCE_S,
        )
    except subprocess.TimeoutExpired:
        what = f"{broker} was not imported within {_PATIENCE_S:g} s"
        raise UsageError(what, "let nothing wait for a server as it is imported") from None
    except OSError as error:
        what = f"{error.filename or interpreter} can't be used: {error.strerror}"
        raise UsageError(what, "name an interpreter and folders that exist in [build]") from None
    if asked.returncode != 0:
        words = asked.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        said = redact(words[0].removeprefix(_PREFIX), *(system.secrets if system else ()))
        module = broker.partition(":")[0]
        mend = f"mend it, and try again; `python -c 'import {module}'` shows where it failed"
        named = f" of {build.version}" if build is not None and build.version else ""
        raise UsageError(f"the application{named} can't be imported: {said}", mend)
    return _read(json.loads(asked.stdout), broker, where)


def _read(told: Mapping[str, Any], broker: str, folder: Path | None) -> Application:
    if not isinstance(told["namespace"], str):
        raise UsageError(
            f"{broker} is a {told['broker_class']}, which keeps no queues in Redis",
            "name a dramatiq.brokers.redis.RedisBroker",
        )
    if not told["queues"]:
        what = f"{broker} declares no queue: its actors were not imported with it"
        raise UsageError(what, "name a module that imports the actors too")
    return Application(
        broker=broker,
        folder=folder,
        queues=tuple(sorted(told["queues"])),
        actors={
            name: ActorFacts(each["queue"], _signature(each["parameters"]))
            for name, each in told["actors"].items()
        },
        namespace=told["namespace"],
        versions=told["versions"],
    )


def _signature(parameters: Sequence[Mapping[str, Any]] | None) -> inspect.Signature | None:
    if parameters is None:
        return None
    return inspect.Signature(
        [
            inspect.Parameter(
                each["name"],
                _KINDS[each["kind"]],
                default=inspect.Parameter.empty if each["required"] else None,
            )
            for each in parameters
        ]
    )


def _misfits(trial: Trial, application: Application) -> Iterator[Problem]:
    scenario = trial.scenario
    for index, job in enumerate(scenario.job):
        actor = application.actors.get(job.actor or "")
        if actor is not None:
            yield from _misfit_call(f"job.{index}", job, actor)
        else:
            if job.actor is not None:
                mend = _nearest(job.actor, list(application.actors))
                what = f"the application has no actor {job.actor!r}"
                yield Problem(f"job.{index}.actor", what, mend)
            yield from _unknown_queue(f"job.{index}.queue", job.queue, application)
    for pool in settings_of(scenario).pools:
        for queue in pool.queues or ():
            yield from _unknown_queue(f"stack.pool.{pool.name}", queue, application)


def _misfit_call(place: str, job: Job, actor: ActorFacts) -> Iterator[Problem]:
    if job.queue != actor.queue:
        what = f"actor {job.actor!r} is on queue {actor.queue!r}, not on {job.queue!r}"
        yield Problem(f"{place}.queue", what, f'set queue = "{actor.queue}"')
    if actor.signature is None:
        return
    try:
        actor.signature.bind(*job.args, **job.kwargs)
    except TypeError as error:
        takes = f"{job.actor}{_shown(actor.signature)}"
        yield Problem(f"{place}.args", f"{job.actor!r} does not take them: {error}", takes)


def _shown(signature: inspect.Signature) -> str:
    """As it is written; defaults are not known here, only that there are some."""
    return str(signature).replace("=None", "=...")


def _unknown_queue(key: str, queue: str, application: Application) -> Iterator[Problem]:
    if queue not in application.queues:
        mend = _nearest(queue, list(application.queues))
        yield Problem(key, f"the application has no queue {queue!r}", mend)


def _nearest(given: str, known: list[str]) -> str:
    close = difflib.get_close_matches(given, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"it has {', '.join(known)}"
