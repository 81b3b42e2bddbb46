"""The ledger of payments, in Redis: one entry per job that was charged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

import redis

__all__ = ["KEY", "DoubleCharge", "Ledger"]

KEY: Final = "sample:ledger"
"""A Redis hash: field = idempotency key (the job's id), value = charge id."""


class DoubleCharge(Exception):
    """Two different charges were made for one job: the gateway broke its promise."""


class Ledger:
    """Keeps the first charge of a job and hands it out ever after."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def settle(self, job_id: str, charge: Callable[[], str]) -> str:
        """The charge of a job; ``charge()`` is called only if none is recorded.

        Executions of the same job may overlap, and one may die between the charge and the entry:
        both are safe because ``charge()`` is idempotent itself (the gateway answers a known
        idempotency key with the charge it made before). The ledger spares the call, and is the
        evidence afterwards. See ``tests/workers/test_payment_once.py``.

        Raises:
            DoubleCharge: if another charge was recorded meanwhile.
        """
        if (known := self._entry(job_id)) is not None:
            return known
        made = charge()
        if not self._client.hsetnx(KEY, job_id, made) and (first := self._entry(job_id)) != made:
            raise DoubleCharge(f"job {job_id} was charged as {first} and again as {made}")
        return made

    def entries(self) -> int:
        """How many jobs are recorded."""
        return self._client.hlen(KEY)

    def _entry(self, job_id: str) -> str | None:
        value = cast("bytes | None", self._client.hget(KEY, job_id))
        return None if value is None else value.decode()
