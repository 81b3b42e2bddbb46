"""More or fewer workers while a trial runs: a plan (``[[scale]]``) or a rule (``[autoscale]``)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from perfkit.scenario.fields import CONFIG, Name, PositiveDurationNs, SignedDurationNs

__all__ = ["Autoscale", "Scale"]

Workers = Annotated[int, Field(ge=0, le=1024)]


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Scale:
    """So many workers from an instant on; ``at`` from the start of the window, negative before."""

    at_ns: SignedDurationNs = Field(alias="at")
    workers: Workers
    pool: Name | None = None  # needed where there are pools, refused where there are none


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Autoscale:
    """A rule: as many workers as keep the oldest waiting job younger than ``target``."""

    metric: Literal["queue.age"] = "queue.age"
    target_ns: PositiveDurationNs = Field(default=500_000_000, alias="target")
    minimum: Workers = 1
    maximum: Workers = 8
    every_ns: PositiveDurationNs = Field(default=1_000_000_000, alias="every")
    cooldown_ns: PositiveDurationNs = Field(default=10_000_000_000, alias="cooldown")
    pool: Name | None = None  # as in `Scale`
