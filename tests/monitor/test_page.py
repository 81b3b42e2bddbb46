"""The page in a real browser, before a real server that is fed by hand."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from perfkit.monitor import ManualFeed, ReplayFeed, serve
from perfkit.monitor.snapshot import Snapshot
from perfkit.paths import report_notebook
from tests.monitor import plant
from tests.waiting import wait_until

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium here"),
]

expect = playwright.expect
expect.set_options(timeout=20_000)  # the machine may be busy with others
JOB = {
    "id": "0f2c7b53-7f0f-4c43-9f7c-000000000000",
    "queue": "notifications",
    "actor": "<i>charge</i>",
    "clock": {"mono_ns": 0, "wall_ns": 1_795_500_000_000_000_000},
    "attempts": [
        {
            "attempt": place,
            "delivery": 1,
            "worker": f"worker-{place}",
            "enqueued_ns": 1_000_000_000 * (place + 1),
            "fetched_ns": 1_000_000_000 * (place + 1) + 500_000_000,
            "started_ns": 1_000_000_000 * (place + 1) + 600_000_000,
            "finished_ns": 1_000_000_000 * (place + 1) + 900_000_000,
            "acked_ns": 1_000_000_000 * (place + 1) + 901_000_000,
            "outcome": outcome,
            "error": error,
        }
        for place, (outcome, error) in enumerate([("failed", "GatewayError"), ("done", None)])
    ],
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu", "--disable-quic"]
        )
        yield browser
        browser.close()


class Watched:
    """A tab, and what its console complained of."""

    def __init__(self, browser: Any, **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1300, "height": 900}} | options)
        self.tab = self.context.new_page()
        self.tab.set_default_timeout(20_000)
        self.complaints: list[str] = []
        self.tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.tab.on(
            "console",
            lambda said: (
                self.complaints.append(said.text) if said.type in ("error", "warning") else None
            ),
        )

    def shows(self, seq: int) -> None:
        """Wait until that snapshot is drawn."""
        self.tab.wait_for_selector(f"body[data-seq='{seq}']", timeout=60_000)


@pytest.fixture
def watched(browser: Any) -> Iterator[Watched]:
    one = Watched(browser)
    yield one
    one.context.close()
    assert one.complaints == []


@pytest.fixture
def feed() -> ManualFeed:
    """Two minutes of a system that is well."""
    fed = ManualFeed(jobs={JOB["id"]: JOB})
    for second in range(120):
        fed.push(plant.snapshot(second))
    return fed


@pytest.fixture
def url(feed: ManualFeed) -> Iterator[str]:
    with serve(feed) as served:
        yield served.url


def card(tab: Any, queue: str) -> Any:
    return tab.locator(f"[data-queue='{queue}']")


def fact(tab: Any, queue: str, name: str) -> Any:
    return card(tab, queue).locator(f"[data-fact='{name}'] dd")


def with_waiting(snapshot: Snapshot, name: str, waiting: int) -> Snapshot:
    queues = tuple(
        dataclasses.replace(each, waiting=waiting) if each.name == name else each
        for each in snapshot.queues
    )
    return dataclasses.replace(snapshot, queues=queues)


def test_it_loads_with_cards_charts_and_tables(watched: Watched, url: str) -> None:
    watched.tab.goto(url)
    watched.shows(119)
    expect(watched.tab.locator("#connection-words")).to_have_text("Live")
    assert watched.tab.locator(".card").count() == 3
    assert watched.tab.locator(".chart canvas:visible").count() >= 6
    assert watched.tab.locator("#workers tbody tr").count() == 5
    expect(watched.tab.locator("#redis")).to_contain_text("64.0 MiB")
    expect(watched.tab.locator("#errors")).to_contain_text("GatewayError")
    expect(watched.tab.locator("#thresholds")).to_contain_text("FAILS")
    expect(watched.tab.locator("#load")).to_contain_text("160 /s")


def test_the_history_of_the_server_is_drawn_at_once(watched: Watched, url: str) -> None:
    watched.tab.goto(url)
    watched.shows(119)
    waiting = watched.tab.locator("[data-chart='waiting']")
    waiting.get_by_role("button").click()
    assert waiting.locator(".scroll tbody tr").count() == 12
    oldest = plant.snapshot(9).queue("payments")
    assert oldest is not None
    expect(waiting.locator(".scroll tbody")).to_contain_text(str(oldest.waiting))


def test_it_updates_as_figures_come(watched: Watched, url: str, feed: ManualFeed) -> None:
    watched.tab.goto(url)
    watched.shows(119)
    feed.push(with_waiting(plant.snapshot(120), "payments", 7777))
    expect(fact(watched.tab, "payments", "waiting")).to_have_text("7,777")


def test_the_first_paint_comes_within_a_second(browser: Any, url: str) -> None:
    # The machine may be busy with others at the first try, not at all of them.
    painted: list[float] = []
    for _ in range(5):
        watched = Watched(browser)
        watched.tab.goto(url)
        watched.shows(119)
        painted.append(
            watched.tab.evaluate(
                "performance.getEntriesByName('first-contentful-paint')[0].startTime"
            )
        )
        watched.context.close()
        if painted[-1] < 1000:
            break
    assert min(painted) < 1000, painted


def test_a_stalled_queue_is_shown_within_three_seconds(
    watched: Watched, url: str, feed: ManualFeed
) -> None:
    watched.tab.goto(url)
    watched.shows(119)
    stalled = card(watched.tab, "payments")
    # The machine may be busy with others at the first try, not at all of them.
    took_s: list[float] = []
    for second in range(120, 130, 2):
        feed.push(plant.snapshot(second))
        expect(stalled).not_to_have_attribute("data-state", "stalled", timeout=20_000)
        began = time.monotonic()
        feed.push(plant.stalled(plant.snapshot(second + 1), "payments"))
        expect(stalled).to_have_attribute("data-state", "stalled", timeout=20_000)
        took_s.append(time.monotonic() - began)
        if took_s[-1] < 3:
            break
    assert min(took_s) < 3, took_s
    expect(stalled).to_contain_text("3 jobs are held by a dead or silent worker")
    expect(watched.tab.locator("#alarms")).to_contain_text("Queue payments has stalled jobs")
    expect(watched.tab.locator("#workers")).to_contain_text("lost: dead or silent")
    feed.push(plant.snapshot(140))
    expect(stalled).to_have_attribute("data-state", re.compile("busy|growing"))
    expect(watched.tab.locator("#alarms")).to_be_empty()


def test_a_queue_that_nobody_fetches_from_is_not_called_idle(
    watched: Watched, url: str, feed: ManualFeed
) -> None:
    watched.tab.goto(url)
    whole = plant.snapshot(120)
    first, *rest = whole.queues
    standing = dataclasses.replace(
        first, waiting=5, in_flight=0, rate_out=0.0, oldest_age_s=4.0, stalled=0
    )
    feed.push(dataclasses.replace(whole, queues=(standing, *rest)))
    expect(card(watched.tab, first.name)).to_contain_text("none is fetched")


def test_a_broken_source_looks_broken_and_keeps_the_last_figures_as_old(
    watched: Watched, url: str, feed: ManualFeed
) -> None:
    watched.tab.goto(url)
    watched.shows(119)
    before = fact(watched.tab, "payments", "waiting").inner_text()
    feed.push(plant.without_redis(plant.snapshot(125)))
    watched.shows(125)
    expect(watched.tab.locator("#alarms")).to_contain_text("Redis: connection refused")
    expect(watched.tab.locator("#connection")).to_have_attribute("data-state", "lost")
    expect(card(watched.tab, "payments")).to_have_attribute("data-stale", "yes")
    expect(card(watched.tab, "payments")).to_contain_text("as of 6.0 s ago")
    assert fact(watched.tab, "payments", "waiting").inner_text() == before
    expect(watched.tab.locator("#redis-note")).to_contain_text("as of 6.0 s ago")
    feed.push(plant.snapshot(126))
    expect(card(watched.tab, "payments")).not_to_have_attribute("data-stale", "yes")


def test_a_page_opened_while_redis_is_away_says_so(browser: Any) -> None:
    feed = ManualFeed()
    feed.push(plant.without_redis(plant.snapshot(1)))
    watched = Watched(browser)
    with serve(feed) as served:
        watched.tab.goto(served.url)
        expect(watched.tab.locator("#alarms")).to_contain_text("Redis: connection refused")
        expect(watched.tab.locator("#queues-note")).to_contain_text("Redis does not answer")
        watched.context.close()
    assert watched.complaints == []


def test_it_comes_back_by_itself_after_the_server_restarts(browser: Any, feed: ManualFeed) -> None:
    watched = Watched(browser)
    served = serve(feed)
    watched.tab.goto(served.url)
    watched.shows(119)
    served.close()
    expect(watched.tab.locator("body")).to_have_attribute("data-contact", "lost")
    expect(watched.tab.locator("#alarms")).to_contain_text("No contact with the monitor")
    feed.push(with_waiting(plant.snapshot(120), "payments", 4242))
    with serve(feed, port=served.port):
        expect(fact(watched.tab, "payments", "waiting")).to_have_text("4,242")
        expect(watched.tab.locator("body")).to_have_attribute("data-contact", "up")
        expect(watched.tab.locator("#alarms")).to_be_empty()
        watched.context.close()
    # The browser itself notes each try; of ours there is none.
    assert [each for each in watched.complaints if "net::ERR" not in each] == []


def test_pausing_holds_the_picture_and_loses_nothing(
    watched: Watched, url: str, feed: ManualFeed
) -> None:
    watched.tab.goto(url)
    watched.shows(119)
    before = fact(watched.tab, "payments", "waiting").inner_text()
    watched.tab.get_by_role("button", name="Pause").click()
    feed.push(with_waiting(plant.snapshot(120), "payments", 5555))
    feed.push(with_waiting(plant.snapshot(121), "payments", 6666))
    expect(watched.tab.locator("#connection-words")).to_have_text("Paused, 2.0 s behind")
    assert fact(watched.tab, "payments", "waiting").inner_text() == before
    watched.tab.get_by_role("button", name="Go on").click()
    expect(fact(watched.tab, "payments", "waiting")).to_have_text("6,666")
    waiting = watched.tab.locator("[data-chart='waiting']")
    waiting.get_by_role("button").click()
    watched.tab.locator("#range").select_option("300")
    assert "6,666" in waiting.locator(".sentence").inner_text()


def test_a_slow_job_opens_its_timeline_by_keyboard(watched: Watched, url: str) -> None:
    watched.tab.goto(url)
    watched.shows(119)
    button = watched.tab.locator("#slow button").first
    button.focus()
    watched.tab.keyboard.press("Enter")
    dialog = watched.tab.get_by_role("dialog")
    expect(dialog).to_contain_text("2 attempts")
    expect(dialog).to_contain_text("<i>charge</i>")
    expect(dialog.locator("tbody tr")).to_have_count(2)
    assert dialog.locator("rect").count() == 8
    watched.tab.keyboard.press("Escape")
    expect(dialog).not_to_be_visible()


def test_names_from_outside_stay_text(browser: Any) -> None:
    feed = ManualFeed()
    turned = "a‮gnorw"
    feed.push(plant.snapshot(1, queues=(plant.HOSTILE, "x" * 300, turned), subject=plant.HOSTILE))
    watched = Watched(browser)
    with serve(feed) as served:
        watched.tab.goto(served.url)
        watched.shows(1)
        assert watched.tab.locator("main img, main b, header img").count() == 0
        expect(watched.tab.locator("#queues")).to_contain_text("<img src=x")
        assert "‮" not in watched.tab.locator("body").inner_text()
        wide = "document.documentElement.scrollWidth <= innerWidth"
        assert watched.tab.evaluate(wide)
        watched.context.close()
    assert watched.complaints == []


@pytest.mark.parametrize("width", [360, 800, 2560])
def test_it_fits_from_a_phone_to_a_wall(browser: Any, url: str, width: int) -> None:
    watched = Watched(browser, viewport={"width": width, "height": 900})
    watched.tab.goto(url)
    watched.shows(119)
    assert watched.tab.evaluate("document.documentElement.scrollWidth") <= width
    watched.context.close()
    assert watched.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("state", ["well", "stalled", "broken"])
def test_axe_finds_nothing_serious(
    browser: Any, url: str, feed: ManualFeed, scheme: str, state: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    watched = Watched(browser, color_scheme=scheme)
    watched.tab.goto(url)
    watched.shows(119)
    if state == "stalled":
        feed.push(plant.stalled(plant.snapshot(120), "payments"))
        watched.shows(120)
    if state == "broken":
        feed.push(plant.without_redis(plant.snapshot(120)))
        watched.shows(120)
    found = axe.Axe().run(watched.tab).response["violations"]
    watched.context.close()
    bad = [
        (each["id"], [node["html"][:160] for node in each["nodes"][:3]])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
    assert bad == []


def test_the_theme_follows_the_system_and_a_choice_that_lasts(browser: Any, url: str) -> None:
    watched = Watched(browser, color_scheme="dark")
    watched.tab.goto(url)
    watched.shows(119)
    page = watched.tab.locator("html")
    expect(page).to_have_attribute("data-theme", "dark")
    watched.tab.locator("#theme").select_option("light")
    expect(page).to_have_attribute("data-theme", "light")
    watched.tab.reload()
    expect(page).to_have_attribute("data-theme", "light")
    watched.context.close()
    assert watched.complaints == []


def test_many_queues_and_workers_are_capped_with_a_word(browser: Any) -> None:
    feed = ManualFeed()
    names = tuple(f"queue-{place:02d}" for place in range(50))
    for second in range(30):
        feed.push(plant.snapshot(second, queues=names, workers=200))
    watched = Watched(browser)
    with serve(feed) as served:
        watched.tab.goto(served.url)
        watched.shows(29)
        assert watched.tab.locator(".card").count() == 12
        assert watched.tab.locator("#queues-rest tbody tr").count() == 38
        expect(watched.tab.locator("#queues-note")).to_contain_text("38 more in the table")
        expect(watched.tab.locator("#charts-note")).to_contain_text("42 not drawn")
        assert watched.tab.locator("#workers tbody tr").count() == 40
        expect(watched.tab.locator("#workers-note")).to_contain_text("160 not shown")
        watched.tab.locator("#worker-filter").fill("worker-199")
        assert watched.tab.locator("#workers tbody tr").count() == 1
        client = watched.context.new_cdp_session(watched.tab)
        client.send("Performance.enable")

        def scripted_s() -> float:
            metrics = client.send("Performance.getMetrics")["metrics"]
            return float(next(m["value"] for m in metrics if m["name"] == "ScriptDuration"))

        before = scripted_s()
        for second in range(30, 40):
            feed.push(plant.snapshot(second, queues=names, workers=200))
            watched.shows(second)
        # Ten updates; a quarter of a second each would be felt.
        assert (scripted_s() - before) / 10 < 0.25
        watched.context.close()
    assert watched.complaints == []


def private_bytes(pid: int) -> int:
    """Memory that is this process' own."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(kib) * 1024 for kib in re.findall(r"^Private_\w+:\s+(\d+) kB", text, re.M))


