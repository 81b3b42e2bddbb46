"""User code as load: every request a row, every iteration a record, whatever the code does."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from perfkit.errors import UsageError
from perfkit.load.arrivals import Segment
from perfkit.load.foreign import foreign_id, read_foreign_ids
from perfkit.load.journey import JourneyGenerator
from perfkit.load.rows import new_ledger
from perfkit.load.spec import JobIdRule, JourneySpec
from perfkit.load.usercode import load_user
from perfkit.load.wire import named_after, pointed_at
from tests.load.conftest import Run
from tests.load.journeys import CLOSED, SHOP, accepts, carry_out, play, reply, serving
from tests.load.servers import deaf, playing
from tests.load.specs import MS, S, population, spec_for


def test_each_request_is_a_row_with_its_name_and_the_id_of_its_job(
    run: Run, tmp_path: Path
) -> None:
    async def main() -> None:
        async with playing(serving(accepts)) as port:
            played = await play(tmp_path, SHOP, port, segments=population(2), **CLOSED)
        assert {row["queue"] for row in played.rows} == {"GET /items/{id}", "pay", "last"}
        for row in played.rows:
            key = row["key"]
            assert key.startswith(f"7/u{row['user']}/{row['iteration']}/")
            assert row["job_id"] == (f"job-{key}" if row["queue"] == "pay" else None)
        assert played.outcomes == {"done"}
        assert {("accepted", 1.0)} == set(played.of("journey.check"))
        assert {unit for unit, _ in played.of("own.size")} == {"kg"}

    run(main())


def test_a_pause_of_user_code_is_no_lateness_of_ours(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with playing(serving(accepts)) as port:
            played = await play(tmp_path, SHOP, port, segments=population(1), **CLOSED)
        by_key = {row["key"]: row for row in played.rows}
        pays = [row for row in played.rows if row["queue"] == "pay"]
        assert pays
        for pay in pays:
            before = by_key[pay["key"][:-1] + "0"]
            assert pay["intended_ns"] - before["done_ns"] >= 19 * MS

    run(main())


def test_draws_hang_on_seed_user_and_iteration_alone(run: Run, tmp_path: Path) -> None:
    code = """
async def user(client, ctx):
    ctx.metric(f"draw of {ctx.user}/{ctx.iteration}", ctx.random.random())
"""

    async def main() -> None:
        drawn: list[dict[str, float]] = []
        for name in ("first", "second"):
            (tmp_path / name).mkdir()
            users = 3 if name == "first" else 1
            played = await play(tmp_path / name, code, segments=population(users), **CLOSED)
            drawn.append({
                each["metric"]: each["value"] for each in played.happened
                if each["metric"].startswith("own.")
            })  # fmt: skip
        shared = set(drawn[0]) & set(drawn[1])
        assert shared
        assert all(drawn[0][name] == drawn[1][name] for name in shared)
        assert len(set(drawn[0].values())) == len(drawn[0])

    run(main())


def test_each_arrival_of_an_open_model_is_one_iteration(run: Run, tmp_path: Path) -> None:
    async def main() -> None:

        async with playing(serving(accepts)) as port:
            played = await play(
                tmp_path, SHOP, port, model="open", segments=(Segment(S // 5, 50.0, 50.0),)
            )
        assert len(played.of("journey.iteration")) == 10
        assert {row["key"].rpartition("/")[0] for row in played.rows} == {
            f"7/{number}" for number in range(10)
        }
        assert {row["user"] for row in played.rows} == {None}

    run(main())


def test_each_arrival_of_an_open_model_is_a_user_that_was_never_here_before(
    run: Run, tmp_path: Path
) -> None:
    code = "async def user(client, ctx):\n    ctx.metric(f'user {ctx.user}', ctx.iteration)\n"

    async def main() -> None:
        played = await play(tmp_path, code, model="open", segments=(Segment(S // 5, 50.0, 50.0),))
        told = {
            each["metric"]: each["value"] for each in played.happened
            if each["metric"].startswith("own.")
        }  # fmt: skip
        assert told == {f"own.user {number}": 0 for number in range(10)}

    run(main())


def test_iterations_above_the_cap_are_dropped_and_counted(run: Run, tmp_path: Path) -> None:
    code = """
import asyncio

async def user(client, ctx):
    await asyncio.Event().wait()  # until the load is over
