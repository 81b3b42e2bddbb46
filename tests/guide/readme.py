"""The README as a program reads it: its commands, its examples."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

__all__ = ["COMMANDS", "README", "ROOT", "SCENARIOS", "fenced"]

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SCENARIOS = (ROOT / "perfkit" / "builtin" / "README.md").read_text(encoding="utf-8")

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def fenced(language: str, page: str = README) -> list[str]:
    """The fenced blocks of a language, in order; "" for those of none."""
    return [text for kind, text in _FENCE.findall(page) if kind == language]


def _commands() -> list[str]:
    """Every command, once: the lines of ``sh`` blocks, and those after a ``$`` in plain ones.

    Lines that end in a backslash go on in the next; comments are left out.
    """
    lines = [line for block in fenced("sh") for line in block.replace("\\\n", " ").splitlines()]
    plain = [line for block in fenced("") for line in block.splitlines()]
    lines += [line.removeprefix("$ ") for line in plain if line.startswith("$ ")]
    commands = (shlex.join(shlex.split(line, comments=True)) for line in lines)
    return list(dict.fromkeys(command for command in commands if command))


COMMANDS = _commands()
