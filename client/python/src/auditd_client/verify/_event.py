"""That a leaf says what was sent."""

from __future__ import annotations

from collections.abc import Mapping

from auditd_client.verify._errors import MalformedError, MismatchError
from auditd_client.verify._leaf import Leaf
from auditd_client.verify._time import read_time_ns

_ADDED_BY_SERVER = frozenset(
    f"event.actor.{name}" for name in ("identity", "identity_reason", "verified", "credential")
)
# Outside strings JSON allows raw line breaks and tabs; the log keeps a leaf on one line.
_ONE_LINE = str.maketrans("\t\n\r", "   ")


def match_event(event: Mapping[str, object], attributes: str | None, leaf: Leaf) -> None:
    """Verify that `leaf` says what was sent, member by member; absent and empty are the same.

    `event` has the names of a leaf's event; its attributes come as text, in `attributes` or as the
    member `attributes_json`. Times are compared as instants, attributes as text. The token of its actor, if it
    has one, comes as the member `actor_token`: the leaf must commit to a token, and may have members from it.

    Raises MismatchError at the first difference, also at a sealed member; MalformedError for an event
    out of shape.
    """
    sent = dict(event)
    texts = [text for text in (attributes, sent.pop("attributes_json", None)) if text]
    if "attributes" in sent or len(texts) > 1 or not all(isinstance(text, str) for text in texts):
        raise MalformedError("event", "attributes must be given once, as the text that was sent")
    _match("event", _with_token(sent, sent.pop("actor_token", None), leaf), leaf.event)
    sent_text = "".join(map(str, texts)).translate(_ONE_LINE).strip(" ")
    if sent_text != (leaf.attributes_text or ""):
        raise MismatchError("event.attributes", sent_text or None, leaf.attributes_text, "they are compared as text")


def _with_token(sent: Mapping[str, object], token: object, leaf: Leaf) -> Mapping[str, object]:
    """Return what was sent, with the members that the leaf has from the actor's token and that were not sent."""
    found = leaf.event.get("actor")
    found = found if isinstance(found, Mapping) else {}
    commits = found.get("credential")
    if bool(token) != (commits is not None):
        raise MismatchError("event.actor_token", _present("", token) and "a token", commits and f"credential {commits}")
    if not token:
        return sent
    if not isinstance(token, str):
        raise MalformedError("event", "actor_token is no text")
    verified = found.get("verified")
    said = {name: found.get(name) for name in verified if name != "tenant"} if isinstance(verified, list) else {}
    actor = sent.get("actor") or {}
    if not isinstance(actor, Mapping):
        raise MalformedError("event", "actor is no object")
    merged = {**sent, "actor": {**said, **{name: value for name, value in actor.items() if value}}}
    if isinstance(verified, list) and "tenant" in verified and not sent.get("tenant"):
        merged["tenant"] = leaf.event.get("tenant")
    return merged


def _match(path: str, sent: object, found: object) -> None:
    sent, found = _present(path, sent), _present(path, found)
    if isinstance(found, Mapping) and found.keys() == {"sealed"}:
        raise MismatchError(path, sent, found, "the leaf holds it sealed; comparing needs its opening")
    if sent is None and path in _ADDED_BY_SERVER:
        return
    if sent is None and isinstance(found, Mapping):
        sent = {}
    if found is None and isinstance(sent, Mapping):
        found = {}
    if isinstance(sent, Mapping) and isinstance(found, Mapping):
        for name in {**sent, **found}:
            _match(f"{path}.{name}", sent.get(name), found.get(name))
    elif isinstance(sent, list) and isinstance(found, list) and len(sent) == len(found):
        for position, (sent_item, found_item) in enumerate(zip(sent, found, strict=True)):
            _match(f"{path}[{position}]", sent_item, found_item)
    elif path == "event.time" and isinstance(sent, str) and isinstance(found, str):
        _match_times(path, sent, found)
    elif type(sent) is not type(found) or sent != found:
        raise MismatchError(path, sent, found)


def _match_times(path: str, sent: str, found: str) -> None:
    try:
        same = read_time_ns(sent) == read_time_ns(found)
    except ValueError as error:
        raise MalformedError(path, str(error)) from error
    if not same:
        raise MismatchError(path, sent, found)


def _present(path: str, value: object) -> object:
    """Return `value`, or None if it is a way of saying nothing."""
    if isinstance(value, tuple):
        value = list(value)
    if isinstance(value, str | list) and not value:
        return None
    if path == "event.outcome" and value == "OUTCOME_UNSPECIFIED":
        return None
    if path == "event.producer.seq" and type(value) is int and value == 0:
        return None
    return value
