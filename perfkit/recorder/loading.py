"""Importing somebody's broker by name, and pointing it at the server under test."""

from __future__ import annotations

import difflib
import functools
import importlib
import json
import os
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from dramatiq import Broker

__all__ = [
    "BrokerNotLoaded",
    "bind_broker",
    "load_broker",
    "load_brokers",
    "print_refusal",
    "redis_urls",
    "without_password",
]

_KEPT: Final = frozenset(
    {
        "client_name",
        "decode_responses",
        "driver_info",
        "encoding",
        "encoding_errors",
        "health_check_interval",
        "legacy_responses",
        "protocol",
        "redis_connect_func",
        "retry",
        "retry_on_error",
        "retry_on_timeout",
        "socket_read_size",
        "socket_timeout",
    }
)
"""How the application talks to Redis, as against where: kept when it is rebound, because retries
and timeouts decide what a lost reply does."""

_KEPT_ON_TCP: Final = frozenset(
    {"socket_connect_timeout", "socket_keepalive", "socket_keepalive_options"}
)


class BrokerNotLoaded(ImportError):
    """The application's broker can't be used; the message is one line.

    An ImportError, because the stock command line ends with code 2 for one.
    """


def load_broker(spec: str, path: Path | str | None = None) -> Broker:
    """Import ``module:name`` (dots allowed in both); ``path`` is put first on ``sys.path``.

    Raises:
        BrokerNotLoaded: no such module, it fails to import, no such name, or not a Broker. Its
            ``__cause__`` is the application's own exception, if there was one.
    """
    if path is not None:
        folder = Path(path).absolute()
        if not folder.is_dir():
            raise BrokerNotLoaded(f"{folder} is not a folder, so {spec} can't be imported from it")
        sys.path.insert(0, str(folder))
    module, broker = _named(spec)
    if not isinstance(broker, Broker):
        raise BrokerNotLoaded(
            f"{spec} is a {type(broker).__name__}, not a dramatiq Broker{_suggestion(module, '')}"
        )
    return broker


def load_brokers(spec: str) -> dict[str, Broker]:
    """Import ``module:name`` of a mapping queue -> broker: an application with several.

    Raises:
        BrokerNotLoaded: as for one broker, or it is no such mapping.
    """
    _, brokers = _named(spec)
    if not isinstance(brokers, Mapping) or not all(
        isinstance(queue, str) and isinstance(broker, Broker) for queue, broker in brokers.items()
    ):
        raise BrokerNotLoaded(f"{spec} is not a mapping of queues to dramatiq Brokers")
    return dict(brokers)


def redis_urls(given: str | None) -> dict[str, str]:
    """Queue -> URL, from the JSON object in the variable REDIS_URLS.

    Raises:
        BrokerNotLoaded: it is something else. It may hold passwords, so it is not repeated.
    """
    try:
        urls = json.loads(given) if given else {}
    except ValueError:
        urls = None
    if not isinstance(urls, dict) or not all(isinstance(url, str) for url in urls.values()):
        raise BrokerNotLoaded("REDIS_URLS is no JSON object of queues and their Redis URLs")
    return urls


def _named(spec: str) -> tuple[Any, Any]:
    """The module of ``module:name``, and what has the name in it."""
    module_name, colon, attribute = spec.partition(":")
    if not (module_name and colon and attribute):
        raise BrokerNotLoaded(f"{spec!r} does not name a broker; write it as module:name")
    module = _import(module_name)
    try:
        return module, functools.reduce(getattr, attribute.split("."), module)
    except AttributeError:
        raise BrokerNotLoaded(
            f"module {module_name!r} has no {attribute!r}{_suggestion(module, attribute)}"
        ) from None


def _import(module_name: str) -> Any:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if module_name == missing or module_name.startswith(f"{missing}."):
            raise BrokerNotLoaded(
                f"there is no module {missing!r} to import {module_name!r} from; "
                f"looked in {', '.join(entry or '.' for entry in sys.path[:2])} and the environment"
            ) from error
        raise BrokerNotLoaded(f"{module_name!r} needs a module that is missing: {error}") from error
    except (Exception, SystemExit) as error:
        said = traceback.format_exception_only(error)[-1].strip()
        raise BrokerNotLoaded(f"{module_name!r} failed to import: {said}") from error


def _suggestion(module: Any, attribute: str) -> str:
    brokers = sorted(name for name, value in vars(module).items() if isinstance(value, Broker))
    close = difflib.get_close_matches(attribute, [n for n in vars(module) if n[0] != "_"], n=1)
    names = brokers or close
    return f"; did you mean {' or '.join(names)}?" if names else ""


def print_refusal(program: str, error: BrokerNotLoaded, *, with_traceback: bool = True) -> int:
    """Tell stderr why the broker can't be used; returns the exit code, 2."""
    if with_traceback and error.__cause__ is not None:
        trace = "".join(traceback.format_exception(error.__cause__)).rstrip()
        print(without_password(trace), file=sys.stderr)
    one_line = " ".join(str(error).split())
    print(without_password(f"{program}: {one_line}"), file=sys.stderr)
    return 2


def without_password(text: str) -> str:
    """An application's own error may quote the URL it was given."""
    urls = [os.environ.get("REDIS_URL", "")]
    try:
        urls += redis_urls(os.environ.get("REDIS_URLS")).values()
    except BrokerNotLoaded:
        # What is no JSON can't be searched for passwords, but whole it can be left out.
        text = text.replace(os.environ["REDIS_URLS"], "***")
    for url in urls:
        try:
            password = urlsplit(url).password
        except ValueError:
            continue
        text = text.replace(password, "***") if password else text
    return text


def bind_broker(broker: Broker, url: str | None) -> bool:
    """Point a Redis broker at ``url`` unless it is there already; True if it was moved.

    The application's timeouts and retries are kept; host, port, path, database and credentials come
    from the URL. Brokers without a Redis client, and an empty URL, are left alone.

    Raises:
        BrokerNotLoaded: the URL can't be parsed.
    """
    owner: Any = broker
    if not url or not hasattr(getattr(owner, "client", None), "connection_pool"):
        return False
    client = owner.client
    try:
        wanted = type(client).from_url(url).connection_pool
    except ValueError as error:
        # The parser's message may quote the URL, and so the password.
        raise BrokerNotLoaded(
            f"REDIS_URL is no Redis URL ({type(error).__name__}); write redis://host:port/db"
        ) from None
    present = client.connection_pool
    same_way = present.connection_class is wanted.connection_class
    if same_way and _place(present.connection_kwargs) == _place(wanted.connection_kwargs):
        return False
    both_tcp = "path" not in present.connection_kwargs and "path" not in wanted.connection_kwargs
    kept = _KEPT | _KEPT_ON_TCP if both_tcp else _KEPT
    settings = {key: value for key, value in present.connection_kwargs.items() if key in kept}
    moved = type(client).from_url(url, max_connections=present.max_connections, **settings)
    owner.client = moved
    owner.scripts = {
        name: moved.register_script(script.script) for name, script in owner.scripts.items()
    }
    return True


def _place(settings: Mapping[str, Any]) -> tuple[object, ...]:
    """Which server, database and account a connection pool leads to."""
    where = (
        ("unix", settings["path"])
        if settings.get("path")
        else (settings.get("host") or "localhost", int(settings.get("port") or 6379))
    )
    account = (settings.get("username") or "default", settings.get("password") or "")
    own_credentials = settings.get("credential_provider") is not None
    return (*where, int(settings.get("db") or 0), *account, own_credentials)
