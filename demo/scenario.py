"""A day of an organisation as events: the same seed, number and day give the same events."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from itertools import count
from random import Random

from demo._activity import ordinary_session
from demo._incident import BEGINS, incident_sessions
from demo._names import time_text, uuid7
from demo._organisation import found_organisation
from demo._session import JsonObject, Session

# Share of a day's events in each hour from midnight, in arbitrary units.
ACTIVITY = (3, 2, 2, 2, 3, 5, 10, 30, 70, 90, 95, 85, 55, 75, 95, 90, 75, 50, 28, 18, 12, 9, 6, 4)
# An ordinary day this short would be all incident.
LEAST_WITH_INCIDENT = 1_000
LONGEST_DELAY_S = 0.25

Arrival = tuple[datetime, int, JsonObject]


def generate(seed: int, n: int = 10_000, day: datetime | None = None) -> Iterator[JsonObject]:
    """Yield `n` events in the order in which they arrive, each as an `auditlog append` line holds it.

    `day` is when the day begins, with a time zone; without it, midnight UTC of the day before yesterday. The
    last sessions may end some three hours after the day. Events arrive up to a quarter of a second late, so
    their times are nearly in order. With 1,000 events or more, an incident begins at 02:41.
    """
    random = Random(seed)
    start = day or datetime.combine(datetime.now(UTC), time(), UTC) - timedelta(days=2)
    arrivals = _arrivals(random, n, start)
    sequences: Counter[str] = Counter()
    for _ in range(n):
        event = next(arrivals)
        producer = _producer(event)
        sequences[producer] += 1
        moment: datetime = event["time"]
        event["id"] = uuid7(random, moment)
        event["time"] = time_text(moment)
        attributes = event.pop("attributes", None)
        event["producer"] = {"id": producer, "seq": sequences[producer]}
        if attributes:
            event["attributes"] = attributes
        yield event


def _arrivals(random: Random, n: int, start: datetime) -> Iterator[JsonObject]:
    """Merge sessions by arrival; they begin so that `n` events fill the day, and go on if they do not."""
    organisation = found_organisation(random)
    waiting: list[Arrival] = []
    numbers = count()
    incident_due = n >= LEAST_WITH_INCIDENT
    planned = 0

    def plan(session: Session) -> int:
        for step in session.steps:
            delay = timedelta(seconds=random.uniform(0, LONGEST_DELAY_S))
            heapq.heappush(waiting, (step["time"] + delay, next(numbers), step))
        return len(session.steps)

    while planned < n:
        begins = start + _when(planned / n)
        if incident_due and begins >= start + BEGINS:
            incident_due = False
            planned += sum(map(plan, incident_sessions(random, organisation, start)))
            continue
        planned += plan(ordinary_session(random, organisation, begins))
        while waiting and waiting[0][0] <= begins:
            yield heapq.heappop(waiting)[2]
    while waiting:
        yield heapq.heappop(waiting)[2]


def _when(share: float) -> timedelta:
    """Return how long after midnight that share of the day's events has happened; `share` in [0, 1)."""
    left = share * sum(ACTIVITY)
    for hour, weight in enumerate(ACTIVITY):
        if left < weight:
            return timedelta(hours=hour + left / weight)
        left -= weight
    return timedelta(days=1)


def _producer(event: JsonObject) -> str:
    area = event["action"].partition(".")[0]
    service = {"user": "identity", "mfa": "identity", "token": "identity", "record": "records", "job": "jobs"}
    return f"{service.get(area, 'administration')}-{1 + len(event['actor']['id']) % 2}"
