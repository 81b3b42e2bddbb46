"""The ingest API and the gateway as children."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping

from perfkit.launcher.child import ChildSpec
from perfkit.launcher.ports import BACKLOG, HOST
from perfkit.launcher.spec import StackSpec
from perfkit.paths import sample_module

__all__ = ["gateway_child", "ingest_children"]

_UVICORN = (
    # Stated, because "auto" would make the result depend on what happens to be installed.
    *("--loop", "uvloop", "--http", "httptools", "--backlog", str(BACKLOG)),
    # Users think longer than uvicorn's 5 s. A server that closes a connection in the moment of
    # its reuse makes errors that nobody asked for.
    *("--timeout-keep-alive", "600"),
    *("--no-access-log", "--log-level", "warning", "--timeout-graceful-shutdown", "2"),
)


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
        env={name: value for name, value in environment.items() if name != "REDIS_URL"},
        log=spec.logs / "gateway.log",
        cpus=spec.cpus,
    )  # fmt: skip
