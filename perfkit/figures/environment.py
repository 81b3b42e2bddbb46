"""Environment: where it was measured, with what, and how to measure it again."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import pandas as pd

from perfkit.figures.chart import Table
from perfkit.figures.markup import Block, sentence, table, text, warned
from perfkit.figures.multiples import titles
from perfkit.units import format_bytes, format_duration

__all__ = ["environment", "reproduce", "settings"]

_WATCHING: Final = frozenset({"--json", "--while-stdin"})
_SERVER: Final = ("server", "version", "allocator")


def environment(manifest: Mapping[str, Any]) -> Block:
    """Host, versions, Redis, placement and code as recorded in ``run.manifest``."""
    host: Mapping[str, Any] = manifest.get("host") or {}
    redis: Mapping[str, Any] = manifest.get("redis") or {}
    placement: Mapping[str, Any] = manifest.get("placement") or {}
    git: Mapping[str, Any] = manifest.get("git") or {}
    versions: Mapping[str, Any] = manifest.get("versions") or {}
    rows = [
        ("processor", f"{host.get('cpus') or '?'} CPUs, {host.get('cpu_model') or 'unknown'}"),
        ("memory", format_bytes(float(host.get("memory_bytes") or "nan"))),
        ("kernel", str(host.get("kernel") or "unknown")),
        ("host", str(host.get("fingerprint") or "unknown")),
        ("placement", _placement(placement)),
        ("Python", str(host.get("python") or "unknown")),
        ("packages", ", ".join(f"{name} {of}" for name, of in sorted(versions.items()))),
        (
            "Redis",
            " ".join(
                str(redis.get(key) or "unknown") for key in ("server", "version", "allocator")
            ),
        ),
        ("code", _code(git)),
        ("perfkit", str(manifest.get("perfkit_version"))),
    ]
    if target := _target(manifest):
        rows = [("target", target), *(row for row in rows if row[0] != "Redis" or redis)]
    if not any(host.values()):  # of an import
        rows = [row for row in rows if row[0] == "perfkit" or (row[0] == "packages" and row[1])]
        rows.append(("measured", "elsewhere, on a machine of which nothing is known"))
    shown = Table(columns=("", "recorded"), rows=tuple(rows))
    config = redis.get("config") or {}
    more = ""
    if config:
        set_to = Table(
            columns=("setting", "value"),
            rows=tuple((str(key), str(config[key])) for key in sorted(config)),
        )
        more = (
            '<details class="pk-more">'
            f"<summary>Redis settings as the run began ({len(config)})</summary>"
            f"{table(set_to)}</details>"
        )
    plain = "\n".join(f"{name}: {value}" for name, value in rows)
    warnings = manifest.get("warnings") or ()
    return Block(
        html=table(shown, css="pk-table pk-wrap") + warned(warnings) + more,
        plain="\n".join([plain, *(f"warning: {words}" for words in warnings)]),
    )


def settings(trials: pd.DataFrame, facts: Callable[[int], Mapping[str, Any]]) -> Block:
    """Workers, ingest and Redis as they were set, a row a pool and trial.

    Where a server could not do what its profile asks for it is said below. What a server said of
    itself and not every trial's said alike is in a table of its own.

    Args:
        trials: ``run.trials()``.
        facts: ``run.trial_facts``.
    """
    names = titles(trials)
    rows = [
        (
            name,
            str(pool.get("name")),
            *(str(pool.get(key, "n/a")) for key in ("workers", "threads", "prefetch")),
            format_duration(float(known.get("worker_timeout_ns") or "nan")),
            format_duration(float(known.get("heartbeat_timeout_ns") or "nan")),
            str(known.get("preset", "n/a")),
            "none"
            if facts(trial).get("via") == "enqueue"
            else f"{known.get('ingest_processes', '?')}, {known.get('ingest_enqueue', '?')}",
            _profile(facts(trial)),
        )
        for trial, name in names.items()
        for known in (facts(trial).get("settings") or {},)
        for pool in known.get("pools") or ()
    ]
    columns: tuple[str, ...] = ("trial", "pool", "workers", "threads", "prefetch", "worker timeout")
    columns = (*columns, "heartbeat timeout", "preset", "ingest", "Redis")
    if not rows:
        return sentence("No stack was started: what was asked was a server's own.")
    differing = _differing({name: _redis(facts(trial)) for trial, name in names.items()})
    more = table(differing) if differing.rows else ""
    warnings = dict.fromkeys(
        f"Note: {warning}."
        for trial in names
        for warning in _redis(facts(trial)).get("warnings", ())
    )
    notes = "".join(f'<p class="pk-note">{text(warning)}</p>' for warning in warnings)
    return Block(
        html=table(Table(columns=columns, rows=tuple(rows))) + notes + more,
        plain="\n".join((*("  ".join(row) for row in (*rows, *differing.rows)), *warnings)),
    )


def _target(manifest: Mapping[str, Any]) -> str:
    """Whom the requests went to, where a scenario says so by URL: scheme, host and port."""
    documents = (each.get("document") or {} for each in (manifest.get("scenarios") or {}).values())
    urls = (str((each.get("target") or {}).get("url") or "") for each in documents)
    parts = (urlsplit(url) for url in urls if "://" in url)
    # A path has none, though its query may hold a URL.
    told = (f"{each.scheme}://{each.netloc}" for each in parts if each.netloc)
    return ", ".join(dict.fromkeys(told))


def _redis(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the trial's own Redis said of itself; empty where it was not asked."""
    stack: Mapping[str, Any] = facts.get("stack") or {}
    return stack.get("redis") or {}


