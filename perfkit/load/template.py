"""A user that makes one request, as a scenario describes it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

import httpx

from perfkit.errors import UsageError
from perfkit.load.context import Context
from perfkit.load.spec import JourneySpec
from perfkit.load.usercode import UserFunction
from perfkit.recorder.draws import drawn, is_drawn

__all__ = ["fixed_headers", "secrets_of", "template_user"]

_LEAST: Final = 4


def template_user(spec: JourneySpec) -> UserFunction:
    """The coroutine function of a template; what is drawn depends on the request's key alone."""
    name = {"name": spec.name}
    headers = {each: value for each, value in spec.headers.items() if is_drawn(value)}

    async def user(client: httpx.AsyncClient, ctx: Context) -> None:
        key = ctx.key
        given: dict[str, Any] = {}
        if headers:
            given["headers"] = {
                each: str(drawn(value, key, "headers", each)) for each, value in headers.items()
            }
        if spec.query:
            given["params"] = {
                each: drawn(value, key, "query", each) for each, value in spec.query.items()
            }
        if isinstance(spec.body, str):
            given["content"] = spec.body
        elif spec.body is not None:
            given["json"] = drawn(spec.body, key, "body")
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
        name: _value(name, value) for name, value in spec.headers.items() if not is_drawn(value)
    }


def secrets_of(spec: JourneySpec) -> tuple[str, ...]:
    """What came from the environment, to be blotted out wherever it may come up."""
    named = (each["env"] for each in spec.headers.values() if _is_env(each))
    values = (os.environ.get(name, "") for name in named)
    return tuple(value for value in values if len(value) >= _LEAST)


def _value(name: str, value: Any) -> str:
    if not _is_env(value):
        return str(value)
    found = os.environ.get(value["env"])
    if found is None:
        what = f"the header {name} is the variable {value['env']}, which is not set"
        raise UsageError(what, f"export {value['env']}=...")
    return found


def _is_env(value: Any) -> bool:
    return isinstance(value, Mapping) and "env" in value
