"""`auditlog append`: events as JSON lines, or one from flags."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from auditd_client import Outcome, event_from_dict
from auditd_client.cli._connect import connect
from auditd_client.cli._errors import CommandError
from auditd_client.cli._event_lines import STDIN, EventLine, read_events
from auditd_client.cli._output import output_option
from auditd_client.cli._progress import progress
from auditd_client.cli._recording import Chunk, ReceiptWriter, record
from auditd_client.cli._settings import ConnectionSettings, connection_options
from auditd_client.errors import InvalidRequestError

_OUTCOMES = tuple(name for name, number in Outcome.items() if number)

# Flag, and the member of the event that it sets.
_TEXT_FLAGS = {
    "--action": "action",
    "--actor-id": "actor.id",
    "--actor-type": "actor.type",
    "--actor-name": "actor.name",
    "--session-id": "actor.session_id",
    "--auth-method": "actor.auth_method",
    "--reason": "reason",
    "--tenant": "tenant",
    "--ip": "origin.ip",
    "--user-agent": "origin.user_agent",
    "--request-id": "origin.request_id",
    "--id": "id",
    "--time": "time",
    "--attributes": "attributes_json",
}
...
