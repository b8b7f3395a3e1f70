"""Errors of every kind."""

from __future__ import annotations

import pickle

import pytest

from auditd.errors import ConfigError, ConflictError, DamagedError, InvalidRequestError, UnavailableError, Violation

FACTS = {"index": "5"}


@pytest.mark.parametrize(
    "error",
    [
        UnavailableError("EVIDENCE_UNAVAILABLE", "not now", 2.5, FACTS),
        DamagedError("ENTRY_MISSING", "entry 5 is missing", FACTS),
        InvalidRequestError("INVALID_EVENT", "one field", [Violation("events[0].id", "is empty")], FACTS),
        ConflictError("EVENT_CONFLICT", "another event", facts=FACTS),
        ConfigError("CONFIG_INVALID", ["auditd.toml:1: what", "auditd.toml:2: is this"]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_passes_from_one_process_to_another_as_it_is(error):
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
