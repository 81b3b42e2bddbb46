"""A load carried out by a generator process, for tests and benchmarks that look at what it left."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic_ns
from typing import IO, Any, Final

from perfkit.load.opening import lead_ns
from perfkit.load.spec import LoadSpec

ROOT: Final = Path(__file__).resolve().parents[2]


@contextmanager
def sender(spec: LoadSpec) -> Iterator[tuple[subprocess.Popen[bytes], LoadSpec]]:
    """A process that has been told to go; yields it, and the spec with the start of load."""
    path = Path(spec.output) / "spec.json"
    path.write_text(spec.to_json())
    command = [sys.executable, "-m", "perfkit.load", str(path), "--lifeline-fd", "0", "--await-go"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=ROOT) as process:
        stdin, stdout = _pipes(process)
        stdout.readline()
        start_ns = monotonic_ns() + lead_ns(spec)
        stdin.write(b"%d\n" % start_ns)
        stdin.flush()
        yield process, replace(spec, start_ns=start_ns)
        while line := stdout.readline():
            if b"finished" in line:
                break


def send(spec: LoadSpec) -> dict[str, Any]:
    """Carry a load out; returns ``generator.json``. The rows are in the spec's output."""
    with sender(spec):
        pass
    said: dict[str, Any] = json.loads((Path(spec.output) / "generator.json").read_text())
    return said


@contextmanager
def child(module: str, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A server of ours that prints its port and stays until its stdin ends; yields both."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-m", module, *arguments], stdin=pipe, stdout=pipe, cwd=ROOT
    ) as process:
        stdin, stdout = _pipes(process)
        try:
            yield process, int(stdout.readline())
        finally:
            stdin.close()
            process.wait(10)


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout
