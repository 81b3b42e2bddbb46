"""A customer who looks, pays, and wants to hear of it: ordinary httpx."""

from __future__ import annotations

import httpx


async def customer(client: httpx.AsyncClient, ctx) -> None:
    """One visit. Where it is to be drawn again in the next run, it is drawn from ctx.random."""
    await client.get("/healthz")  # named after its method and path: "GET /healthz"

    amount = ctx.random.randint(100, 9_999)
    paid = await client.post(
        "/jobs/payments", json={"key": ctx.key, "amount": amount}, extensions={"name": "pay"}
    )
    ctx.check("payment accepted", paid.status_code == 202)
    ctx.metric("basket", amount / 100, "EUR")
    paid.raise_for_status()

    ctx.name("notify")
    await client.post("/jobs/notifications", json={"key": ctx.key})
