"""The packages perfkit stands on, as its own installed distribution lists them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import Final, NamedTuple

__all__ = ["needed_packages", "relevant_packages"]

_SERVERS: Final = frozenset({"redis", "valkey", "bundled"})
"""Extras that bring a server; the tools of a developer change no figure."""

_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_EXTRA: Final = re.compile(r"extra\s*==\s*['\"]([^'\"]+)['\"]")


class _Requirement(NamedTuple):
    package: str
    conditional: bool  # on the platform, on the Python, or on an extra
    extra: str | None


def needed_packages(requirements: Sequence[str] | None = None) -> tuple[str, ...]:
    """What must be installed whatever the platform is; nothing where perfkit itself is not."""
    return tuple(sorted({each.package for each in _parsed(requirements) if not each.conditional}))


def relevant_packages(requirements: Sequence[str] | None = None) -> tuple[str, ...]:
    """Packages whose version can change a figure, or the reading of one: servers included."""
    return tuple(
        sorted(
            {
                each.package
                for each in _parsed(requirements)
                if each.extra is None or each.extra in _SERVERS
            }
        )
    )


def _parsed(requirements: Sequence[str] | None) -> Iterator[_Requirement]:
    if requirements is None:
        try:
            requirements = metadata.requires("perfkit") or ()
        except metadata.PackageNotFoundError:
            requirements = ()
    for text in requirements:
        name = _NAME.match(text.strip())
        _, semicolon, marker = text.partition(";")
        extra = _EXTRA.search(marker)
        if name is not None:
            yield _Requirement(name[0], bool(semicolon), extra and extra[1])