"""

    async def main() -> None:

        async with playing(serving(accepts)) as port:
            played = await play(
                tmp_path, code, port, model="open", max_in_flight=3, grace_ns=0,
                segments=(Segment(S // 5, 50.0, 50.0),),
            )  # fmt: skip
        dropped = [row for row in played.rows if row["sent_ns"] is None]
        assert {row["queue"] for row in dropped} == {"user: not begun"}
        assert (len(dropped), len(played.of("journey.iteration"))) == (7, 3)

    run(main())


@pytest.mark.parametrize(
    ("line", "outcome"),
    [
        ("raise ValueError('a secret')", "ValueError at journey.py:4"),
        ("raise SystemExit(3)", "SystemExit at journey.py:4"),
        ("(await client.get('/')).raise_for_status()", "HTTPStatusError at journey.py:4"),
        ("await client.get('ftp://elsewhere/')", "UnsupportedProtocol at journey.py:4"),
        ("ctx.metric('size', float('nan'))", "ValueError at journey.py:4"),
        ("ctx.name('two\\nlines')", "ValueError at journey.py:4"),
    ],
)
def test_what_user_code_raises_is_counted_by_type_and_line(
    run: Run, tmp_path: Path, line: str, outcome: str
) -> None:
    async def main() -> None:
        async with playing(serving(lambda _: reply(500))) as port:
            code = f"\nasync def user(client, ctx):\n    await client.get('/first')\n    {line}\n"
            played = await play(tmp_path, code, port, segments=population(1), load_ns=S, **CLOSED)
        assert played.outcomes == {outcome}
        assert len(played.of("journey.iteration")) > 1, "the load goes on"

    run(main())


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://127.0.0.1:9/", "connect"),
        ("http://name.invalid/", "resolve"),
        ("/large", "too_large"),
        ("/loop", "redirects"),
        ("/slow", "timeout"),
        ("/given-up", "withdrawn"),
    ],
)
def test_a_request_without_a_whole_reply_says_why(
    run: Run, tmp_path: Path, url: str, error: str
) -> None:
    def answer(request: bytes) -> bytes:
        path = request.split(b" ")[1]
        if path == b"/large":
            return reply(200, b"x" * 5_000)
        if path == b"/loop":
            return reply(302, b"", b"location: /loop")
        return b"HTTP/1.1 100 Continue\r\n\r\n"  # and then nothing

    code = f"""
import asyncio

async def user(client, ctx):
    if "given-up" in {url!r}:
        async with asyncio.timeout(0.05):
            await client.get({url!r})
    await client.get({url!r}, follow_redirects=True)
"""

    async def main() -> None:
        async with playing(serving(answer)) as port:
            played = await play(
                tmp_path, code, port, segments=population(1), timeout_ns=400 * MS,
                journey={"body_limit": 1_000}, **CLOSED,
            )  # fmt: skip
        assert {row["error"] for row in played.rows} == {error}
        assert "done" not in played.outcomes

    run(main())


def test_a_server_that_takes_no_connection_is_an_error_of_its_own_and_no_drop_of_ours(
    run: Run, tmp_path: Path
) -> None:
    async def main() -> None:
        with deaf() as port:
            code = "async def user(client, ctx):\n    await client.get('/')\n"
            played = await play(
                tmp_path, code, port, segments=population(2), timeout_ns=100 * MS, **CLOSED
            )
        assert {row["error"] for row in played.rows} == {"connect"}
        assert all(row["blocked_ns"] >= 90 * MS for row in played.rows)
        assert played.counts["errored"] == played.counts["planned"] > 0
        assert played.outcomes == {"ConnectTimeout at journey.py:2"}

    run(main())


def test_a_request_that_cannot_be_written_is_sent_by_nobody_and_says_so(
    run: Run, tmp_path: Path
) -> None:
    async def main() -> None:
        code = (
            "async def user(client, ctx):\n"
            "    await client.get('/', headers={'X': 'a\\r\\nForged: b'})\n"
        )
        async with playing(serving(accepts)) as port:
            played = await play(tmp_path, code, port, segments=population(1), **CLOSED)
        assert {(row["sent_ns"], row["error"]) for row in played.rows} == {(None, "unsent")}
        assert played.outcomes == {"LocalProtocolError at journey.py:2"}

    run(main())


def test_a_redirect_that_is_followed_is_one_row(run: Run, tmp_path: Path) -> None:
    def answer(request: bytes) -> bytes:
        return reply(302, b"", b"location: /new") if b"/old" in request else reply(200)

    code = """
async def user(client, ctx):
    found = await client.get("/old", follow_redirects=True)
    ctx.check("followed", found.url.path == "/new" and len(found.history) == 1)
    found = await client.get("/old")
    ctx.check("told", found.next_request.url.path == "/new")
