"""Why a server cannot be reached that is there: one of the two sides speaks TLS, the other does not, or not so."""

from __future__ import annotations

import socket
import ssl
from typing import Literal, TypeAlias

_TIMEOUT_S = 1.0
_ENOUGH_BYTES = 9

Speaks: TypeAlias = Literal["", "plaintext", "tls", "tls with client certificates"]


def probe(address: str) -> Speaks:
    """Return what the server at `HOST:PORT` speaks, empty if there is none or it does not say.

    Nothing of the caller is sent, and nothing that the server says is trusted: it only makes for a better message.
    """
    host, _, port = address.rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _TIMEOUT_S) as connection:
            return _handshake(context, connection)
    except (OSError, ValueError):
        return ""


def _handshake(context: ssl.SSLContext, connection: socket.socket) -> Speaks:
    try:
        with context.wrap_socket(connection) as stream:
            # What a server thinks of a missing certificate comes only after the handshake (TLS 1.3): some say so, some
            # hang up. One that is content begins to speak HTTP/2.
            if not stream.recv(_ENOUGH_BYTES):
                return "tls with client certificates"
    except ssl.SSLEOFError:
        return "tls with client certificates"
    except ssl.SSLError as error:
        reason = error.reason or ""
        if "CERTIFICATE_REQUIRED" in reason or reason.endswith("ALERT_HANDSHAKE_FAILURE"):
            return "tls with client certificates"
        return "tls" if "ALERT" in reason else "plaintext" if "WRONG_VERSION" in reason else ""
    except ConnectionError:
        return "tls with client certificates"
    except OSError:
        return "tls"
    return "tls"
