"""The probe prints what an application declares, or one line why it can't."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

Child = Callable[..., subprocess.Popen[str]]


def test_an_application_is_described(child: Child, shop: Path) -> None:
    with (shop / "shop.py").open("a") as module:
        module.write("print('hello from the application')\n")
    process = child("perfkit.recorder.probe", "--broker", "shop:broker", "--path", shop)
    out, err = process.communicate(timeout=20)
    assert json.loads(out) == {
        "queues": ["mail", "payments"],
        "actors": {
            "pay": {"queue": "payments", "parameters": [_parameter("number")]},
            "write": {"queue": "mail", "parameters": [_parameter("text")]},
        },
        "namespace": "dramatiq",
        "broker_class": "dramatiq.brokers.redis.RedisBroker",
        "versions": {
            "python": platform.python_version(),
            **{each: version(each) for each in ("dramatiq", "redis")},
        },
    }
    assert err == "hello from the application\n"


def _parameter(name: str) -> dict[str, Any]:
    return {"name": name, "kind": "POSITIONAL_OR_KEYWORD", "required": True}


def test_the_signature_of_a_coroutine_is_that_of_its_function(child: Child, shop: Path) -> None:
    with (shop / "shop.py").open("a") as module:
        module.write(
            "@dramatiq.actor\nasync def hum(song, /, *voices, loud=False, **more):\n    pass\n"
        )
    process = child("perfkit.recorder.probe", "--broker", "shop:broker", "--path", shop)
    described = json.loads(process.communicate(timeout=20)[0])["actors"]["hum"]
    assert described["queue"] == "default"
    assert [tuple(each.values()) for each in described["parameters"]] == [
        ("song", "POSITIONAL_ONLY", True),
        ("voices", "VAR_POSITIONAL", True),
        ("loud", "KEYWORD_ONLY", False),
        ("more", "VAR_KEYWORD", True),
    ]


def test_an_unusable_application_costs_one_line(child: Child, shop: Path) -> None:
    process = child("perfkit.recorder.probe", "--broker", "shop:pay", "--path", shop)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (2, "")
    assert err == (
        "perfkit.recorder.probe: shop:pay is a Actor, not a dramatiq Broker; did you mean broker?\n"
    )
