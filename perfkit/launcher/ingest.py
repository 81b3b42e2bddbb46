"""The ingest API and the gateway as children."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping

from perfkit.launcher.child import Child, ChildSpec
from perfkit.launcher.ports import BACKLOG, HOST, listen, port_of, reserve
from perfkit.launcher.spec import StackSpec
from perfkit.paths import sample_module

__all__ = ["Ingests", "gateway_child", "ingest_children"]

_REDIS = ("REDIS_URL", "REDIS_URLS")
_UVICORN = (
    # Stated, because "auto" would make the result depend on what happens to be installed.
    *("--loop", "uvloop", "--http", "httptools", "--backlog", str(BACKLOG)),
    # Users think longer than uvicorn's 5 s. A server that closes a connection in the moment of
    # its reuse makes errors that nobody asked for.
    *("--timeout-keep-alive", "600"),
    *("--no-access-log", "--log-level", "warning", "--timeout-graceful-shutdown", "2"),
)


class Ingests:
    """All ingest processes of a stack, and the port they share. Close it at the end.

    The port is kept until then: while nobody listens it refuses, and is given to nobody else.

    Raises:
        PortInUse: the port that was asked for is taken.
    """

    def __init__(
        self,
        spec: StackSpec,
        environment: Mapping[str, str],
        lifeline: int,
        secrets: tuple[str, ...],
    ) -> None:
        self._spec = spec
        self._environment = environment
        self._lifeline = lifeline
        self._secrets = secrets
        self._reserved = reserve(spec.ingest_port)
        self.port = port_of(self._reserved)

    def start(self, begin: Callable[[ChildSpec], Child]) -> list[Child]:
        """Start one of each."""
        with listen(self.port) as listener:
            return [
                begin(each)
                for each in ingest_children(
                    self._spec,
                    self._environment,
                    listener.fileno(),
                    self._lifeline,
                    self._secrets,
                )
            ]

    def close(self) -> None:
        """Let go of the port."""
        self._reserved.close()


def ingest_children(
    spec: StackSpec,
    environment: Mapping[str, str],
    listener: int,
    lifeline: int,
    secrets: tuple[str, ...],
) -> Iterator[ChildSpec]:
    """One for each ingest process: uvicorn, with the recorder attached.

    The launcher has bound the socket ``listener`` and every process inherits it: no race for the
    port.
    """
    if spec.ingest_app is None:
        return
    served: tuple[str, ...] = ("uvicorn", spec.ingest_app, "--fd", str(listener), *_UVICORN)
    if spec.import_path is not None:
        served += ("--app-dir", str(spec.import_path))
    for number in range(1, spec.settings.ingest_processes + 1):
        name = f"ingest-{number}"
        attach: tuple[str, ...] = ()
        if spec.recorder:
            attach = ("perfkit.recorder.attach", "--broker", spec.broker, "--name", name)
            attach += ("--spool", str(spec.spool), "--lifeline-fd", str(lifeline))
            if spec.brokers_of_queues is not None:
                attach += ("--brokers", spec.brokers_of_queues)
            if spec.broker_path is not None:
                attach += ("--path", str(spec.broker_path))
            attach += ("--",)
        yield ChildSpec(
            name=name,
            role="ingest",
            argv=(*spec.python(), "-m", *attach, *served),
            env=environment,
            log=spec.logs / f"{name}.log",
            cpus=spec.cpus,
            pass_fds=(listener, lifeline),
            cwd=spec.working_directory(),
            secrets=secrets,
        )


def gateway_child(spec: StackSpec, environment: Mapping[str, str], port: int) -> ChildSpec:
    """The simulated gateway, with its configuration written into the trial's folder."""
    config = spec.directory.absolute() / "gateway.json"
    config.write_text(json.dumps(spec.gateway, indent=1) + "\n", encoding="utf-8")
    log = spec.directory.absolute() / "gateway.log"
    return ChildSpec(
        name="gateway",
        role="gateway",
        argv=(sys.executable, "-P", "-m", sample_module("gateway"), "--host", HOST,
              "--port", str(port), "--config", str(config), "--log", str(log)),
        # It does not need Redis, so it does not learn its password.
        env={key: value for key, value in environment.items() if key not in _REDIS},
        log=spec.logs / "gateway.log",
        cpus=spec.cpus,
    )  # fmt: skip
