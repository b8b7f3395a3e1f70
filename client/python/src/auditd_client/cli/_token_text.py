"""What a token at hand says of itself. Nothing is verified, nothing is sent."""

from __future__ import annotations

import base64
import binascii
import json
import sys
from pathlib import Path

from auditd_client.cli._errors import CommandError

_MAX_BYTES = 16_384


def read_token_names(file: Path) -> tuple[str, str]:
    """Return the claims `iss` and `jti` of the JWT in a file; `-` is stdin.

    Raises CommandError, which quotes nothing of it, for what is no JWT or lacks one of them.
    """
    try:
        text = sys.stdin.read(_MAX_BYTES) if str(file) == "-" else file.read_text("ascii")[:_MAX_BYTES]
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise CommandError(f"{file}: no token: it is not ASCII") from None
    parts = text.strip().split(".")
    try:
        payload = parts[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        issuer, jti = claims["iss"], claims["jti"]
    except (IndexError, ValueError, binascii.Error, TypeError):
        raise CommandError(f"{file}: no token: not three parts of base64url around JSON") from None
    except KeyError as error:
        raise CommandError(f"{file}: the token has no claim {error.args[0]}; revoke its subject instead") from None
    if not isinstance(issuer, str) or not isinstance(jti, str):
        raise CommandError(f"{file}: the token's iss and jti are no text")
    return issuer, jti
