"""Kinds of fields: how one value of a file is read, whatever table it stands in."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field

from perfkit.units import parse_bytes, parse_duration_ns, parse_rate

__all__ = [
    "CONFIG",
    "Bytes",
    "DurationNs",
    "Name",
    "Positive",
    "PositiveDurationNs",
    "QueueName",
    "RatePerS",
    "Share",
    "SignedDurationNs",
]


def _signed_duration(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, str):
        raise ValueError('write a duration as text with its unit, such as "250ms" or "1.5s"')
    return parse_duration_ns(value)


def _duration(value: object) -> int:
    if (duration_ns := _signed_duration(value)) < 0:
        raise ValueError(f"{value!r} is negative; a duration here is zero or more")
    return duration_ns


def _positive_duration(value: object) -> int:
    if (duration_ns := _duration(value)) == 0:
        raise ValueError("must be longer than zero")
    return duration_ns


def _rate(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError('write a rate as text with its unit, such as "150/s"')
    return parse_rate(str(value))


def _bytes(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError('write a size as text with its unit, such as "32MB" or "4GiB"')
    return parse_bytes(value)


SignedDurationNs = Annotated[int, BeforeValidator(_signed_duration)]
DurationNs = Annotated[int, BeforeValidator(_duration)]
PositiveDurationNs = Annotated[int, BeforeValidator(_positive_duration)]
Bytes = Annotated[int, BeforeValidator(_bytes), Field(gt=0)]
RatePerS = Annotated[float, BeforeValidator(_rate)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]
QueueName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=128)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

CONFIG = ConfigDict(extra="forbid", strict=False, validate_default=False)
