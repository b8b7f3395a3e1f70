"""Receipts: the leaf hashes to it, says what was sent, and is in the tree."""

import copy
import re

import pytest

from auditd_client.verify import (
    MalformedError,
    MismatchError,
    ProofError,
    VerificationError,
    leaf_hash,
    verify_receipt,
)


@pytest.fixture
def sent(make):
    """The event that entry 0 of the log records."""
    return copy.deepcopy(make.event)


def test_a_true_receipt_verifies(log, make, sent):
    for index in range(7):
        event = sent | {"id": f"e-{index}"}
        verified = verify_receipt(log.receipt(index), event, log.checkpoint(), attributes=make.attributes)
        assert (verified.index, verified.leaf.index) == (index, index)
        assert verified.checkpoint == log.checkpoint()


def test_attributes_may_come_with_the_event(log, make, sent):
    verify_receipt(log.receipt(0), sent | {"attributes_json": make.attributes}, log.checkpoint())


def test_a_true_receipt_of_a_duplicate_verifies(log, make, sent):
    verify_receipt(log.receipt(0, duplicate=True), sent, log.checkpoint(), attributes=make.attributes)


def test_the_caller_is_compared_if_expected(log, make, sent):
    expected = {"issuer": "https://idp.example.com", "subject": "svc-billing"}
    arguments = log.receipt(0), sent, log.checkpoint()
    verify_receipt(*arguments, attributes=make.attributes, **expected)
    with pytest.raises(MismatchError, match=r"caller\.sub: expected 'svc-other', found 'svc-billing'"):
        verify_receipt(*arguments, attributes=make.attributes, **expected | {"subject": "svc-other"})
    with pytest.raises(MismatchError, match=r"caller\.iss: expected 'https://other', found 'https://idp"):
        verify_receipt(*arguments, attributes=make.attributes, **expected | {"issuer": "https://other"})


def test_an_unknown_caller_is_not_the_expected_one(make, sent):
    log = make.log([make.leaf(0, caller={"kind": "unauthenticated"})])
    with pytest.raises(MismatchError, match=r"caller\.sub: expected 'svc-billing', found nothing"):
        verify_receipt(log.receipt(0), sent, log.checkpoint(), attributes=make.attributes, subject="svc-billing")


def test_refuses_the_receipt_of_another_genuine_entry(log, make, sent):
    with pytest.raises(MismatchError, match=r"event\.id: expected 'e-0', found 'e-1'") as caught:
        verify_receipt(log.receipt(1), sent, log.checkpoint(), attributes=make.attributes)
    assert (caught.value.field, caught.value.expected, caught.value.actual) == ("event.id", "e-0", "e-1")


def changed_leaf(make):
    leaf = make.leaf(0).replace(b"alice", b"mallo")
    return {"leaf": leaf, "leaf_hash": leaf_hash(leaf)}


@pytest.mark.parametrize(
    ("error", "changes", "message"),
    [
        pytest.param(MalformedError, {"leaf": b""}, "no leaf: append with return_leaves", id="no leaf"),
        pytest.param(MalformedError, {"leaf_hash": b"x"}, "receipt: leaf hash: a hash is 32 bytes", id="short hash"),
        pytest.param(MismatchError, {"leaf_hash": bytes(32)}, f"found {bytes(32).hex()}", id="another hash"),
        pytest.param(MismatchError, {"leaf": b"x"}, "receipt: leaf hash: expected", id="another leaf"),
        pytest.param(MismatchError, {"tree_size": 6}, "tree size: expected 7, found 6", id="another tree size"),
        pytest.param(ProofError, {"index": 1}, "inclusion proof of entry 1", id="another index"),
        pytest.param(ProofError, {"index": 7}, "index is not below the size", id="an index beyond the tree"),
        pytest.param(ProofError, {"inclusion_proof": ()}, "0 hashes are too few", id="no proof"),
        pytest.param(
            MismatchError,
            {"recorded_at": "2026-11-24T00:26:00.123457Z"},
            "recorded_at: expected '2026-11-24T00:26:00.123457Z', found '2026-11-24T00:26:00.123456Z'",
            id="another time of recording",
        ),
        pytest.param(MalformedError, {"recorded_at": "yesterday"}, "recorded_at: not an RFC 3339 time", id="no time"),
    ],
)
def test_refuses_receipt_with(log, make, sent, error, changes, message):
    with pytest.raises(error, match=re.escape(message)):
        verify_receipt(log.receipt(0, **changes), sent, log.checkpoint(), attributes=make.attributes)


