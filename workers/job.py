"""A job as a client posts it: a JSON object, checked before it is enqueued.

    key      every job       1 to 200 printable characters; what the client calls this job
    amount   payments only   whole cents, at least 1

Other members are passed on to the actor untouched.
"""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

__all__ = ["MAX_BODY_BYTES", "JobRefused", "parse_job"]

MAX_BODY_BYTES: Final = 16 * 1024
MAX_KEY_CHARACTERS: Final = 200


class JobRefused(ValueError):
    """A body that can't become a job: the HTTP status, what is wrong, and how to mend it."""

    def __init__(self, status: int, what: str, mend: str) -> None:
        super().__init__(what)
        self.status = status
        self.what = what
        self.mend = mend


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


# Made once: `json.loads` would build a decoder for each body as soon as it is given an option.
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def parse_job(queue: str, body: bytes) -> dict[str, Any]:
    """The job in a request body.

    Raises:
        JobRefused: 400 if it is not JSON, 422 if it is not a job of this queue.
    """
    try:
        job = _DECODER.decode(body.decode())
    except (ValueError, RecursionError) as error:
        raise JobRefused(
            400, f"the body is not JSON: {error}", 'send an object such as {"key": "order-1"}'
        ) from None
    if not isinstance(job, dict):
        raise JobRefused(422, f"the body is {_kind(job)}, not an object", 'send {"key": "order-1"}')
    key = job.get("key")
    if not isinstance(key, str) or not 0 < len(key) <= MAX_KEY_CHARACTERS or not key.isprintable():
        raise JobRefused(
            422,
            "'key' is missing" if "key" not in job else f"'key' is {_kind(key)} of the wrong form",
            f"'key' is a string of 1 to {MAX_KEY_CHARACTERS} printable characters",
        )
    if queue == "payments":
        amount = job.get("amount")
        if type(amount) is not int or amount < 1:
            raise JobRefused(
                422,
                "'amount' is missing" if "amount" not in job else "'amount' is not usable",
                "a payment needs 'amount' in whole cents, at least 1",
            )
    return job


def _kind(value: object) -> str:
    names = {str: "a string", bool: "a boolean", list: "an array", dict: "an object"}
    return "null" if value is None else names.get(type(value), "a number")
