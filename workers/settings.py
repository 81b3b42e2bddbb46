"""What the environment says, read once per process.

REDIS_URL             redis://127.0.0.1:6379/0   also rediss:// and unix://
GATEWAY_URL           http://127.0.0.1:8081      where the actors call
RETRY_MIN_BACKOFF_MS  1000                       first backoff; each further one is doubled
MAX_RETRIES           5                          attempts after the first, then dead letter
INGEST_ENQUEUE        thread                     thread, or inline (see `ingest`)
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, cast
from urllib.parse import urlsplit

__all__ = ["SETTINGS", "Settings", "SettingsError"]

EnqueueMode = Literal["inline", "thread"]


class SettingsError(ValueError):
    """Environment variables that can't be used, all of them at once."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The application's settings; ``redis_url`` may carry a password and is never printed."""

    redis_url: str = field(default="redis://127.0.0.1:6379/0", repr=False)
    gateway_url: str = "http://127.0.0.1:8081"
    retry_min_backoff_ms: int = 1000
    max_retries: int = 5
    ingest_enqueue: EnqueueMode = "thread"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Settings:
        """Read and check the variables; an empty one counts as not set.

        Raises:
            SettingsError: naming every variable that is wrong and what it may be.
        """
        problems: list[str] = []

        def url(name: str, default: str, schemes: tuple[str, ...]) -> str:
            value = environ.get(name) or default
            try:
                parts = urlsplit(value)
                _ = parts.port  # raises for a port that is no number
            except ValueError:
                parts = urlsplit("")
            place = parts.path if parts.scheme == "unix" else parts.hostname
            if parts.scheme not in schemes or not place:
                # The value itself may hold a password, so it is not repeated.
                expected = ", ".join(f"{scheme}://" for scheme in schemes)
                problems.append(f"{name} must be a URL starting with {expected}, as in {default}")
            return value

        def integer(name: str, default: int, least: int) -> int:
            value = environ.get(name) or str(default)
            if not value.isascii() or not value.isdigit() or int(value) < least:
                problems.append(f"{name}={value!r} must be a whole number from {least}")
                return default
            return int(value)

        mode = environ.get("INGEST_ENQUEUE") or "thread"
        if mode not in ("inline", "thread"):
            problems.append(f"INGEST_ENQUEUE={mode!r} must be 'inline' or 'thread'")
        settings = cls(
            redis_url=url("REDIS_URL", "redis://127.0.0.1:6379/0", ("redis", "rediss", "unix")),
            gateway_url=url("GATEWAY_URL", "http://127.0.0.1:8081", ("http", "https")),
            # Dramatiq takes a backoff of 0 for "not given" and would wait 15 s.
            retry_min_backoff_ms=integer("RETRY_MIN_BACKOFF_MS", 1000, 1),
            max_retries=integer("MAX_RETRIES", 5, 0),
            ingest_enqueue=cast(EnqueueMode, mode),
        )
        if problems:
            raise SettingsError("; ".join(problems))
        return settings


SETTINGS: Final = Settings.from_environment(os.environ)