def test_refuses_a_changed_leaf_though_the_receipt_carries_its_hash(log, make, sent):
    with pytest.raises(ProofError, match="expected root"):
        verify_receipt(log.receipt(0, **changed_leaf(make)), sent, log.checkpoint(), attributes=make.attributes)


def test_refuses_a_leaf_that_names_another_index_or_log_though_it_is_in_the_tree(make, sent):
    log = make.log([make.leaf(1), make.leaf(1, log="audit.example.com/access")])
    with pytest.raises(MismatchError, match="leaf: index: expected 0, found 1"):
        verify_receipt(log.receipt(0), sent, log.checkpoint())
    with pytest.raises(MismatchError, match=r"leaf: log: expected 'audit\.example\.com/main', found 'audit"):
        verify_receipt(log.receipt(1), sent, log.checkpoint())


def test_fails_once_any_bit_of_leaf_hash_or_proof_is_changed(log, make, sent):
    receipt, checkpoint = log.receipt(0), log.checkpoint()

    def refused(**changes):
        with pytest.raises(VerificationError):
            verify_receipt(log.receipt(0, **changes), sent, checkpoint, attributes=make.attributes)

    def flipped(value, position):
        return value[:position] + bytes([value[position] ^ 1]) + value[position + 1 :]

    for position in range(32):
        refused(leaf_hash=flipped(receipt.leaf_hash, position))
        for i, value in enumerate(receipt.inclusion_proof):
            proof = list(receipt.inclusion_proof)
            proof[i] = flipped(value, position)
            refused(inclusion_proof=proof)
    for position in range(0, len(receipt.leaf), 7):
        leaf = flipped(receipt.leaf, position)
        refused(leaf=leaf)
        refused(leaf=leaf, leaf_hash=leaf_hash(leaf))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            {"action": "user.logout"}, "event.action: expected 'user.logout', found 'user.login'", id="action"
        ),
        pytest.param({"reason": ""}, "event.reason: expected nothing, found 'bad password'", id="a member added"),
        pytest.param({"note": "x"}, "event.note: expected 'x', found nothing", id="a member lost"),
        pytest.param({"time": "2026-11-24T00:26:13.101Z"}, "event.time: expected", id="time"),
        pytest.param({"outcome": "DENIED"}, "event.outcome: expected 'DENIED', found 'FAILURE'", id="outcome"),
        pytest.param({"outcome": None}, "event.outcome: expected nothing, found 'FAILURE'", id="no outcome"),
        pytest.param({"actor": {"type": "user", "id": "bob"}}, "event.actor.id: expected 'bob'", id="actor"),
        pytest.param({"actor": "alice"}, "event.actor: expected 'alice', found {", id="actor as text"),
        pytest.param({"actor": None}, "event.actor.type: expected nothing, found 'user'", id="no actor"),
        pytest.param({"resources": []}, "event.resources: expected nothing, found [", id="no resources"),
        pytest.param({"resources": [{"id": "42"}]}, "event.resources: expected [{", id="fewer resources"),
        pytest.param(
            {"resources": [{"type": "account", "id": "42", "name": "Zoë"}, {"type": "branch", "id": "8"}]},
            "event.resources[1].id: expected '8', found '7'",
            id="one resource",
        ),
        pytest.param(
            {"producer": {"id": "billing-7f", "seq": "1041"}}, "event.producer.seq: expected '1041'", id="seq"
        ),
        pytest.param({"producer": {"id": "billing-7f", "seq": True}}, "event.producer.seq: expected True", id="bool"),
    ],
)
def test_refuses_an_event_that_differs_in(log, make, sent, change, message):
    with pytest.raises(MismatchError, match=re.escape(message)):
        verify_receipt(log.receipt(0), sent | change, log.checkpoint(), attributes=make.attributes)


def test_swapped_roles_are_another_event(log, make, sent):
    sent["actor"]["roles"].reverse()
    with pytest.raises(MismatchError, match=r"event\.actor\.roles\[0\]: expected 'approver', found 'clerk'"):
        verify_receipt(log.receipt(0), sent, log.checkpoint(), attributes=make.attributes)