def test_an_hour_fits_into_100_megabytes(browser: Any) -> None:
    feed = ManualFeed()
    feed.push(plant.snapshot(0))
    watched = Watched(browser)
    with serve(feed) as served:
        watched.tab.goto(served.url)
        watched.shows(0)
        watched.tab.locator("#range").select_option("21600")
        for second in range(1, 3601):
            feed.push(plant.snapshot(second))
            if second % 60 == 0:
                watched.shows(second)
        client = watched.context.new_cdp_session(watched.tab)
        client.send("HeapProfiler.collectGarbage")
        client.send("Performance.enable")
        metrics = {m["name"]: m["value"] for m in client.send("Performance.getMetrics")["metrics"]}
        assert metrics["JSHeapUsedSize"] < 40e6, metrics
        assert metrics["Nodes"] < 20_000, metrics
        processes = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")
        tabs = [each["id"] for each in processes["processInfo"] if each["type"] == "renderer"]
        assert tabs
        most = max(private_bytes(pid) for pid in tabs)
        assert most < 100e6, f"{most / 1e6:.0f} MB"
        waiting = watched.tab.locator("[data-chart='waiting']")
        waiting.get_by_role("button").click()
        assert waiting.locator(".scroll tbody tr").count() == 12
        watched.context.close()
    assert watched.complaints == []


