"""Failed authentications are entries of `access`; a flood of them is counted, and fills nothing."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import pytest

from auditd.identity import TokenError, TokenReason
from auditd.server._access import AccessRecorder
from auditd.server._own_events import OwnEvents


@pytest.fixture
def recorded():
    """The events recorded so far, as their leaves have them."""
    return []


@pytest.fixture
def access(recorded):
    async def record(submission):
        recorded.append(json.loads(submission.events[0].json))
        return SimpleNamespace()

    return AccessRecorder(OwnEvents("audit.example.com"), record)


def refuse(access, address, subject, reason=TokenReason.BAD_SIGNATURE, method="Append"):
    return access.refused(None, method, "", address, TokenError(reason, "no"), subject)


async def test_the_first_has_reason_address_and_claimed_subject(access, recorded):
    await refuse(access, "192.0.2.1", "alice")
    (event,) = recorded
    assert (event["action"], event["outcome"], event["reason"]) == ("call.refuse", "DENIED", "TOKEN_BAD_SIGNATURE")
    assert event["origin"] == {"ip": "192.0.2.1"}
    assert event["attributes"] == {"method": "Append", "message": "no", "claimed_subject": "alice"}


async def test_those_that_follow_are_counted_with_every_subject_and_method(access, recorded):
    for subject in ("alice", "bob", "alice", ""):
        await refuse(access, "192.0.2.1", subject)
    await refuse(access, "192.0.2.1", "carol", method="Query")
    await access.close()
    assert len(recorded) == 2
    assert recorded[1]["origin"] == {"ip": "192.0.2.1"}
    assert recorded[1]["attributes"] == {
        "methods": ["Append", "Query"],
        "claimed_subjects": ["alice", "bob", "carol"],
        "count": 4,
    }


async def test_reasons_and_addresses_are_told_apart(access, recorded):
    await refuse(access, "192.0.2.1", "alice")
    await refuse(access, "192.0.2.2", "alice")
    await refuse(access, "192.0.2.1", "alice", TokenReason.EXPIRED)
    assert len(recorded) == 3


async def test_many_subjects_are_cut(access, recorded):
    for number in range(100):
        await refuse(access, "192.0.2.1", f"user-{number}")
    await access.close()
    attributes = recorded[1]["attributes"]
    assert (len(attributes["claimed_subjects"]), attributes["more_claimed_subjects"], attributes["count"]) == (
        16,
        84,
        99,
    )


async def test_a_flood_from_many_addresses_makes_few_entries(access, recorded):
    await asyncio.gather(*(refuse(access, f"2001:db8::{number:x}", f"user-{number}") for number in range(5_000)))
    await access.close()
    assert len(recorded) <= 2 * 33
    counted = [event["attributes"] for event in recorded if "count" in event["attributes"]]
    assert sum(attributes["count"] for attributes in counted) + len(recorded) - len(counted) == 5_000
    (together,) = [attributes for attributes in counted if "addresses" in attributes]
    assert (len(together["addresses"]), together["more_addresses"]) == (16, 5_000 - 32 - 16)


async def test_afterwards_addresses_are_told_apart_again(access, recorded):
    for number in range(40):
        await refuse(access, f"192.0.2.{number}", "a")
    await access.close()
    before = len(recorded)
    await refuse(access, "198.51.100.7", "mallory")
    assert recorded[before:][0]["origin"] == {"ip": "198.51.100.7"}
