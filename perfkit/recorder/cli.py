"""A recorded broker for the stock command: ``dramatiq perfkit.recorder.cli:broker``.

Reads PERFKIT_BROKER (module:name), PERFKIT_SPOOL (folder) and PERFKIT_NAME from the environment;
the pid is appended to the name, since the command runs several workers from one environment.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Final

from dramatiq import Broker, Middleware, Worker

from perfkit.recorder.loading import BrokerNotLoaded, bind_broker, load_broker
from perfkit.recorder.middleware import install
from perfkit.recorder.readiness import announce, is_polling, ready_path

__all__ = ["broker"]

_LOOK_EVERY_S: Final = 0.01


def _setting(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise BrokerNotLoaded(f"{name} is not set; dramatiq perfkit.recorder.cli:broker needs it")
    return value


class _Announcer(Middleware):
    """Writes the ready file once the worker polls, and closes the spool after it has stopped."""

    def __init__(self, directory: Path, name: str, *, rebound: bool) -> None:
        self._path = ready_path(directory, name)
        self._name = name
        self._rebound = rebound
        self._stopped = threading.Event()

    def after_worker_boot(self, broker: Broker, worker: Worker) -> None:
        threading.Thread(target=self._announce, args=(worker,), name="ready", daemon=True).start()

    def before_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        self._stopped.set()

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        _recorder.close()

    def _announce(self, worker: Worker) -> None:
        while not self._stopped.wait(_LOOK_EVERY_S):
            if is_polling(worker):
                announce(self._path, worker, name=self._name, rebound=self._rebound)
                return


_directory: Final = Path(_setting("PERFKIT_SPOOL"))
_name: Final = f"{_setting('PERFKIT_NAME')}-{os.getpid()}"

broker: Final = load_broker(_setting("PERFKIT_BROKER"))
"""The application's broker, recorded."""

# Before the recorder, which must be the last.
broker.add_middleware(
    _Announcer(_directory, _name, rebound=bind_broker(broker, os.environ.get("REDIS_URL")))
)
_recorder: Final = install(broker, _directory, name=_name, role="worker")
