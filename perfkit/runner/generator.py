"""The process that sends the load, as the runner sees it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from perfkit.errors import ChildDied, NotReady
from perfkit.load.opening import lead_ns
from perfkit.load.shards import SPEC
from perfkit.load.spec import LoadSpec
from perfkit.load.watchdog import BLOCKED_EXIT
from perfkit.redaction import redact

__all__ = ["GeneratorProcess", "Sender", "ShardDeath"]

_READY_S: Final = 30.0
_TAIL_BYTES: Final = 2000
_SILENCE_NS: Final = 2_000_000_000  # it tells its counts twice a second


@dataclass(frozen=True, slots=True)
class ShardDeath:
    """A load generator, or a shard of one, ended although its load had not, or not in order."""

    name: str
    at_ns: int  # monotonic: when it was noticed, a tenth of a second late at most
    status: int
    text: str


class Sender:
    """Starts a sender, says go, follows its figures, and waits for its end.

    Its standard input is a pipe that only the runner holds: "go" is said through it, and when the
    runner dies it closes, upon which the generator stops and writes what it measured. One that
    dies is noted as `death`: its rows up to then are on the disk, and the trial is to end.
    """

    death: ShardDeath | None = None

    def __init__(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        folder: Path,
        *,
        lead_ns: int,
        load_ns: int = 0,
        secrets: Sequence[str] = (),
        name: str = "generator",
        title: str = "the load generator",
        logs: Path | None = None,
        cwd: Path | None = None,
    ) -> None:
        """
        Args:
            argv: how it is started; the lifeline is added.
            env: its environment.
            folder: of the trial; its log goes to ``logs``.
            lead_ns: see the attribute.
            load_ns: how long its load lasts: if it ends before, it died. 0: it may end at any time.
            secrets: what its log must not say.
            name: among the processes of the trial.
            title: what people call it.
            logs: where its log goes instead, if that is not for everybody's eyes.
            cwd: where it runs; None: where we do.
        """
        self.lead_ns = lead_ns
        """Time it wants between "go" and the start of load, to open connections."""
        self.name = name
        self.title = title
        self._secrets = secrets
        self._load_ns = load_ns
        self._start_ns: int | None = None  # None: it was not told to go
        self._is_closing = False  # from here on, we may be what ended it
        self._log = (logs or folder / "logs") / f"{name}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*argv, "--lifeline-fd", "0"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                env=env,
                cwd=cwd,
            )
        self._figures: Mapping[str, Any] = {}
        self._loaded = threading.Event()
        self._reader = threading.Thread(target=self._follow, name="generator-figures", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def processes(self) -> Mapping[str, int]:
        """Names and pids of what sends: of one sender, its own."""
        return {self.name: self.pid}

    @property
    def status(self) -> int | None:
        """Its exit status, negative for a signal; None while it lives."""
        return self._process.poll()

    @property
    def figures(self) -> Mapping[str, Any]:
        """The last counts it gave; empty before the first."""
        return self._figures

    def wait_loaded(self) -> None:
        """Return when it waits for its "go".

        Raises:
            ChildDied: it ended instead.
            NotReady: it said nothing for 30 s.
        """
        deadline = time.monotonic() + _READY_S
        while not self._loaded.wait(0.02):
            if self._process.poll() is not None:
                raise ChildDied(f"{self.title} ended before it was ready{self.tail()}")
            if time.monotonic() > deadline:
                raise NotReady(f"{self.title} was not ready after {_READY_S:g} s")

    def go(self, start_ns: int) -> None:
        """Load starts at this instant."""
        self._start_ns = start_ns
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(b"%d\n" % start_ns)
            self._process.stdin.flush()

    def ended(self) -> bool:
        """Whether it is done; if it died, that is noted as `death`, once."""
        status = self._process.poll()
        if status is not None and self.death is None and not self._is_closing:
            now_ns = time.monotonic_ns()
            is_early = self._start_ns is not None and now_ns < self._start_ns + self._load_ns
            if status or is_early:
                self.death = ShardDeath(self.name, now_ns, status, self._obituary(status, now_ns))
        return status is not None

    def _obituary(self, status: int, now_ns: int) -> str:
        if status == BLOCKED_EXIT:
            how = "gave up: user code kept its event loop"
        else:
            why = f"signal {-status}" if status < 0 else f"exit status {status}"
            how = f"died ({why})"
        since_s = 0.0 if self._start_ns is None else (now_ns - self._start_ns) / 1e9
        when = f"at {since_s:.1f} s" if since_s >= 0 else "before its load began"
        words = self._last_words()
        return f"{self.title} {how} {when}{f': {words}' if words else ''}"

    def _last_words(self) -> str:
        """The last line of its log that says what happened; empty where none does."""
        lines = [line.strip() for line in self.tail().splitlines()[1:]]
        return next((line for line in reversed(lines) if not line.startswith("mend:")), "")

    def stop(self) -> None:
        """Ask it to send nothing more and to write what it measured."""
        self._is_closing = True
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def close(self, grace_s: float = 5.0) -> None:
        """Be sure that it is gone.

        One that stood still and must be killed is noted as `death`: what came due meanwhile is in
        no row.
        """
        self.ended()
        self._is_closing = True
        asked_ns = time.monotonic_ns()
        try:
            if self._process.poll() is None:
                self.stop()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(grace_s)
        finally:
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
                self._note_standstill(asked_ns)
            self._reader.join(1.0)
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()

    def _note_standstill(self, asked_ns: int) -> None:
        if self._start_ns is None or self.death is not None:
            return
        told_s = float(self._figures.get("elapsed_s", 0.0))
        told_ns = self._start_ns + round(told_s * 1e9)
        if told_ns + _SILENCE_NS < min(asked_ns, self._start_ns + self._load_ns):
            text = f"{self.title} stood still from {told_s:.1f} s on, and had to be killed"
            self.death = ShardDeath(self.name, asked_ns, -signal.SIGKILL, text)

    def _follow(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                said = json.loads(line)
            except ValueError:
                continue
            if not isinstance(said, dict):
                continue
            if said.get("loaded"):
                self._loaded.set()
            elif "planned" in said:
                self._figures = said

    def tail(self) -> str:
        """The end of its log as a sentence to append; empty where it said nothing."""
        try:
            text = self._log.read_bytes()[-_TAIL_BYTES:].decode(errors="replace").strip()
        except OSError:
            text = ""
        return f". Its last lines:\n{redact(text, *self._secrets)}" if text else ""


class GeneratorProcess(Sender):
    """The load generator, or one shard of it: requests over HTTP."""

    def __init__(
        self,
        spec: LoadSpec,
        folder: Path,
        *,
        name: str = "generator",
        title: str = "the load generator",
    ) -> None:
        path = Path(spec.output) / SPEC
        path.write_text(spec.to_json(), encoding="utf-8")
        super().__init__(
            [sys.executable, "-m", "perfkit.load", str(path), "--await-go"],
            os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            folder,
            lead_ns=lead_ns(spec),
            load_ns=spec.load_ns,
            name=name,
            title=title,
        )
