"""How CloudTrail records become events, and that nothing of them is lost."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditd_client.importers import find_files, importer
from auditd_client.importers._errors import RecordError
from auditd_client.importers._mapper import Mapper
from auditd_client.importers._members import object_at
from auditd_proto.v1.event_pb2 import DENIED, FAILURE, SUCCESS

CLOUDTRAIL = importer("cloudtrail")
REAL_FILES = Path(__file__).parents[5] / "shared" / "data" / "cloudtrail"

BASE = {
    "eventVersion": "1.08",
    "eventTime": "2023-07-10T11:54:39Z",
    "eventSource": "iam.amazonaws.com",
    "eventName": "CreateUser",
    "eventID": "7445d04f-062d-4248-b930-1c5f53644f4d",
}


def event_of(**members):
    """Map a record; a member that is None stays out."""
    record = {name: value for name, value in {**BASE, **members}.items() if value is not None}
    return event_from_record(object_at(json.dumps(record), 0))


def event_from_record(record):
    return Mapper(CLOUDTRAIL.mapping).event(record, lambda: pytest.fail("a CloudTrail event has an id"))


def attributes_of(event):
    return json.loads(event.attributes_json or "{}", parse_int=str, parse_float=str)


def restored(event):
    """Put the record together again, as the import guide says."""
    record = attributes_of(event)
    record["eventID"] = event.id
    record.setdefault("eventTime", event.time.ToJsonString())
    if "eventSource" not in record:
        service, _, name = event.action.partition(".")
        record["eventSource"], record["eventName"] = f"{service}.amazonaws.com", name
    code = record.get("errorCode")
    code = json.dumps(code) if isinstance(code, bool) else code
    if isinstance(code, str) and event.reason.startswith(f"{code}: "):
        record.setdefault("errorMessage", event.reason.removeprefix(f"{code}: "))
    for name, value in {
        "recipientAccountId": event.tenant,
        "sourceIPAddress": event.origin.ip,
        "userAgent": event.origin.user_agent,
        "requestID": event.origin.request_id,
    }.items():
        if value:
            record.setdefault(name, value)
    return record


def test_a_record_becomes_an_event():
    event = event_of(
        awsRegion="eu-west-1",
        sourceIPAddress="203.0.113.9",
        userAgent="aws-cli/2",
        requestID="r-1",
        recipientAccountId="123456789012",
        requestParameters={"userName": "mallory"},
        responseElements=None,
        userIdentity={"type": "IAMUser", "arn": "arn:aws:iam::1:user/alice", "userName": "alice"},
        resources=[{"ARN": "arn:aws:iam::1:user/mallory", "type": "AWS::IAM::User", "accountId": "1"}],
    )
    assert event.id == BASE["eventID"]
    assert event.time.ToJsonString() == "2023-07-10T11:54:39Z"
    assert (event.action, event.outcome, event.reason) == ("iam.CreateUser", SUCCESS, "")
    assert event.tenant == "123456789012"
    assert (event.actor.type, event.actor.name) == ("IAMUser", "alice")
    assert event.actor.id == "arn:aws:iam::1:user/alice"
    assert [(r.type, r.id) for r in event.resources] == [("AWS::IAM::User", "arn:aws:iam::1:user/mallory")]
    assert (event.origin.ip, event.origin.user_agent, event.origin.request_id) == (
        "203.0.113.9", "aws-cli/2", "r-1"
    )  # fmt: skip
    assert list(attributes_of(event)) == [
        "eventVersion", "awsRegion", "requestParameters", "userIdentity", "resources"
    ]  # fmt: skip
    assert not event.HasField("producer")


@pytest.mark.parametrize(
    ("members", "outcome", "reason"),
    [
        ({}, SUCCESS, ""),
        ({"errorCode": "AccessDenied", "errorMessage": "no"}, DENIED, "AccessDenied: no"),
        ({"errorCode": "AccessDeniedException"}, DENIED, "AccessDeniedException"),
        ({"errorCode": "Client.UnauthorizedOperation"}, DENIED, "Client.UnauthorizedOperation"),
        ({"errorCode": "UnauthorizedOperation"}, DENIED, "UnauthorizedOperation"),
        ({"errorCode": "InvalidAccessException"}, FAILURE, "InvalidAccessException"),
        ({"errorCode": "NoSuchTagSet", "errorMessage": "a: b"}, FAILURE, "NoSuchTagSet: a: b"),
        ({"errorMessage": "Failed authentication"}, FAILURE, "Failed authentication"),
        ({"eventName": "ConsoleLogin", "responseElements": {"ConsoleLogin": "Failure"}}, FAILURE, ""),
        ({"eventName": "ConsoleLogin", "responseElements": {"ConsoleLogin": "Success"}}, SUCCESS, ""),
        ({"errorCode": ""}, SUCCESS, ""),
        ({"errorCode": 404}, FAILURE, "404"),
        ({"errorCode": "A", "errorMessage": "x" * 2000}, FAILURE, "A"),
        ({"errorCode": "A", "errorMessage": "two\nlines"}, FAILURE, "A"),
        ({"errorCode": "A: B", "errorMessage": "m"}, FAILURE, "A: B: m"),
    ],
    ids=[
        "no code", "access denied", "exception", "client", "bare", "another access", "other code", "message only",
        "failed sign-in", "sign-in", "empty code", "number", "long message", "line break", "colon in the code",
    ],
)  # fmt: skip
def test_outcome_and_reason_follow_the_error_code(members, outcome, reason):
    event = event_of(**members)
    assert (event.outcome, event.reason) == (outcome, reason)
    for name, value in members.items():
        assert attributes_of(event).get(name, value) == (str(value) if isinstance(value, int) else value)


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        (
            {"type": "AssumedRole", "principalId": "AROA:bob@example.com", "arn": "arn:x", "accessKeyId": "ASIA1",
             "sessionContext": {"sessionIssuer": {"userName": "Admin"}, "attributes": {"mfaAuthenticated": "true"}}},
            {"type": "AssumedRole", "id": "arn:x", "name": "bob@example.com", "roles": ["Admin"],
             "session_id": "ASIA1", "auth_method": "mfa"},
        ),
        ({"type": "IAMUser", "principalId": "AIDA", "userName": "b", "accessKeyId": "AKIA1"},
         {"type": "IAMUser", "id": "AIDA", "name": "b"}),
        ({"type": "AWSService", "invokedBy": "ec2.amazonaws.com"},
         {"type": "AWSService", "id": "ec2.amazonaws.com"}),
        ({"type": "Root", "accountId": "1", "sessionContext": {"attributes": {"mfaAuthenticated": "false"}}},
         {"type": "Root", "id": "1"}),
        ({"type": "AssumedRole", "arn": "a" * 300, "principalId": "AROA:s"},
         {"type": "AssumedRole", "id": "AROA:s", "name": "s"}),
        ({"type": ["odd"], "arn": 5, "userName": "x\x00", "sessionContext": [], "accessKeyId": 1}, {"id": "5"}),
        ("odd", None),
        (None, None),
    ],
    ids=["assumed role", "user without ARN", "service", "root", "long ARN", "odd members", "text", "absent"],
)  # fmt: skip
def test_the_actor_is_who_the_identity_says(identity, expected):
    event = event_of(userIdentity=identity)
    actor = {field.name: list(value) if field.name == "roles" else value for field, value in event.actor.ListFields()}
    assert (actor if event.HasField("actor") else None) == expected
    if identity is not None:
        assert '"userIdentity": ' + json.dumps(identity) in event.attributes_json


def test_takes_as_many_resources_as_an_event_may_have():
    resources = [{"ARN": f"arn:{number}"} for number in range(70)]
    event = event_of(resources=[{"type": "AWS::S3::Object", "ARNPrefix": "arn:x"}, "odd", *resources])
    assert [resource.id for resource in event.resources] == [f"arn:{number}" for number in range(64)]
    assert len(attributes_of(event)["resources"]) == 72


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sourceIPAddress", "cloudtrail.amazonaws.com"),
        ("sourceIPAddress", "AWS Internal"),
        ("sourceIPAddress", "fe80::1%eth0"),
        ("sourceIPAddress", "010.1.1.1"),
        ("sourceIPAddress", 5),
        ("userAgent", "x" * 1025),
        ("userAgent", "\u00e9" * 600),
        ("userAgent", ""),
        ("userAgent", "a\x1b[31m"),
        ("userAgent", "\ud800"),
        ("requestID", "x" * 257),
        ("recipientAccountId", ["1"]),
    ],
)
def test_what_a_field_cannot_hold_stays_in_the_attributes(name, value):
    event = event_of(**{name: value})
    assert not event.HasField("origin") or event.origin.ByteSize() == 0
    assert event.tenant == ""
    assert f'"{name}": {json.dumps(value)}' in event.attributes_json


@pytest.mark.parametrize(
    ("members", "action"),
    [
        ({"eventSource": "custom.example.com"}, "custom.example.com.CreateUser"),
        ({"eventSource": "a.b.amazonaws.com"}, "a.b.CreateUser"),
        ({"eventSource": "amazonaws.com"}, "amazonaws.com.CreateUser"),
    ],
)
def test_an_unusual_source_stays_in_the_attributes_too(members, action):
    event = event_of(**members)
    assert event.action == action
    assert restored(event) == {**BASE, **members}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"eventID": None}, "eventID: missing"),
        ({"eventID": ""}, "eventID: '' is no text of 1 to 128 bytes"),
        ({"eventID": "x" * 129}, "is no text of 1 to 128 bytes"),
        ({"eventTime": None}, "eventTime: missing"),
        ({"eventTime": "noon"}, "eventTime: 'noon' is no RFC 3339 time"),
        ({"eventTime": "2023-07-10T11:54:39"}, "eventTime: '2023-07-10T11:54:39' is no RFC 3339 time with an offset"),
        ({"eventSource": None}, "eventSource: missing"),
        ({"eventSource": ".amazonaws.com"}, "eventSource or eventName: missing"),
        ({"eventName": "n" * 300}, "is no text of 1 to 256 bytes"),
    ],
)
def test_refuses_a_record_without_what_an_event_needs(members, message):
    with pytest.raises(RecordError) as caught:
        event_of(**members)
    assert message in str(caught.value)


@pytest.mark.parametrize("time", ["2023-07-10T11:54:39.25Z", "2023-07-10T13:54:39+02:00", "2023-07-10 11:54:39Z"])
def test_an_unusual_time_is_the_same_moment_and_stays_as_written(time):
    event = event_of(eventTime=time)
    assert event.time.seconds == 1688990079
    assert event.time.nanos == (250_000_000 if ".25" in time else 0)
    assert attributes_of(event)["eventTime"] == time


def test_a_number_is_said_as_text_and_stays_as_it_was():
    event = event_of(requestID=17, eventName=1)
    assert (event.origin.request_id, event.action) == ("17", "iam.1")
    assert attributes_of(event)["requestID"] == "17"
    assert '"eventSource": "iam.amazonaws.com"' in event.attributes_json


def test_attributes_keep_their_text():
    text = (
        '{"eventID":"1","eventTime":"2023-07-10T11:54:39Z","eventSource":"s3.amazonaws.com","eventName":"Get",'
        '"a":1.10,"b" : {"x":1e2, "y":[ ]},\n"\\u0063":"\\u00e9/\\/", "n":123456789012345678901234567890}'
    )
    event = event_from_record(object_at(text, 0))
    assert event.attributes_json == (
        '{"a":1.10,"b" : {"x":1e2, "y":[ ]},"\\u0063":"\\u00e9/\\/","n":123456789012345678901234567890}'
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.sampled_from(
            ["errorCode", "errorMessage", "recipientAccountId", "sourceIPAddress", "userAgent", "requestID",
             "userIdentity", "resources", "responseElements", "other"]
        ),
        st.text(max_size=30)
        | st.sampled_from(["203.0.113.9", "::1", "A: B", "AccessDenied"])
        | st.booleans()
        | st.lists(st.dictionaries(st.sampled_from(["ARN", "type"]), st.text(max_size=5)), max_size=70)
        | st.dictionaries(st.sampled_from(["type", "arn", "userName", "sessionContext"]), st.text(max_size=5)),
    )
)  # fmt: skip
def test_any_record_can_be_put_together_again(members):
    assert restored(event_of(**members)) == {**BASE, **members}


@pytest.fixture(scope="module")
def real_events():
    if not REAL_FILES.is_dir():
        pytest.skip(f"no CloudTrail files at {REAL_FILES}")
    return [
        placed.event
        for file in find_files(CLOUDTRAIL, [str(REAL_FILES)])
        for placed in CLOUDTRAIL.read_file(Path(file))
    ]


def test_real_records_have_the_outcomes_that_they_report(real_events):
    outcomes = Counter(event.outcome for event in real_events)
    assert outcomes == {SUCCESS: 2600, FAILURE: 240, DENIED: 60}
    assert len({(event.id, event.time.seconds) for event in real_events}) == 2900


def test_real_records_can_be_put_together_again(real_events):
    records = [
        record
        for file in find_files(CLOUDTRAIL, [str(REAL_FILES)])
        for record in json.loads(gzip.decompress(Path(file).read_bytes()), parse_int=str, parse_float=str)["Records"]
    ]
    assert list(map(restored, real_events)) == records
