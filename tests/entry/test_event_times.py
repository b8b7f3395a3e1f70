"""Times as text, and how old or far ahead an event may be."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditd.entry import (
    EncodedBatch,
    Event,
    Limits,
    Time,
    encode_event,
    encode_events,
    parse_time,
    recorded_at_text,
    time_text,
    time_violations,
)

NOW_S = 1_795_479_973
NOW_NS = NOW_S * 10**9


@pytest.mark.parametrize(
    ("seconds", "nanos", "text"),
    [
        (0, 1, "1970-01-01T00:00:00.000000001Z"),
        (1, 0, "1970-01-01T00:00:01Z"),
        (951_782_400, 0, "2000-02-29T00:00:00Z"),
        (NOW_S, 100_000_000, "2026-11-24T00:26:13.100Z"),
        (NOW_S, 1_000_000, "2026-11-24T00:26:13.001Z"),
        (NOW_S, 120_000, "2026-11-24T00:26:13.000120Z"),
        (NOW_S, 123_456_789, "2026-11-24T00:26:13.123456789Z"),
        (253_402_300_799, 999_999_999, "9999-12-31T23:59:59.999999999Z"),
    ],
)
def test_writes_the_shortest_exact_text(seconds: int, nanos: int, text: str) -> None:
    assert time_text(seconds, nanos) == text
    encoded = encode_event(Event(id="e", action="a", time=Time(seconds, nanos)))
    assert (encoded.time, encoded.time_ns) == (text, seconds * 10**9 + nanos)


@given(st.integers(0, 253_402_300_799), st.integers(0, 999_999_999))
def test_text_reads_back_to_the_same_nanosecond(seconds: int, nanos: int) -> None:
    text = time_text(seconds, nanos)
    assert parse_time(text) == seconds * 10**9 + nanos
    assert Time.from_ns(parse_time(text)) == Time(seconds, nanos)
    assert datetime.fromisoformat(text[:19] + "Z") == datetime.fromtimestamp(seconds, UTC)


def test_recorded_at_always_has_microseconds() -> None:
    assert recorded_at_text(NOW_S * 10**6) == "2026-11-24T00:26:13.000000Z"
    assert recorded_at_text(NOW_S * 10**6 + 7) == "2026-11-24T00:26:13.000007Z"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-24",
        "2026-11-24T00:26:13",
        "2026-11-24T00:26:13+00:00",
        "2026-11-24T00:26:13.1Z",
        "2026-11-24T00:26:13.1234Z",
        "2026-11-24T00:26:13Z\n",
        "2026-11-24 00:26:13Z",
        "2026-02-30T00:00:00Z",
        "2026-11-24T24:00:00Z",
        "2026-11-24T00:00:60Z",
        "2026-11-24T00:26:1³Z",
    ],
)
def test_reads_no_other_text(text: str) -> None:
    with pytest.raises(ValueError, match=r"fraction digits|range|must be in"):
        parse_time(text)


def refused(time_ns: int, *, may_import: bool = False) -> list[tuple[str, str, str]]:
    good = Event(id="e", action="a", time=Time.from_ns(NOW_NS))
    events = encode_events([good, Event(id="e", action="a", time=Time.from_ns(time_ns)), good])
    found = time_violations(EncodedBatch(events), Limits(), now_ns=NOW_NS, may_import=may_import)
    assert set(found) <= {1}
    return [
        (error.reason, violation.field, violation.description)
        for error in found.values()
        for violation in error.violations
    ]


def test_takes_times_up_to_the_bounds() -> None:
    assert refused(NOW_NS + 300 * 10**9) == []
    assert refused(NOW_NS - 30 * 86_400 * 10**9) == []


def test_refuses_a_time_ahead_even_of_importers() -> None:
    expected = [
        (
            "EVENT_IN_FUTURE",
            "events[1].time",
            "2026-11-24T00:31:13.000000001Z is more than 300 s ahead of the server",
        )
    ]
    assert refused(NOW_NS + 300 * 10**9 + 1) == expected
    assert refused(NOW_NS + 300 * 10**9 + 1, may_import=True) == expected


def test_old_events_need_the_permission_import() -> None:
    [(reason, path, description)] = refused(NOW_NS - 30 * 86_400 * 10**9 - 1)
    assert (reason, path) == ("EVENT_TOO_OLD", "events[1].time")
    assert "permission import" in description
    assert refused(1, may_import=True) == []


def test_message_names_the_event() -> None:
    event = encode_event(Event(id="e", action="a", time=Time(1)))
    found = time_violations(EncodedBatch([event]), Limits(), now_ns=NOW_NS, may_import=False)
    assert str(found[0]).startswith("events[0].time: 1970-01-01T00:00:01Z is more than 2592000 s ago")
