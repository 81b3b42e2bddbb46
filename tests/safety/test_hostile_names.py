"""Names and texts of a hostile run are shown as what they are, and none becomes markup or code."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from perfkit.api.rendering import report
from perfkit.store import StoredRun
from tests.reporting.test_page import BROWSER, dom
from tests.sealed import INSTANTS, SECOND, Sketch, call, delivery, request, sample, seal

MARK = "pwned"
HOSTILE = (
    f"<script>window.{MARK}=1;document.title='{MARK}'</script>",
    f"</script><script>window.{MARK}=2;document.title='{MARK}'</script>",
    f"<!--<script>{MARK}",
    f'"><img src=x onerror="document.title=\'{MARK}\'">',
    f"' onmouseover='{MARK}()' x='",
    f"[{MARK}](javascript:{MARK}()) <a href='javascript:{MARK}()'>{MARK}</a>",
    f"]]><svg/onload={MARK}()>",
    f"{{{{{MARK}}}}} ${{{MARK}}} {{% raw %}} \\u003cb\\u003e{MARK}",
    f"$\\href{{javascript:{MARK}()}}{{x}}$",
)  # fmt: skip


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> StoredRun:
    """Every text of a run that comes from outside, hostile in each way in turn."""

    def name(number: int) -> str:
        return HOSTILE[number % len(HOSTILE)]

    trials = []
    for index in range(2):
        rows = [
            request(seq, (12 + seq % 8) * SECOND, queue=name(seq), key=f"{name(seq)}{seq}",
                    job_id=f"{name(seq)}{seq}", error=name(seq) if seq % 5 == 0 else None)
            for seq in range(64)
        ]  # fmt: skip
        jobs = [
            delivery(row, actor=name(row["seq"] + 1), worker=name(row["seq"] + 2),
                     error=name(row["seq"] + 3) if row["seq"] % 4 == 0 else None,
                     outcome="dead" if row["seq"] % 4 == 0 else "done")
            for row in rows
        ]  # fmt: skip
        samples = [
            sample(second, metric, float(second), subject)
            for second in range(12)
            for metric, subject in [
                *((f"queue.{kind}", name(n)) for kind in ("waiting", "delayed", "dead", "in_flight")
                  for n in range(4)),
                *(("process.cpu_ns", name(n)) for n in range(4)),
                *(("redis.slowlog_ns", name(n)) for n in range(4)),
                *(("redis.latency_event_ns", name(n)) for n in range(4)),
                ("redis.up", ""),
            ]
        ]  # fmt: skip
        facts = {
            "label": name(index), "reason": name(index + 1), "axes": {"host.tag": name(4)},
            "deaths": [{"name": name(5), "at_ns": 13 * SECOND, "status": -9}],
            "scale_events": [{"at_ns": 14 * SECOND, "pool": name(1), "from_workers": 1,
                              "to_workers": 2, "reason": name(2), "done_ns": None,
                              "error": name(3)}],
            "worker_lives": [{"name": name(0), "pool": name(1), "started_ns": 11 * SECOND,
                              "ready_ns": None, "stop_ns": None, "ended_ns": None}],
            "settings": {"pools": [{"name": name(0), "workers": 1, "threads": 4}],
                         "preset": name(1), "ingest_enqueue": name(2)},
            "processes": {name(n): {"pid": 1, "role": name(n + 1)} for n in range(4)},
            "stretches": [{"name": name(3), "begin_ns": 0, "end_ns": 11 * SECOND, "phase": 0,
                           "level_start": 5.0, "level_end": 5.0}],
            "faults": [{"action": name(0), "target": name(1), "at_ns": 15 * SECOND,
                        "done_ns": 15 * SECOND, "ended_ns": 16 * SECOND, "victim": name(4),
                        "done": True, "error": name(2)}],
            "stack": {"redis": {"server": name(0), "config": {name(1): name(2)},
                                "profile": name(5), "warnings": [name(4)]}},
            "instants_ns": INSTANTS, "outcome": "partial" if index else "complete",
        }  # fmt: skip
        trials.append(Sketch(rows, jobs, samples, [call(row) for row in rows], facts=facts))
    return seal(
        tmp_path_factory.mktemp("hostile"),
        *trials,
        document={"threshold": [{"metric": "latency", "expr": "p(95)<500ms", "queue": name(0),
                                 "claimed": name(1)}]},
        status="partial",
        plan=[{"trial": n, "seed": 1, "label": name(n), "scenario": name(n)} for n in range(2)],
        command=["perfkit", *HOSTILE],
        host={"cpus": 2, "cpu_model": name(0), "kernel": name(1), "fingerprint": name(2),
              "python": name(3)},
        versions={name(1): name(2)},
        redis={"server": name(0), "version": name(1), "allocator": name(2),
               "config": {name(3): name(4)}},
        git={"commit": name(5), "branch": name(1), "dirty": True},
        warnings=list(HOSTILE),
    )  # fmt: skip


class Page(HTMLParser):
    """Every element and attribute of a page, and the scripts with what is in them."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.scripts: list[tuple[dict[str, str], str]] = []
        self.words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag == "script":
            self.scripts.append((self.elements[-1][1], ""))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            attributes, text = self.scripts[-1]
            self.scripts[-1] = (attributes, text + data)
        else:
            self.words += data


@pytest.fixture(scope="module")
def page(hostile: StoredRun) -> Path:
    return report(hostile.path)


@pytest.mark.full
def test_no_name_of_a_hostile_run_becomes_markup_or_code(page: Path) -> None:
    parsed = Page()
    parsed.feed(page.read_text())
    parsed.close()
    assert MARK in parsed.words  # it is shown, as text
    # Ours: the charts' data, the colours, the packed bundle, and one script at the end.
    kinds = [attributes.get("type", "code") for attributes, _ in parsed.scripts]
    assert kinds[-2:] == ["text/plain", "code"]
    assert set(kinds[:-2]) == {"application/json"}
    assert MARK not in parsed.scripts[-1][1]
    for attributes, text in parsed.scripts[:-2]:
        assert "<" not in text, attributes
        json.loads(text)
    for tag, attributes in parsed.elements:
        assert tag not in ("iframe", "object", "embed", "base", "form", "link"), tag
        for name, value in attributes.items():
            assert re.fullmatch(r"[a-zA-Z][a-zA-Z:-]*[0-9]?", name), (tag, name)
            assert not name.startswith("on"), (tag, name, value)
            assert name in ("aria-label", "alt", "id", "content", "title") or MARK not in value
            assert not value.strip().lower().startswith("javascript:"), (tag, name, value)


@pytest.mark.full
@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_in_a_browser_nothing_of_a_hostile_run_is_executed(page: Path, tmp_path: Path) -> None:
    drawn = dom(page, tmp_path / "profile")
    title = re.search(r"<title>(.*?)</title>", drawn)
    assert title is not None
    assert MARK not in title[1]
    assert 'class="pk-chart drawn"' in drawn
    outside = re.sub(r"<script.*?</script>", "", drawn, flags=re.DOTALL)
    assert not re.search(rf"<img[^>]*{MARK}|<svg[^>]*onload|<a[^>]*javascript:", outside)
