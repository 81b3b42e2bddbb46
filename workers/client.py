"""The actors' way to the gateway: one pool of kept-alive connections."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import urllib3

__all__ = ["GatewayClient", "GatewayError"]

# More than any worker has threads, so that no connection is thrown away after one call.
CONNECTIONS: Final = 128
CONNECT_S: Final = 2.0


class GatewayError(Exception):
    """The gateway refused, failed or could not be reached; the job is worth another attempt."""


class GatewayClient:
    """Posts jobs to the gateway. Thread-safe; opens no socket before the first call.

    A connection pool for the one host, without `urllib3.PoolManager` before it: looking the pool
    up again for each call would cost more than drawing up the request. urllib3 repeats nothing
    here, as attempts are Dramatiq's business (and are counted there). An answer that does not
    come within ``timeout_s`` is a failed call, also if the gateway works on it still.
    """

    def __init__(self, url: str, *, timeout_s: float = 30.0) -> None:
        timeout = urllib3.Timeout(connect=min(CONNECT_S, timeout_s), read=timeout_s)
        self._pool = urllib3.connection_from_url(url, maxsize=CONNECTIONS, timeout=timeout)
        self._prefix = urlsplit(url).path.rstrip("/")

    def post(
        self, queue: str, job: Mapping[str, Any], *, job_id: str, attempt: int
    ) -> dict[str, Any]:
        """Send one job and return the gateway's answer, a JSON object.

        Args:
            job: the job's data, sent as it is.
            job_id: sent as ``Idempotency-Key``.
            attempt: 0 for the first; sent as ``X-Attempt``.

        Raises:
            GatewayError: for any status but 200, and for no usable answer at all.
        """
        try:
            answer = self._pool.urlopen(
                "POST",
                f"{self._prefix}/{queue}",
                body=json.dumps(job),
                headers={
                    "Content-Type": "application/json",
                    "Idempotency-Key": job_id,
                    "X-Attempt": str(attempt),
                },
                retries=False,
                redirect=False,
                assert_same_host=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise GatewayError(f"no answer for {queue}: {type(error).__name__}") from error
        if answer.status != 200:
            raise GatewayError(f"{queue} answered {answer.status}")
        try:
            document = json.loads(answer.data)
        except ValueError as error:
            raise GatewayError(f"{queue} answered something that is not JSON") from error
        if not isinstance(document, dict):
            raise GatewayError(f"{queue} answered JSON that is no object")
        return document

    def close(self) -> None:
        """Close the idle connections."""
        self._pool.close()
