"""What a requirements file of pip reaches: other such files, and folders of its own version.

Only as much of the format is read as decides whether two versions ask for the same environment, and
whether it may be kept; pip reads the rest. See tests/api/test_requirements.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["included", "names_a_path"]

_INCLUDING: Final = ("--requirement", "--constraint", "-r", "-c")
_ARCHIVES: Final = (".whl", ".zip", ".tar.gz")
_EDITABLE: Final = ("--editable", "-e")


def included(file: Path) -> tuple[Path, ...]:
    """The file and those it includes by ``-r`` and ``-c``, directly or not; each of them once."""
    found: dict[Path, None] = {}
    waiting = [file.absolute()]
    while waiting:
        path = waiting.pop()
        if path in found or not path.is_file():
            continue
        found[path] = None
        named = (_argument(line, _INCLUDING) for line in _lines(path))
        waiting += [(path.parent / each).absolute() for each in named if each and "://" not in each]
    return tuple(found)


def names_a_path(file: Path) -> bool:
    """Whether something that is installed is a file or folder, and so may be of the version."""
    return any(_is_path(line) for path in included(file) for line in _lines(path))


def _lines(file: Path) -> Iterator[str]:
    """Without comments, and with the lines joined that a backslash breaks."""
    text = file.read_text(encoding="utf-8", errors="replace").replace("\\\n", " ")
    for line in text.splitlines():
        if line := f" {line}".partition(" #")[0].strip():
            yield line


def _argument(line: str, options: tuple[str, ...]) -> str | None:
    """Of an option, written as ``-r FILE``, ``-rFILE``, ``--requirement FILE`` or with ``=``."""
    for option in options:
        rest = line.removeprefix(option)
        if rest != line and (not option.startswith("--") or rest[:1] in ("", " ", "\t", "=")):
            return rest.lstrip(" \t=").strip("'\"")
    return None


def _is_path(line: str) -> bool:
    if _argument(line, _EDITABLE) is not None:
        return True
    if line.startswith("-"):
        return False
    wanted = line.split()[0]
    return (
        "file:" in line
        or wanted.startswith((".", "/", "~"))
        or (wanted.endswith(_ARCHIVES) and "://" not in wanted)
        or ("/" in wanted.partition("@")[0] and "://" not in wanted)
    )
