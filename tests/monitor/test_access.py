"""Who may look."""

from __future__ import annotations

import pytest

from perfkit.monitor.access import Access, is_loopback

TOKEN = "a-token-of-many-letters"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8090", None),
        ("localhost:8090", None),
        ("LOCALHOST", None),
        ("[::1]:8090", None),
        ("192.0.2.7:8090", None),  # an address can't be rebound
        ("monitor:8090", None),
        ("evil.example:8090", 421),
        ("127.0.0.1.evil.example", 421),
        ("", 421),
        ("[evil]", 421),
    ],
)
def test_a_name_of_a_stranger_is_refused(host: str, status: int | None) -> None:
    access = Access("127.0.0.1", 8090, None, allowed_hosts=["monitor"])
    refusal = access.refusal("/", {"host": host})
    assert (refusal and refusal.status) == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:8090", None),
        ("http://evil.example", 403),
        ("null", 403),
        ("http://127.0.0.1:9999", 403),
    ],
)
def test_pages_of_other_places_may_not_look(origin: str, status: int | None) -> None:
    headers = {"host": "127.0.0.1:8090", "origin": origin}
    refusal = Access("127.0.0.1", 8090, None).refusal("/snapshot", headers)
    assert (refusal and refusal.status) == status


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_request_that_a_foreign_page_makes_without_an_origin_is_refused(site: str) -> None:
    headers = {"host": "127.0.0.1", "sec-fetch-site": site, "sec-fetch-mode": "no-cors"}
    refusal = Access("127.0.0.1", 8090, None).refusal("/snapshot", headers)
    assert refusal is not None
    assert refusal.status == 403


@pytest.mark.parametrize(
    ("site", "mode"), [("cross-site", "navigate"), ("none", "navigate"), ("same-origin", "cors")]
)
def test_a_link_from_anywhere_opens_the_page_and_the_page_may_ask(site: str, mode: str) -> None:
    headers = {"host": "127.0.0.1", "sec-fetch-site": site, "sec-fetch-mode": mode}
    assert Access("127.0.0.1", 8090, None).refusal("/snapshot", headers) is None


def test_capital_letters_of_a_name_make_no_stranger() -> None:
    headers = {"host": "LOCALHOST:8090", "origin": "http://localhost:8090"}
    assert Access("127.0.0.1", 8090, None).refusal("/snapshot", headers) is None


@pytest.mark.parametrize(
    "shown", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x"]
)
def test_without_the_token_nobody_may(shown: str) -> None:
    access = Access("0.0.0.0", 8090, TOKEN)
    refusal = access.refusal("/snapshot", {"host": "192.0.2.7", "authorization": shown})
    assert refusal is not None
    assert refusal.status == 401
    assert TOKEN not in refusal.mend


def test_with_the_token_one_may_and_health_is_told_to_everybody() -> None:
    access = Access("0.0.0.0", 8090, TOKEN)
    headers = {"host": "192.0.2.7", "authorization": f"Bearer {TOKEN}"}
    assert access.refusal("/snapshot", headers) is None
    assert access.refusal("/healthz", {"host": "192.0.2.7"}) is None


def test_a_code_admits_one_browser_and_makes_the_next_code() -> None:
    told: list[str] = []
    access = Access("0.0.0.0", 8090, TOKEN, told=told.append)
    code = access.code
    assert access.admit("wrong") is None
    cookie = access.admit(code)
    assert cookie is not None
    assert TOKEN not in cookie
    # Not Strict: it would not be sent by who opens the link from a mail or a chat.
    assert "HttpOnly; SameSite=Lax" in cookie
    assert access.admit(code) is None
    assert told == [access.code]
    value = cookie.partition(";")[0]
    assert access.refusal("/", {"host": "192.0.2.7", "cookie": f"other=1; {value}"}) is None


@pytest.mark.parametrize(
    ("host", "answer"),
    [
        ("127.0.0.1", True), ("127.9.9.9", True), ("localhost", True), ("::1", True),
        ("0.0.0.0", False), ("192.0.2.1", False), ("example.org", False),
    ],
)  # fmt: skip
def test_loopback_is_known(host: str, answer: bool) -> None:
    assert is_loopback(host) is answer
