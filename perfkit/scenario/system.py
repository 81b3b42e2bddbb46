"""Somebody's own application as the system under test: the table ``[system]``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field
from pydantic.dataclasses import dataclass

from perfkit.scenario.fields import CONFIG

__all__ = ["BLOT", "System", "blotted", "environment_of"]

BLOT: Final = "***"
_LEAST: Final = 4

Dotted = r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*"


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError('a variable of an environment is text; write it in quotes, such as "4"')
    return value


Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class System:
    """An application: its broker as ``module:name``, and what is added to its environment.

    It is looked for in the folder of the scenario's file, then in the working directory. Values of
    ``env`` may be secret, so none is shown or stored: only their names are.
    """

    broker: Annotated[str, Field(pattern=rf"^{Dotted}:{Dotted}$")]
    env: dict[Variable, Annotated[str, BeforeValidator(_text)]] = Field(
        default_factory=dict, repr=False
    )

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values to be blotted out of texts; one or two letters would blot out half of each."""
        return tuple(value for value in self.env.values() if len(value) >= _LEAST)


def environment_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """What a raw document adds to the environment; empty where it has the wrong shape."""
    system = document.get("system")
    env = system.get("env") if isinstance(system, Mapping) else None
    return dict(env) if isinstance(env, Mapping) else {}


def blotted(document: Mapping[str, Any], text: str = "") -> tuple[dict[str, Any], str]:
    """A document and the text it was read from, fit to be shown and stored.

    Values of ``system.env`` become ``***``; of the text, which may write them in many ways, nothing
    is kept then but the document as JSON.
    """
    env = environment_of(document)
    if not env:
        return dict(document), text
    system = {**document["system"], "env": dict.fromkeys(env, BLOT)}
    shown = {**document, "system": system}
    if not text:
        return shown, text
    note = "# The file's own text is not kept, since it holds values of system.env. It said:\n"
    return shown, note + re.sub(r"(?m)^", "# ", json.dumps(shown, indent=1, default=str))
