"""Whether an interrupted run can be carried on here, and what is left of it.

    kept        complete trials, and those that a threshold aborted: they ended by their own rule;
                of a comparison those whose partner is kept too
    measured    trials that failed, were cut short, lost their generator, or were never begun

A report that mixes machines or versions would compare what can't be compared, so those of another
host, another perfkit or other packages are refused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from perfkit import __version__
from perfkit.errors import RunNotSealed, UsageError
from perfkit.launcher.server import server_for
from perfkit.pairs import partner_of
from perfkit.paths import checkout
from perfkit.plan import Plan, Trial, restore
from perfkit.redaction import redact
from perfkit.runner.options import Options
from perfkit.runner.rebuild import rebuild
from perfkit.store import open_run, repair
from perfkit.store.stored import StoredRun
from perfkit.telemetry.facts import HostFacts, git_state, versions

__all__ = ["Resumable", "resumable"]

_AGAIN: Final = "measure again from the start: leave out --resume"


@dataclass(frozen=True, slots=True)
class Resumable:
    """A sealed run that is not complete, its plan, and the trials that are to be measured."""

    path: Path
    manifest: Mapping[str, Any]
    plan: Plan
    todo: tuple[Trial, ...]


def resumable(path: Path, options: Options) -> Resumable:
    """Look at a run; one that was killed is sealed as partial first.

    Raises:
        UsageError: it is complete, was measured elsewhere or on something else, or is no run.
        RunNotSealed: it is still being measured.
    """
    try:
        run = open_run(path)
    except RunNotSealed:
        repair(path, rebuild)  # refuses the run of a living process
        run = open_run(path)
    if run.manifest["status"] == "complete":
        raise UsageError(
            f"{run.path} is complete: nothing of it is left to measure",
            f"`perfkit report {run.path}` shows it; a run anew needs the scenarios by name",
        )
    plan = restore(run.manifest)
    if differences := list(_differences(run.manifest)):
        raise UsageError(f"{run.path} can't be resumed here: {'; '.join(differences)}", _AGAIN)
    asked = {trial.scenario.redis.server for trial in plan.trials}
    _check_redis(run.manifest.get("redis"), options, asked)
    kept = {each["trial"] for each in run.manifest["trials"] if _is_ended(run, each)}
    if "comparison" in run.manifest:
        # Half a pair is none: what differs between then and now would seem to differ in the arms.
        kept = {trial for trial in kept if partner_of(trial) in kept}
    todo = tuple(trial for trial in plan.trials if trial.index not in kept)
    return Resumable(run.path, run.manifest, plan, todo)


def _is_ended(run: StoredRun, listed: Mapping[str, Any]) -> bool:
    if listed["outcome"] == "partial":
        return bool(run.trial_facts(listed["trial"]).get("aborted"))
    return bool(listed["outcome"] == "complete")


def _differences(manifest: Mapping[str, Any]) -> Iterator[str]:
    """What would make the rest another measurement than the beginning."""
    if (made_by := manifest.get("perfkit_version")) != __version__:
        yield f"perfkit {made_by} measured it, and this is {__version__}"
    there, here = (manifest.get("git") or {}).get("commit"), git_state(checkout())
    if there and here and there != here.commit:
        yield f"commit {there[:10]} measured it, and this is {here.commit[:10]}"
    if manifest["host"]["fingerprint"] != HostFacts.read().fingerprint:
        yield "it was measured on another host, or this one has changed"
    before, now = manifest.get("versions") or {}, versions()
    for package in sorted(before.keys() | now.keys()):
        if before.get(package) != now.get(package):
            then, today = before.get(package, "not there"), now.get(package, "not there")
            yield f"{package} was {then}, and is {today}"


def _check_redis(
    measured: Mapping[str, Any] | None, options: Options, asked: Collection[str | None]
) -> None:
    """Whether the rest would be measured on the Redis of the beginning, if there was one.

    ``asked``: what the scenarios say of their servers; the beginning may have been any of them.

    Raises:
        UsageError: it would not.
    """
    if measured is None:
        return
    if not measured.get("private"):
        if options.redis_url is None or redact(options.redis_url) != measured["url"]:
            mend = "name the same server with --redis URL"
            raise UsageError(f"the run was begun on the Redis at {measured['url']}", mend)
    elif options.redis_url is not None:
        raise UsageError("the run was begun on a private Redis", "leave out --redis")
    elif measured.get("binary_sha256") not in {
        server_for(each, options.redis_server).sha256 for each in asked
    }:
        what = f"the run was begun with another server binary: {measured.get('binary')}"
        raise UsageError(what, "name it with --redis-server PATH")
