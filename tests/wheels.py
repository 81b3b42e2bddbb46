"""Packages made by hand, so that pip has something to install and needs no network."""

from __future__ import annotations

import sysconfig
import zipfile
from pathlib import Path

__all__ = ["BACKEND", "BORROWED", "borrowed", "write_wheel"]

BORROWED = "borrowed"
"""A package whose environment finds the packages of this one."""

BACKEND = f"""
import pathlib, sys
sys.path.append({str(Path(__file__).parent)!r})
from wheels import write_wheel


def build_wheel(folder, config_settings=None, metadata_directory=None):
    files = {{"corn.py": pathlib.Path("corn.py").read_text()}}
    return write_wheel(pathlib.Path(folder), "corn", files)


def build_editable(folder, config_settings=None, metadata_directory=None):
    return write_wheel(pathlib.Path(folder), "corn", {{"corn.pth": str(pathlib.Path.cwd())}})
"""
"""A build backend for a folder with ``corn.py``: as it is, or as a link to it."""


def write_wheel(folder: Path, name: str, files: dict[str, str]) -> str:
    """A pure wheel, version 1.0, of these files; returns its file's name."""
    info = f"{name}-1.0.dist-info"
    about = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    everything = files | about
    record = "".join(f"{path},,\n" for path in (*everything, f"{info}/RECORD"))
    target = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(target, "w") as packed:
        for path, text in {**everything, f"{info}/RECORD": record}.items():
            packed.writestr(path, text)
    return target.name


def borrowed(folder: Path) -> Path:
    """The wheel of `BORROWED` in a folder that pip can be told to look in; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_wheel(folder, BORROWED, {"borrowed.pth": sysconfig.get_path("purelib")})
    return folder
