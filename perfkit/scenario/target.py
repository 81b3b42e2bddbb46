"""Whom the requests of a load go to, and what they are: the table ``[target]``.

Without ``load.user`` it is a template: every request is this one, with what is drawn in it. With it
user code makes the requests, and ``url``, ``headers`` and ``job_id`` hold for all of them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from perfkit.scenario.arguments import Argument
from perfkit.scenario.fields import CONFIG, Bytes
from perfkit.scenario.system import Dotted

__all__ = ["JobId", "Target", "UserName", "is_secret_name"]

_LEAST: Final = 4
_SECRET: Final = re.compile(
    r"auth|cookie|token|secret|passw|api[-_]?key|credential|session|signature", re.IGNORECASE
)
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

UserName = Annotated[str, Field(pattern=rf"^({Dotted}|[\w./-]+\.py):{Dotted}$")]
"""``module:function``, or a file beside the scenario's: ``journey.py:user``."""


def is_secret_name(name: str) -> bool:
    """Whether a header of this name is likely to hold a secret."""
    return bool(_SECRET.search(name))


def _headers(given: dict[str, Any]) -> dict[str, Any]:
    for name, value in given.items():
        if not _TOKEN.fullmatch(name):
            raise ValueError("a header's name is letters, digits and hyphens")
        if isinstance(value, Mapping) and "env" in value:
            if set(value) != {"env"} or not re.fullmatch(r"[A-Za-z_]\w*", str(value["env"])):
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
    query: dict[str, Argument] = Field(default_factory=dict)
    body: Argument = None
    job_id: JobId | None = None
    body_limit_bytes: Bytes = Field(default=16 << 20, alias="body_limit")

    @property
    def is_absolute(self) -> bool:
        """Whether the URL says whom to ask, and not only what."""
        return "://" in self.url

    @property
    def variables(self) -> dict[str, str]:
        """Header -> variable of the environment that it comes from."""
        return {
            name: str(value["env"])
            for name, value in self.headers.items()
            if isinstance(value, Mapping) and "env" in value
        }

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values to be blotted out of texts, as far as they are set."""
        found = (os.environ.get(name, "") for name in self.variables.values())
        return tuple(value for value in found if len(value) >= _LEAST)
