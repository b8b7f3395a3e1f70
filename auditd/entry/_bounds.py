"""How old, and how far ahead, the time of an event may be: asked only of events not yet recorded."""

from __future__ import annotations

from auditd.errors import InvalidRequestError, Violation

from ._batch import EventBatch
from ._encode import EncodedEvent
from ._limits import Limits
from ._time import NS_PER_S


def time_violations(
    events: EventBatch, limits: Limits, *, now_ns: int, may_import: bool
) -> dict[int, InvalidRequestError]:
    """Return, by position, why an event is refused for its time unless it is a duplicate; mostly nothing.

    Duplicates are looked up before this is asked. So keep the result until that is done, and raise the error
    of the first position that is no duplicate. Reasons: `EVENT_IN_FUTURE`, over `max_ahead_s` ahead of
    `now_ns`; `EVENT_TOO_OLD`, over `max_event_age_s` behind it while the caller may not import.
    """
    newest_ns = now_ns + limits.max_ahead_s * NS_PER_S
    oldest_ns = 0 if may_import else now_ns - limits.max_event_age_s * NS_PER_S
    earliest_ns, latest_ns = events.time_range_ns
    if oldest_ns <= earliest_ns and latest_ns <= newest_ns:
        return {}
    return {
        position: _refusal(position, event, limits, future=event.time_ns > newest_ns)
        for position, event in ((position, events[position]) for position in range(len(events)))
        if not oldest_ns <= event.time_ns <= newest_ns
    }


def _refusal(position: int, event: EncodedEvent, limits: Limits, *, future: bool) -> InvalidRequestError:
    field = f"events[{position}].time"
    if future:
        rule = f"{event.time} is more than {limits.max_ahead_s} s ahead of the server"
    else:
        rule = (
            f"{event.time} is more than {limits.max_event_age_s} s ago; "
            "recording older events needs the permission import"
        )
    reason = "EVENT_IN_FUTURE" if future else "EVENT_TOO_OLD"
    limit = "max_ahead_s" if future else "max_event_age_s"
    facts = {"limit": limit, "value": str(getattr(limits, limit))}
    return InvalidRequestError(reason, f"{field}: {rule}", (Violation(field, rule),), facts)