"""

    async def main() -> None:
        async with playing(serving(answer)) as port:
            played = await play(tmp_path, code, port, segments=population(1), **CLOSED)
        assert {value for _, value in played.of("journey.check")} == {1.0}
        assert {row["status"] for row in played.rows} == {200, 302}

    run(main())


def test_cookies_are_kept_by_a_user_and_by_no_other(run: Run, tmp_path: Path) -> None:
    def answer(request: bytes) -> bytes:
        if request.startswith(b"GET /login/"):
            who = request.split(b" ")[1].rpartition(b"/")[2]
            return reply(200, b"", b"set-cookie: who=%b; path=/" % who)
        cookie = [line for line in request.split(b"\r\n") if line.lower().startswith(b"cookie")]
        return reply(200, cookie[0].partition(b"=")[2] if cookie else b"nobody")

    code = """
async def user(client, ctx):
    if ctx.iteration == 0:
        await client.get(f"/login/{ctx.user}")
    found = await client.get("/me")
    ctx.check("known", found.text == str(ctx.user))
"""

    async def main() -> None:
        async with playing(serving(answer)) as port:
            played = await play(tmp_path, code, port, segments=population(3), **CLOSED)
        assert {value for _, value in played.of("journey.check")} == {1.0}

    run(main())


def test_code_that_swallows_its_end_is_left_behind(run: Run, tmp_path: Path) -> None:
    code = """
import asyncio

async def user(client, ctx):
    while ctx.requests < 1:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass
    await client.get("/")
"""

    async def main() -> None:
        (tmp_path / "journey.py").write_text(code)
        load_user.cache_clear()
        journey = JourneySpec(name="user", user="journey.py:user", folder=str(tmp_path))
        spec = spec_for(
            tmp_path, jobs=(), journey=journey, model="closed", segments=population(1), grace_ns=0
        )
        ledger = new_ledger(spec)
        generator = JourneyGenerator(spec, ledger)
        await generator.run()
        assert generator.is_stuck
        ledger.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            # Its own way out, so that the loop of this test ends.
            coroutine = task.get_coro()
            frame = getattr(getattr(coroutine, "cr_await", None), "cr_frame", None)
            if frame is not None and "ctx" in frame.f_locals:
                frame.f_locals["ctx"].requests = 1
                task.cancel()

    run(main())


def test_an_answer_that_is_too_deep_names_no_job_and_breaks_nothing() -> None:
    deep = b'{"id":' + b"[" * 200_000
    assert pointed_at(deep, "/id") is None
    assert foreign_id(deep, b"planned") is None
    assert foreign_id(b'{"id":"%b"}' % (b"x" * 201), b"planned") is None
    assert foreign_id(b'{"id":"theirs"}', b"planned") == "theirs"


def test_ids_are_read_up_to_where_a_kill_tore_their_file(tmp_path: Path) -> None:
    (tmp_path / "requests.ids").write_bytes("3 größe\n4 halb".encode() + b"\xc3")
    assert read_foreign_ids(tmp_path / "requests.ids") == {3: "größe"}


@pytest.mark.parametrize(
    ("named", "code", "words"),
    [
        ("gone.py:user", "", "there is no file gone.py"),
        ("journey.py:user", "import nothing_like_it", "ModuleNotFoundError"),
        ("journey.py:user", "raise SystemExit", "SystemExit"),
        ("journey.py:user", "def user(client, ctx): ...", "no coroutine function"),
        ("journey.py:user", "async def user(client): ...", "does not take a client and a context"),
        ("journey.py:other", "async def user(client, ctx): ...", "other"),
        ("journey.py:user", "def (", "SyntaxError"),
    ],
)
def test_code_that_cannot_be_used_is_refused_with_its_reason(
    tmp_path: Path, named: str, code: str, words: str
) -> None:
    (tmp_path / "journey.py").write_text(code)
    load_user.cache_clear()
    with pytest.raises(UsageError, match=words):
        load_user(named, tmp_path)


def test_a_template_draws_its_fields_by_key(run: Run, tmp_path: Path) -> None:
    seen: list[bytes] = []

    def answer(request: bytes) -> bytes:
        seen.append(request)
        return reply(202, b"{}", b"x-job-id: j%d" % len(seen))

    async def main() -> None:
        journey = JourneySpec(
            name="order",
            url="/orders",
            method="POST",
            headers={"X-Shop": "perfkit", "X-Key": {"seeded": "key"}},
            query={"size": {"seeded": "choice", "values": ["s", "l"]}},
            body={"amount": {"seeded": "int", "low": 1, "high": 9}},
            job_id=JobIdRule(header="X-Job-Id"),
        )
        async with playing(serving(answer)) as port:
            played = await carry_out(spec_for(
                tmp_path, f"http://127.0.0.1:{port}", jobs=(), journey=journey,
                segments=population(1), **CLOSED,
            ))  # fmt: skip
        assert {row["queue"] for row in played.rows} == {"order"}
        assert [row["job_id"] for row in played.rows] == [f"j{n + 1}" for n in range(len(seen))]
        for row, request in zip(played.rows, seen, strict=True):
            assert request.startswith((b"POST /orders?size=s ", b"POST /orders?size=l "))
            assert f"X-Key: {row['key']}".encode() in request
            assert 1 <= json.loads(request.partition(b"\r\n\r\n")[2])["amount"] <= 9

    run(main())


def test_a_secret_header_comes_from_the_environment_and_goes_into_no_file(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_TOKEN", "pl4ntedToken")
    seen: list[bytes] = []

    def answer(request: bytes) -> bytes:
        seen.append(request)
        return reply(200)

    code = """
