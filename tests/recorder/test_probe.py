"""The probe prints what an application declares, or one line why it can't."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

Child = Callable[..., subprocess.Popen[str]]


def test_an_application_is_described(child: Child, shop: Path) -> None:
    with (shop / "shop.py").open("a") as module:
        module.write("print('hello from the application')\n")
    process = child("perfkit.recorder.probe", "--broker", "shop:broker", "--path", shop)
    out, err = process.communicate(timeout=20)
    assert json.loads(out) == {
        "queues": ["mail", "payments"],
        "actors": {"pay": "payments", "write": "mail"},
        "namespace": "dramatiq",
        "broker_class": "dramatiq.brokers.redis.RedisBroker",
    }
    assert err == "hello from the application\n"


def test_an_unusable_application_costs_one_line(child: Child, shop: Path) -> None:
    process = child("perfkit.recorder.probe", "--broker", "shop:pay", "--path", shop)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (2, "")
    assert err == (
        "perfkit.recorder.probe: shop:pay is a Actor, not a dramatiq Broker; did you mean broker?\n"
    )
