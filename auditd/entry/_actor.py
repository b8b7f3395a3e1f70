"""The actor of an event as its own token has it, spliced into what is encoded already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from ._encode import EncodedEvent
from ._limits import MAX_ROLE_BYTES, MAX_ROLES

_ACTOR = b',"actor":{'
_ACTOR_END = b'"identity":"asserted"}'
_BEHIND_ACTOR = (b',"resources":[', b',"origin":{', b',"producer":{')
_ACTION = b',"action":"'
_TENANT = b',"tenant":"'
_MAX_REMEMBERED = 64


class ContradictionError(Exception):
    """An event states another actor than its token: `field` is a path such as `actor.id`."""

    def __init__(self, field_path: str, stated: object, said: object) -> None:
        super().__init__(f"{field_path}: {_shown(stated)} is stated, the actor's token says {_shown(said)}")
        self.field = field_path
        self.description = str(self).partition(": ")[2]


@dataclass(slots=True)
class TokenActor:
    """What a verified token says of an actor, and the credential that commits to it (64 hex digits).

    A member is taken from the token only where it says something that an entry can hold. `tenant` stands beside the
    actor: it is taken where the event states none.
    """

    credential: str
    id: str
    roles: tuple[str, ...] = ()
    session_id: str = ""
    auth_method: str = ""
    tenant: str = ""
    _spliced: dict[tuple[bytes, bytes | None], bytes] = field(default_factory=dict, repr=False)

    def splice(self, event: EncodedEvent) -> EncodedEvent:
        """Return the event with the actor as the token has it; raise ContradictionError if it states another."""
        head = event.json[: event.fields_end]
        start, end = _actor_span(head)
        actor, tenant = self.members(head[start:end], _tenant_member(head))
        spliced = head[:start] + actor + head[end:]
        if tenant:
            at = spliced.index(_ACTION)
            spliced = b"".join((spliced[:at], tenant, spliced[at:]))
        return _replaced(event, head, spliced)

    def members(self, stated_actor: bytes, stated_tenant: bytes) -> tuple[bytes, bytes]:
        """Return the member `actor` as the token has it, and `tenant` where the event states none but the token does.

        Each, stated or returned, has the comma before it, and is empty where it is absent. Raises ContradictionError if
        what is stated differs from what the token says.
        """
        tenant = stated_tenant[len(_TENANT) - 1 :] if self.tenant else None
        stated = (stated_actor, tenant)
        actor = self._spliced.get(stated)
        if actor is None:
            actor = self._actor(*stated)
            if len(self._spliced) < _MAX_REMEMBERED:
                self._spliced[stated] = actor
        return actor, _TENANT[:-1] + orjson.dumps(self.tenant) if tenant == b"" else b""

    def _actor(self, stated_text: bytes, tenant: bytes | None) -> bytes:
        stated = orjson.loads(stated_text[len(_ACTOR) - 1 :]) if stated_text else {}
        said = self._said()
        for name, value in said.items():
            if name in stated and stated[name] != value:
                raise ContradictionError(f"actor.{name}", stated[name], value)
        verified = list(said)
        if tenant is not None and tenant in (b"", orjson.dumps(self.tenant)):
            verified.append("tenant")
        stated |= said
        members = {name: stated[name] for name in _MEMBERS if name in stated}
        members |= {"identity": "verified", "verified": verified, "credential": self.credential}
        return _ACTOR[:-1] + orjson.dumps(members)

    def _said(self) -> dict[str, Any]:
        said: dict[str, Any] = {"id": self.id}
        if self.roles and len(self.roles) <= MAX_ROLES and all(map(_is_role, self.roles)):
            said["roles"] = list(self.roles)
        if self.session_id:
            said["session_id"] = self.session_id
        if self.auth_method:
            said["auth_method"] = self.auth_method
        return said


_MEMBERS = ("type", "id", "name", "roles", "session_id", "auth_method")


def splice_unjudged(event: EncodedEvent, reason: str, credential: str) -> EncodedEvent:
    """Return the event with its actor as stated, why its token could not be judged, and which token that was."""
    head = event.json[: event.fields_end]
    start, end = _actor_span(head)
    stated = orjson.loads(head[start + len(_ACTOR) - 1 : end]) if end > start else {}
    members = stated | {"identity": "asserted", "identity_reason": reason}
    if credential:
        members["credential"] = credential
    return _replaced(event, head, head[:start] + _ACTOR[:-1] + orjson.dumps(members) + head[end:])


def _replaced(event: EncodedEvent, head: bytes, spliced: bytes) -> EncodedEvent:
    return event._replace(json=spliced + event.json[event.fields_end :], fields_end=len(spliced), sent=head)


def _actor_span(head: bytes) -> tuple[int, int]:
    """Return where the actor stands, its comma included; where it is to stand, if there is none."""
    # Within JSON strings every quote stands behind a backslash, so these are never found in one; before the actor there
    # is no object that could hold a member of its name.
    start = head.find(_ACTOR)
    if start >= 0:
        return start, head.index(_ACTOR_END, start) + len(_ACTOR_END)
    for mark in _BEHIND_ACTOR:
        at = head.find(mark)
        if at >= 0:
            return at, at
    return len(head), len(head)


def _tenant_member(head: bytes) -> bytes:
    """Return the member tenant with its comma; empty if the event states none."""
    end = head.index(_ACTION)
    start = head.find(_TENANT, 0, end)
    return b"" if start < 0 else head[start:end]


def _is_role(role: str) -> bool:
    return 0 < len(role.encode()) <= MAX_ROLE_BYTES and not any(ord(c) < 0x20 or 0x7F <= ord(c) <= 0x9F for c in role)


def _shown(value: object) -> str:
    return ascii(value)[:100]


def stated_members(stored: Mapping[str, Any], sent: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a recorded event was stated, given what is held against it.

    What the server added is left out; what a token said besides was stated only as far as `sent` states it too.
    """
    actor = stored.get("actor")
    members = dict(stored)
    if not isinstance(actor, dict) or "sealed" in actor:
        return members
    also = sent.get("actor", {})
    verified = actor.get("verified", ())
    stated = {
        name: value for name, value in actor.items() if name in _MEMBERS and (name not in verified or name in also)
    }
    if "tenant" in verified and "tenant" not in sent:
        members.pop("tenant", None)
    if stated:
        members["actor"] = stated
    else:
        del members["actor"]
    return members