def _profile(facts: Mapping[str, Any]) -> str:
    """The Redis profile of a trial: as it ran, else as it was asked for."""
    asked: Mapping[str, Any] = (facts.get("document") or {}).get("redis") or {}
    known: Mapping[str, Any] = (facts.get("settings") or {}).get("redis") or {}
    for each in (_redis(facts), known, asked):
        if profile := each.get("profile"):
            return f"{profile}, one for each queue" if each.get("per_queue") else str(profile)
    return "n/a"


def _differing(servers: Mapping[str, Mapping[str, Any]]) -> Table:
    """Server, version, allocator and settings that are not the same in every trial."""
    kept = {
        name: {key: str(server.get(key)) for key in _SERVER if server.get(key)}
        | {str(key): str(value) for key, value in (server.get("config") or {}).items()}
        for name, server in servers.items()
        if server
    }
    keys = sorted({key for said in kept.values() for key in said})
    rows = [(key, *(said.get(key, "–") for said in kept.values())) for key in keys]
    return Table(
        columns=("Redis", *kept),
        rows=tuple(row for row in rows if len(set(row[1:])) > 1),
        note="Only what differs between the trials.",
    )


def reproduce(manifest: Mapping[str, Any]) -> Block:
    """The command, the seeds, and the scenario as it was read."""
    command = shlex.join(_measuring(str(word) for word in manifest.get("command") or ()))
    seeds = sorted({int(trial["seed"]) for trial in manifest.get("plan") or () if "seed" in trial})
    planned = len(manifest.get("plan") or ())
    words = f"Seeds: {', '.join(map(str, seeds)) or 'none'}. Trials planned: {planned}."
    scenarios = "".join(
        f'<details class="pk-more"><summary>scenario {text(name)}'
        f" (digest {text(str(known.get('digest'))[:12])})</summary>"
        f"<pre>{text(known.get('text'))}</pre></details>"
        for name, known in (manifest.get("scenarios") or {}).items()
    )
    html = (
        f'<code class="pk-command">{text(command)}</code><p class="pk-note">{text(words)}</p>'
        f"{scenarios}"
    )
    return Block(html=html, plain=f"{command}\n{words}")


def _measuring(words: Iterable[str]) -> Iterator[str]:
    """A command without what only lets a notebook watch it."""
    skip = False
    for word in words:
        if not skip and word not in _WATCHING and word != "--progress":
            yield word
        skip = word == "--progress" and not skip


def _placement(placement: Mapping[str, Any]) -> str:
    if not placement:
        return "unknown"
    system = ", ".join(str(cpu) for cpu in placement.get("system_cpus") or ())
    if placement.get("shared"):
        return f"system and instrument share CPUs {system}"
    instrument = ", ".join(str(cpu) for cpu in placement.get("instrument_cpus") or ())
    return f"system on CPUs {system}, instrument on {instrument}"


def _code(git: Mapping[str, Any]) -> str:
    if not git:
        return "not in a git checkout"
    return f"commit {str(git.get('commit'))[:12]}{', with changes' if git.get('dirty') else ''}"
