"""User code of the benchmark: nothing but requests."""

from __future__ import annotations

from typing import Any

import httpx


async def customer(client: httpx.AsyncClient, ctx: Any) -> None:
    """A hundred payments, one after the other."""
    for _ in range(100):
        await client.post("/jobs/payments", json={"amount": 5}, extensions={"name": "pay"})
