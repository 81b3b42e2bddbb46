"""Whom the requests of a load go to, and what they are: the table ``[target]``.

Without ``load.user`` it is a template: every request is this one, with what is drawn in it. With it
user code makes the requests, and ``url``, ``headers`` and ``job_id`` hold for all of them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from perfkit.redaction import redact, spellings
from perfkit.scenario.arguments import Argument
from perfkit.scenario.fields import CONFIG, Bytes
from perfkit.scenario.system import Dotted

__all__ = ["JobId", "Target", "UserName", "is_absolute", "is_secret_name", "is_secret_part"]

_LEAST: Final = 4
_SECRET: Final = re.compile(
    r"auth|cookie|token|secret|passw|api[-_]?key|credential|session|signature", re.IGNORECASE
)
_SECRET_PART: Final = re.compile(
    r"authorization|token|secret|passw|api[-_]?key|credential|private[-_]?key", re.IGNORECASE
)
_VARIABLE: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

UserName = Annotated[str, Field(pattern=rf"^({Dotted}|[\w./-]+\.py):{Dotted}$")]
"""``module:function``, or a file beside the scenario's: ``journey.py:user``."""


def is_secret_name(name: str) -> bool:
    """Whether a header of this name is likely to hold a secret."""
    return bool(_SECRET.search(name))


def is_secret_part(name: str) -> bool:
    """Whether a field of a query or a body is likely to hold a secret; it has more names."""
    return bool(_SECRET_PART.search(name))


def is_absolute(url: str) -> bool:
    """Whether a URL says whom to ask; a path does not, though its query may hold such a URL."""
    return "://" in url and not url.startswith("/")


def _is_variable(value: Any) -> bool:
    return isinstance(value, Mapping) and set(value) == {"env"}


def _fields(given: Any) -> Any:
    """A query or a body without a secret that would be kept with the scenario.

    Raises:
        ValueError: a field is likely to hold one, or names no variable. Its value is not repeated.
    """
    if isinstance(given, str) and redact(given) != given:
        raise ValueError('it may hold a secret, and a scenario is kept; write { env = "NAME" }')
    for name, value in _pairs(given):
        if _is_variable(value):
            if not _VARIABLE.fullmatch(str(value["env"])):
                raise ValueError(f'{name} is {{ env = "NAME" }}, with the name of a variable')
        elif isinstance(value, str) and value and is_secret_part(name):
            raise ValueError(
                f'{name} may be a secret, and a scenario is kept; write {{ env = "NAME" }}'
            )
        else:
            _fields(value)
    return given


def _pairs(given: Any) -> list[tuple[str, Any]]:
    """What is one level down; what is drawn has no level below."""
    if isinstance(given, Mapping) and "seeded" not in given:
        return [("it", given)] if _is_variable(given) else [(str(k), v) for k, v in given.items()]
    return [("", each) for each in given] if isinstance(given, list | tuple) else []


def _named(place: str, value: Any) -> Iterator[tuple[str, str]]:
    """Place -> variable, of every one in a value."""
    if _is_variable(value):
        yield place, str(value["env"])
        return
    if isinstance(value, Mapping) and "seeded" not in value:
        for name, each in value.items():
            yield from _named(f"{place}.{name}", each)
    elif isinstance(value, list | tuple):
        for index, each in enumerate(value):
            yield from _named(f"{place}.{index}", each)


def _headers(given: dict[str, Any]) -> dict[str, Any]:
    for name, value in given.items():
        if not _TOKEN.fullmatch(name):
            raise ValueError("a header's name is letters, digits and hyphens")
        if isinstance(value, Mapping) and "env" in value:
            if not (_is_variable(value) and _VARIABLE.fullmatch(str(value["env"]))):
                raise ValueError(f'{name} is {{ env = "NAME" }}, with the name of a variable')
        elif isinstance(value, Mapping) and "seeded" in value:
            continue
        elif not isinstance(value, str) or not value.isprintable() or not value.isascii():
            raise ValueError(f"{name} is one line of ASCII text, env or seeded")
        elif is_secret_name(name):
            # Not even in the message: what follows would show it.
            raise ValueError(
                f'{name} may be a secret, and a scenario is kept; write {{ env = "NAME" }}'
            )
    return given


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class JobId:
    """Where a reply says which job it made; ``requests``: names of those that make one."""

    header: Annotated[str | None, Field(min_length=1)] = None
    pointer: Annotated[str | None, Field(pattern="^(/.*)?$")] = None
    requests: tuple[Annotated[str, Field(min_length=1)], ...] = ()

    def __post_init__(self) -> None:
        if (self.header is None) == (self.pointer is None):
            raise ValueError('is either { header = "X-Job-Id" } or { pointer = "/id" }')


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Target:
    """An HTTP target.

    ``url`` is absolute, or a path of the application's own way in; that is ``app``, an ASGI
    application which perfkit serves beside the workers (the sample brings one). Answered with 2xx,
    a request is accepted. A value that is not known to the file comes from the environment.
    """

    url: Annotated[str, Field(min_length=1)] = "/"
    app: Annotated[str | None, Field(pattern=rf"^{Dotted}:{Dotted}$")] = None
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] = "GET"
    name: Annotated[str | None, Field(min_length=1, max_length=200)] = None
    headers: Annotated[dict[str, Argument], AfterValidator(_headers)] = Field(default_factory=dict)
    query: Annotated[dict[str, Argument], AfterValidator(_fields)] = Field(default_factory=dict)
    body: Annotated[Argument, AfterValidator(_fields)] = None
    job_id: JobId | None = None
    body_limit_bytes: Bytes = Field(default=16 << 20, alias="body_limit")

    @property
    def is_absolute(self) -> bool:
        """Whether the URL says whom to ask, and not only what."""
        return is_absolute(self.url)

    @property
    def origin(self) -> str:
        """Scheme, host and port of an absolute URL, to be shown; empty of a path."""
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://{re.split('[/?#]', rest, maxsplit=1)[0]}" if self.is_absolute else ""

    @property
    def variables(self) -> dict[str, str]:
        """Place, such as ``headers.Authorization`` -> variable that its value comes from."""
        parts = (("headers", self.headers), ("query", self.query), ("body", self.body))
        return {place: name for part, value in parts for place, name in _named(part, value)}

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values to be blotted out of texts, as far as they are set."""
        found = (os.environ.get(name, "") for name in self.variables.values())
        return tuple(way for value in found if len(value) >= _LEAST for way in spellings(value))
