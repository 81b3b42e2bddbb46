"""Somebody's coroutine function, by name: ``journey.py:user`` or ``shop.journey:user``.

It is imported in a process of the generator's, never in perfkit's own.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Final

from perfkit.errors import UsageError

__all__ = ["UserFunction", "is_users", "load_user", "place_of"]

UserFunction = Callable[[Any, Any], Awaitable[Any]]
_OURS: Final = str(Path(__file__).resolve().parent)


@functools.cache
def load_user(named: str, folder: Path | None) -> UserFunction:
    """Import it; ``folder`` is looked in first, then the working directory.

    Raises:
        UsageError: there is none of that name, it can't be imported, or it is no
            ``async def user(client, ctx)``.
    """
    module_name, _, attribute = named.rpartition(":")
    where = [str(each) for each in (folder, Path.cwd()) if each is not None]
    sys.path[:0] = [each for each in where if each not in sys.path]
    try:
        function: Any = _module(module_name, folder)
        for part in attribute.split("."):
            function = getattr(function, part)
    except UsageError:
        raise
    except AttributeError as error:
        what = f"{named}: {error}"
        raise UsageError(what, f"define `async def {attribute}(client, ctx)` there") from None
    except BaseException as error:  # noqa: BLE001 - whatever a module does as it is imported
        words = str(error).splitlines()[0] if str(error) else ""
        at = place_of(error.__traceback__)
        shown = f"{type(error).__name__}{f': {words}' if words else ''}{f', at {at}' if at else ''}"
        raise UsageError(f"{named} can't be imported: {shown}", "mend it, and try again") from None
    _check(named, function)
    user: UserFunction = function
    return user


def _module(name: str, folder: Path | None) -> ModuleType:
    if not name.endswith(".py"):
        return importlib.import_module(name)
    path = (folder or Path.cwd()) / name
    if not path.is_file():
        path = Path.cwd() / name
    if not path.is_file():
        mend = "write it relative to the scenario's file, such as journey.py:user"
        raise UsageError(f"there is no file {name}", mend)
    path = path.resolve()
    sys.path.insert(0, str(path.parent))  # what lies beside it can be imported
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _check(named: str, function: Any) -> None:
    mend = "write it as `async def user(client: httpx.AsyncClient, ctx)`"
    if not inspect.iscoroutinefunction(function):
        raise UsageError(f"{named} is a {type(function).__name__}, no coroutine function", mend)
    try:
        inspect.signature(function).bind(None, None)
    except TypeError as error:
        raise UsageError(f"{named} does not take a client and a context: {error}", mend) from None


def place_of(trace: TracebackType | None) -> str:
    """The innermost line of a traceback that lies in nobody's library: "journey.py:12"."""
    found = ""
    while trace is not None:
        code = trace.tb_frame.f_code.co_filename
        if is_users(code):
            found = f"{Path(code).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


def is_users(filename: str) -> bool:
    """Whether a file of code is neither ours, nor Python's, nor an installed package's."""
    if filename.startswith("<"):
        return False
    libraries = ("/site-packages/", "/dist-packages/", "/lib/python")
    return not filename.startswith(_OURS) and not any(each in filename for each in libraries)
