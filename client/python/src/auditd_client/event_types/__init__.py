"""Types of events that an authentication layer should record: which members each needs, and an example of each."""

from auditd_client.event_types._catalogue import EVENT_TYPES, EventType
from auditd_client.event_types._check import missing_members

__all__ = ["EVENT_TYPES", "EventType", "missing_members"]
