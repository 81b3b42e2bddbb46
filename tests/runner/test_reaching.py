"""Whether a target can be reached, told before anything starts."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from perfkit.errors import UsageError
from perfkit.launcher.ports import port_of, reserve
from perfkit.runner.reaching import check_reachable
from tests.answering import answering
from tests.load.test_tls import CA, certificate


@contextlib.contextmanager
def tls_server(folder: Path, *names: str) -> Iterator[int]:
    """Shakes hands with whoever comes, and does no more."""
    with certificate(folder, *names) as files:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(files["certfile"], files["keyfile"])
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                context.wrap_socket(connection, server_side=True).close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(5)


def refusal(origin: str, timeout_s: float = 5.0) -> str:
    with pytest.raises(UsageError) as caught:
        check_reachable(origin, timeout_s)
    assert caught.value.mend
    return caught.value.what


def test_a_server_that_listens_is_not_asked_for_anything() -> None:
    with answering() as server:
        check_reachable(server.url)
        assert server.asked == []


def test_a_port_where_nothing_listens_is_named() -> None:
    with reserve(None) as held:
        port = port_of(held)
    assert "nothing listens there" in refusal(f"http://127.0.0.1:{port}")


@pytest.mark.parametrize("host", ["nowhere.invalid", f"{'a' * 70}.invalid"])
def test_a_host_that_there_is_not_is_named(host: str) -> None:
    assert f"there is no host {host}" in refusal(f"http://{host}:8000")


def test_a_certificate_that_nobody_vouches_for_is_told_with_its_reason(tmp_path: Path) -> None:
    with tls_server(tmp_path, "127.0.0.1") as port:
        assert "its certificate is not valid" in refusal(f"https://127.0.0.1:{port}")


def test_one_for_another_host_is_told_too_and_the_right_one_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    CA.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with tls_server(tmp_path, "shop.test") as port:
        assert "its certificate is not valid" in refusal(f"https://127.0.0.1:{port}")
    with tls_server(tmp_path, "127.0.0.1") as port:
        check_reachable(f"https://127.0.0.1:{port}")


def test_https_where_plain_http_is_spoken_is_told() -> None:
    with answering() as server:
        told = refusal(server.url.replace("http:", "https:"))
    assert "speaks no TLS" in told


def test_a_server_that_says_nothing_is_not_waited_for_long() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        told = refusal(f"https://127.0.0.1:{silent.getsockname()[1]}", 0.2)
    assert "does not answer within 0.2 s" in told
