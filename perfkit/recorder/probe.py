"""What an application declares: ``python -m perfkit.recorder.probe --broker M:N`` prints JSON.

    {"queues": [...], "actors": {name: {"queue": ..., "parameters": [...]}}, "namespace": ...,
     "broker_class": "module.Class", "versions": {"python": ..., "dramatiq": ..., "redis": ...}}

``parameters`` are those of the actor's function, in order, each ``{"name", "kind", "required"}``
with the kinds of `inspect.Parameter`; null where Python can't tell them. The application is
imported in this process, which ends with it; what it prints goes to stderr.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import inspect
import json
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dramatiq import Actor

from perfkit.recorder.loading import BrokerNotLoaded, load_broker, print_refusal
from perfkit.recorder.readiness import describe

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the description; 2 and one line on stderr if the broker can't be used."""
    parser = argparse.ArgumentParser(prog="python -m perfkit.recorder.probe")
    parser.add_argument("--broker", required=True, metavar="MODULE:NAME")
    parser.add_argument("--path", type=Path, metavar="DIR")
    options = parser.parse_args(argv)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            broker = load_broker(options.broker, options.path)
            actors = {name: _described(actor) for name, actor in sorted(broker.actors.items())}
    except BrokerNotLoaded as error:
        return print_refusal("perfkit.recorder.probe", error, with_traceback=False)
    kind = type(broker)
    told = {
        "actors": actors,
        "broker_class": f"{kind.__module__}.{kind.__qualname__}",
        "versions": _versions(),
    }
    print(json.dumps(describe(broker) | told))
    return 0


def _described(actor: Actor[Any, Any]) -> dict[str, Any]:
    return {"queue": actor.queue_name, "parameters": _parameters(actor.fn)}


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("dramatiq", "redis"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def _parameters(function: Any) -> list[dict[str, Any]] | None:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    return [
        {
            "name": each.name,
            "kind": each.kind.name,
            "required": each.default is inspect.Parameter.empty,
        }
        for each in parameters
    ]


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Not by way of the interpreter's end: a thread of the application could keep it from coming.
    os._exit(code)
