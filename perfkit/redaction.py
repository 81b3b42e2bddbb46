"""Secrets never reach a log, a manifest, a notebook or a report: texts pass here first."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

__all__ = ["redact", "redact_command"]

_BLOT: Final = "***"
# To the last "@" of the word, as URL parsers do and further: a password may itself hold "@", "/"
# or ":".
_IN_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^\s:@/]*):[^\s\"']*@")
_IN_QUERY = re.compile(r"([?&]password=)[^&\s#]*", re.IGNORECASE)
_SECRET = r"[A-Za-z0-9_.-]*(?:password|passwd|secret|token|api[-_]?key)[A-Za-z0-9_]*"
_ASSIGNED = re.compile(rf"({_SECRET}=)[^\s&\"']+", re.IGNORECASE)
_FLAG = re.compile(rf"--?{_SECRET}", re.IGNORECASE)


def redact(value: Any, *secrets: str) -> Any:
    """The value with every URL's password, and the given secrets, blotted out, however deep."""
    if isinstance(value, str):
        for secret in filter(None, secrets):
            value = value.replace(secret, _BLOT)
        return _IN_QUERY.sub(rf"\1{_BLOT}", _IN_URL.sub(rf"\1:{_BLOT}@", value))
    if isinstance(value, Mapping):
        return {key: redact(each, *secrets) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [redact(each, *secrets) for each in value]
    return value


def redact_command(command: Sequence[str]) -> list[str]:
    """A command line without passwords: in URLs, in ``password=...``, after ``--password``."""
    shown: list[str] = []
    for word in command:
        if shown and _FLAG.fullmatch(shown[-1]):
            shown.append(_BLOT)
        else:
            shown.append(_ASSIGNED.sub(rf"\1{_BLOT}", redact(word)))
    return shown