def test_absent_and_empty_are_the_same(make):
    event = {"id": "e", "time": "1970-01-01T00:00:01Z", "action": "a"}
    log = make.log([make.leaf(0, None, event=event)])
    empties = {
        "tenant": "",
        "outcome": "OUTCOME_UNSPECIFIED",
        "actor": {"type": "", "roles": ()},
        "resources": [],
        "origin": {},
        "producer": {"id": None, "seq": 0},
        "attributes_json": "",
    }
    verify_receipt(log.receipt(0), event, log.checkpoint())
    verify_receipt(log.receipt(0), event | empties, log.checkpoint(), attributes="")


@pytest.mark.parametrize(
    "time", ["2026-11-24T00:26:13.1Z", "2026-11-24T00:26:13.100000000Z", "2026-11-24T01:56:13.1+01:30"]
)
def test_times_are_compared_as_instants(log, make, sent, time):
    verify_receipt(log.receipt(0), sent | {"time": time}, log.checkpoint(), attributes=make.attributes)


@pytest.mark.parametrize(
    "time",
    [
        "2026-11-24T00:26:13.1",
        "2026-11-24 00:26:13Z",
        "2026-11-24T24:26:13Z",
        "2026-11-24T00:26:13.1234567890Z",
    ],
    ids=["no offset", "no T", "hour 24", "ten digits"],
)
def test_refuses_an_event_time_with(log, make, sent, time):
    with pytest.raises(MalformedError, match=r"event\.time: not a"):
        verify_receipt(log.receipt(0), sent | {"time": time}, log.checkpoint(), attributes=make.attributes)


def test_line_breaks_between_tokens_of_attributes_became_spaces(make, sent):
    log = make.log([make.leaf(0, ' {"a":  1,   "b": "\\n"} ')])
    verify_receipt(log.receipt(0), sent, log.checkpoint(), attributes='\n{"a":\t\n1,\r\n "b": "\\n"}\n')


@pytest.mark.parametrize(
    "attributes",
    [None, "{}", '{"amount": 1.1}'],
    ids=["absent", "empty object", "another text"],
)
def test_refuses_attributes_that_are(log, make, sent, attributes):
    with pytest.raises(MismatchError, match=r"event\.attributes: expected .* compared as text") as caught:
        verify_receipt(log.receipt(0), sent, log.checkpoint(), attributes=attributes)
    assert (caught.value.expected, caught.value.actual) == (attributes, make.attributes)


def test_one_and_one_point_zero_are_not_the_same_attributes(make, sent):
    log = make.log([make.leaf(0, '{"a":1.0}')])
    verify_receipt(log.receipt(0), sent, log.checkpoint(), attributes='{"a":1.0}')
    for other in ('{"a":1}', '{"a":1.00}', '{"a": 1.0}'):
        with pytest.raises(MismatchError):
            verify_receipt(log.receipt(0), sent, log.checkpoint(), attributes=other)


@pytest.mark.parametrize(
    ("event", "attributes"),
    [
        ({"attributes": {"a": 1}}, None),
        ({"attributes_json": "{}"}, "{}"),
        ({"attributes_json": {"a": 1}}, None),
    ],
    ids=["as an object", "twice", "as an object in attributes_json"],
)
def test_refuses_attributes_given(log, sent, event, attributes):
    with pytest.raises(MalformedError, match="attributes must be given once, as the text that was sent"):
        verify_receipt(log.receipt(0), sent | event, log.checkpoint(), attributes=attributes)


def test_a_sealed_member_is_a_mismatch_that_says_why(make, sent):
    log = make.log([make.leaf(0, event=make.event | {"reason": {"sealed": "ab" * 32}})])
    with pytest.raises(MismatchError, match=r"event\.reason: .*sealed; comparing needs its opening"):
        verify_receipt(log.receipt(0), sent, log.checkpoint(), attributes=make.attributes)


def test_what_the_server_adds_counts_only_in_its_own_place(make, sent):
    event = make.event | {"origin": make.event["origin"] | {"identity": "asserted"}}
    log = make.log([make.leaf(0, event=event)])
    with pytest.raises(MismatchError, match=r"event\.origin\.identity: expected nothing, found 'asserted'"):
        verify_receipt(log.receipt(0), sent, log.checkpoint(), attributes=make.attributes)
