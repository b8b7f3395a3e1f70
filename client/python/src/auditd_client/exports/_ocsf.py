"""Entries as OCSF events of class API Activity (6003): one class for all, so that one table holds them.

`docs/reference/ocsf.md` is the mapping for people; a test holds the two together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from auditd_client.exports._leaf import text_of
from auditd_client.verify import Leaf

OCSF_VERSION = "1.1.0"
"""A released schema that Amazon Security Lake accepts; what later ones call the same is left alone."""

CLASS_UID = 6003
_CLASS_NAME, _CATEGORY_UID, _CATEGORY_NAME = "API Activity", 6, "Application Activity"
_ACTIVITIES = {0: "Unknown", 1: "Create", 2: "Read", 3: "Update", 4: "Delete", 99: "Other"}
_VERBS = {
    1: "create add insert register issue new put upload import provision invite open start run launch",
    2: "read get list view query search download export describe head fetch lookup show scan select access check",
    3: "update edit change set modify patch rename move grant enable disable assign attach detach approve reset rotate",
    4: "delete remove destroy drop purge erase terminate revoke deregister",
}
_ACTIVITY_OF = {verb: activity for activity, verbs in _VERBS.items() for verb in verbs.split()}
_STATUSES = {"SUCCESS": (1, "Success"), "FAILURE": (2, "Failure"), "DENIED": (2, "Failure")}
_SEVERITIES = {"DENIED": (3, "Medium"), "FAILURE": (2, "Low")}
_INFORMATIONAL = (1, "Informational")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def ocsf_event(leaf: Leaf, log: str, token_verdicts: Mapping[str, str]) -> dict[str, Any]:
    """Return an entry as an OCSF event, by column; what is absent or sealed is None.

    `token_verdicts` are those on the entry's tokens, as `caller_token` and `actor_token`; they may be none.
    """
    event = leaf.event
    action = text_of(event.get("action")) or ""
    outcome = text_of(event.get("outcome")) or ""
    activity = activity_of(action)
    status_id, status = _STATUSES.get(outcome, (0, "Unknown"))
    severity_id, severity = _SEVERITIES.get(outcome, _INFORMATIONAL)
    producer, origin = _members(event.get("producer")), _members(event.get("origin"))
    return {
        "activity_id": activity,
        "activity_name": action if activity == 99 else _ACTIVITIES[activity],
        "category_uid": _CATEGORY_UID,
        "category_name": _CATEGORY_NAME,
        "class_uid": CLASS_UID,
        "class_name": _CLASS_NAME,
        "type_uid": CLASS_UID * 100 + activity,
        "type_name": f"{_CLASS_NAME}: {_ACTIVITIES[activity]}",
        "severity_id": severity_id,
        "severity": severity,
        "time": event_ms(leaf),
        "status_id": status_id,
        "status": status,
        "status_code": outcome or None,
        "status_detail": text_of(event.get("reason")),
        "metadata": {
            "version": OCSF_VERSION,
            "product": {"name": "auditd", "vendor_name": "auditd", "uid": leaf.log},
            "uid": f"{leaf.log}#{leaf.index}",
            "original_event_uid": text_of(event.get("id")),
            "original_time": text_of(event.get("time")),
            "logged_time": _ms(leaf.recorded_at),
            "log_name": log,
            "sequence": leaf.index,
            "tenant_uid": text_of(event.get("tenant")),
        },
        "actor": _actor(leaf),
        "api": {
            "operation": action,
            "service": {"name": text_of(producer.get("id"))},
            "request": {"uid": text_of(origin.get("request_id"))},
            "response": {"error": outcome, "message": text_of(event.get("reason"))} if status_id == 2 else None,
        },
        "src_endpoint": _source(leaf, origin),
        "http_request": {
            "http_method": text_of(origin.get("method")),
            "user_agent": text_of(origin.get("user_agent")),
            "url": {"url_string": text_of(origin.get("endpoint"))},
        },
        "resources": [_resource(resource) for resource in _list(event.get("resources"))],
        "unmapped": _unmapped(leaf, producer, origin, token_verdicts),
        "raw_data": leaf.raw.decode(),
    }


def activity_of(action: str) -> int:
    """Return the OCSF activity that an action's last word names: `file.read` and `GetObject` read; 99 for others."""
    word = action.replace("/", ".").replace(":", ".").rpartition(".")[2]
    for end in range(1, len(word) + 1):
        if end == len(word) or word[end].isupper() or word[end] in "_- ":
            return _ACTIVITY_OF.get(word[:end].lower(), 99)
    return 0


def event_ms(leaf: Leaf) -> int:
    """Return when an event happened, in milliseconds since 1970; when it was recorded if its time is sealed."""
    return _ms(text_of(leaf.event.get("time")) or leaf.recorded_at)


def _ms(time: str) -> int:
    moment = datetime.fromisoformat(time[:19] + "+00:00")
    fraction = time[20:-1] if time[19:20] == "." else ""
    seconds = (moment - _EPOCH).days * 86_400 + (moment - _EPOCH).seconds
    return seconds * 1_000 + int(fraction[:3].ljust(3, "0"))


def _actor(leaf: Leaf) -> dict[str, Any]:
    actor = _members(leaf.event.get("actor"))
    roles = [role for role in _list(actor.get("roles")) if isinstance(role, str)]
    return {
        "user": {
            "uid": text_of(actor.get("id")),
            "name": text_of(actor.get("name")),
            "type": text_of(actor.get("type")),
            "groups": [{"name": role, "type": "role"} for role in roles],
        },
        "session": {"uid": text_of(actor.get("session_id"))},
        "app_name": text_of(leaf.caller.get("sub")) or text_of(leaf.caller.get("kind")),
    }


def _source(leaf: Leaf, origin: Mapping[str, Any]) -> dict[str, Any]:
    ip, device = text_of(origin.get("ip")), text_of(origin.get("device_id"))
    # OCSF wants one of its members at least: whoever recorded the event is known in any case.
    service = None if ip or device else text_of(leaf.caller.get("sub")) or text_of(leaf.caller.get("kind"))
    return {"ip": ip, "uid": device, "svc_name": service}


def _resource(resource: object) -> dict[str, Any]:
    members = _members(resource)
    return {name: text_of(members.get(member)) for name, member in (("uid", "id"), ("name", "name"), ("type", "type"))}


def _unmapped(
    leaf: Leaf, producer: Mapping[str, Any], origin: Mapping[str, Any], token_verdicts: Mapping[str, str]
) -> str:
    """Return as JSON what OCSF has no place for; the text of the attributes as it was recorded."""
    actor = _members(leaf.event.get("actor"))
    rest: dict[str, object] = {"leaf_hash": sha256(b"\0" + leaf.raw).hexdigest(), "caller": leaf.caller}
    rest |= {name: actor[name] for name in ("auth_method", "identity", "credential") if name in actor}
    rest |= {"traceparent": origin["traceparent"]} if "traceparent" in origin else {}
    rest |= {"producer_seq": producer["seq"]} if "seq" in producer else {}
    rest |= {"clock": leaf.clock} if leaf.clock else {}
    rest |= token_verdicts
    text = json.dumps(rest, ensure_ascii=False, separators=(",", ":"))
    return text if leaf.attributes_text is None else f'{text[:-1]},"attributes":{leaf.attributes_text}}}'


def _members(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
