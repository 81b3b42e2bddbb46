"""Fixtures that start the sample's services; each is gone when its test ends."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import free_port
from tests.workers.services import QUICK, Service, StartGateway, StartIngest, service


@pytest.fixture
def start_gateway(tmp_path: Path) -> Iterator[StartGateway]:
    """Start the gateway with a configuration, by default a quick one without errors."""
    with ExitStack() as stack:

        def start(config: Mapping[str, object] = QUICK) -> Service:
            port = free_port()
            (tmp_path / "gateway.json").write_text(json.dumps(config))
            arguments = ["-m", "workers.gateway", "--port", str(port)]
            arguments += ["--config", "gateway.json", "--log", "gateway.csv"]
            return stack.enter_context(service(tmp_path, "gateway", port, arguments, {}))

        yield start


@pytest.fixture
def start_ingest(tmp_path: Path) -> Iterator[StartIngest]:
    """Start the ingest with the given settings."""
    with ExitStack() as stack:

        def start(**settings: str) -> Service:
            port = free_port()
            arguments = ["-m", "uvicorn", "workers.ingest:app", "--port", str(port)]
            return stack.enter_context(service(tmp_path, "ingest", port, arguments, settings))

        yield start
