"""Somebody's own web server, in a thread of the test: it keeps what it was asked."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: Any


@dataclass
class Answering:
    """A server that answers 201 with an id; every ``refuses``-th request gets 503."""

    url: str
    asked: list[Asked] = field(default_factory=list)
    refuses: int = 0


@contextlib.contextmanager
def answering(refuses: int = 0) -> Iterator[Answering]:
    """Serve for as long as the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1  # one write for head and body

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            parts = urlsplit(self.path)
            body = json.loads(self.rfile.read(length) or b"null")
            told.asked.append(
                Asked(self.command, parts.path, parse_qs(parts.query), dict(self.headers), body)
            )
            number = len(told.asked)
            answer = json.dumps({"id": f"order-{number}"}).encode()
            self.send_response(503 if refuses and number % refuses == 0 else 201)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)
            self.wfile.flush()

        do_GET = do_POST  # noqa: N815 - as http.server wants it

        def log_message(self, *_: object) -> None:
            """Nothing is told."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    told = Answering(f"http://127.0.0.1:{server.server_port}", refuses=refuses)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