async def user(client, ctx):
    await client.get("/" + client.headers["Authorization"])
    ctx.check("sent " + client.headers["Authorization"], True)
    await client.get("/", extensions={"name": "with " + client.headers["Authorization"]})
"""

    async def main() -> None:
        async with playing(serving(answer)) as port:
            await play(
                tmp_path, code, port, segments=population(1), **CLOSED,
                journey={"headers": {"Authorization": {"env": "API_TOKEN"}}},
            )  # fmt: skip
        assert b"Authorization: pl4ntedToken" in seen[0]
        for path in (tmp_path / "output").iterdir():
            assert b"pl4nted" not in path.read_bytes(), path

    run(main())


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", "/", "GET /"),
        ("GET", "/items/17/reviews", "GET /items/{id}/reviews"),
        ("PUT", "/x/0f9a3b62-1f0e-4a51-9f6e-0a1b2c3d4e5f", "PUT /x/{id}"),
        ("GET", "/jobs/payments", "GET /jobs/payments"),
    ],
)
def test_a_request_without_a_name_is_named_after_what_it_asks(
    method: str, path: str, name: str
) -> None:
    assert named_after(method, path) == name


@pytest.mark.parametrize(
    ("body", "pointer", "found"),
    [
        (b'{"id": "a"}', "/id", "a"),
        (b'{"job": {"ids": ["a", "b"]}}', "/job/ids/1", "b"),
        (b'{"a/b": {"~": "c"}}', "/a~1b/~0", "c"),
        (b'"whole"', "", "whole"),
        (b'{"id": "a"}', "/other", None),
        (b"<html>", "/id", None),
        (b"", "/id", None),
        (b"{" * 5_000, "/id", None),
    ],
)
def test_a_job_id_is_found_by_its_json_pointer(body: bytes, pointer: str, found: Any) -> None:
    assert pointed_at(body, pointer) == found


def test_httpx_and_our_client_say_the_same(run: Run, tmp_path: Path) -> None:
    """The short way of `send` must not be told from httpx's own."""

    def answer(_: bytes) -> bytes:
        return reply(201, b'{"a": 1}', b"content-type: application/json", b"x-one: 1", b"x-one: 2")

    async def main() -> None:
        code = """
import httpx
SEEN = []
async def user(client, ctx):
    SEEN.append(await client.put("/p?q=1", json=[1]))
    async with httpx.AsyncClient(base_url=str(client.base_url)) as stock:
        SEEN.append(await stock.put("/p?q=1", json=[1]))
    for ask in (lambda r: r.status_code, lambda r: r.headers.multi_items(), lambda r: r.json(),
                lambda r: r.text, lambda r: str(r.url), lambda r: r.is_success,
                lambda r: r.http_version, lambda r: r.encoding, lambda r: r.is_closed,
                lambda r: r.request.content, lambda r: r.history, lambda r: bool(r.elapsed)):
        ctx.check("same", ask(SEEN[-1]) == ask(SEEN[-2]))
"""
        async with playing(serving(answer)) as port:
            played = await play(tmp_path, code, port, segments=population(1), load_ns=S, **CLOSED)
        assert played.outcomes == {"done"}
        assert {value for _, value in played.of("journey.check")} == {1.0}

    run(main())
