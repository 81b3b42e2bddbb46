"""The environment is read into frozen settings, or refused as a whole."""

from __future__ import annotations

import pytest

from workers import settings
from workers.settings import Settings, SettingsError

EVERY = {
    "REDIS_URL": "unix://:pw@/tmp/redis.sock?db=0",
    "REDIS_URLS": '{"payments": "redis://:pw@one:1/0"}',
    "GATEWAY_URL": "http://gateway:9000/v1",
    "GATEWAY_TIMEOUT_MS": "1500",
    "GATEWAY_BREAKER": "1",
    "GATEWAY_BREAKER_FAILURES": "7",
    "GATEWAY_BREAKER_RESET_MS": "250",
    "RETRY_MIN_BACKOFF_MS": "50",
    "MAX_RETRIES": "0",
    "INGEST_ENQUEUE": "inline",
    "SAMPLE_POISON": "1",
}


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_environment({}) == Settings()


def test_an_empty_variable_counts_as_not_set() -> None:
    assert Settings.from_environment(dict.fromkeys(EVERY, "")) == Settings()


def test_every_variable_is_read() -> None:
    assert Settings.from_environment(EVERY) == Settings(
        redis_url="unix://:pw@/tmp/redis.sock?db=0",
        redis_urls={"payments": "redis://:pw@one:1/0"},
        gateway_url="http://gateway:9000/v1",
        gateway_timeout_ms=1500,
        gateway_breaker=True,
        gateway_breaker_failures=7,
        gateway_breaker_reset_ms=250,
        retry_min_backoff_ms=50,
        max_retries=0,
        ingest_enqueue="inline",
        poison=True,
    )


def test_every_variable_is_listed_where_settings_are_explained() -> None:
    listed = {line.split(" ")[0] for line in str(settings.__doc__).splitlines() if "  " in line}
    assert set(EVERY) <= listed


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", "127.0.0.1:6379"),
        ("REDIS_URL", "redis://"),
        ("REDIS_URL", "redis://host:port/0"),
        ("REDIS_URL", "unix://"),
        ("REDIS_URLS", "redis://host/0"),
        ("REDIS_URLS", '["redis://host/0"]'),
        ("REDIS_URLS", '{"payments": 1}'),
        ("REDIS_URLS", '{"payments": ""}'),
        ("REDIS_URLS", '{"payments": "http://host"}'),
        ("GATEWAY_URL", "localhost"),
        ("GATEWAY_URL", "ftp://localhost"),
        ("GATEWAY_URL", "http://[::1"),
        ("GATEWAY_TIMEOUT_MS", "0"),
        ("GATEWAY_TIMEOUT_MS", "86400001"),
        ("GATEWAY_BREAKER", "yes"),
        ("GATEWAY_BREAKER_FAILURES", "0"),
        ("GATEWAY_BREAKER_RESET_MS", "0"),
        ("GATEWAY_BREAKER_RESET_MS", "86400001"),
        ("RETRY_MIN_BACKOFF_MS", "0"),
        ("RETRY_MIN_BACKOFF_MS", "1s"),
        ("RETRY_MIN_BACKOFF_MS", "²"),
        ("MAX_RETRIES", "-1"),
        ("INGEST_ENQUEUE", "async"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name}[^;]* must be [^;]*$"):
        Settings.from_environment({name: value})


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(SettingsError, match=r"REDIS_URL.*MAX_RETRIES|MAX_RETRIES.*REDIS_URL"):
        Settings.from_environment({"REDIS_URL": "x", "MAX_RETRIES": "many"})


def test_a_password_is_neither_printed_nor_put_into_an_error() -> None:
    assert "hunter2" not in repr(Settings.from_environment({"REDIS_URL": "redis://:hunter2@h/0"}))
    several = {"REDIS_URLS": '{"mail": "redis://:hunter2@h/0"}'}
    assert "hunter2" not in repr(Settings.from_environment(several))
    for wrong in (
        {"REDIS_URL": "rdis://:hunter2@h/0"},
        {"REDIS_URLS": '{"mail": "rdis://:hunter2@h/0"}'},
        {"REDIS_URLS": "redis://:hunter2@h/0"},
    ):
        with pytest.raises(SettingsError) as refused:
            Settings.from_environment(wrong)
        assert "hunter2" not in str(refused.value)
