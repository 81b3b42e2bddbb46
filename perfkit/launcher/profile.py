"""A Redis profile: what its file asks for, and what a server made of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from perfkit.errors import UsageError
from perfkit.paths import profile_path, profiles
from perfkit.units import format_count

__all__ = ["Profile", "most_clients"]

_SIZE = re.compile(r"(\d+)(k|kb|m|mb|g|gb)?", re.IGNORECASE)
_UNITS: Final = {"": 1, "k": 10**3, "kb": 2**10, "m": 10**6, "mb": 2**20, "g": 10**9, "gb": 2**30}


@dataclass(frozen=True, slots=True)
class Profile:
    """A file of ``stack/redis``: its name, its text, and the settings in it by name."""

    name: str
    text: str = field(repr=False)
    settings: Mapping[str, str]

    @classmethod
    def load(cls, name: str) -> Profile:
        """The profile of this name.

        Raises:
            UsageError: there is none.
        """
        path = profile_path(name)
        if not path.is_file():
            raise UsageError(
                f"there is no Redis profile {name!r}", f"known are {', '.join(profiles())}"
            )
        text = path.read_text(encoding="utf-8")
        lines = (line.strip() for line in text.splitlines())
        settings = dict(line.split(None, 1) for line in lines if line and not line.startswith("#"))
        return cls(name, text, {key: value.strip('"') for key, value in settings.items()})

    def with_settings(self, settings: Mapping[str, str]) -> Profile:
        """The same with settings that overrule its own; of two in a file the later one counts."""
        added = "".join(f"\n{key} {value}" for key, value in settings.items())
        return Profile(self.name, self.text + added, {**self.settings, **settings})

    @property
    def persistent(self) -> bool:
        """Whether it writes what it holds to a disk."""
        return self.settings.get("appendonly") == "yes" or self.settings.get("save") != ""

    def shortfalls(self, config: Mapping[str, str]) -> Iterator[str]:
        """What the server runs with although the profile asks for something else, in words.

        ``config`` is what it says of itself; a setting it does not tell is passed over.
        """
        for key, asked in self.settings.items():
            got = config.get(key)
            if got is None or _meaning(got) == _meaning(asked):
                continue
            if key == "maxclients":
                yield (
                    f"the profile {self.name} asks for {_shown(asked)} clients, the server allows "
                    f"{_shown(got)}: the hard limit of open files (ulimit -Hn) is too low for more"
                )
            else:
                yield f"the profile {self.name} asks for {key} {asked}, the server has {got}"


def most_clients() -> tuple[str, int]:
    """The profile that asks for the most clients, and how many."""
    asked = {name: Profile.load(name).settings.get("maxclients", "0") for name in profiles()}
    name = max(asked, key=lambda each: int(asked[each]))
    return name, int(asked[name])


def _meaning(value: str) -> str | int:
    """``4gb`` and ``4294967296`` are the same."""
    match = _SIZE.fullmatch(value)
    return value if match is None else int(match[1]) * _UNITS[(match[2] or "").lower()]


def _shown(number: str) -> str:
    return format_count(int(number)) if number.isdigit() else number
