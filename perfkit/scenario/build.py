"""Which build of the system runs: the table ``[build]``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from perfkit.scenario.fields import CONFIG

__all__ = ["Build", "placed"]

Named = Annotated[str, Field(min_length=1, pattern=r"^[^\x00]+$")]


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Build:
    """An interpreter and folders of its own for workers, ingest and whatever else imports the app.

    The instrument stays as it is. In a file, what is not absolute is beside the file.
    """

    python: Named | None = None
    """The interpreter; it needs dramatiq and what the application needs. None: perfkit's own."""
    path: tuple[Named, ...] = ()
    """Where modules are looked for first. Empty: as without a build; else PYTHONPATH is ignored."""
    folder: Named | None = None
    """Working directory of the processes. None: perfkit's own."""
    version: str = ""
    """What this build is called, such as a commit. Only recorded."""

    def placed(self) -> Build:
        """With absolute places, those that are not as seen from the working directory."""
        # A link is not followed: the name of an environment's interpreter is what it goes by.
        return Build(
            python=None if self.python is None else os.path.abspath(self.python),  # noqa: PTH100
            path=tuple(os.path.abspath(each) for each in self.path),  # noqa: PTH100
            folder=None if self.folder is None else os.path.abspath(self.folder),  # noqa: PTH100
            version=self.version,
        )


def placed(document: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A raw document in which the places of ``[build]`` are as seen from a folder."""
    build = document.get("build")
    if not isinstance(build, Mapping):
        return dict(document)
    changed = dict(build)
    for key in ("python", "folder"):
        if isinstance(given := build.get(key), str) and given:
            changed[key] = str(folder.absolute() / given)
    if isinstance(given := build.get("path"), list):
        changed["path"] = [
            str(folder.absolute() / each) if isinstance(each, str) and each else each
            for each in given
        ]
    return {**document, "build": changed}
