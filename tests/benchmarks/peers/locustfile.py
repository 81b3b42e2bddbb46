"""What a run of perfkit does, in Locust: unique key and body, status and id read, a row kept."""

import atexit
import os

from locust import FastHttpUser, events, task

ROWS = open(os.environ["ROWS"], "w")  # noqa: SIM115, PTH123 - as long as the process
atexit.register(ROWS.close)


@events.request.add_listener
def keep(request_type, name, response_time, response_length, exception, start_time, **_):  # type: ignore[no-untyped-def]
    ROWS.write(
        f"{start_time},{request_type},{name},{response_time},{response_length},{exception}\n"
    )


class Sender(FastHttpUser):
    number = 0

    def on_start(self) -> None:
        Sender.number += 1
        self.prefix = f"00000000-0000-0000-{Sender.number:05d}-"
        self.turn = 0

    @task
    def send(self) -> None:
        self.turn += 1
        key = f"{self.prefix}{self.turn:011d}"
        body = {"key": key, "amount": 100 + self.turn % 99900}
        with self.client.post(
            "/jobs/payments", json=body, headers={"Idempotency-Key": key}, catch_response=True
        ) as reply:
            if reply.status_code != 202 or reply.json()["id"] != key:
                reply.failure("not accepted")
