"""What the load generator itself can do: `perfkit calibrate`.

The same generator process as in a run (unique key and body, status and id read, a row kept of each
request), without a warm-up, against a bare local server or any URL. It reports how late it sent and
judges nothing.
"""

from __future__ import annotations

import contextlib
import json
import math
import secrets
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from perfkit.api.columns import aligned
from perfkit.errors import ChildDied, NotReady, UsageError
from perfkit.launcher.interrupts import deferred, terminable
from perfkit.load.arrivals import Segment
from perfkit.load.spec import JobShare, LoadSpec
from perfkit.runner.bare import serving
from perfkit.runner.generator import GeneratorProcess
from perfkit.telemetry.checks import check_open_files
from perfkit.units import format_count, format_duration, format_ms, format_rate, parse_duration_ns

__all__ = ["Calibration", "Spread", "calibrate", "calibration_text"]

CONNECTIONS: Final = 64
DURATION: Final = "5s"
_SECOND: Final = 1_000_000_000
_LONGEST_NS: Final = 3600 * _SECOND
_LONGEST_BACK_TO_BACK_NS: Final = 600 * _SECOND  # that many requests are kept in memory
_MOST_REQUESTS: Final = 20_000_000
_TIMEOUT_NS: Final = 10 * _SECOND
_REACH_S: Final = 5.0
_SPARE_S: Final = 30.0  # beyond all the generator's own limits: then it hangs
_LOOK_S: Final = 0.02
_PLAIN: Final = (
    "requests_per_s", "requests", "errors", "error_kinds", "cpu_us_per_request",
)  # fmt: skip
Ns = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Spread:
    """Exact percentiles in milliseconds (the smallest value with that share at or below it).

    All None where there is no value.
    """

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: float | None = None

    @classmethod
    def of(cls, values_ns: Ns) -> Spread:
        """Of int64 nanoseconds, shape (n,)."""
        if not values_ns.size:
            return cls()
        found = np.quantile(values_ns, (0.5, 0.95, 0.99, 1.0), method="inverted_cdf")
        return cls(*(round(each / 1e6, 4) for each in found.tolist()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What was found.

    ``requests_per_s``: answered requests over the duration; of a fixed rate those answered before
    the end, since what a slow server answers later is no rate of its. ``errors``: requests without
    a whole reply, or with another status than 2xx; ``error_kinds`` names them. Latencies are those
    of the answered, from their intended and from their sent instant; ``send_lag`` is
    sent - intended, the wait for a connection left out. ``cpu_us_per_request``: CPU of the
    generator's process, None where nothing was answered.
    """

    requests_per_s: float
    requests: int
    errors: int
    error_kinds: dict[str, int]
    cpu_us_per_request: float | None
    intended: Spread
    sent: Spread
    send_lag: Spread

    @property
    def requests_per_s_per_core(self) -> float | None:
        """What one core would send, did it nothing else."""
        return 1e6 / self.cpu_us_per_request if self.cpu_us_per_request else None

    def document(self) -> dict[str, Any]:
        """What ``perfkit calibrate --json`` prints."""
        return {
            "requests_per_s": self.requests_per_s,
            "requests": self.requests,
            "errors": self.errors,
            "error_kinds": self.error_kinds,
            "cpu_us_per_request": self.cpu_us_per_request,
            "latency_ms": {"intended": asdict(self.intended), "sent": asdict(self.sent)},
            "send_lag_ms": asdict(self.send_lag),
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Calibration:
        """From what `document` made."""
        latency = document["latency_ms"]
        return cls(
            **{name: document[name] for name in _PLAIN},
            intended=Spread(**latency["intended"]),
            sent=Spread(**latency["sent"]),
            send_lag=Spread(**document["send_lag_ms"]),
        )


def calibrate(
    url: str | None = None,
    *,
    rate: float | None = None,
    connections: int = CONNECTIONS,
    duration: str = DURATION,
) -> Calibration:
    """Send load without a warm-up, and tell what it cost and how late it was.

    Args:
        url: ``http://host:port``, to whose ``/jobs/payments`` all is posted, as in a run;
            with a path, to that. None: a bare server of our own on this machine.
        rate: requests per second at fixed instants, ``rate * duration`` in all. None: every
            connection sends its next request as soon as a reply is there.
        connections: at most so many; waiting for one counts in the intended latency.
        duration: such as "5s", up to 1 h, or 10 min without a rate. Replies are waited for up to
            10 s longer.

    Raises:
        UsageError: an argument can't be used, or nothing answers at the URL.
        StackError: the generator or the bare server died.
    """
    duration_ns = _duration_ns(duration)
    _check_size(rate, connections, duration_ns)
    with contextlib.ExitStack() as stack:
        stack.enter_context(terminable())
        if url is None:
            base, path = stack.enter_context(serving()), ""
        else:
            base, path = _reached(url)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="perfkit-calibrate-")))
        (folder / "logs").mkdir()
        level = float(connections) if rate is None else rate
        spec = LoadSpec(
            base_url=base,
            path=path,
            model="closed" if rate is None else "open",
            trial=0,
            nonce=secrets.token_hex(8),
            seed=1,
            jobs=(JobShare("payments", 1.0),),
            start_ns=0,
            load_ns=duration_ns,
            output=str(folder),
            segments=(Segment(duration_ns, level, level),),
            connections=connections,
            max_in_flight=max(100_000, connections),
            timeout_ns=_TIMEOUT_NS,
            grace_ns=_TIMEOUT_NS,
        )
        start_ns = _sent(spec, folder)
        return _found(replace(spec, start_ns=start_ns), folder)


def calibration_text(found: Calibration) -> str:
    """A calibration as text for a terminal."""
    per_core = found.requests_per_s_per_core
    cost = (
        f", {found.cpu_us_per_request:.1f} µs of the client's CPU each: "
        f"a core of its own would send {format_rate(per_core)}"
        if per_core is not None and found.cpu_us_per_request is not None
        else ""
    )
    kinds = ", ".join(f"{format_count(n)} {kind}" for kind, n in found.error_kinds.items())
    spreads = (
        ("latency from the intended time", found.intended),
        ("latency from the sent time", found.sent),
        ("send lag", found.send_lag),
    )
    rows: list[tuple[str, ...]] = [("ms", "P50", "P95", "P99", "max")]
    for name, spread in spreads:
        values = (spread.p50, spread.p95, spread.p99, spread.max)
        shown = ("n/a" if value is None else format_ms(value * 1e6) for value in values)
        rows.append((name, *shown))
    return "\n".join(
        [
            f"{format_rate(found.requests_per_s)} answered{cost}",
            f"{format_count(found.requests)} requests, {format_count(found.errors)} errors"
            + (f": {kinds}" if kinds else ""),
            "",
            *aligned(rows, right=range(1, 5)),
        ]
    )


def _sent(spec: LoadSpec, folder: Path) -> int:
    """Carry the load out; returns the instant it started.

    Raises:
        StackError: the generator died, or does not end.
    """
    process = GeneratorProcess(spec, folder)
    try:
        process.wait_loaded()
        start_ns = time.monotonic_ns() + process.lead_ns
        process.go(start_ns)
        last_s = (start_ns + spec.load_ns + spec.grace_ns) / 1e9 + _SPARE_S
        while not process.ended():
            if time.monotonic() > last_s:
                raise NotReady("the load generator does not end", "report it")
            time.sleep(_LOOK_S)
        if process.death is not None:
            raise ChildDied(process.death.text)
        return start_ns
    finally:
        with deferred():
            process.close()


def _found(spec: LoadSpec, folder: Path) -> Calibration:
    with pa.ipc.open_file(str(folder / "requests.arrow")) as reader:
        table = reader.read_all()
    intended, sent, done, blocked, status = (
        np.asarray(table[name].fill_null(0).to_numpy(), np.int64)
        for name in ("intended_ns", "sent_ns", "done_ns", "blocked_ns", "status")
    )
    answered, was_sent = done > 0, sent > 0
    in_time = int((answered & (done <= spec.end_ns)).sum())
    kinds = Counter(kind for kind in table["error"].to_pylist() if kind is not None)
    kinds.update(f"status {code}" for code in status[answered].tolist() if not 200 <= code < 300)
    if dropped := int((~was_sent).sum()) - kinds["unsent"]:
        kinds["dropped"] = dropped
    kinds = +kinds
    cpu_ns = json.loads((folder / "generator.json").read_text(encoding="utf-8"))["cpu_ns"]
    return Calibration(
        requests_per_s=round(
            (in_time if spec.model == "open" else int(answered.sum())) / spec.load_ns * _SECOND, 3
        ),
        requests=len(intended),
        errors=kinds.total(),
        error_kinds=dict(kinds.most_common()),
        cpu_us_per_request=round(cpu_ns / 1e3 / in_time, 3) if in_time else None,
        intended=Spread.of((done - intended)[answered]),
        sent=Spread.of((done - sent)[answered]),
        send_lag=Spread.of((sent - intended - blocked)[was_sent]),
    )


def _duration_ns(text: str) -> int:
    try:
        found = parse_duration_ns(text)
    except ValueError as error:
        raise UsageError(f"duration: {error}", 'write it as "5s"') from None
    if not 0 < found <= _LONGEST_NS:
        raise UsageError(f"a calibration can't last {text}", "take from 1 ms to 1 h")
    return found


def _check_size(rate: float | None, connections: int, duration_ns: int) -> None:
    if connections < 1:
        raise UsageError(f"{connections} connections can send nothing", "take 1 or more")
    if rate is not None:
        if not (math.isfinite(rate) and rate > 0):
            raise UsageError(f"{rate:g} requests/s can't be sent", "take a rate above 0")
        if rate * duration_ns / _SECOND > _MOST_REQUESTS:
            raise UsageError(
                f"{format_count(rate * duration_ns / _SECOND)} requests are more than a "
                f"calibration keeps ({format_count(_MOST_REQUESTS)})",
                "lower the rate, or the duration",
            )
    elif duration_ns > _LONGEST_BACK_TO_BACK_NS:
        raise UsageError(
            f"back to back, {format_duration(duration_ns)} may be more requests than memory holds",
            "take up to 10m, or give a rate",
        )
    files = check_open_files(connections)
    if files.ok is False:
        raise UsageError(files.detail, files.mend.replace("load.connections or users", "it"))


def _reached(url: str) -> tuple[str, str]:
    """Base URL and path of an address where somebody listens; an empty path is a run's own.

    Raises:
        UsageError: it is no http URL, or nobody listens there.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, 80 if parts.port is None else parts.port
    except ValueError as error:
        raise UsageError(f"{url!r}: {error}", "write http://host:port") from None
    if parts.scheme == "https":
        raise UsageError(
            f"{url}: the generator sends plain HTTP/1.1, and the cost of TLS would not be its own",
            "name the http:// address behind the TLS",
        )
    if parts.scheme != "http" or not host:
        raise UsageError(f"{url!r} is not http://host:port", "write http://host:port")
    if parts.username is not None or parts.password is not None:
        raise UsageError("a password in the URL is not sent", "write http://host:port")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise UsageError(f"{url!r} has characters that no request may hold", "write them as %XX")
    _connect(host, port)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    return f"http://{parts.netloc}", path if path.startswith("/") or not path else f"/{path}"


def _connect(host: str, port: int) -> None:
    """Open a connection and close it: what can't be reached is named before any load.

    In a thread, since a look-up has no time limit of its own.
    """
    failed: list[OSError] = []

    def attempt() -> None:
        try:
            socket.create_connection((host, port), _REACH_S).close()
        except OSError as error:
            failed.append(error)
        except UnicodeError:  # a label of the name is empty or too long
            failed.append(OSError("no host can be called so"))

    thread = threading.Thread(target=attempt, name="calibrate-reach", daemon=True)
    thread.start()
    thread.join(2 * _REACH_S)
    if thread.is_alive():
        failed.append(TimeoutError(f"no answer in {2 * _REACH_S:g} s"))
    if failed:
        why = failed[0].strerror or str(failed[0])
        raise UsageError(
            f"http://{host}:{port} can't be reached: {why}",
            "start the server, or name an address where one listens",
        )