def test_history_is_bounded_keeps_spikes_and_breaks_at_gaps(watched: Watched, url: str) -> None:
    watched.tab.goto(url)
    made = watched.tab.evaluate(
        """async () => {
          const { History, FINE, COARSE, SERIES } = await import('/assets/history.js');
          const history = new History();
          for (let second = 1; second <= 30000; second += 1) {
            history.push(second, new Map([['queues/a/waiting', second === 20000 ? 999 : 1],
                                          ['queues/a/rate_in', second % 10 ? 0 : 10]]));
          }
          const [times, waiting, rates] = history.columns(
            ['queues/a/waiting', 'queues/a/rate_in'], 21600);
          const broken = new History();
          broken.push(1, new Map([['a', 1]]));
          broken.push(60, new Map([['a', 1]]));
          const many = new History();
          for (let name = 0; name < SERIES + 50; name += 1)
            many.push(name + 1, new Map([[`s${name}`, 1]]));
          return { count: times.length, most: FINE + COARSE, peak: Math.max(...waiting),
                   rate: rates[0], sorted: times.every((t, i) => i === 0 || t > times[i - 1]),
                   gap: broken.columns(['a'], 100)[1], series: many.series.size, cap: SERIES };
        }"""
    )
    assert made["count"] <= made["most"]
    assert made["sorted"]
    assert made["peak"] == 999
    assert made["rate"] == pytest.approx(1.0)
    assert made["gap"] == [1, None, 1]
    assert made["series"] == made["cap"]


