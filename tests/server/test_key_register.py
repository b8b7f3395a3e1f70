"""What `control` says of issuers' keys: each when it comes, each when it goes, and nothing twice."""

import json

import pytest

from auditd.errors import UnavailableError
from auditd.identity import IssuerKey
from auditd.server._key_register import KeyRegister
from auditd.server._own_events import OwnEvents

ISSUER, OTHER = "https://idp.example.com", "https://other.example"


def key(name, issuer=ISSUER):
    return IssuerKey(issuer, name, f"thumbprint-{name}", f'{{"kid":"{name}"}}')


class Control:
    """Takes what is recorded; `full` makes it refuse."""

    def __init__(self, recorded=()):
        self.said, self.full = [], False
        self.register = KeyRegister(self._record, OwnEvents("audit.example.com"), recorded)

    def _record(self, submission):
        if self.full:
            raise UnavailableError("NOT_RECORDED", "the disk is full")
        event = json.loads(submission.events[0].json)
        self.said.append((event["action"].removeprefix("issuer_key."), event["attributes"]["thumbprint"][11:]))

    def has(self, *names, issuer=ISSUER):
        self.said.clear()
        self.register.replace(issuer, [key(name, issuer) for name in names], "https://idp.example.com/jwks")
        return list(self.said)


def test_keys_are_recorded_as_they_come_and_go():
    control = Control()
    assert control.has("a", "b") == [("add", "a"), ("add", "b")]
    assert control.has("a", "b") == []
    assert control.has("b", "c") == [("add", "c"), ("remove", "a")]
    assert control.has("a", "b", "c") == [("add", "a")], "a key that comes back is seen again"


def test_what_was_recorded_before_a_restart_is_known():
    control = Control([(ISSUER, "thumbprint-a"), (ISSUER, "thumbprint-b")])
    assert control.has("b") == [("remove", "a")]


def test_same_key_of_two_issuers_is_recorded_for_each():
    control = Control()
    assert control.has("a") == control.has("a", issuer=OTHER) == [("add", "a")]
    assert control.has("b", issuer=OTHER) == [("add", "b"), ("remove", "a")]


def test_issuer_that_is_configured_no_longer_has_no_keys():
    control = Control([(ISSUER, "thumbprint-a"), (OTHER, "thumbprint-b")])
    control.register.keep_issuers([ISSUER])
    assert control.said == [("remove", "b")]


def test_key_that_could_not_be_recorded_is_recorded_the_next_time():
    control = Control([(ISSUER, "thumbprint-a")])
    control.full = True
    with pytest.raises(UnavailableError):
        control.has("b")
    control.full = False
    assert control.has("b") == [("add", "b"), ("remove", "a")]
