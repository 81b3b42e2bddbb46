"""The page in a real browser, before a real server that is fed by hand."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from perfkit.monitor import ManualFeed, ReplayFeed, serve
from perfkit.monitor.snapshot import Queue, Snapshot, Source
from perfkit.paths import example_data
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
    """A tab, and what its console complained of.

    A patient one takes twenty times as long to find that nothing comes: most tests send one
    snapshot and then look, on a machine that may be busy, and are not about silence.
    """

    def __init__(self, browser: Any, *, patient: bool = True, **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1300, "height": 900}} | options)
        self.tab = self.context.new_page()
        if patient:
            self.tab.add_init_script(
                "const now = performance.now.bind(performance); performance.now = () => now() / 20;"
            )
        else:
            self.tab.clock.install()
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


@pytest.fixture
def watched(browser: Any, url: str) -> Iterator[Watched]:
    """A tab for that address; it is closed before the server, which it would miss."""
    one = Watched(browser)
    yield one
    one.context.close()
    assert one.complaints == []


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


def test_what_came_while_it_was_away_is_not_missing_afterwards(
    browser: Any, feed: ManualFeed
) -> None:
    watched = Watched(browser)
    served = serve(feed)
    watched.tab.goto(served.url)
    watched.shows(119)
    served.close()
    expect(watched.tab.locator("body")).to_have_attribute("data-contact", "lost")
    for second in range(120, 150):
        spike = 31_337 if second == 135 else 5
        feed.push(with_waiting(plant.snapshot(second), "payments", spike))
    with serve(feed, port=served.port):
        watched.shows(149)
        sentence = watched.tab.locator("[data-chart='waiting'] .sentence")
        expect(sentence).to_contain_text("payments 5 (most 31,337)")
        watched.context.close()


def test_a_browser_that_is_no_longer_admitted_is_told_so(browser: Any, feed: ManualFeed) -> None:
    watched = Watched(browser)
    served = serve(feed, token="a-token-of-many-letters")
    watched.tab.goto(served.link)
    watched.shows(119)
    assert "code" not in watched.tab.url
    served.close()
    # The new server has new cookies.
    with serve(feed, port=served.port, token="a-token-of-many-letters") as again:
        alarms = watched.tab.locator("#alarms")
        expect(alarms).to_contain_text("open the newest link", timeout=60_000)
        watched.tab.goto(again.link)
        watched.shows(119)
        expect(alarms).to_be_empty()
        watched.context.close()


@pytest.mark.parametrize(
    ("mode", "detail", "pill"),
    [("waiting", "the next trial has not begun", "Waiting"), ("ended", "the run is over", "Ended")],
)
def test_a_run_between_trials_or_over_is_no_fault(
    browser: Any, feed: ManualFeed, mode: Any, detail: str, pill: str
) -> None:
    watched = Watched(browser, patient=mode == "waiting")
    with serve(feed) as served:
        watched.tab.goto(served.url)
        watched.shows(119)
        nothing = plant.without_redis(plant.snapshot(120), detail)
        feed.push(dataclasses.replace(nothing, mode=mode))
        watched.shows(120)
        expect(watched.tab.locator("#connection-words")).to_have_text(pill)
        note = watched.tab.locator("#alarms .alarm")
        expect(note).to_have_count(1)
        expect(note).to_have_attribute("data-kind", "note")
        expect(note).to_contain_text(detail)
        expect(card(watched.tab, "payments")).to_have_attribute("data-state", "old")
        if mode == "ended":  # nothing more is to come, and that is no silence
            watched.tab.clock.fast_forward(60_000)
            expect(watched.tab.locator("body")).to_have_attribute("data-contact", "up")
            expect(watched.tab.locator("#connection-words")).to_have_text(pill)
            expect(note).to_have_count(1)
        watched.context.close()
    assert watched.complaints == []


def test_a_monitor_that_falls_silent_is_old_although_the_line_is_open(
    browser: Any, feed: ManualFeed
) -> None:
    watched = Watched(browser, patient=False)
    body = watched.tab.locator("body")
    with serve(feed) as served:
        watched.tab.goto(served.url)
        watched.shows(119)
        watched.tab.clock.fast_forward(5_000)
        expect(body).to_have_attribute("data-contact", "lost")
        expect(watched.tab.locator("#alarms")).to_contain_text("What you see is old")
        seconds = itertools.count(120)

        def is_up() -> bool:
            feed.push(plant.snapshot(next(seconds)))
            return bool(body.get_attribute("data-contact") == "up")

        wait_until(is_up, 60, "what comes is believed again")
        watched.context.close()
    assert watched.complaints == []


def test_of_several_servers_only_the_queues_of_the_broken_one_are_old(
    watched: Watched, url: str, feed: ManualFeed
) -> None:
    watched.tab.goto(url)
    watched.shows(119)
    whole = with_waiting(plant.snapshot(125), "payments", 4321)
    blank = Queue(name="webhooks")
    queues = tuple(blank if each.name == "webhooks" else each for each in whole.queues)
    sources = {**whole.sources, "redis": Source(ok=False, detail="one is gone", since_s=2.0)}
    feed.push(dataclasses.replace(whole, queues=queues, sources=sources))
    watched.shows(125)
    expect(watched.tab.locator("#alarms")).to_contain_text("Redis: one is gone")
    expect(card(watched.tab, "webhooks")).to_have_attribute("data-stale", "yes")
    expect(card(watched.tab, "webhooks")).to_contain_text("as of 6.0 s ago")
    expect(card(watched.tab, "payments")).not_to_have_attribute("data-stale", "yes")
    expect(fact(watched.tab, "payments", "waiting")).to_have_text("4,321")


def test_a_worker_that_was_stopped_is_no_alarm_and_one_that_was_lost_is(
    watched: Watched, url: str, feed: ManualFeed
) -> None:
    watched.tab.goto(url)
    whole = plant.snapshot(120)
    stopped = dataclasses.replace(whole.workers[1], alive=False, in_flight=0, last_seen_s=90.0)
    feed.push(dataclasses.replace(whole, workers=(whole.workers[0], stopped, *whole.workers[2:])))
    watched.shows(120)
    row = watched.tab.locator("#workers tbody tr").filter(has_text="worker-1")
    expect(row).to_contain_text("stopped or silent")
    expect(row).to_have_attribute("data-state", "gone")
    expect(watched.tab.locator("#workers-note")).to_contain_text("4 of 5 alive")
    feed.push(plant.stalled(plant.snapshot(121), "payments"))
    first = watched.tab.locator("#workers tbody tr").first
    expect(first).to_contain_text("lost: dead or silent")


def test_of_a_run_without_redis_only_the_load_is_shown(browser: Any) -> None:
    feed = ManualFeed()
    for second in range(20):
        whole = plant.snapshot(second)
        feed.push(
            Snapshot(
                seq=second, at_s=whole.at_s, subject="run of a target", load=whole.load,
                sources={"load": whole.sources["load"]},
            )
        )  # fmt: skip
    watched = Watched(browser)
    with serve(feed) as served:
        watched.tab.goto(served.url)
        watched.shows(19)
        expect(watched.tab.locator("#queues-note")).to_contain_text("No Redis is watched here")
        expect(watched.tab.locator(".chart:visible")).to_have_count(1)
        expect(watched.tab.locator("#load")).to_contain_text("160 /s")
        expect(watched.tab.locator("#section-redis")).to_be_hidden()
        expect(watched.tab.locator("#connection-words")).to_have_text("Live")
        watched.context.close()
    assert watched.complaints == []


def test_marks_of_an_axis_are_told_as_what_they_are(watched: Watched, url: str) -> None:
    """2.5 jobs must not be written as 3, nor a quarter of a second as a full one."""
    watched.tab.goto(url)
    watched.shows(119)
    steps = watched.tab.evaluate(
        """async () => {
          const { SPECS } = await import('/assets/drawings.js');
          return SPECS.filter((spec) => spec.steps).map((spec) => [spec.name, spec.steps]);
        }"""
    )
    assert {name for name, _ in steps} == {"waiting", "flight", "memory"}
    assert all(step >= 1 and step == int(step) for _, some in steps for step in some)


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
def test_it_fits_from_a_phone_to_a_wall(
    browser: Any, url: str, feed: ManualFeed, width: int
) -> None:
    watched = Watched(browser, viewport={"width": width, "height": 900})
    watched.tab.goto(url)
    whole = plant.snapshot(120)
    long = dataclasses.replace(
        whole.thresholds[0], state="unsure", note="not at this load (needs more than 150/s)"
    )
    feed.push(dataclasses.replace(whole, thresholds=(long,)))
    watched.shows(120)
    box = watched.tab.locator("#thresholds li").bounding_box()
    assert box["height"] < 90, "words side by side, not letters one below another"
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
        expect(watched.tab.locator("#workers tbody tr")).to_have_count(1)
        watched.context.close()
    assert watched.complaints == []


def test_an_update_of_many_queues_and_workers_touches_only_what_changed(browser: Any) -> None:
    feed = ManualFeed()
    names = tuple(f"queue-{place:02d}" for place in range(50))
    feed.push(plant.snapshot(30, queues=names, workers=200))
    watched = Watched(browser)
    with serve(feed) as served:
        watched.tab.goto(served.url)
        watched.shows(30)
        feed.push(plant.snapshot(31, queues=names, workers=200))
        watched.shows(31)  # charts of what only snapshots tell are begun with the second
        watched.tab.evaluate(
            """() => {
              window.made = 0;
              const look = (changes) => changes.forEach((change) => change.addedNodes.forEach(
                (node) => { window.made += node.nodeType === Node.ELEMENT_NODE; }));
              for (const part of ['queues', 'queues-rest', 'charts', 'workers'])
                new MutationObserver(look).observe(
                  document.getElementById(part), { childList: true, subtree: true });
            }"""
        )
        for second in range(32, 37):
            feed.push(plant.snapshot(second, queues=names, workers=200))
            watched.shows(second)
        # Texts change; no row, card or chart is made anew.
        assert watched.tab.evaluate("window.made") == 0
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
    # Every second of the hour must have come before the next one is sent.
    watched.tab.add_init_script(
        """window.seen = { seq: -1, until: null };
        window.EventSource = class extends EventSource {
          addEventListener(kind, listener) {
            super.addEventListener(kind, (event) => {
              listener(event);
              if (kind !== 'snapshot') return;
              window.seen.seq = JSON.parse(event.data).seq;
              window.seen.until?.();
            });
          }
        };
        window.came = (seq) => new Promise((done) => {
          window.seen.until = () => { if (window.seen.seq >= seq) done(); };
          window.seen.until();
        });"""
    )
    with serve(feed) as served:
        watched.tab.goto(served.url)
        watched.shows(0)
        watched.tab.locator("#range").select_option("21600")
        for second in range(1, 3601):
            feed.push(plant.snapshot(second))
            watched.tab.evaluate("(seq) => window.came(seq)", second)
        watched.shows(3600)
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
        expect(waiting.locator(".scroll tbody tr")).to_have_count(12)
        # The whole hour is there: an age of half an hour and more is in the table.
        first = waiting.locator(".scroll tbody tr").last.locator("th").inner_text()
        last = waiting.locator(".scroll tbody tr").first.locator("th").inner_text()
        assert (_seconds(last) - _seconds(first)) % 86_400 > 1800, (first, last)
        watched.context.close()
    assert watched.complaints == []


def _seconds(clock: str) -> int:
    hours, minutes, seconds = map(int, clock.split(":"))
    return hours * 3600 + minutes * 60 + seconds


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
    replay = ReplayFeed(example_data() / "bad")
    length = int(replay.length_s)
    watched = Watched(browser, patient=False)
    tab = watched.tab
    with serve(replay) as served:
        tab.goto(served.url)
        expect(tab.locator("#replay")).to_be_visible()
        slider, play = tab.locator("#replay-position"), tab.locator("#replay-play")
        pill = tab.locator("#connection-words")
        expect(pill).to_have_text("Replay")
        expect(play).to_have_text("Pause the replay")
        wait_until(lambda: int(slider.input_value()) >= 2, 60, "it plays by itself")
        play.click()
        expect(play).to_have_text("Play")
        slider.focus()
        tab.keyboard.press("Home")
        expect(tab.locator("#replay-clock")).to_contain_text("0:00 of ")
        expect(slider).to_have_value("0")
        tab.locator("#replay-speed").select_option("60")
        play.click()
        expect(play).to_have_text("Play again", timeout=60_000)
        assert int(slider.input_value()) >= length
        assert tab.locator(".card").count() >= 1
        # It stands at its end, and whoever leaves it there is not told of a lost contact.
        tab.clock.fast_forward(60_000)
        expect(tab.locator("body")).to_have_attribute("data-contact", "up")
        expect(pill).to_have_text("Replay")
        expect(tab.locator("#alarms")).to_be_empty()
        play.click()
        wait_until(lambda: int(slider.input_value()) < length, 60, "it begins again")
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
