"""Limits of the event and the leaf. Those of the format are constants; a server sets only `Limits`."""

from __future__ import annotations

from dataclasses import dataclass

MAX_ID_BYTES = 128
MAX_TENANT_BYTES = 128
MAX_ACTION_BYTES = 256
MAX_REASON_BYTES = 1_024
MAX_ACTOR_TYPE_BYTES = 64
MAX_ACTOR_ID_BYTES = 256
MAX_NAME_BYTES = 256
MAX_ROLES = 64
MAX_ROLE_BYTES = 128
MAX_SESSION_ID_BYTES = 256
MAX_AUTH_METHOD_BYTES = 64
MAX_RESOURCES = 64
MAX_RESOURCE_TYPE_BYTES = 128
MAX_RESOURCE_ID_BYTES = 1_024
MAX_IP_BYTES = 45
MAX_USER_AGENT_BYTES = 1_024
MAX_DEVICE_ID_BYTES = 256
MAX_METHOD_BYTES = 64
MAX_ENDPOINT_BYTES = 1_024
MAX_REQUEST_ID_BYTES = 256
TRACEPARENT_BYTES = 55
MAX_PRODUCER_ID_BYTES = 128
MAX_SEQ = 2**63 - 1
MAX_INDEX = 2**63 - 1
MAX_ATTRIBUTES_BYTES = 60_000
MAX_ATTRIBUTES_DEPTH = 16
MAX_EVENT_BYTES = 256 * 1024
"""More than a good event has as a message, with a token of its actor."""
MAX_LEAF_BYTES = 65_535
"""The limit of a tlog-tiles entry bundle (C2SP tlog-tiles, `uint16` length)."""
SALT_BYTES = 16
MAX_VIOLATIONS = 20
"""How many violations one refusal lists."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server may set; everything else about an event is fixed by the format."""

    max_batch_events: int = 1_000
    max_ahead_s: int = 300
    """How far an event's time may lie ahead of the server's clock."""
    max_event_age_s: int = 30 * 86_400
    """Older events need the permission `import`."""
