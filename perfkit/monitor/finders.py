"""Finding what to watch: a server by its URL, a stack that is up by its lease, a run by its stack.

A lease never holds a password. That of a server perfkit started is in its private folder, which
this user alone may read; of a server of somebody else's the URL must be given.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from perfkit.errors import UsageError
from perfkit.launcher.lease import Lease, leases
from perfkit.launcher.probe import ready_notes
from perfkit.monitor.attachment import DEFAULT_HEARTBEAT_NS, Attached, Attachment
from perfkit.monitor.discovery import QUEUE_NAME
from perfkit.owner import is_alive
from perfkit.redaction import redact
from perfkit.store.layout import FACTS, MANIFEST, PARTIAL, UNSEALED

if TYPE_CHECKING:
    from perfkit.scenario import Threshold

__all__ = ["DEFAULT_URL", "OwnerFinder", "RunFinder", "StackFinder", "fixed", "stacks_up"]

DEFAULT_URL: Final = "redis://127.0.0.1:6379/0"

_SETTING: Final = re.compile(r'^(port|requirepass)\s+"?([^"\s]*)"?\s*$', re.MULTILINE)


def fixed(
    url: str,
    *,
    queues: Sequence[str] | None = None,
    namespace: str = "dramatiq",
    heartbeat_timeout_ns: int = DEFAULT_HEARTBEAT_NS,
    spool: Path | None = None,
    thresholds: Sequence[Threshold] = (),
) -> Callable[[], Attached]:
    """Always the same server.

    Raises:
        UsageError: a queue can't be called so.
    """
    for queue in queues or ():
        if not QUEUE_NAME.fullmatch(queue):
            raise UsageError(
                f"{queue[:80]!r} can't be the name of a queue",
                "name it as in the application: letters, digits, '_', '-' and '.'",
            )
    found = Attached(
        attachment=Attachment(
            servers={"": url},
            queues=tuple(queues) if queues else None,
            namespace=namespace,
            heartbeat_timeout_ns=heartbeat_timeout_ns,
            spool=spool,
            thresholds=tuple(thresholds),
            subject=f"{redact(url)}, namespace {namespace}",
        )
    )
    return lambda: found


def stacks_up(folder: Path) -> list[Lease]:
    """Stacks whose owner is alive; nothing is swept."""
    return [each for each in leases(folder) if not each.stale and each.state == "up"]


class _LeaseFinder(ABC):
    """Follows the lease that matches, as its stack comes and goes."""

    def __init__(self, folder: Path, url: str | None, thresholds: Sequence[Threshold]) -> None:
        self._folder = folder
        self._url = url
        self._thresholds = tuple(thresholds)
        self._last: tuple[str, Attachment] | None = None

    def __call__(self) -> Attached:
        lease = next((each for each in stacks_up(self._folder) if self._is_mine(each)), None)
        if lease is None:
            if (folder := self._trial_without_stack()) is not None:
                return Attached(attachment=self._kept(str(folder), folder, _of_target))
            self._last = None
            return Attached(attachment=None, waiting=self._waiting(), ended=self._is_over())
        children = {each.name: each.pid for each in lease.children}
        folder = Path(lease.directory)
        notes = ready_notes(folder / "spool", "*.ready")
        key = repr((lease.id, dict(lease.urls), len(notes) > 0))
        made = self._kept(key, folder, lambda _: self._attachment(lease, notes))
        return Attached(attachment=made, children=children)

    def _kept(self, key: str, folder: Path, make: Callable[[Path], Attachment]) -> Attachment:
        """The attachment of that key, made anew once its load begins."""
        key = f"{key} {_has_load(folder)}"
        if self._last is None or self._last[0] != key:
            self._last = key, make(folder)
        return self._last[1]

    @abstractmethod
    def _is_mine(self, lease: Lease) -> bool:
        """Whether it is the one that is looked for."""

    def _is_over(self) -> bool:
        return True

    def _run(self) -> Path | None:
        """The run that is looked for, where it is known."""
        return None

    def _trial_without_stack(self) -> Path | None:
        """The folder of a trial that runs and started nothing: its load is all there is to see."""
        run = self._run()
        folders = sorted(run.glob(f"trial=*{PARTIAL}")) if run is not None else []
        return next(
            (each for each in folders if _read(each / FACTS).get("jobs_recorded") is False), None
        )

    def _waiting(self) -> str:
        return "the stack is down"

    def _attachment(self, lease: Lease, notes: Sequence[Mapping[str, Any]]) -> Attachment:
        folder = Path(lease.directory)
        facts = _read(folder / FACTS)
        system = facts.get("system") or {}
        queues = {queue for note in notes for queue in note.get("queues", ())}
        queues |= set(system.get("queues") or ())
        namespaces = [note.get("namespace") for note in notes] + [system.get("namespace")]
        settings = facts.get("settings") or {}
        named = f"run {Path(lease.run_dir).name}, {facts.get('label')}" if lease.run_dir else ""
        return Attachment(
            servers=self._servers(lease),
            queues=tuple(sorted(queues)) or None,
            namespace=next((each for each in namespaces if each), "dramatiq"),
            heartbeat_timeout_ns=settings.get("heartbeat_timeout_ns") or DEFAULT_HEARTBEAT_NS,
            spool=folder / "spool",
            trial=folder if lease.run_dir else None,
            thresholds=(*self._thresholds, *_thresholds(facts)),
            subject=named or f"stack {lease.id}",
        )

    def _servers(self, lease: Lease) -> dict[str, str]:
        passwords = _passwords(lease)
        servers = {}
        for name, url in lease.urls.items():
            if name != "redis" and not name.startswith("redis-"):
                continue
            parts = urlsplit(url)
            password = passwords.get(parts.port or 0)
            if password is not None:
                url = f"redis://:{password}@{parts.hostname}:{parts.port}{parts.path}"
            elif self._url is not None:
                url = self._url
            elif "***" in url:
                raise UsageError(
                    f"the password of {url} is not known here: the server is not perfkit's own",
                    "name it with --redis URL",
                )
            servers[name.removeprefix("redis").removeprefix("-")] = url
        return servers


class StackFinder(_LeaseFinder):
    """A stack that `perfkit stack up` left running."""

    def __init__(
        self,
        folder: Path,
        lease_id: str,
        *,
        url: str | None = None,
        thresholds: Sequence[Threshold] = (),
    ) -> None:
        super().__init__(folder, url, thresholds)
        self._id = lease_id

    def _is_mine(self, lease: Lease) -> bool:
        return lease.id == self._id


class RunFinder(_LeaseFinder):
    """A run that is being measured, trial after trial; over when it is sealed or its owner dead."""

    def __init__(
        self,
        folder: Path,
        run_dir: Path,
        *,
        url: str | None = None,
        thresholds: Sequence[Threshold] = (),
    ) -> None:
        super().__init__(folder, url, thresholds)
        self._run_dir = run_dir.resolve()

    def _is_mine(self, lease: Lease) -> bool:
        return lease.run_dir is not None and Path(lease.run_dir) == self._run_dir

    def _run(self) -> Path | None:
        return None if self._is_over() else self._run_dir

    def _is_over(self) -> bool:
        if (self._run_dir / MANIFEST).is_file():
            return True
        return not is_alive(_read(self._run_dir / UNSEALED).get("owner") or {})

    def _waiting(self) -> str:
        return "the run is over" if self._is_over() else "the next trial has not begun"


class OwnerFinder(_LeaseFinder):
    """Whatever run a process measures: it is known before the run has a folder."""

    def __init__(self, folder: Path, owner: Mapping[str, Any], *, url: str | None = None) -> None:
        super().__init__(folder, url, ())
        self._owner = owner
        self._run_dir: Path | None = None

    def _is_mine(self, lease: Lease) -> bool:
        return lease.owner_pid == self._owner.get("pid") and lease.run_dir is not None

    def _run(self) -> Path | None:
        if self._run_dir is None or not (self._run_dir / UNSEALED).is_file():
            unsealed = self._folder.parent.glob(f"*/*/{UNSEALED}")
            mine = (each for each in unsealed if _read(each).get("owner") == dict(self._owner))
            self._run_dir = next((each.parent for each in mine), None)
        return self._run_dir

    def _is_over(self) -> bool:
        return not is_alive(self._owner)

    def _waiting(self) -> str:
        return "the run is over" if self._is_over() else "nothing is being measured at this moment"


def _of_target(folder: Path) -> Attachment:
    """A trial that measures somebody else's server: no Redis, no workers."""
    facts = _read(folder / FACTS)
    return Attachment(
        servers={},
        trial=folder,
        thresholds=_thresholds(facts),
        subject=f"run {folder.parent.name}, {facts.get('label')}",
    )


def _has_load(folder: Path) -> bool:
    """Whether the load has begun: its targets and instants are known from then on."""
    return "instants_ns" in _read(folder / FACTS)


def _passwords(lease: Lease) -> dict[int, str]:
    """Port -> password of the servers in the private folders of a stack."""
    found = {}
    for folder in lease.folders:
        try:
            text = (Path(folder) / "redis.conf").read_text(encoding="utf-8")
        except OSError:
            continue
        settings = dict(_SETTING.findall(text))
        if settings.get("port", "").isdecimal() and "requirepass" in settings:
            found[int(settings["port"])] = settings["requirepass"]
    return found


def _thresholds(facts: Mapping[str, Any]) -> tuple[Threshold, ...]:
    """The targets of a trial, as it runs."""
    written = (facts.get("document") or {}).get("threshold") or []
    if not written:
        return ()
    from perfkit.scenario import Threshold

    return tuple(Threshold(**each) for each in written)


def _read(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is none yet."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
