"""A private Redis server: free port, random password, own folder, gone with us.

Everything secret is in one file, ``redis.conf`` (0600) in a private folder (0700) that is removed
with the server.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import Any, Final

import redis

from perfkit.errors import ChildDied, PortInUse, UsageError
from perfkit.launcher.child import Child, ChildSpec
from perfkit.launcher.foreign import ForeignRedis, connect, server_facts
from perfkit.launcher.guard import Guard
from perfkit.launcher.ports import HOST, port_of, reserve
from perfkit.launcher.server import Server
from perfkit.paths import profile_path, profiles
from perfkit.redaction import redact

__all__ = ["EXTRAS", "ForeignRedis", "PrivateRedis"]

EXTRAS: Final = {
    # What the instrument adds to every profile, so that it can explain a slow server: events
    # above 5 ms, commands above 1 ms. Both cost nothing until something is that slow.
    "latency-monitor-threshold": "5",
    "slowlog-log-slower-than": "1000",
    "slowlog-max-len": "1024",
}

_PASSED_ON = ("HOME", "LD_LIBRARY_PATH", "PATH", "TMPDIR", "TZ")
_IN_USE = "Address already in use"


class PrivateRedis:
    """A server of our own.

    Raises:
        UsageError: no such profile.
    """

    def __init__(
        self,
        server: Server,
        profile: str,
        guard: Guard,
        log: Path,
        *,
        port: int | None = None,
        cpus: tuple[int, ...] | None = None,
    ) -> None:
        self._profile = profile_path(profile)
        if not self._profile.is_file():
            raise UsageError(
                f"there is no Redis profile {profile!r}", f"known are {', '.join(profiles())}"
            )
        self._server = server
        self._guard = guard
        self._log = log
        self._asked_port = port
        self._cpus = cpus
        # URL-safe, so it stands in a URL as it is.
        self._password = secrets.token_urlsafe(24)
        self._port = 0
        self._child: Child | None = None
        self.folder: Path | None = None

    def __repr__(self) -> str:
        return f"PrivateRedis({redact(self.url)!r})"

    @property
    def url(self) -> str:
        """With the password."""
        return f"redis://:{self._password}@{HOST}:{self._port}/0"

    @property
    def child(self) -> Child:
        """The process."""
        if self._child is None:
            raise RuntimeError("the server was not started")
        return self._child

    def start(self, timeout_s: float = 10.0) -> None:
        """Start it and wait until it answers to its password.

        Raises:
            PortInUse: the port that was asked for is taken.
            ChildDied, NotReady: the server did not come up; its last log lines are in the message.
        """
        with reserve(self._asked_port) as reserved:
            self._port = port_of(reserved)
            self._launch()
            try:
                self.child.wait_ready(self._answers, timeout_s)
            except ChildDied as died:
                if self._asked_port is not None and _IN_USE in died.what:
                    raise PortInUse(
                        f"port {self._port} on {HOST} is already in use",
                        "name another port, or none: then a free one is taken",
                    ) from None
                raise

    def facts(self) -> dict[str, Any]:
        """Server, binary, profile, what was added to it, and the settings in effect."""
        with connect(self.url) as client:
            facts = server_facts(client)
        return {
            **facts,
            "version": self._server.version,
            "allocator": self._server.allocator,
            "binary": str(self._server.path),
            "binary_origin": self._server.origin,
            "binary_sha256": self._server.sha256,
            "private": True,
            "url": redact(self.url),
            "profile": self._profile.stem,
            "extras": dict(EXTRAS),
        }

    def stop(self, grace_s: float = 2.0) -> None:
        """Stop it without saving: its data ends here. Its folder is removed."""
        if self._child is not None:
            with contextlib.suppress(redis.RedisError, OSError), connect(self.url, 1.0) as client:
                if self._child.poll() is None:
                    # TERM would write a snapshot first, where the profile has save points.
                    client.config_set("save", "")
            self._child.stop(grace_s)
        self._discard_folder()

    def _launch(self) -> None:
        self.folder = self._guard.make_folder()
        config = self.folder / "redis.conf"
        with os.fdopen(os.open(config, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(self._configuration(self.folder))
        self._child = Child(
            ChildSpec(
                name="redis",
                role="redis",
                argv=(str(self._server.path), str(config)),
                # What it needs to run, and nothing that could change what it does.
                env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
                log=self._log,
                cpus=self._cpus,
                cwd=self.folder,  # by which the keeper finds it (`keeper.in_folder`)
                secrets=(self._password,),
            ),
            self._guard,
        )
        self._child.start()

    def _configuration(self, folder: Path) -> str:
        ours = {
            "bind": HOST,
            "port": str(self._port),
            "requirepass": self._password,
            "dir": f'"{folder}"',
            "daemonize": "no",
            "supervised": "no",
            "pidfile": '""',
            "logfile": '""',
            **EXTRAS,
        }
        if self._server.at_least(6, 2):
            # In a list of processes it is seen whose server this is.
            ours["proc-title-template"] = '"{title} {listen-addr} of perfkit"'
        added = "\n".join(f"{key} {value}" for key, value in ours.items())
        return f"{self._profile.read_text(encoding='utf-8')}\n{added}\n"

    def _answers(self) -> bool:
        try:
            with connect(self.url, 1.0) as client:
                return bool(client.ping())
        except (redis.RedisError, OSError):
            return False

    def _discard_folder(self) -> None:
        if self.folder is not None:
            self._guard.remove_folder(self.folder)
            self.folder = None
