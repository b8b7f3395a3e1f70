"""Events in batches that one request may carry."""

from dataclasses import dataclass
from itertools import zip_longest

from hypothesis import given
from hypothesis import strategies as st

from auditd_client._batches import MAX_EVENTS, MAX_REQUEST_BYTES, batches
from auditd_proto.v1.audit_log_service_pb2 import AppendRequest
from auditd_proto.v1.event_pb2 import Event


@dataclass
class Room:
    max_events: int = MAX_EVENTS
    max_bytes: int = MAX_REQUEST_BYTES


def request_bytes(events):
    return AppendRequest(log="l" * 255, events=events, known_size=(1 << 63) - 1, return_leaves=True).ByteSize()


counts = st.integers(1, 12)
limits = st.sampled_from([MAX_REQUEST_BYTES, 200_000, 4_096])
sizes = st.lists(st.sampled_from([0, 1, 100, 60_000, 1_000_000, 2_097_152, 5_000_000]), max_size=30)


@given(sizes, counts, limits)
def test_batches_keep_the_order_and_hold_what_fits(sizes, most, most_bytes):
    events = [Event(id=str(number), reason="r" * size) for number, size in enumerate(sizes)]
    made = list(batches(events, Room(most, most_bytes)))
    assert [event.id for batch in made for event in batch] == [event.id for event in events]
    for batch, following in zip_longest(made, made[1:], fillvalue=()):
        assert 1 <= len(batch) <= most
        assert len(batch) == 1 or request_bytes(batch) < most_bytes
        # No batch ends early: with the next event it would not have fitted.
        slack_bytes = 2_048
        assert not following or len(batch) == most or request_bytes([*batch, following[0]]) > most_bytes - slack_bytes


def test_a_batch_holds_a_thousand_events():
    assert [len(batch) for batch in batches((Event() for _ in range(2_500)), Room())] == [MAX_EVENTS, MAX_EVENTS, 500]
