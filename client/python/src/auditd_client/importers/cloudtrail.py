"""AWS CloudTrail log files, as CloudTrail delivers them, as events.

The import guide holds the mapping as a table. A member of a record leaves the attributes only when a field
of the event says exactly the same, so every record can be put together again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeGuard

from google.protobuf.timestamp_pb2 import Timestamp

from auditd_client.importers._members import (
    JsonObject,
    JsonTextError,
    key_at,
    object_at,
    objects_at,
    skip_space,
    value_at,
)
from auditd_client.importers._source import Importer, ImportFileError, PlacedEvent, read_text
from auditd_proto.v1.event_pb2 import DENIED, FAILURE, SUCCESS, Actor, Event, Origin, Outcome, Resource

_AWS_DOMAIN = ".amazonaws.com"
_WHOLE_SECOND_LENGTH = len("2023-07-10T11:54:39Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_MAX_RESOURCES = 64
_TEMPORARY_KEY = "ASIA"


class RecordError(ValueError):
    """A record cannot become an event; the message names the member, the rule and the value."""


def read_cloudtrail(path: Path) -> Iterator[PlacedEvent]:
    """Yield the events of one CloudTrail log file, gzip or plain.

    Raises ImportFileError at the first record that cannot be read, OSError if the file cannot be opened.
    """
    text = read_text(path)
    name = str(path)
    try:
        start = _records_start(text)
    except JsonTextError as error:
        raise ImportFileError(path, "", str(error)) from error
    number = 0
    try:
        for record in objects_at(text, start):
            yield PlacedEvent(f"{name}: Records[{number}]", event_from_record(record))
            number += 1
    except (JsonTextError, RecordError) as error:
        raise ImportFileError(path, f"Records[{number}]", str(error)) from error


def event_from_record(record: JsonObject) -> Event:
    """Return the event that a record maps to.

    Raises RecordError if `eventID`, `eventTime`, `eventSource` or `eventName` is missing or unfit.
    """
    values = record.values
    rest = record.texts.copy()
    event = Event(
        id=_required(values, "eventID", 128),
        time=_time(values, rest),
        action=_action(values, rest),
        outcome=_outcome(values),
        reason=_reason(values, rest),
        tenant=_moved(values, rest, "recipientAccountId", 128),
        actor=_actor(rest["userIdentity"]) if "userIdentity" in rest else None,
        resources=_resources(values.get("resources")),
        origin=Origin(
            ip=_address(values, rest),
            user_agent=_moved(values, rest, "userAgent", 1024),
            request_id=_moved(values, rest, "requestID", 256),
        ),
    )
    del rest["eventID"]
    if rest:
        event.attributes_json = "{" + ",".join(rest.values()) + "}"
    return event


def _records_start(text: str) -> int:
    """Return where the array `Records` of the file begins."""
    position = skip_space(text, 0)
    if not text.startswith("{", position):
        raise JsonTextError("no CloudTrail log file: it is no JSON object")
    position = skip_space(text, position + 1)
    while not text.startswith("}", position):
        key, position = key_at(text, position)
        if key == "Records":
            return position
        _, position = value_at(text, position)
        position = skip_space(text, position)
        if text.startswith(",", position):
            position = skip_space(text, position + 1)
    raise JsonTextError("no CloudTrail log file: it has no `Records`")


def _fits(value: object, limit: int) -> TypeGuard[str]:
    """Whether a field of at most `limit` bytes can hold the value as it is."""
    if type(value) is not str or not value:
        return False
    if value.isascii():
        return len(value) <= limit and value.isprintable()
    return _CONTROL.search(value) is None and len(value.encode()) <= limit


def _required(values: dict[str, Any], name: str, limit: int) -> str:
    value = values.get(name)
    if not _fits(value, limit):
        problem = f"{value!r:.80} is no text of 1 to {limit} bytes" if name in values else "missing"
        raise RecordError(f"{name}: {problem}")
    return value


def _moved(values: dict[str, Any], rest: dict[str, str], name: str, limit: int) -> str:
    """Return a member that a field can hold, which then leaves the attributes; otherwise nothing."""
    value = values.get(name)
    if not _fits(value, limit):
        return ""
    del rest[name]
    return value


def _time(values: dict[str, Any], rest: dict[str, str]) -> Timestamp:
    text = _required(values, "eventTime", 64)
    if len(text) == _WHOLE_SECOND_LENGTH and text[10] == "T" and text[-1] == "Z":
        del rest["eventTime"]
    return _timestamp(text)


@lru_cache(maxsize=4096)  # records of one second come together
def _timestamp(text: str) -> Timestamp:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise RecordError(f"eventTime: {text!r} is no time") from None
    if moment.tzinfo is None:
        raise RecordError(f"eventTime: {text!r} has no time zone")
    return Timestamp(seconds=int(moment.replace(microsecond=0).timestamp()), nanos=moment.microsecond * 1000)


def _action(values: dict[str, Any], rest: dict[str, str]) -> str:
    source = _required(values, "eventSource", 128)
    name = _required(values, "eventName", 127)
    service = source.removesuffix(_AWS_DOMAIN)
    if service != source and service and "." not in service:
        del rest["eventSource"], rest["eventName"]
    return f"{service}.{name}"


def _outcome(values: dict[str, Any]) -> Outcome:
    code = values.get("errorCode")
    if code:
        denied = "AccessDenied" in str(code) or "UnauthorizedOperation" in str(code)
        return DENIED if denied else FAILURE
    if values.get("errorMessage"):
        return FAILURE
    # A sign-in has no errorCode: it answers {"ConsoleLogin": "Failure"} under the name of the event.
    elements = values.get("responseElements")
    if isinstance(elements, dict) and elements.get(values["eventName"]) == "Failure":
        return FAILURE
    return SUCCESS


def _reason(values: dict[str, Any], rest: dict[str, str]) -> str:
    """Return `errorCode: errorMessage`, as far as it fits.

    Only a message that stands there whole leaves the attributes; the code stays, to be searched for exactly.
    """
    code, message = values.get("errorCode"), values.get("errorMessage")
    if not _fits(code, 1024):
        return message if _fits(message, 1024) else ""
    if not _fits(message, 1024) or not _fits(reason := f"{code}: {message}", 1024):
        return code
    del rest["errorMessage"]
    return reason


@lru_cache(maxsize=4096)
def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text  # a zone means something on one machine only


def _address(values: dict[str, Any], rest: dict[str, str]) -> str:
    value = values.get("sourceIPAddress")
    if type(value) is not str or not _is_address(value):
        return ""  # the name of an AWS service stays in the attributes
    del rest["sourceIPAddress"]
    return value


@lru_cache(maxsize=4096)  # most records are of few identities
def _actor(member: str) -> Actor | None:
    """Return what the member `userIdentity` says in an actor's words; it stays in the attributes, whole."""
    identity = object_at(f"{{{member}}}", 0).values.get("userIdentity")
    if not isinstance(identity, dict):
        return None
    get = identity.get
    session = _object(get("sessionContext"))
    role = _object(session.get("sessionIssuer"))
    key = get("accessKeyId")
    kind = get("type")
    name = get("userName")
    if not name and kind == "AssumedRole":
        # `AROA...:session`: whoever assumed the role chose it, often a person's address.
        name = str(get("principalId", "")).partition(":")[2]
    return Actor(
        type=kind if _fits(kind, 64) else "",
        id=_first_that_fits(get("arn"), get("principalId"), get("invokedBy"), get("accountId")),
        name=name if _fits(name, 256) else "",
        roles=[role["userName"]] if _fits(role.get("userName"), 128) else [],
        session_id=key if _fits(key, 256) and key.startswith(_TEMPORARY_KEY) else "",
        auth_method="mfa" if _object(session.get("attributes")).get("mfaAuthenticated") == "true" else "",
    )


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _first_that_fits(*candidates: object) -> str:
    return next((value for value in candidates if _fits(value, 256)), "")


def _resources(resources: object) -> list[Resource]:
    """Return the resources that have an ARN; the member itself stays in the attributes, whole."""
    if not isinstance(resources, list):
        return []
    return [
        Resource(type=kind if _fits(kind := item.get("type"), 128) else "", id=arn)
        for item in resources[:_MAX_RESOURCES]
        if isinstance(item, dict) and _fits(arn := item.get("ARN"), 1024)
    ]


def accepts(path: Path) -> bool:
    """Whether a file of a folder is a CloudTrail log: JSON by name, and no digest, which holds no events."""
    return path.name.endswith((".json", ".json.gz")) and "_CloudTrail-Digest_" not in path.name


CLOUDTRAIL = Importer(
    name="cloudtrail",
    summary="AWS CloudTrail log files, gzip or plain, as CloudTrail delivers them.",
    read=read_cloudtrail,
    accepts=accepts,
)