def test_a_sealed_run_is_replayed_with_its_controls(browser: Any) -> None:
    run = report_notebook("10_run_report").parent / "example_data" / "bad"
    replay = ReplayFeed(run)
    watched = Watched(browser)
    tab = watched.tab
    with serve(replay) as served:
        tab.goto(served.url)
        controls = tab.locator("#replay")
        expect(controls).to_be_visible()
        slider = tab.locator("#replay-position")
        expect(tab.locator("#connection-words")).to_have_text(re.compile("Replay|Ended"))
        slider.focus()
        tab.keyboard.press("Home")
        expect(tab.locator("#replay-clock")).to_contain_text("0:0")
        play = tab.locator("#replay-play")
        if "Pause" not in play.inner_text():
            play.click()
        tab.locator("#replay-speed").select_option("60")
        wait_until(lambda: int(slider.input_value()) >= 3, 30, "the replay moves")
        if "Pause" in play.inner_text():
            play.click()
        expect(play).to_have_text(re.compile("Play"))
        where = slider.input_value()
        assert tab.locator(".card").count() >= 1
        tab.reload()
        expect(controls).to_be_visible()
        assert int(where) >= 3
        watched.context.close()
    assert watched.complaints == []


def test_the_page_has_one_landmark_of_each_kind_and_a_way_past_the_header(
    watched: Watched, url: str
) -> None:
    watched.tab.goto(url)
    watched.shows(119)
    for role in ("banner", "main", "contentinfo"):
        assert watched.tab.get_by_role(role).count() == 1
    watched.tab.keyboard.press("Tab")
    assert watched.tab.evaluate("document.activeElement.className") == "skip"
    assert json.loads(watched.tab.evaluate("JSON.stringify(document.title)")) == "perfkit monitor"
