"""How a load is sent: by how many processes, and when a trial that misses its rate is given up."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic.dataclasses import dataclass

from perfkit.scenario.fields import CONFIG, PositiveDurationNs

__all__ = ["AbortBelow", "Shards"]

_LEAST_AFTER_NS: Final = 1_000_000_000  # the generator tells its counts twice a second


def _processes(value: object) -> object:
    if value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
        return value
    raise ValueError('write how many processes send, from 1 up, or "auto"')


def _long_enough(duration_ns: int) -> int:
    if duration_ns < _LEAST_AFTER_NS:
        raise ValueError('must be "1s" or longer: within less, a rate can\'t be told')
    return duration_ns


Shards = Annotated[int | Literal["auto"], BeforeValidator(_processes)]
"""Processes that send; "auto": as many as the peak needs of this machine's cores."""


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class AbortBelow:
    """End a trial that does not send what it was asked to: fewer than the share ``rate`` of the
    requests that came due within the last ``after``, anywhere in the measured window.
    """

    rate: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.9
    after_ns: Annotated[PositiveDurationNs, AfterValidator(_long_enough)] = Field(
        default=5_000_000_000, alias="after"
    )
