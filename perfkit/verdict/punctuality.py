"""Whether requests went out when they were due; and if not, whose making that was."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any, Final, Literal

from perfkit.frames import host_use, session
from perfkit.store import StoredRun
from perfkit.units import format_duration, format_percent
from perfkit.verdict.books import LATE_NS

__all__ = ["Lateness", "given_up", "lateness", "rate_missed_by"]

_MOST_LATE: Final = 0.01
_LEAST_LIMIT_NS: Final = 2_000_000
_SHARE_OF_P99: Final = 0.05
_BUSY: Final = 0.9  # of a core: the generator used it up itself; of all: the host is full
_STOLEN: Final = 0.05
_KEPT_WAITING: Final = 0.1
_MOSTLY: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Lateness:
    """Send lag over the window, time spent blocked not counted.

    Two rules (architecture.md, Verdicts): at most 1 % more than 10 ms late; P99 at most 2 ms or
    5 % of the P99 latency, whichever is more. Where one is broken, the generator is to blame,
    unless it had its core free (below 90 % of it used) and there is evidence that the host took
    it: the host's cores were 90 % busy, or 5 % of them stolen, or the generator waited for a core
    in 10 % of the time, or at least as long as it ran and for at least the share that was late.
    Then the host was saturated, and the measurement is sound.
    """

    late_share: float  # of requests sent, more than 10 ms late
    p99_ns: float
    limit_ns: float
    cpu_share: float  # of the generator, cores
    wait_share: float  # of the time the generator wanted a core and had none
    host_busy: float  # share of the host's cores, NaN unknown
    stolen: float  # likewise
    broken: str | None  # the rule that is broken, as a sentence
    own_making: bool

    @property
    def reason(self) -> str | None:
        """Why the trial is INVALID (own making) or saturated by its host; None if in time."""
        if self.broken is None:
            return None
        used = (
            f"the generator used {format_percent(self.cpu_share)} of a core "
            f"and waited {format_percent(self.wait_share)} of the time for one"
        )
        if self.own_making:
            return f"late sending of the generator's own making: {self.broken}; {used}"
        return (
            "the host was saturated: the generator was kept from its core; latency includes that "
            f"({self.broken}; {used}; the cores were {format_percent(self.host_busy)} busy)"
        )


@functools.lru_cache(maxsize=64)
def lateness(run: StoredRun, trial: int) -> Lateness:
    """Judge the send lag of one trial."""
    generator = run.facts(trial).generator
    with session(run, trial) as sql:
        row: tuple[Any, ...] = sql.rows(f"""
            with lags as (
                select (sent_ns - intended_ns - blocked_ns)::double as lag from job
                where in_window and sent_ns is not null
            ), ordered as (select list(lag order by lag) as lags from lags),
            latency as (
                select type7(list(latency_ns order by latency_ns), 0.99) as p99
                from job where in_window
            ), limits as (
                select greatest({_LEAST_LIMIT_NS}, {_SHARE_OF_P99} * coalesce(p99, 0)) as most
                from latency
            )
            select (select count(*) from lags),
                   (select count(*) from lags where lag > {LATE_NS}),
                   (select type7(lags, 0.99) from ordered),
                   (select most from limits)
        """)[0]
    sent, late, p99, limit = row
    late_share = late / sent if sent else 0.0
    broken = None
    if late_share > _MOST_LATE:
        broken = f"{format_percent(late_share)} of requests were sent more than 10 ms late"
    elif sent and p99 > limit:
        broken = f"P99 send lag is {format_duration(p99)}, above {format_duration(limit)}"
    host = host_use(run, trial)
    # Comparisons with NaN are false: what was not sampled excuses nobody.
    starved = generator.cpu_share < _BUSY and (
        host.busy >= _BUSY
        or host.stolen >= _STOLEN
        or generator.wait_share >= _KEPT_WAITING
        or generator.wait_share >= max(generator.cpu_share, late_share)
    )
    return Lateness(
        late_share=late_share,
        p99_ns=math.nan if p99 is None else p99,
        limit_ns=limit,
        cpu_share=generator.cpu_share,
        wait_share=generator.wait_share,
        host_busy=host.busy,
        stolen=host.stolen,
        broken=broken,
        own_making=broken is not None and not starved,
    )


def rate_missed_by(run: StoredRun, trial: int) -> Literal["generator", "system"] | None:
    """Whose doing it was that a trial was stopped because it missed its rate; None: it was not.

    The generator's where it was late of its own making, or, without a request by which to judge
    that, where it did not even take up most of what is missing. Else the system's, or its host's.
    """
    aborted = run.facts(trial).aborted
    if aborted is None or aborted.behind is None:
        return None
    late = lateness(run, trial)
    idle = late.broken is None and aborted.behind >= _MOSTLY
    return "generator" if late.own_making or idle else "system"


def given_up(run: StoredRun, trial: int) -> str | None:
    """Why the system under test did not sustain a load that was stopped for it; None elsewhere."""
    if rate_missed_by(run, trial) != "system":
        return None
    late = lateness(run, trial)
    if late.reason is not None:
        return late.reason
    return "requests waited for a connection or were dropped, and the trial was stopped for it"
