"""What the server itself records, in `control` and `access`."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from auditd.entry import EncodedBatch, Event, KeyMaker, Origin, Resource, Time, encode_caller, encode_event
from auditd.log import Submission
from auditd.server._caller import CallContext

SUCCESS, DENIED = 1, 3
_MAX_TEXT = 40_000


class OwnEvents:
    """Makes submissions of the server's own events; `origin` is the server's, `now_ns` tells the time (UTC)."""

    def __init__(self, origin: str, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._now_ns = now_ns
        self._server = encode_caller("server", origin, "auditd")
        self._unauthenticated = encode_caller("unauthenticated")
        self._server_keys = KeyMaker(origin, "auditd")
        self._unauthenticated_keys = KeyMaker("", "")

    def by_server(self, action: str, attributes: Mapping[str, Any], *, reason: str = "") -> Submission:
        """An act of the server itself."""
        return self._submission(action, attributes, SUCCESS, self._server, self._server_keys, reason=reason)

    def by_caller(
        self,
        caller: CallContext | None,
        action: str,
        attributes: Mapping[str, Any],
        *,
        log: str = "",
        outcome: int = SUCCESS,
        reason: str = "",
        ip: str = "",
    ) -> Submission:
        """An act of a caller, or of a peer that could not say who it is."""
        submission = self._submission(
            action,
            attributes,
            outcome,
            caller.json if caller else self._unauthenticated,
            caller.keys if caller else self._unauthenticated_keys,
            reason=reason,
            resources=(Resource(type="log", id=log),) if log else (),
            origin=Origin(ip=ip),
        )
        submission.credential = caller.credential if caller else None
        return submission

    def _submission(
        self,
        action: str,
        attributes: Mapping[str, Any],
        outcome: int,
        caller_json: bytes,
        keys: KeyMaker,
        *,
        reason: str = "",
        resources: Sequence[Resource] = (),
        origin: Origin = Origin(),  # noqa: B008 -- frozen
    ) -> Submission:
        event = encode_event(
            Event(
                id=str(uuid.uuid4()),
                time=Time.from_ns(self._now_ns() // 1_000 * 1_000),
                action=action,
                outcome=outcome,
                reason=reason,
                resources=resources,
                origin=origin,
                attributes_json=json.dumps(attributes, ensure_ascii=True, separators=(",", ":")),
            )
        )
        return Submission(
            EncodedBatch([event]), [keys(event.id, event.time, event.time_ns)], caller_json, done=lambda _: None
        )


def cut(text: str) -> str:
    """Shorten text that callers send to what an attribute can hold."""
    return text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + "…"
