"""The plan of a load as it is kept: what was asked, whatever came of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perfkit.clock import SystemClock
from perfkit.launcher.placement import place
from perfkit.load.demand import demand_of
from perfkit.load.exchange import NEVER_NS
from perfkit.load.spec import LoadSpec
from perfkit.plan import build
from perfkit.records import SCHEDULE
from perfkit.runner.scheduling import TIMES, schedule_table
from perfkit.runner.specs import asked, load_spec
from perfkit.store import read_table
from perfkit.store.tables import write_table
from tests.fresh import in_fresh_interpreter
from tests.runner.test_specs import Addresses

S = 1_000_000_000


def spec_of(folder: Path, name: str, **values: Any) -> LoadSpec:
    keys = {key.replace("__", "."): value for key, value in values.items()}
    trial = build([name], values=keys).trials[0]
    addresses = Addresses({"payments": "redis://one"})
    return load_spec(trial, addresses, asked(trial, SystemClock()), folder, place())


SINE = [{"duration": "20s", "shape": "sine", "low": 5, "high": 50}]


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"load__exact": True},
        {"load__arrivals": "constant"},
        {"load__phase": SINE},
        {"load__phase": [{"duration": "9s", "shape": "burst", "size": 7, "every": "2s"}]},
    ],
)
def test_the_schedule_that_is_kept_is_the_one_that_is_sent(
    tmp_path: Path, values: dict[str, Any]
) -> None:
    spec = spec_of(tmp_path, "spike-open", **values)
    table = schedule_table(spec)
    assert table.schema.equals(SCHEDULE)
    demand, sent = demand_of(spec), []
    while demand.next_ns != NEVER_NS:
        sent.append(demand.take().intended_ns - spec.start_ns)
    assert table["offset_ns"].to_pylist() == sent
    assert len(sent) > 10


def test_of_a_closed_model_the_stays_of_its_users_are_kept(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, "spike", load__phase__1__users=150)
    rows = schedule_table(spec).to_pylist()
    assert len(rows) == 150
    first, last = rows[0], rows[-1]
    assert first == {"trial": 0, "offset_ns": 0, "user": 0, "until_ns": spec.load_ns}
    assert last["user"] == 149
    assert [row["offset_ns"] for row in rows] == sorted(row["offset_ns"] for row in rows)


def test_a_kept_schedule_is_small_and_can_be_replayed_as_a_trace(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, "spike-open")
    path = tmp_path / "schedule.parquet"
    table = schedule_table(spec)
    write_table(path, table)
    assert path.stat().st_size < 5 * len(table) + 4096
    assert read_table(path).equals(table)
    folder = tmp_path / "again"
    folder.mkdir()
    (tmp_path / "again.toml").write_text(
        'name = "again"\n[load]\nmodel = "open"\narrivals = "trace"\n'
        'trace = { file = "schedule.parquet", column = "offset_ns", unit = "ns" }\n'
        '[[job]]\nqueue = "payments"\n[gateway.payments]\nmedian = "40ms"\n'
    )
    again = spec_of(folder, str(tmp_path / "again.toml"))
    assert schedule_table(again)["offset_ns"].equals(table["offset_ns"])
    words = np.fromfile(folder / TIMES, np.int64)
    assert words.tolist() == table["offset_ns"].to_pylist()


@pytest.mark.skipif(sys.platform != "linux", reason="the measuring wing is for Linux")
def test_keeping_a_schedule_does_not_bring_pandas_into_the_runner(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    path.write_text(spec_of(tmp_path, "spike-open").to_json())
    said = in_fresh_interpreter(
        "import sys; from pathlib import Path\n"
        "from perfkit.load.spec import read_spec\n"
        "from perfkit.runner.scheduling import schedule_table\n"
        "from perfkit.store.tables import write_table\n"
        f"table = schedule_table(read_spec(Path({str(path)!r})))\n"
        f"write_table(Path({str(tmp_path / 'schedule.parquet')!r}), table)\n"
        "print('pandas' in sys.modules)"
    )
    assert said.strip() == "False"
