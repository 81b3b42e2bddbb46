"""What a run of perfkit does, as user code on our `AsyncClient`: beside Locust's FastHttpUser."""

from __future__ import annotations

from typing import Any


async def user(client: Any, ctx: Any) -> None:
    key = f"00000000-0000-0000-{ctx.user:05d}-{ctx.iteration:011d}"
    reply = await client.post(
        "/jobs/payments",
        json={"key": key, "amount": 100 + ctx.iteration % 99900},
        headers={"Idempotency-Key": key},
    )
    if reply.status_code != 202 or reply.json()["id"] != key:
        raise AssertionError(f"not accepted: {reply.status_code}")
