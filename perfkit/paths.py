"""Where things are: the checkout, the wheel's own data, and the results folder."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

from perfkit.errors import ResultsNotWritable, UsageError

__all__ = [
    "checkout",
    "example_data",
    "exists",
    "instrument",
    "is_folder",
    "profile_path",
    "profiles",
    "report_notebook",
    "results_root",
    "sample_module",
]

_PACKAGE = Path(__file__).resolve().parent


def checkout() -> Path | None:
    """The source tree this perfkit runs from, or None when it was installed from a wheel."""
    tree = _PACKAGE.parent
    return tree if (tree / "pyproject.toml").is_file() and (tree / "workers").is_dir() else None


def instrument(results: Path) -> Path:
    """A folder in which nothing but this perfkit is importable, made where it is missing.

    For an interpreter with packages of its own: the folder that perfkit is installed in holds ours.

    Raises:
        ResultsNotWritable: it can't be made.
    """
    name = hashlib.blake2b(os.fsencode(_PACKAGE), digest_size=6).hexdigest()
    folder = results.absolute() / ".instrument" / name
    link = folder / "perfkit"
    if not link.exists():
        partial = folder / f"perfkit.{os.getpid()}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            partial.symlink_to(_PACKAGE, target_is_directory=True)
            partial.replace(link)
        except OSError as error:
            raise ResultsNotWritable(
                f"{folder} can't be written: {error.strerror}",
                "choose another folder with --results DIR or PERFKIT_RESULTS",
            ) from None
    return folder


def _data(relative: str) -> Path:
    tree = checkout()
    return (tree if tree is not None else _PACKAGE / "_sample") / relative


def profile_path(name: str) -> Path:
    """The Redis configuration file of a profile; it may not exist."""
    return _data("stack/redis") / f"{name}.conf"


def profiles() -> list[str]:
    """Names of the Redis profiles, sorted."""
    return sorted(path.stem for path in _data("stack/redis").glob("*.conf"))


def report_notebook(name: str) -> Path:
    """A report notebook by its stem, such as ``10_run_report``."""
    return _data("notebooks") / f"{name}.ipynb"


def example_data() -> Path:
    """The folder of the committed example runs; absent from a wheel."""
    return _data("notebooks/example_data")


def sample_module(name: str) -> str:
    """Import path of a module of the sample system: ``workers.app`` in a checkout."""
    return f"workers.{name}" if checkout() is not None else f"perfkit._sample.workers.{name}"


def exists(given: str | os.PathLike[str]) -> bool:
    """Whether there is such a file or folder; not for what no file can be called."""
    # Unlike a Path's own question, this one is also answered for a NUL and for a name too long.
    return os.path.exists(given)  # noqa: PTH110


def is_folder(given: str | os.PathLike[str]) -> bool:
    """Whether there is such a folder; not for what no folder can be called."""
    return os.path.isdir(given)  # noqa: PTH112


def results_root(given: str | os.PathLike[str] | None = None) -> Path:
    """Where runs live: the argument, else PERFKIT_RESULTS, else the checkout's or ./results.

    Raises:
        UsageError: no folder can be called so.
    """
    if named := given if given is not None else os.environ.get("PERFKIT_RESULTS"):
        try:
            folder = Path(named).expanduser().absolute()
            with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                folder.stat()
        except (OSError, ValueError, RuntimeError) as error:
            shown = repr(os.fspath(named))
            raise UsageError(
                f"results can't be in {shown[:80]}: {getattr(error, 'strerror', None) or error}",
                "name another folder with --results DIR or PERFKIT_RESULTS",
            ) from None
        return folder
    tree = checkout()
    return (tree if tree is not None else Path.cwd()) / "results"
