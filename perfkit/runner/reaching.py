"""Whether the servers that a plan's requests go to can be reached, asked before anything starts.

Only a connection is made, with its TLS where the URL says so: no request is sent, so nothing
happens there. What becomes of a server later is counted, request by request.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

import httpx

from perfkit.errors import UsageError
from perfkit.plan import Trial

__all__ = ["check_reachable", "refuse_unreachable"]

_PATIENCE_S: Final = 5.0
_PORTS: Final = {"http": 80, "https": 443}


def refuse_unreachable(todo: Sequence[Trial]) -> None:
    """Try every server that a trial names by URL, each once.

    Raises:
        UsageError: one can't be reached, and why.
    """
    targets = (trial.scenario.target for trial in todo)
    for origin in dict.fromkeys(each.origin for each in targets if each and each.is_absolute):
        check_reachable(origin)


def check_reachable(origin: str, timeout_s: float = _PATIENCE_S) -> None:
    """Connect to ``scheme://host:port``, and leave.

    Raises:
        UsageError: there is no such host, it does not answer, or its certificate is not valid.
    """
    parts = urlsplit(origin)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    try:
        with socket.create_connection((host, port), timeout_s) as connected:
            if parts.scheme == "https":
                # The context of httpx, by which the load's requests are sent.
                with httpx.create_ssl_context().wrap_socket(connected, server_hostname=host):
                    pass
    except (socket.gaierror, UnicodeError):
        raise _refused(
            origin, f"there is no host {host}", "check target.url, and the network"
        ) from None
    except ssl.SSLCertVerificationError as error:
        why = f"its certificate is not valid: {error.verify_message}"
        mend = "give it a valid one, or name its authority: SSL_CERT_FILE=ca.pem"
        raise _refused(origin, why, mend) from None
    except ssl.SSLError:
        why = "what answers there speaks no TLS that we know"
        raise _refused(origin, why, "write http:// if it is plain") from None
    except TimeoutError:
        why = f"it does not answer within {timeout_s:g} s"
        raise _refused(origin, why, "check host, port and firewall") from None
    except ConnectionRefusedError:
        raise _refused(origin, "nothing listens there", "start it, or check the port") from None
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise _refused(origin, why, "check host, port and network") from None


def _refused(origin: str, why: str, mend: str) -> UsageError:
    return UsageError(f"the target {origin} can't be reached: {why}", mend)
