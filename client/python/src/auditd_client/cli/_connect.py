"""A client for the settings of a command."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from auditd_client.cli._errors import CommandError
from auditd_client.cli._key import read_key
from auditd_client.cli._settings import ConnectionSettings

if TYPE_CHECKING:
    from auditd_client import AdminClient

MAX_ATTEMPTS = 5
"""How often a person's call is tried: a server that is away is reported within a second."""


def connect(
    settings: ConnectionSettings, *, max_attempts: int | None = None, sleep: Callable[[float], None] = time.sleep
) -> AdminClient:
    """Return a client; it calls nobody yet. Without `max_attempts` it tries until the time-out.

    A token in a file is read again for every call: whoever replaces it in time keeps long streams going.

    Raises CommandError without an address, or for a key that is none.
    """
    # Imported here: what a command does without a server, it does without waiting for gRPC.
    from auditd_client import AdminClient, RetryPolicy
    from auditd_client.cli._explain import Waiting

    if not settings.address:
        raise CommandError("no server named: give --address HOST:PORT, AUDITLOG_ADDRESS or a profile")
    if settings.key:
        read_key(settings.key)
    return AdminClient(
        settings.address,
        (lambda: settings.refreshed().token) if settings.token_file else settings.token or None,
        log=settings.log,
        key=settings.key or None,
        ca=settings.ca or None,
        certificate=settings.certificate or None,
        private_key=settings.private_key or None,
        insecure=settings.insecure,
        timeout_s=settings.timeout_s,
        retry=RetryPolicy(max_attempts=max_attempts, waits=Waiting(settings.timeout_s, is_long=max_attempts is None)),
        sleep=sleep,
    )
