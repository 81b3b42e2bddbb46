"""The sample system: an ordinary Dramatiq application on Redis.

    POST /jobs/{queue}        ingest      (ASGI)          uvicorn workers.ingest:app
          | enqueue
    Redis: payments, notifications, webhooks
          | fetch
    actors, with retries      app, actors (Dramatiq)      dramatiq workers.app:broker
          | HTTP, one call per attempt
    gateway                   gateway     (simulated)     python -m workers.gateway

A payment is charged once however often its job runs: the job's id goes to the gateway as the
idempotency key, and the charge the gateway answers is kept in a ledger in Redis (`ledger`).

Everything is set through the environment (`settings`).
"""
