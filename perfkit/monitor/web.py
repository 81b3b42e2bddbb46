"""The server's application (ASGI): the page, REST, Prometheus and events. It only ever reads."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from perfkit import __version__
from perfkit.monitor import openapi
from perfkit.monitor.access import Access
from perfkit.monitor.events import following, replaying
from perfkit.monitor.exposition import CONTENT_TYPE, exposition
from perfkit.monitor.feed import Feed
from perfkit.monitor.routes import route_of
from perfkit.monitor.snapshot import Snapshot

__all__ = ["Application"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Header = tuple[bytes, bytes]

_PAGE: Final = Path(__file__).parent / "page"
_KINDS: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
    ".LICENSE": "text/plain; charset=utf-8",
}
_HEADERS: Final[tuple[Header, ...]] = (
    (
        b"content-security-policy",
        (
            b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
            b"img-src 'self' data:; font-src 'self'; base-uri 'none'; form-action 'none'; "
            b"frame-ancestors 'none'"
        ),
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    (b"cache-control", b"no-store"),
)
_JSON: Final = "application/json"
_MOST_LISTENERS: Final = 64
_SLOWEST_S: Final = 10.0
_OLD_S: Final = 15.0  # snapshots come each second; those of a feed that looks no more are old
_DEAD_S: Final = 60.0
_log = logging.getLogger(__name__)


class Application:
    """Answers GET and HEAD of one feed."""

    def __init__(self, feed: Feed, access: Access) -> None:
        self._feed = feed
        self._access = access
        self._closing: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._listeners = 0
        self._files = {
            path.name: path
            for path in sorted(_PAGE.glob("*"))
            if path.is_file() and path.suffix in _KINDS
        }

    def close(self) -> None:
        """End all streams; any thread may say so."""
        self._closed = True
        if self._loop is not None and self._closing is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._closing.set)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        answer = _Response(send, with_body=scope["method"] != "HEAD")
        try:
            await self._answer(scope, receive, answer)
        except Exception:  # noqa: BLE001 - logged whole, and told as what it is
            _log.exception("%s could not be answered", scope["path"])
            if not answer.begun:
                await answer.json(500, {"error": "an unexpected error", "mend": "see the log"})

    async def _answer(self, scope: Scope, receive: Receive, answer: _Response) -> None:
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        path, query = _asked(scope)
        if (refusal := self._access.refusal(path, headers)) is not None and not (
            refusal.status == 401 and path == "/" and "code" in query
        ):
            more = [(b"www-authenticate", b"Bearer")] if refusal.status == 401 else []
            document = {"error": refusal.what, "mend": refusal.mend}
            await answer.json(refusal.status, document, *more)
            return
        if scope["method"] not in ("GET", "HEAD"):
            document = {"error": "the monitor only looks", "mend": "use GET"}
            await answer.json(405, document, (b"allow", b"GET, HEAD"))
        elif path == "/" and "code" in query:
            await self._admit(query["code"], answer, using_up=scope["method"] == "GET")
        elif path == "/":
            await answer.file(self._files.get("index.html"))
        elif path.startswith("/assets/"):
            await answer.file(self._files.get(path.removeprefix("/assets/")))
        elif path == "/events":
            last = headers.get("last-event-id") or query.get("last")
            await self._stream(last, query, receive, answer)
        else:
            await self._tell(path, query, answer)

    async def _admit(self, code: str, answer: _Response, *, using_up: bool) -> None:
        """A link with a code: the cookie, and on to the page without it.

        Programs that preview links ask with HEAD: the link is still good afterwards.
        """
        cookie = self._access.admit(code) if using_up else None
        if cookie is None and self._access.needs_token and using_up:
            await answer.json(
                401, {"error": "this link was used, or is wrong", "mend": "take the newest one"}
            )
            return
        more = [(b"set-cookie", cookie.encode())] if cookie else []
        await answer.begin(303, "text/plain", [(b"location", b"./"), *more])
        await answer.end()

    async def _tell(self, path: str, query: dict[str, str], answer: _Response) -> None:
        """Documents."""
        feed = self._feed
        silent_s = feed.silent_s or 0.0
        if path == "/healthz":
            well = silent_s < _DEAD_S
            words = "ok" if well else f"it has not looked for {silent_s:.0f} s"
            await answer.json(200 if well else 503, {"status": words})
            return
        now = await asyncio.to_thread(self._now, query)
        if path == "/readyz":
            broken = ["no figures yet"] if now is None else list(now.broken)
            if silent_s > _OLD_S:
                broken.append("the monitor itself")
            is_ready = now is not None and silent_s <= _OLD_S and "redis" not in broken
            words = "ready" if is_ready else "not ready"
            await answer.json(200 if is_ready else 503, {"status": words, "broken": broken})
        elif path == "/metrics":
            # Figures that are no longer renewed must not look like those of a quiet system.
            told_ = await asyncio.to_thread(exposition, now if silent_s <= _OLD_S else None)
            await answer.bytes(200, CONTENT_TYPE, told_)
        elif path == "/openapi.json":
            await answer.json(200, openapi.document(__version__))
        elif path == "/docs":
            await answer.bytes(200, _KINDS[".html"], openapi.page(__version__).encode())
        elif (found := route_of(path)) is None:
            await answer.json(404, {"error": "there is nothing of that name", "mend": "see /docs"})
        elif now is None:
            await answer.json(503, {"error": "there are no figures yet", "mend": "ask again"})
        else:
            route, words_ = found
            told = await asyncio.to_thread(route.answer, feed, now, words_, query)
            await answer.json(told.status, told.document)

    def _now(self, query: dict[str, str]) -> Snapshot | None:
        """The last snapshot, or of a replay the moment asked for."""
        recording = self._feed.recording
        if recording is None or "at" not in query:
            return self._feed.snapshot
        try:
            return recording.at(float(query["at"]))
        except (ValueError, OverflowError):
            return self._feed.snapshot

    async def _stream(
        self,
        last_event_id: str | None,
        query: dict[str, str],
        receive: Receive,
        answer: _Response,
    ) -> None:
        if self._listeners >= _MOST_LISTENERS:
            document = {"error": "too many are listening", "mend": "close a page"}
            await answer.json(503, document, (b"retry-after", b"5"))
            return
        if self._closing is None:
            self._loop, self._closing = asyncio.get_running_loop(), asyncio.Event()
            if self._closed:
                self._closing.set()
        recording = self._feed.recording
        events = (
            following(self._feed, last_event_id, self._closing)
            if recording is None
            else replaying(self._feed, recording, query, self._closing)
        )
        self._listeners += 1
        gone = asyncio.ensure_future(_gone(receive))
        try:
            await answer.begin(200, "text/event-stream", [(b"x-accel-buffering", b"no")])
            if answer.with_body:
                await _passed_on(events, answer, gone)
            await answer.end()
        except TimeoutError:
            _log.info("a client was too slow and is dropped")
        finally:
            self._listeners -= 1
            gone.cancel()
            await events.aclose()  # type: ignore[attr-defined]


async def _passed_on(
    events: AsyncIterator[bytes], answer: _Response, gone: asyncio.Future[None]
) -> None:
    """Each event as it comes, until the stream ends or the client is gone.

    Raises:
        TimeoutError: the client did not take one in time.
    """
    while True:
        following_one = asyncio.ensure_future(anext(events, None))
        try:
            either: set[asyncio.Future[Any]] = {following_one, gone}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if gone.done() or not following_one.done():
                # Also where this task is ended: a generator that still runs can't be closed.
                following_one.cancel()
                await asyncio.gather(following_one, return_exceptions=True)
        if gone.done():
            return
        event = following_one.result()
        if event is None:
            return
        await asyncio.wait_for(answer.part(event), _SLOWEST_S)


async def _gone(receive: Receive) -> None:
    """Returns when the client has hung up."""
    while (await receive())["type"] != "http.disconnect":
        pass


class _Response:
    """One answer; every one has the headers that keep browsers safe."""

    def __init__(self, send: Send, *, with_body: bool) -> None:
        self._send = send
        self.with_body = with_body
        self.begun = False

    async def begin(self, status: int, kind: str, more: list[Header]) -> None:
        self.begun = True
        head = [(b"content-type", kind.encode()), *_HEADERS, *more]
        await self._send({"type": "http.response.start", "status": status, "headers": head})

    async def part(self, body: bytes) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def end(self, body: bytes = b"") -> None:
        await self._send({"type": "http.response.body", "body": body if self.with_body else b""})

    async def bytes(self, status: int, kind: str, body: bytes, *more: Header) -> None:
        await self.begin(status, kind, [(b"content-length", b"%d" % len(body)), *more])
        await self.end(body)

    async def json(self, status: int, document: Any, *more: Header) -> None:
        body = json.dumps(document, separators=(",", ":")).encode()
        await self.bytes(status, _JSON, body, *more)

    async def file(self, path: Path | None) -> None:
        """A file of the page; it is read anew each time, and it is small."""
        if path is None:
            await self.json(404, {"error": "there is no such file", "mend": "see /docs"})
            return
        await self.bytes(200, _KINDS[path.suffix], await asyncio.to_thread(path.read_bytes))


def _asked(scope: Scope) -> tuple[str, dict[str, str]]:
    """Path and query; of a key given twice the last counts."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    path = unquote(raw.partition(b"?")[0].decode("latin-1"), errors="replace")
    text = scope["query_string"].decode("latin-1")
    try:
        return path, dict(parse_qsl(text, keep_blank_values=True, max_num_fields=20))
    except ValueError:  # very many: nobody's
        return path, {}
