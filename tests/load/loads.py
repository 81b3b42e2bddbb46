"""A load carried out in the running loop, for tests."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from perfkit.load.generator import Generator
from perfkit.load.rows import finish, new_ledger, read_ledger
from perfkit.load.spec import LoadSpec
from perfkit.load.usage import Cost
from tests.load.specs import read_requests

Rows = list[dict[str, Any]]


class Load:
    """One load that is carried out, and its files."""

    def __init__(self, spec: LoadSpec) -> None:
        self.output = Path(spec.output)
        self.ledger = new_ledger(spec)
        self.generator = Generator(spec, self.ledger)
        self.cost: Cost | None = None
        self.task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        await self.generator.prepare()
        self.cost = await self.generator.run()

    async def rows(self) -> Rows:
        """Wait for the end; the counts must balance, whatever the load was."""
        await self.task
        progress = self.generator.progress()
        self.ledger.close()
        finish(self.output, read_ledger(self.output), {})
        rows = read_requests(self.output)
        counts = self.counts
        assert counts["planned"] == len(rows) == counts["sent"] + counts["dropped"]
        assert counts["sent"] == counts["accepted"] + counts["refused"] + counts["errored"]
        assert (progress.planned, progress.sent, progress.dropped, progress.in_flight) == (
            counts["planned"],
            counts["sent"],
            counts["dropped"],
            0,
        )
        for row in rows:
            stamps = [row[f"{name}_ns"] for name in ("intended", "sent", "first_byte", "done")]
            there = [stamp for stamp in stamps if stamp is not None]
            assert there == sorted(there), "nothing is sent before it is due"
        return rows

    @property
    def counts(self) -> dict[str, Any]:
        counts: dict[str, Any] = json.loads((self.output / "generator.json").read_text())
        return counts
