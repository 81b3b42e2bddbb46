"""A private Redis server: free port, random password, own folder, gone with us.

Everything secret is in one file, ``redis.conf`` (0600) in a private folder (0700) that is removed
with the server. What the server writes (snapshots, the append-only file) is in the same folder.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import redis

from perfkit.errors import ChildDied, PortInUse, StackError
from perfkit.launcher.child import Child, ChildSpec
from perfkit.launcher.disk import LogWatch, filesystem_of
from perfkit.launcher.foreign import ForeignRedis, connect, server_facts
from perfkit.launcher.guard import Guard
from perfkit.launcher.ports import HOST, port_of, reserve
from perfkit.launcher.profile import Profile
from perfkit.launcher.server import Server
from perfkit.redaction import redact

__all__ = ["EXTRAS", "ForeignRedis", "PrivateRedis"]

EXTRAS: Final = {
    # What the instrument adds to every profile, so that it can explain a slow server. Both cost
    # nothing until something is that slow.
    # Events from 5 ms: the least that is seen in the latency of a job (Dramatiq's own sleep
    # between two polls is 5 to 10 ms), and well above the millisecond in which it is counted.
    "latency-monitor-threshold": "5",
    # Commands from 1 ms: Dramatiq's script takes 10 to 25 us, so one of these has kept some fifty
    # others waiting. Redis' own threshold, 10 ms, would show none of them.
    "slowlog-log-slower-than": "1000",
    # Eight times what is read in one look (`telemetry.slowlog_probe`), for those who look by hand.
    "slowlog-max-len": "1024",
}

_PASSED_ON = ("HOME", "LD_LIBRARY_PATH", "PATH", "TMPDIR", "TZ")
_IN_MEMORY = ("tmpfs", "ramfs")
_IN_USE = "Address already in use"


class PrivateRedis:
    """A server of our own. ``name`` is that of its process: one stack may have several.

    ``settings`` overrule those of the profile.

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
        name: str = "redis",
        port: int | None = None,
        cpus: tuple[int, ...] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._settings = dict(settings or {})
        self._profile = Profile.load(profile).with_settings(self._settings)
        self._server = server
        self._guard = guard
        self._log = log
        self._log_watch = LogWatch(log)
        self._name = name
        self._asked_port = port
        self._cpus = cpus
        # URL-safe, so it stands in a URL as it is.
        self._password = secrets.token_urlsafe(24)
        self._port = 0
        self._reserved: socket.socket | None = None
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
            StackError: it can't write its data.
            ChildDied, NotReady: the server did not come up; its last log lines are in the message.
        """
        # Kept until the end: where it is away for a while, nobody else gets the port meanwhile.
        self._reserved = reserve(self._asked_port)
        self._port = port_of(self._reserved)
        self._configure()
        self._launch()
        try:
            self.child.wait_ready(self.answers, timeout_s)
        except ChildDied as died:
            self.check()
            if self._asked_port is not None and _IN_USE in died.what:
                raise PortInUse(
                    f"port {self._port} on {HOST} is already in use",
                    "name another port, or none: then a free one is taken",
                ) from None
            raise

    def start_again(self) -> Child:
        """Another process on the same port, and with what the last one has left in the folder.

        Returns at once; `answers` tells when it is there.

        Raises:
            StackError: the last one runs, or there is no folder any more.
        """
        if self.folder is None or not self.child.over:
            raise StackError(f"{self._name} {'runs' if self.folder else 'was stopped'}")
        self._launch()
        return self.child

    def check(self) -> None:
        """Whether it can still write what its profile has it write.

        Raises:
            StackError: it can't, the disk being full for one. It then refuses every command that
                changes something, or has ended itself.
        """
        if (trouble := self._log_watch.trouble()) is not None:
            raise StackError(
                f"{self._name} can't write its data to {self.folder}: {trouble}",
                "free some space there, or let TMPDIR name a folder that has more, or choose a "
                f"profile that writes nothing: no-persistence (its log: {self._log})",
            )

    def facts(self) -> dict[str, Any]:
        """Server, binary, profile, what was added to it, the settings in effect, and warnings:

        where the server could not do what the profile asks, or its disk is none.
        """
        with connect(self.url) as client:
            facts = server_facts(client)
        filesystem = filesystem_of(self.folder) if self.folder is not None else ""
        warnings = list(self._profile.shortfalls(facts["config"]))
        if self._profile.persistent and filesystem in _IN_MEMORY:
            warnings.append(
                f"the profile {self._profile.name} writes to a disk, but the folder of the server "
                f"is in memory ({filesystem}): writing costs less than it would, and would survive "
                "nothing (let TMPDIR name a folder on a disk)"
            )
        return {
            **facts,
            "version": self._server.version,
            "allocator": self._server.allocator,
            "binary": str(self._server.path),
            "binary_origin": self._server.origin,
            "binary_sha256": self._server.sha256,
            "private": True,
            "url": redact(self.url),
            "profile": self._profile.name,
            "settings": dict(self._settings),
            "extras": dict(EXTRAS),
            "filesystem": filesystem,
            "warnings": warnings,
        }

    def answers(self) -> bool:
        """Whether it takes commands; not while it still reads its data."""
        try:
            with connect(self.url, 1.0) as client:
                return bool(client.ping())
        except (redis.RedisError, OSError):
            return False

    def stop(self, grace_s: float = 2.0) -> None:
        """Stop it without saving: its data ends here. Its folder is removed."""
        if self._child is not None:
            with contextlib.suppress(redis.RedisError, OSError), connect(self.url, 1.0) as client:
                if self._child.poll() is None:
                    # TERM would write a snapshot first, where the profile has save points.
                    client.config_set("save", "")
            self._child.stop(grace_s)
        self._discard_folder()
        if self._reserved is not None:
            self._reserved.close()

    def _configure(self) -> None:
        self.folder = self._guard.make_folder()
        config = self.folder / "redis.conf"
        with os.fdopen(os.open(config, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(self._configuration(self.folder))

    def _launch(self) -> None:
        assert self.folder is not None
        self._child = Child(
            ChildSpec(
                name=self._name,
                role="redis",
                argv=(str(self._server.path), str(self.folder / "redis.conf")),
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
        return f"{self._profile.text}\n{added}\n"

    def _discard_folder(self) -> None:
        if self.folder is not None:
            self._guard.remove_folder(self.folder)
            self.folder = None
