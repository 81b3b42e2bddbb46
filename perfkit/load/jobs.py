"""The requests of the load: which queue, which id, which body, as bytes for the wire."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, urlsplit

from perfkit.errors import UsageError
from perfkit.load.spec import LoadSpec
from perfkit.recorder.draws import choice, job_id, unit

__all__ = ["JobRequests"]

_LEAST_CENTS: Final = 100
_SPREAD_CENTS: Final = 99_900


class JobRequests:
    """Makes ``POST {base_url}/jobs/{queue}`` for a draw key.

    Raises:
        UsageError: the base URL names no host, or a port that is none.
    """

    def __init__(self, spec: LoadSpec) -> None:
        try:
            parts = urlsplit(spec.base_url)
            port = parts.port or 80
        except ValueError as error:
            raise UsageError(f"{spec.base_url}: {error}", "write http://host:port") from None
        if not parts.hostname:
            raise UsageError(f"{spec.base_url} names no host", "write http://host:port")
        self.host = parts.hostname
        self.port = port
        self._nonce = spec.nonce
        self._weights = [job.weight for job in spec.jobs]
        self._single = len(spec.jobs) == 1
        self._is_payment = [job.queue == "payments" for job in spec.jobs]
        base = quote(parts.path.rstrip("/"), safe="/%")
        host = parts.netloc.rpartition("@")[2]
        paths = [spec.path or f"{base}/jobs/{quote(queue, safe='')}" for queue in spec.queues]
        self._heads = [
            f"POST {path} HTTP/1.1\r\nHost: {host}\r\n"
            "User-Agent: perfkit\r\nContent-Type: application/json\r\nIdempotency-Key: "
            for path in paths
        ]

    def queue(self, key: str) -> int:
        """Position of the queue that the key draws, by weight."""
        return 0 if self._single else choice(self._weights, unit(key, "queue"))

    def job_id(self, key: str) -> str:
        """The planned id."""
        return job_id(self._nonce, key)

    def payload(self, queue: int, key: str, name: str) -> bytes:
        """The whole request; keys are made by us and need no escaping in JSON."""
        if self._is_payment[queue]:
            cents = _LEAST_CENTS + int(unit(key, "amount") * _SPREAD_CENTS)
            body = f'{{"key":"{key}","amount":{cents}}}'
        else:
            body = f'{{"key":"{key}"}}'
        return f"{self._heads[queue]}{name}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
