"""A machine's A/A ledger: what comparisons of a thing with itself have said.

``results/.host/<fingerprint>/aa.jsonl``, one line for each A/A comparison, appended under a lock
and flushed: several writers lose nothing. From it come the noise that a design is planned with and
the rate of false alarms that every verdict here is to be read with (statistics.md, 2.8).
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from perfkit.store.ceiling import HOST
from perfkit.store.durable import writable

__all__ = ["AA", "Figure", "Ledger", "Noise", "ledger_path", "read_ledger", "record"]

VERSION: Final = 1
_KINDS: Final = ("p50", "p95", "p99", "throughput", "cpu", "work", "errors")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One metric of an A/A comparison."""

    name: str
    kind: str
    sd: float
    """Of the pairs' differences: of logs, or of an error rate as it is."""
    p_adjusted: float | None
    """None where it could not be judged."""

    def __post_init__(self) -> None:
        if not (isinstance(self.name, str) and self.kind in _KINDS):
            raise ValueError(f"{self.name!r} of kind {self.kind!r} is no metric of a comparison")
        if not (_is_number(self.sd) and self.sd >= 0):
            raise ValueError(f"{self.name}: {self.sd!r} is no standard deviation")
        p = self.p_adjusted
        if p is not None and not (_is_number(p) and 0 <= p <= 1):
            raise ValueError(f"{self.name}: {p!r} is no probability")


@dataclass(frozen=True, slots=True, kw_only=True)
class AA:
    """One A/A comparison."""

    run: str  # NAME/RUN_ID
    date: str  # UTC, ISO 8601
    scenario: str
    digest: str  # of what both arms asked, its seed and name aside
    pairs: int  # valid ones
    window_s: float
    level: float
    judged: bool
    """Whether it could have raised an alarm: enough pairs, sound arms."""
    alarm: bool
    """Whether it said that a metric differs, which it does not."""
    figures: tuple[Figure, ...]
    versions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        texts = (self.run, self.date, self.scenario, self.digest)
        if not all(isinstance(each, str) for each in texts):
            raise ValueError("run, date, scenario and digest are texts")
        if isinstance(self.pairs, bool) or not isinstance(self.pairs, int) or self.pairs < 1:
            raise ValueError(f"{self.pairs!r} are no pairs")
        if not (_is_number(self.window_s) and _is_number(self.level)):
            raise ValueError("window_s and level are numbers")
        if not (isinstance(self.judged, bool) and isinstance(self.alarm, bool)):
            raise ValueError("judged and alarm are true or false")
        if not isinstance(self.versions, Mapping):
            raise ValueError("versions are a table")

    @classmethod
    def parse(cls, line: str) -> AA:
        """One line of the ledger.

        Raises:
            ValueError: it is not as it should be.
        """
        try:
            raw: dict[str, Any] = json.loads(line)
            if raw.pop("version") != VERSION:
                raise ValueError("another version of the ledger")
            figures = tuple(Figure(**each) for each in raw.pop("figures"))
            return cls(figures=figures, **raw)
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"not an A/A comparison: {error!r}") from None

    def line(self) -> str:
        """As the ledger has it."""
        return json.dumps({"version": VERSION, **asdict(self)}, allow_nan=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """Of one metric, pooled over A/A comparisons."""

    sd: float
    pairs: int
    comparisons: int
    own: bool
    """Whether of the same scenario; else of whatever was compared on this machine."""

    @property
    def freedom(self) -> int:
        """Degrees of freedom of ``sd``."""
        return self.pairs - self.comparisons


@dataclass(frozen=True, slots=True)
class Ledger:
    """All that is known of a machine; ``skipped`` lines could not be read."""

    entries: tuple[AA, ...] = ()
    skipped: int = 0

    @property
    def judged(self) -> int:
        """A/A comparisons that could have raised an alarm."""
        return sum(each.judged for each in self.entries)

    @property
    def alarms(self) -> int:
        """Those that did."""
        return sum(each.judged and each.alarm for each in self.entries)

    def noise(self, name: str, kind: str, digest: str) -> Noise | None:
        """Noise of a metric: of the same scenario where there is any, else of its kind.

        Variances are pooled by their degrees of freedom.
        """
        own = [
            (each.pairs, figure.sd)
            for each in self.entries
            if each.digest == digest
            for figure in each.figures
            if figure.name == name and each.pairs > 1
        ]
        found = own or [
            (each.pairs, figure.sd)
            for each in self.entries
            for figure in each.figures
            if figure.kind == kind and each.pairs > 1
        ]
        if not found:
            return None
        freedom = sum(pairs - 1 for pairs, _ in found)
        variance = sum((pairs - 1) * sd**2 for pairs, sd in found) / freedom
        return Noise(
            sd=math.sqrt(variance),
            pairs=sum(pairs for pairs, _ in found),
            comparisons=len(found),
            own=bool(own),
        )


def ledger_path(root: Path, fingerprint: str) -> Path:
    """Where a machine's ledger is kept in a results folder."""
    return root / HOST / fingerprint / "aa.jsonl"


def read_ledger(root: Path, fingerprint: str) -> Ledger:
    """The machine's ledger; lines that are damaged are counted, not read. Empty: none is kept.

    A comparison that is listed twice counts once, as it was recorded last.
    """
    try:
        text = ledger_path(root, fingerprint).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return Ledger()
    entries: dict[str, AA] = {}
    skipped = 0
    for line in text.splitlines():
        if not line.strip():
            continue
        try:
            found = AA.parse(line)
        except ValueError:
            skipped += 1
            continue
        entries[found.run] = found
    return Ledger(tuple(entries.values()), skipped)


def record(root: Path, fingerprint: str, found: AA) -> Path:
    """Append an A/A comparison; returns where.

    Raises:
        ResultsNotWritable: the results folder takes no file.
    """
    path = ledger_path(root, fingerprint)
    line = (found.line() + "\n").encode()
    with writable(root):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file, _alone(file):
            # After a crash half a line may stand at the end: it must not swallow this one.
            if file.tell() and not _ends_with_newline(file):
                line = b"\n" + line
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
    return path


def _ends_with_newline(file: IO[bytes]) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


@contextmanager
def _alone(file: IO[bytes]) -> Iterator[None]:
    """No other process writes meanwhile; where there are no such locks, appending has to do."""
    try:
        import fcntl
    except ImportError:  # Windows reads runs and measures none
        yield
        return
    fcntl.flock(file.fileno(), fcntl.LOCK_EX)
    try:
        file.seek(0, os.SEEK_END)
        yield
    finally:
        fcntl.flock(file.fileno(), fcntl.LOCK_UN)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
