"""What the environment says, read once per process.

REDIS_URL                 redis://127.0.0.1:6379/0   also rediss:// and unix://
REDIS_URLS                                           {"queue": "redis://...", ...}: queues that have
                                                     a server of their own (see `broker`)
GATEWAY_URL               http://127.0.0.1:8081      where the actors call
GATEWAY_TIMEOUT_MS        30000                      how long a call waits for its answer
GATEWAY_BREAKER           0                          1: a circuit breaker before it (see `breaker`)
GATEWAY_BREAKER_FAILURES  5                          failed calls in a row that open it
GATEWAY_BREAKER_RESET_MS  5000                       how long it stays open before it tries a call
RETRY_MIN_BACKOFF_MS      1000                       first backoff; each further one is doubled
MAX_RETRIES               5                          attempts after the first, then dead letter
INGEST_ENQUEUE            thread                     thread, or inline (see `ingest`)
SAMPLE_POISON             0                          1: a job may kill its worker (see `actors`)
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, cast
from urllib.parse import urlsplit

__all__ = ["SETTINGS", "Settings", "SettingsError"]

EnqueueMode = Literal["inline", "thread"]
_REDIS: Final = "redis://127.0.0.1:6379/0"
_REDIS_SCHEMES: Final = ("redis", "rediss", "unix")
# Dramatiq delays no message by more than a week; twice this stays below.
DAY_MS: Final = 86_400_000


class SettingsError(ValueError):
    """Environment variables that can't be used, all of them at once."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The application's settings; the URLs of Redis may carry passwords and are never printed."""

    redis_url: str = field(default=_REDIS, repr=False)
    redis_urls: Mapping[str, str] = field(default_factory=dict, repr=False)
    gateway_url: str = "http://127.0.0.1:8081"
    retry_min_backoff_ms: int = 1000
    max_retries: int = 5
    ingest_enqueue: EnqueueMode = "thread"
    gateway_timeout_ms: int = 30_000
    gateway_breaker: bool = False
    gateway_breaker_failures: int = 5
    gateway_breaker_reset_ms: int = 5000
    poison: bool = False

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Settings:
        """Read and check the variables; an empty one counts as not set.

        Raises:
            SettingsError: naming every variable that is wrong and what it may be.
        """
        problems: list[str] = []

        def checked(name: str, value: str, example: str, schemes: tuple[str, ...]) -> str:
            try:
                parts = urlsplit(value)
                _ = parts.port  # raises for a port that is no number
            except ValueError:
                parts = urlsplit("")
            place = parts.path if parts.scheme == "unix" else parts.hostname
            if parts.scheme not in schemes or not place:
                # The value itself may hold a password, so it is not repeated.
                expected = ", ".join(f"{scheme}://" for scheme in schemes)
                problems.append(f"{name} must be a URL starting with {expected}, as in {example}")
            return value

        def url(name: str, default: str, schemes: tuple[str, ...]) -> str:
            return checked(name, environ.get(name) or default, default, schemes)

        def redis_urls(name: str) -> dict[str, str]:
            try:
                urls = json.loads(environ.get(name) or "{}")
            except ValueError:
                urls = None
            if not isinstance(urls, dict) or not all(isinstance(u, str) for u in urls.values()):
                problems.append(f'{name} must be a JSON object, as in {{"payments": "{_REDIS}"}}')
                return {}
            return {
                queue: checked(f"{name} of {queue!r}", given, _REDIS, _REDIS_SCHEMES)
                for queue, given in urls.items()
            }

        def integer(name: str, default: int, least: int, most: int | None = None) -> int:
            value = environ.get(name) or str(default)
            whole = value.isascii() and value.isdigit()
            if not whole or int(value) < least or (most is not None and int(value) > most):
                limit = "" if most is None else f" to {most}"
                problems.append(f"{name}={value!r} must be a whole number from {least}{limit}")
                return default
            return int(value)

        def switch(name: str) -> bool:
            value = environ.get(name) or "0"
            if value not in ("0", "1"):
                problems.append(f"{name}={value!r} must be '0' or '1'")
            return value == "1"

        mode = environ.get("INGEST_ENQUEUE") or "thread"
        if mode not in ("inline", "thread"):
            problems.append(f"INGEST_ENQUEUE={mode!r} must be 'inline' or 'thread'")
        settings = cls(
            redis_url=url("REDIS_URL", _REDIS, _REDIS_SCHEMES),
            redis_urls=redis_urls("REDIS_URLS"),
            gateway_url=url("GATEWAY_URL", "http://127.0.0.1:8081", ("http", "https")),
            # Dramatiq takes a backoff of 0 for "not given" and would wait 15 s.
            retry_min_backoff_ms=integer("RETRY_MIN_BACKOFF_MS", 1000, 1),
            max_retries=integer("MAX_RETRIES", 5, 0),
            ingest_enqueue=cast(EnqueueMode, mode),
            gateway_timeout_ms=integer("GATEWAY_TIMEOUT_MS", 30_000, 1, DAY_MS),
            gateway_breaker=switch("GATEWAY_BREAKER"),
            gateway_breaker_failures=integer("GATEWAY_BREAKER_FAILURES", 5, 1),
            gateway_breaker_reset_ms=integer("GATEWAY_BREAKER_RESET_MS", 5000, 1, DAY_MS),
            poison=switch("SAMPLE_POISON"),
        )
        if problems:
            raise SettingsError("; ".join(problems))
        return settings


SETTINGS: Final = Settings.from_environment(os.environ)
