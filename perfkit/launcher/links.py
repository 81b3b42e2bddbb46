"""The launcher's end of the relay: connections of a stack that can be cut and slowed down.

Only there where a fault needs it: a hop through another process is in every round trip.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from perfkit.errors import StackError, UsageError
from perfkit.launcher.child import ChildSpec
from perfkit.launcher.ports import HOST, port_of, reserve
from perfkit.launcher.spec import StackSpec
from perfkit.paths import checkout

__all__ = ["Links"]

_ANSWER_S: Final = 5.0
_DEFAULT_PORTS: Final = {"redis": 6379, "http": 80}
_VARIABLES: Final = {"redis": "REDIS_URL", "gateway": "GATEWAY_URL"}
_SECRET: Final = ("REDIS_URL", "REDIS_URLS")  # not needed here, so not known here


class Links:
    """Those that a stack's `StackSpec.links` name; ``worker-redis`` is that of all workers.

    Raises:
        UsageError: a link leads to what is not there, or to what can't be relayed.
    """

    def __init__(self, spec: StackSpec, redis_url: str, gateway_url: str | None) -> None:
        self._spec = spec
        self._lock = threading.Lock()
        self._targets = {
            name: _target(name, redis_url if name.endswith("redis") else gateway_url)
            for name in dict.fromkeys(spec.links)
        }
        self._urls = {"redis": redis_url, "gateway": gateway_url or ""}
        with contextlib.ExitStack() as opened:
            # Kept until the end: a port that refuses for a while is nobody else's.
            self._ports = {name: port_of(opened.enter_context(reserve())) for name in self._targets}
            self._control, self._theirs = socket.socketpair()
            opened.callback(self._control.close)
            opened.callback(self._theirs.close)
            self._control.settimeout(_ANSWER_S)
            self._opened = opened.pop_all()

    @property
    def names(self) -> Sequence[str]:
        """The links there are."""
        return tuple(self._targets)

    def environment(self, role: str) -> dict[str, str]:
        """Addresses by which this role (``worker``, ``ingest``) goes through the relay."""
        found = {}
        for target, variable in _VARIABLES.items():
            if (port := self._ports.get(f"{role}-{target}")) is not None:
                found[variable] = _moved(self._urls[target], port)
        return found

    def child(self, environment: Mapping[str, str]) -> ChildSpec:
        """The relay's process."""
        arguments: list[str] = []
        for name, (host, port) in self._targets.items():
            arguments += ["--link", name, str(self._ports[name]), host, str(port)]
        arguments += ["--control-fd", str(self._theirs.fileno())]
        env = {key: value for key, value in environment.items() if key not in _SECRET}
        if (tree := checkout()) is not None:
            env["PYTHONPATH"] = f"{tree}{os.pathsep}{env.get('PYTHONPATH', '')}".rstrip(os.pathsep)
        return ChildSpec(
            name="relay",
            role="relay",
            argv=(sys.executable, "-P", "-m", "perfkit.launcher.relay", *arguments),
            env=env,
            log=self._spec.logs / "relay.log",
            cpus=self._spec.cpus,
            pass_fds=(self._theirs.fileno(),),
        )

    def set(self, name: str, *, cut: bool = False, delay_ns: int = 0) -> int:
        """Cut a link, slow it down, or (by the defaults) put it back as it was.

        Returns: the connections that are open through it.

        Raises:
            StackError: there is no such link, or the relay does not do it.
        """
        asked = {"link": name, "cut": cut, "delay_ms": delay_ns / 1e6}
        with self._lock:
            try:
                self._control.sendall(json.dumps(asked).encode() + b"\n")
                answer = json.loads(self._line())
            except (OSError, ValueError) as error:
                raise StackError(f"the relay does not answer: {error}") from None
        if not answer["ok"]:
            raise StackError(f"the relay could not change {name}: {answer['error']}")
        return int(answer["connections"])

    def answers(self) -> bool:
        """Whether the relay is up, all links as they are when nothing is broken."""
        try:
            for name in self._targets:
                self.set(name)
        except StackError:
            return False
        return True

    def close(self) -> None:
        """Let go of the ports; the relay ends by it."""
        self._opened.close()

    def _line(self) -> bytes:
        read = b""
        while not read.endswith(b"\n"):
            if not (block := self._control.recv(4096)):
                raise OSError("it has ended")
            read += block
        return read


def _target(name: str, url: str | None) -> tuple[str, int]:
    """Host and port that a link leads to."""
    if not url:
        raise UsageError(
            f"there is nothing that {name} leads to", "break something that this stack has"
        )
    parts = urlsplit(url)
    if parts.scheme not in _DEFAULT_PORTS or parts.hostname is None:
        raise UsageError(
            f"{name} can't be relayed: only redis:// can, not {parts.scheme}://",
            "name the server as redis://host:port/0, or let perfkit start one of its own",
        )
    return parts.hostname, parts.port or _DEFAULT_PORTS[parts.scheme]


def _moved(url: str, port: int) -> str:
    """The same URL, with the relay's address."""
    parts = urlsplit(url)
    account, at, _ = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{account}{at}{HOST}:{port}").geturl()
