"""What a stack is made of: one frozen record, and the form in which another process gets it."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perfkit.paths import checkout, instrument, results_root, sample_module
from perfkit.redaction import redact
from perfkit.scenario import Build, PoolSettings, StackSettings

__all__ = ["StackSpec", "module_path"]

_PATHS = ("directory", "broker_path", "redis_server", "leases", "run_dir", "private_logs")


def _sample_broker() -> str:
    return f"{sample_module('app')}:broker"


def _sample_ingest() -> str:
    return f"{sample_module('ingest')}:app"


def module_path(build: Build, results: Path, *, sample: bool, given: str | None) -> str:
    """PYTHONPATH of a system with a build of its own: this perfkit, then the build's modules.

    Of perfkit's environment it gets nothing else: its packages are the build's own. ``given``: the
    PYTHONPATH there was, kept where the build does not say where its modules are.
    """
    parts = [str(instrument(results)), *build.path]
    if not build.path:
        parts += [str(tree)] if sample and (tree := checkout()) is not None else []
        parts += [given] if given else []
    return os.pathsep.join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSpec:
    """A stack, nothing left open.

    ``directory`` (a trial's folder) gets ``spool/``, ``logs/`` and ``gateway.log``. ``gateway`` is
    the configuration of the simulated gateway, None for a system that needs none.
    ``ingest_app`` None: no ingest. ``redis_url``: use that server; else one of our own is started
    with ``profile`` from the binary ``redis_server`` or the one that ``server`` names (see
    `server.server_for`), or with ``redis_per_queue`` one for each queue: then each pool serves one
    queue, and ``brokers`` names the application's mapping queue -> broker (the sample has one).
    ``redis_settings`` overrule the profile. ``links``: connections that a relay is put into, so
    that they can be cut or slowed down (`perfkit.scenario.faults.LINKS`). A port of None: any free.
    ``cpus`` None: those of this process. ``run_dir`` is written into the lease, so that `repair`
    finds out whether a run's owner lives.
    """

    settings: StackSettings
    directory: Path
    broker: str = field(default_factory=_sample_broker)
    broker_path: Path | None = None
    build: Build | None = None  # of the system; its places are absolute
    ingest_app: str | None = field(default_factory=_sample_ingest)
    gateway: Mapping[str, Any] | None = None
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    hidden: tuple[str, ...] = field(default=(), repr=False)  # more that no log may show
    profile: str = "stock"
    redis_url: str | None = field(default=None, repr=False)
    redis_server: Path | None = None
    server: str | None = None
    redis_port: int | None = None
    redis_per_queue: bool = False
    redis_settings: Mapping[str, str] = field(default_factory=dict)
    links: tuple[str, ...] = ()
    brokers: str | None = None
    ingest_port: int | None = None
    gateway_port: int | None = None
    cpus: tuple[int, ...] | None = None
    namespace: str = "dramatiq"
    recorder: bool = True
    leases: Path | None = None  # None: .leases of the results folder
    run_dir: Path | None = None
    start_timeout_s: float = 30.0
    private_logs: Path | None = None  # while the stack is up, see `logs`

    @property
    def spool(self) -> Path:
        """Where the recorders write, absolute."""
        return self.directory.absolute() / "spool"

    @property
    def logs(self) -> Path:
        """Where the children's output goes, absolute.

        What somebody's own application says of itself may be secret: while the stack is up that
        goes into a private folder (`perfkit.launcher.privacy`), and then, blotted, to `kept_logs`.
        """
        return self.kept_logs if self.private_logs is None else self.private_logs

    @property
    def kept_logs(self) -> Path:
        """Where it stays, absolute."""
        return self.directory.absolute() / "logs"

    @property
    def is_sample(self) -> bool:
        """Whether the system is the sample that comes with perfkit."""
        return self.broker == _sample_broker()

    @property
    def brokers_of_queues(self) -> str | None:
        """``module:name`` of the application's brokers by queue, where each queue has its own."""
        if not self.redis_per_queue:
            return None
        return f"{sample_module('broker')}:brokers" if self.is_sample else self.brokers

    @property
    def import_path(self) -> Path | None:
        """Where the application is looked for first."""
        if self.broker_path is not None:
            return self.broker_path
        if self.build is not None and self.build.path:
            return Path(self.build.path[0])
        return checkout() if self.is_sample else None

    @property
    def leases_folder(self) -> Path:
        """Where the lease is written."""
        return self.leases if self.leases is not None else results_root() / ".leases"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that must not be shown, as far as they are known before the start."""
        # Of one or two letters a text would lose half of itself.
        values = () if self.is_sample else self.env.values()
        named = tuple(value for value in values if len(value) >= 4)
        named = (*named, *self.hidden)
        return (*named, self.redis_url) if self.redis_url else named

    def python(self) -> tuple[str, ...]:
        """The interpreter of the system's processes.

        For the sample it does not look into the working directory: a ``workers`` folder there is
        somebody's own. Applications of others are found there too, unless their build says where.
        """
        if self.build is not None and (self.build.python is not None or self.build.path):
            return (self.build.python or sys.executable, "-P")
        return (sys.executable, "-P") if self.is_sample else (sys.executable,)

    def environment(self, redis_url: str, gateway_url: str | None) -> dict[str, str]:
        """Environment of the system's processes: ours, the scenario's, and the addresses."""
        environment = {**os.environ, **self.env, "REDIS_URL": redis_url}
        environment.pop("REDIS_URLS", None)  # of a stack with a server for each queue only
        if self.is_sample:
            environment |= self.settings.environment()
        if gateway_url is not None:
            environment["GATEWAY_URL"] = gateway_url
        if self.build is not None and (self.build.python is not None or self.build.path):
            return environment | {"PYTHONPATH": self._module_path(environment.get("PYTHONPATH"))}
        if (tree := checkout()) is not None:
            # Where perfkit is imported from a source tree, its children must find it there too,
            # whatever their working directory is. An installed one they find by themselves.
            given = environment.get("PYTHONPATH")
            environment["PYTHONPATH"] = f"{tree}{os.pathsep}{given}" if given else str(tree)
        return environment

    def working_directory(self) -> Path | None:
        """Where the system's processes run; None: where we do."""
        folder = None if self.build is None else self.build.folder
        return None if folder is None else Path(folder)

    def instrument_environment(self, redis_url: str, gateway_url: str | None) -> dict[str, str]:
        """As `environment`, for processes of ours beside the system, whatever its build."""
        return dataclasses.replace(self, build=None).environment(redis_url, gateway_url)

    def _module_path(self, given: str | None) -> str:
        return module_path(
            self.build or Build(), self.leases_folder.parent, sample=self.is_sample, given=given
        )

    def tuning(self) -> dict[str, str]:
        """Variables of our environment that tune Dramatiq, Python or malloc, and so the result."""
        prefixes = ("dramatiq_", "PYTHON", "MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")
        return {
            name: redact(value)
            for name, value in sorted(os.environ.items())
            if name.startswith(prefixes)
        }

    def to_document(self) -> dict[str, Any]:
        """As JSON takes it. Holds the Redis URL with its password: for a pipe, not for a file."""
        document = dataclasses.asdict(self)
        for name in _PATHS:
            if document[name] is not None:
                document[name] = str(document[name])
        return document

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> StackSpec:
        """The inverse of `to_document`, also after a way through JSON."""
        values = dict(document)
        for name in _PATHS:
            if values[name] is not None:
                values[name] = Path(values[name])
        settings = dict(values["settings"])
        settings["pools"] = tuple(
            PoolSettings(**{**pool, "queues": pool["queues"] and tuple(pool["queues"])})
            for pool in settings["pools"]
        )
        values["settings"] = StackSettings(**settings)
        if (build := values.get("build")) is not None:
            values["build"] = Build(**{**build, "path": tuple(build["path"])})
        values["links"] = tuple(values.get("links", ()))
        values["hidden"] = tuple(values.get("hidden", ()))
        values["cpus"] = None if values["cpus"] is None else tuple(values["cpus"])
        return cls(**values)
