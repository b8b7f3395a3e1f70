"""The scenario: the same for the same seed, plausible, in order, with an incident that can be found."""

from __future__ import annotations

import ipaddress
import itertools
import json
import re
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta

import pytest

from auditd_client import event_from_json, event_to_dict
from demo import generate, generate_cloudtrail, generate_small

DAY = datetime(2026, 11, 20, tzinfo=UTC)
PRIVATE_OR_FOR_DOCUMENTATION = [
    ipaddress.ip_network(text)
    for text in ("10.0.0.0/8", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
]


def compact(event):
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"))


def moment(event):
    return datetime.fromisoformat(event["time"])


@pytest.fixture(scope="module")
def day():
    return list(generate(1, 10_000, DAY))


def test_same_seed_gives_the_same_events(day):
    assert list(generate(1, 10_000, DAY)) == day


def test_other_seeds_give_events_with_other_names(day):
    assert not {event["id"] for event in day} & {event["id"] for event in generate(2, 10_000, DAY)}


@pytest.mark.parametrize("n", [0, 1, 7, 999, 1_000, 2_345])
def test_gives_as_many_events_as_asked_for(n):
    assert len(list(generate(3, n, DAY))) == n


def test_every_event_has_an_id_of_its_own(day):
    assert len({event["id"] for event in day}) == len(day)


def test_day_begins_where_it_is_told_to_and_ends_soon_after_it():
    start = datetime(2026, 3, 1, 6, tzinfo=UTC)
    times = [moment(event) for event in generate(4, 5_000, start)]
    assert start <= min(times) < start + timedelta(minutes=5)
    assert start + timedelta(hours=22) < max(times) < start + timedelta(hours=27)


def test_without_a_day_all_lies_in_the_past_and_within_three_days():
    now = datetime.now(UTC)
    times = [moment(event) for event in generate(5, 2_000)]
    assert now - timedelta(days=3) < min(times)
    assert max(times) < now


def test_events_arrive_nearly_in_order(day):
    times = [moment(event) for event in day]
    newest = list(itertools.accumulate(times, max))
    lateness = [high - time for high, time in zip(newest, times, strict=True)]
    assert max(lateness) <= timedelta(milliseconds=251)
    assert sum(late > timedelta(0) for late in lateness) > 10


def test_each_producer_counts_without_gaps(day):
    numbers = defaultdict(list)
    for event in day:
        numbers[event["producer"]["id"]].append(event["producer"]["seq"])
    assert all(seen == list(range(1, len(seen) + 1)) for seen in numbers.values())


def test_all_addresses_are_private_or_kept_for_documentation(day):
    for ip in {ipaddress.ip_address(event["origin"]["ip"]) for event in day}:
        assert any(ip in network for network in PRIVATE_OR_FOR_DOCUMENTATION)


def test_day_is_varied(day):
    assert len({event["actor"]["id"] for event in day if event["actor"]["type"] == "user"}) > 150
    assert len({event["tenant"] for event in day}) == 4
    assert len({event["action"] for event in day}) > 18
    outcomes = Counter(event["outcome"] for event in day)
    assert outcomes["SUCCESS"] > 9_000
    assert min(outcomes["FAILURE"], outcomes["DENIED"]) > 50


def test_one_address_stands_out_among_failed_sign_ins(day):
    failures = Counter(
        event["origin"]["ip"] for event in day if (event["action"], event["outcome"]) == ("user.login", "FAILURE")
    )
    (_, most), (_, next_most), *_ = failures.most_common(2)
    assert most == 64
    assert next_most < 10


@pytest.mark.parametrize("seed", [1, 2, 3, 7, 11])
def test_incident_can_be_followed_from_the_burst_to_the_end(seed):
    events = list(generate(seed, 5_000, DAY))
    (login,) = [
        event
        for event in events
        if event["origin"]["ip"] == "203.0.113.77" and (event["action"], event["outcome"]) == ("user.login", "SUCCESS")
    ]
    session = [event for event in events if event["actor"]["session_id"] == login["actor"]["session_id"]]
    actions = [action for action, _ in itertools.groupby(event["action"] for event in session)]
    assert [action for action in actions if action not in ("mfa.verify", "token.issue")] == [
        "user.login",
        "mfa.reset",
        "role.assign",
        "permission.grant",
        "record.export",
        "audit.disable",
        "user.logout",
    ]
    assert sum(event.get("attributes", {}).get("rows", 0) for event in session) > 50_000


def test_incident_does_not_betray_itself_by_actions_nobody_else_takes(day):
    others = Counter(event["action"] for event in day if event["origin"]["ip"] != "203.0.113.77")
    assert all(others[action] for action in ("mfa.reset", "role.assign", "permission.grant", "record.export"))


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: generate(6, 1_500, DAY), id="day"),
        pytest.param(lambda: generate_small(6, 300, DAY), id="small"),
        pytest.param(lambda: generate_cloudtrail(6, 300, DAY), id="cloudtrail"),
    ],
)
def test_events_are_what_the_client_takes(make):
    for event in make():
        taken = event_to_dict(event_from_json(compact(event)))
        attributes = taken.pop("attributes_json", "null")
        assert moment(taken) == moment(event)
        assert {**taken, "attributes": json.loads(attributes)} == {
            "attributes": None,
            **event,
            "time": taken["time"],
        }


@pytest.mark.parametrize(
    ("make", "size", "tolerance"),
    [
        pytest.param(generate_small, 500, 5, id="small"),
        pytest.param(generate_cloudtrail, 1_260, 20, id="cloudtrail"),
    ],
)
def test_sized_events_have_their_size_on_average(make, size, tolerance):
    sizes = [len(compact(event).encode()) for event in make(1, 3_000, DAY)]
    assert abs(sum(sizes) / len(sizes) - size) <= tolerance


@pytest.mark.parametrize("make", [generate_small, generate_cloudtrail])
def test_sized_events_are_fresh_and_end_now(make):
    events = list(make(1, 500, DAY))
    assert len({event["id"] for event in events}) == 500
    assert len({event["origin"]["request_id"] for event in events}) == 500
    assert moment(events[-1]) == DAY
    assert moment(events[0]) == DAY - timedelta(milliseconds=499)


def test_ids_are_uuids_of_version_7_that_hold_the_time(day):
    for event in day[:100]:
        assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", event["id"])
        milliseconds = int(event["id"].replace("-", "")[:12], 16)
        assert milliseconds == round(moment(event).timestamp() * 1000)
