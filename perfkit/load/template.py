"""A user that makes one request, as a scenario describes it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, Final

import httpx

from perfkit.errors import UsageError
from perfkit.load.context import Context
from perfkit.load.spec import JourneySpec
from perfkit.load.usercode import UserFunction
from perfkit.recorder.draws import drawn, is_drawn
from perfkit.redaction import spellings

__all__ = ["fixed_headers", "secrets_of", "template_user"]

_LEAST: Final = 4


def template_user(spec: JourneySpec) -> UserFunction:
    """The coroutine function of a template; what is drawn depends on the request's key alone."""
    name = {"name": spec.name}
    query = {each: _resolved(f"query.{each}", value) for each, value in spec.query.items()}
    in_url = httpx.URL(spec.url).params.multi_items()
    body = _resolved("body", spec.body)
    headers = {each: value for each, value in spec.headers.items() if is_drawn(value)}

    async def user(client: httpx.AsyncClient, ctx: Context) -> None:
        key = ctx.key
        given: dict[str, Any] = {}
        if headers:
            given["headers"] = {
                each: str(drawn(value, key, "headers", each)) for each, value in headers.items()
            }
        if query:
            # What httpx is given takes the place of what the URL has.
            given["params"] = [
                *in_url,
                *((each, drawn(value, key, "query", each)) for each, value in query.items()),
            ]
        if isinstance(body, str):
            given["content"] = body
        elif body is not None:
            given["json"] = drawn(body, key, "body")
        try:
            await client.request(spec.method, spec.url, extensions=dict(name), **given)
        except httpx.TransportError:
            return  # its row says so; there is no code of a user's that failed

    return user


def fixed_headers(spec: JourneySpec) -> dict[str, str]:
    """The headers that every request has, those from the environment included.

    Raises:
        UsageError: a variable of the environment is missing.
    """
    return {
        name: str(_resolved(f"headers.{name}", value))
        for name, value in spec.headers.items()
        if not is_drawn(value)
    }


def secrets_of(spec: JourneySpec) -> tuple[str, ...]:
    """What came from the environment, to be blotted out wherever it may come up."""
    named = {name for part in (spec.headers, spec.query, spec.body) for name in _variables(part)}
    values = (os.environ.get(name, "") for name in sorted(named))
    return tuple(way for value in values if len(value) >= _LEAST for way in spellings(value))


def _variables(value: Any) -> Iterator[str]:
    if _is_env(value):
        yield value["env"]
    elif isinstance(value, Mapping | list | tuple):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _variables(each)


def _resolved(place: str, value: Any) -> Any:
    """The value with what comes from the environment."""
    if _is_env(value):
        found = os.environ.get(value["env"])
        if found is None:
            what = f"target.{place} is the variable {value['env']}, which is not set"
            raise UsageError(what, f"export {value['env']}=...")
        return found
    if isinstance(value, Mapping):
        return {name: _resolved(f"{place}.{name}", each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_resolved(f"{place}.{index}", each) for index, each in enumerate(value)]
    return value


def _is_env(value: Any) -> bool:
    return isinstance(value, Mapping) and set(value) == {"env"}
