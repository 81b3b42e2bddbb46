"""The declarations of stack/: checked by the tools that read them, and against what exists."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from perfkit.monitor.exposition import exposition
from perfkit.monitor.snapshot import Redis, Snapshot
from tests.monitor import plant

ROOT = Path(__file__).resolve().parents[2]
STACK = ROOT / "stack"
PROMETHEUS = STACK / "prometheus"
PROMTOOL = shutil.which("promtool")
OURS = ("gateway", "ingest", "worker", "monitor")

needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="no promtool here (Debian's package prometheus)"
)


def promtool(*arguments: str) -> str:
    ran = subprocess.run(
        [str(PROMTOOL), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=PROMETHEUS,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def whole() -> Snapshot:
    """Everything known, so that every metric is there."""
    snapshot = plant.snapshot(60)
    assert snapshot.redis is not None
    full = Redis(
        **{
            field.name: (
                getattr(snapshot.redis, field.name)
                if getattr(snapshot.redis, field.name) is not None
                else 0
            )
            for field in dataclasses.fields(Redis)
        }
    )
    return dataclasses.replace(snapshot, redis=full)


def given_metrics() -> set[str]:
    """Names of series that `/metrics` gives, labels cut off."""
    lines = exposition(whole()).decode().splitlines()
    return {re.split(r"[{ ]", line)[0] for line in lines if line and not line.startswith("#")}


def named_metrics(text: str) -> set[str]:
    return set(re.findall(r"\bperfkit_[a-z_]+", text))


@needs_promtool
def test_the_configuration_and_the_rules_are_valid() -> None:
    promtool("check", "config", "--syntax-only", "prometheus.yml")
    assert "10 rules found" in promtool("check", "rules", "alerts.yml")


@needs_promtool
def test_each_alert_fires_where_it_must_and_nowhere_else() -> None:
    assert "SUCCESS" in promtool("test", "rules", "alerts_test.yml")


def test_each_alert_has_a_case_in_which_it_fires() -> None:
    rules = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    cases = yaml.safe_load((PROMETHEUS / "alerts_test.yml").read_text())["tests"]
    fired = {
        case["alertname"]
        for test in cases
        for case in test["alert_rule_test"]
        if case["exp_alerts"]
    }
    assert fired == alerts


@needs_promtool
def test_promtool_finds_nothing_odd_in_the_metrics() -> None:
    ran = subprocess.run(
        [str(PROMTOOL), "check", "metrics"],
        input=exposition(whole()),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, (ran.stdout + ran.stderr).decode()


@pytest.mark.parametrize("name", ["alerts.yml", "alerts_test.yml"])
def test_alerts_name_only_metrics_that_exist(name: str) -> None:
    text = "\n".join(
        line
        for line in (PROMETHEUS / name).read_text().splitlines()
        if not line.lstrip().startswith("#")
    )
    named = named_metrics(text)
    assert len(named) > 8
    assert named - given_metrics() == set()


def panels() -> Iterator[dict[str, Any]]:
    yield from json.loads((STACK / "grafana" / "dashboard.json").read_text())["panels"]


def test_the_dashboard_names_only_metrics_that_exist() -> None:
    text = json.dumps([panel["targets"] for panel in panels()])
    named = named_metrics(text)
    assert len(named) > 20
    assert named - given_metrics() == set()


def test_panels_of_the_dashboard_do_not_overlap_and_are_numbered_once() -> None:
    seen: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {
            (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
        }
        assert not cells & seen, panel["title"]
        assert place["x"] + place["w"] <= 24
        seen |= cells
    numbers = [panel["id"] for panel in panels()]
    assert len(numbers) == len(set(numbers)) > 12


@needs_promtool
def test_expressions_of_the_dashboard_are_valid(tmp_path: Path) -> None:
    rules = [
        {
            "record": f"panel:{panel['id']}:{target['refId']}",
            "expr": target["expr"].replace("$queue", ".*"),
        }
        for panel in panels()
        for target in panel["targets"]
    ]
    made = tmp_path / "panels.yml"
    made.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", str(made))


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    made: dict[str, Any] = yaml.safe_load((STACK / "compose.yml").read_text())["services"]
    return made


def test_all_parts_are_there_and_five_workers(services: dict[str, Any]) -> None:
    assert set(services) == {"redis", "prometheus", "grafana", *OURS}
    assert services["worker"]["deploy"]["replicas"] == 5


def test_ports_are_bound_to_this_machine_alone(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", ())]
    assert len(ports) == 4
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in ports)
    assert "ports" not in services["redis"]


def test_every_service_has_a_health_check_and_waits_for_what_it_needs(
    services: dict[str, Any],
) -> None:
    for name, service in services.items():
        assert service["healthcheck"]["test"][0] == "CMD", name
        for needed, how in service.get("depends_on", {}).items():
            assert needed in services
            assert how == {"condition": "service_healthy"}


def test_what_is_mounted_exists(services: dict[str, Any]) -> None:
    document = yaml.safe_load((STACK / "compose.yml").read_text())
    for service in services.values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (STACK / source).exists(), source
            else:
                assert source in document["volumes"]
    build = services["worker"]["build"]
    assert (STACK / build["context"] / build["dockerfile"]).is_file()


def test_images_are_pinned_to_a_version(services: dict[str, Any]) -> None:
    for name, service in services.items():
        if name not in OURS:
            assert re.search(r":v?\d+\.\d+", service["image"]), name


def test_secrets_come_from_the_environment_and_are_named_in_the_example() -> None:
    text = (STACK / "compose.yml").read_text()
    needed = set(re.findall(r"\$\{(\w+):\?", text))
    example = (STACK / "example.env").read_text()
    assert {line.split("=")[0] for line in example.splitlines() if "=" in line} == needed
    assert all(line.endswith("=") for line in example.splitlines() if "=" in line)


def test_commands_of_ours_exist_and_take_their_options(services: dict[str, Any]) -> None:
    from perfkit.recorder import attach, worker

    for name in OURS:
        words = services[name]["command"]
        if words[0] == "sh":
            words = words[2].removeprefix("exec ").split()
        if words[0] == "perfkit":
            _takes(words[1:])
            continue
        assert words[:2] == ["python", "-m"]
        module, options = words[2], words[3:]
        assert importlib.util.find_spec(module) is not None, module
        if module == "perfkit.recorder.attach":
            split = options.index("--")
            attach._parser().parse_args(options[:split])
            assert importlib.util.find_spec(options[split + 1]) is not None
        elif module == "perfkit.recorder.worker":
            worker._parser().parse_args(options)


def _takes(words: list[str]) -> None:
    """`perfkit VERB --option=value ...`, parsed and not run."""
    from perfkit.cli import cli

    context = click.Context(cli)
    command = cli.get_command(context, words[0])
    assert command is not None, words[0]
    command.make_context(words[0], list(words[1:]))


def test_copied_files_of_the_image_exist() -> None:
    for line in (STACK / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY "):
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists(), source
