"""Secrets never reach a log, a manifest, a notebook or a report: texts pass here first."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, quote_plus

__all__ = ["redact", "redact_command", "redact_files", "spellings"]

_BLOT: Final = "***"
_WORD = re.compile(r"[^\s\"']+")
_USER = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}://[^:@/]{0,256}:")
_IN_QUERY = re.compile(r"([?&]password=)[^&\s#]*", re.IGNORECASE)
# Repetitions have limits, so that a search takes time in proportion to the text.
_SECRET = r"(?:password|passwd|secret|token|api[-_]?key)[A-Za-z0-9_]{0,64}"
_ASSIGNED = re.compile(rf"({_SECRET}=)[^\s&\"']+", re.IGNORECASE)
_QUOTED = re.compile(rf"({_SECRET}[\"']?\s*[=:]\s*)([\"'])[^\"'\n]+\2", re.IGNORECASE)
_NAME = re.compile(rf"[A-Za-z0-9_.-]{{0,64}}{_SECRET}", re.IGNORECASE)
_FLAG = re.compile(rf"--?{_NAME.pattern}", re.IGNORECASE)
# The environment of a system under test: any of it may be secret, whatever its name.
_ENVIRONMENT = re.compile(r"(\bsystem\.env(?:\.\w+)?\s*=).*", re.DOTALL)


def redact(value: Any, *secrets: str) -> Any:
    """The value with its secrets blotted out, however deep it is.

    Those are the passwords of URLs, what is assigned to a name such as ``token`` or
    ``DB_PASSWORD``, in a text or as a key, and the given ones.
    """
    if isinstance(value, str):
        for secret in filter(None, secrets):
            value = value.replace(secret, _BLOT)
        shown = _IN_QUERY.sub(rf"\1{_BLOT}", _WORD.sub(_without_password, value))
        return _QUOTED.sub(rf"\1\2{_BLOT}\2", _ASSIGNED.sub(rf"\1{_BLOT}", shown))
    if isinstance(value, Mapping):
        return {
            key: _BLOT if _names_secret(key, each) else redact(each, *secrets)
            for key, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [redact(each, *secrets) for each in value]
    return value


def _without_password(word: re.Match[str]) -> str:
    """A word without the password of its URL.

    It ends at the last "@", as URL parsers say and further: it may itself hold "@", "/" or ":".
    """
    text = word[0]
    if (end := text.rfind("@")) < 0 or (user := _USER.search(text, 0, end)) is None:
        return text
    return f"{text[: user.end()]}{_BLOT}{text[end:]}"


def spellings(secret: str) -> tuple[str, ...]:
    """The ways in which a request or its reader may write a secret.

    As it is, in a URL, in a form, in JSON, and as Python shows text and bytes in logs.
    """
    ways = (
        secret,
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
        repr(secret.encode())[2:-1],
    )
    # The longest first: one may be a part of another.
    return tuple(sorted(dict.fromkeys(ways), key=len, reverse=True))


def redact_command(command: Sequence[str]) -> list[str]:
    """A command line without secrets, also where they follow a flag such as ``--password``."""
    shown: list[str] = []
    for word in command:
        if shown and _FLAG.fullmatch(shown[-1]):
            shown.append(_BLOT)
        else:
            shown.append(_ENVIRONMENT.sub(rf"\1{_BLOT}", redact(word)))
    return shown


def _names_secret(key: Any, value: Any) -> bool:
    return isinstance(key, str) and isinstance(value, str) and bool(_NAME.fullmatch(key) and value)


def redact_files(folder: Path, secrets: Sequence[str]) -> None:
    """Blot the secrets out of every file of a folder, such as logs that others have written."""
    for path in folder.glob("*") if any(secrets) else ():
        text = path.read_bytes()
        shown = text
        for secret in filter(None, secrets):
            shown = shown.replace(secret.encode(), _BLOT.encode())
        if shown != text:
            path.write_bytes(shown)
