"""Contradictions of user code and of the table ``[target]`` with the rest of a document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from perfkit.errors import Problem
from perfkit.scenario.raw import rows, table
from perfkit.scenario.target import is_absolute, is_secret_part
from perfkit.scenario.threshold import OWN

__all__ = ["is_http_system", "targeting"]

_OF_TEMPLATE: Final = ("method", "query", "body", "name")


def is_http_system(document: Mapping[str, Any]) -> bool:
    """Whether an application of somebody's own is loaded over HTTP."""
    return "system" in document and "target" in document


def targeting(document: Mapping[str, Any]) -> Iterator[Problem]:
    """Problems between ``load.user``, ``[target]`` and what they belong to."""
    load, target = table(document, "load"), table(document, "target")
    has_user, has_target = "user" in load, "target" in document
    if not (has_user or has_target):
        yield from _named_requests(document)
        return
    key = "load.user" if has_user else "target"
    if load.get("via") == "enqueue":
        yield Problem(
            key, 'has no meaning with via = "enqueue"', 'use via = "http", or leave it out'
        )
    if has_user:
        for name in _OF_TEMPLATE:
            if name in target:
                mend = "leave it out; the user's code says so itself"
                yield Problem(f"target.{name}", "has no meaning beside load.user", mend)
        if any(isinstance(each, dict) and "seeded" in each for each in _values(target, "headers")):
            mend = "set it in the user's code, from ctx.random"
            yield Problem("target.headers", "seeded headers belong to a template", mend)
    elif "url" not in target:
        mend = 'write url = "/orders", or "http://host:port/orders"'
        yield Problem("target.url", "missing: what is asked for", mend)
    yield from _url(str(target.get("url", "/")))
    yield from _query(str(target.get("url", "/")))
    yield from _application(document, target, has_user)
    if table(document, "redis").get("per_queue") is True and "system" in document:
        mend = "set redis.per_queue = false"
        yield Problem("redis.per_queue", "an application of yours has one server", mend)


def _values(place: Mapping[str, Any], key: str) -> list[Any]:
    value = place.get(key)
    return list(value.values()) if isinstance(value, dict) else []


def _url(url: str) -> Iterator[Problem]:
    if not is_absolute(url):
        if not url.startswith("/") or url.startswith("//"):
            mend = 'write "/orders", or "http://host:port/orders"'
            yield Problem("target.url", "is neither a path nor an absolute URL", mend)
        return
    try:
        parts = urlsplit(url)
        is_web = url.startswith(("http://", "https://"))
        known = is_web and bool(parts.hostname) and parts.port != 0
    except ValueError:
        parts, known = urlsplit(""), False
    if not known:
        # Not shown: it may hold a password that is not where one is looked for.
        yield Problem("target.url", "is no URL of a web server", "write http://host:port/path")
    elif parts.username or parts.password:
        mend = 'use headers = { Authorization = { env = "NAME" } }'
        yield Problem("target.url", "holds a user's name or password, and a scenario is kept", mend)


def _query(url: str) -> Iterator[Problem]:
    for name, value in parse_qsl(url.partition("?")[2]):
        if value and is_secret_part(name):
            what = f"its {name} may be a secret, and a scenario is kept"
            mend = (
                f'leave it out of the URL, and set target.query = {{ {name} = {{ env = "NAME" }} }}'
            )
            yield Problem("target.url", what, mend)


def _application(
    document: Mapping[str, Any], target: Mapping[str, Any], has_user: bool
) -> Iterator[Problem]:
    absolute = is_absolute(str(target.get("url", "/")))
    if "app" in target and "system" not in document:
        mend = 'add [system] with broker = "module:name"'
        yield Problem("target.app", "is part of an application, and none is named", mend)
    if "app" in target and absolute:
        mend = 'write a path, such as url = "/orders", or leave out app'
        yield Problem("target.url", "names a server, and target.app is another", mend)
    if "system" in document and "app" not in target and not absolute:
        mend = 'name its ASGI application: target.app = "shop.web:app"'
        yield Problem("target.app", "missing: where the application takes requests", mend)


def _named_requests(document: Mapping[str, Any]) -> Iterator[Problem]:
    for index, threshold in enumerate(rows(document, "threshold")):
        metric = str(threshold.get("metric"))
        if metric in ("checks", "journey", "raised") or metric.startswith(OWN):
            mend = 'set load.user = "journey.py:user"'
            yield Problem(f"threshold.{index}.metric", "is one of user code; there is none", mend)
