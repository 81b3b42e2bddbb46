"""Who may look: loopback alone, or whoever has the token; and never a page from somewhere else.

Host     an address, a loopback name, the name we were bound to, or one that was allowed:
         a name of a stranger that was made to point here (DNS rebinding) is refused
Origin   where a browser sends one, our own
token    on any address but loopback: ``Authorization: Bearer``, or the cookie that a link with
         a code gives. The code works once; who uses it makes the next one, which is printed
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["Access", "Refusal", "is_loopback"]

_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_OPEN_TO_ALL: Final = ("/healthz", "/readyz")
"""They say nothing but whether it works, and who asks has no token."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why somebody may not."""

    status: int
    what: str
    mend: str


def is_loopback(host: str) -> bool:
    """Whether only this machine gets to that address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Access:
    """The rules of one server.

    Args:
        host: what it is bound to.
        port: likewise.
        token: None: nobody needs one (loopback).
        allowed_hosts: further names under which it may be reached.
        told: called with each new code for a link.
    """

    def __init__(
        self,
        host: str,
        port: int,
        token: str | None,
        *,
        allowed_hosts: Collection[str] = (),
        told: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._names = {*_LOOPBACK, host.lower(), *(each.lower() for each in allowed_hosts)}
        self._token = token
        self._session = secrets.token_urlsafe(32)
        self._code = secrets.token_urlsafe(24)
        self._told = told
        self.cookie_name = f"perfkit_monitor_{port}"

    @property
    def code(self) -> str:
        """What a link must hold that gives a browser its cookie; it works once."""
        return self._code

    @property
    def needs_token(self) -> bool:
        """Whether one must be shown."""
        return self._token is not None

    def refusal(self, path: str, headers: Mapping[str, str]) -> Refusal | None:
        """Why a request is refused; None: it may."""
        host = headers.get("host", "")
        if not self._is_ours(host):
            return Refusal(
                421,
                "this server is not known under that name",
                "use its address, or start it with --allow-host NAME",
            )
        ours = (f"http://{host}".lower(), f"https://{host}".lower())
        origin = headers.get("origin")
        # Another port of this machine is another place too, though browsers call it the same site.
        if (origin is not None and origin.lower() not in ours) or (
            headers.get("sec-fetch-site") in ("cross-site", "same-site")
            and headers.get("sec-fetch-mode") not in (None, "navigate")
        ):
            return Refusal(403, "pages of other places may not look", "open the page itself")
        if self._token is None or path in _OPEN_TO_ALL or self._has_token(headers):
            return None
        return Refusal(
            401,
            "a token is needed",
            "open the link that `perfkit monitor` has printed, or send its token as "
            "`Authorization: Bearer TOKEN`",
        )

    def admit(self, code: str) -> str | None:
        """The cookie for who shows the code, which is then used up; None for a wrong one."""
        if self._token is None or not _same(code, self._code):
            return None
        self._code = secrets.token_urlsafe(24)
        self._told(self._code)
        # Strict would not be sent where the link was opened from a mail, a chat or an alert.
        return f"{self.cookie_name}={self._session}; HttpOnly; SameSite=Lax; Path=/"

    def _is_ours(self, host: str) -> bool:
        name = host.lower()
        if name.startswith("["):
            name = name[1:].partition("]")[0]
        elif name.count(":") == 1:
            name = name.partition(":")[0]
        if name in self._names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True  # an address can't be made to point elsewhere

    def _has_token(self, headers: Mapping[str, str]) -> bool:
        kind, _, shown = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and _same(shown.strip(), self._token or ""):
            return True
        pairs = (each.strip().partition("=") for each in headers.get("cookie", "").split(";"))
        return any(
            name == self.cookie_name and _same(value, self._session) for name, _, value in pairs
        )


def _same(shown: str, right: str) -> bool:
    """In a time that does not tell how much of it was right."""
    return hmac.compare_digest(shown.encode(), right.encode())
