"""The key under which the evidence finds an event by its name."""

from __future__ import annotations

from hashlib import sha256

KEY_BYTES = 16


class KeyMaker:
    """Keys of the events of one caller.

    A key is 6 bytes, big-endian, of the event's time in whole milliseconds since 1970-01-01T00:00:00Z
    (rounded down), then the first 10 bytes of SHA-256 over issuer, subject, id and time, each as UTF-8
    behind its length in bytes (4 bytes, big-endian); the time is its text in the leaf.
    """

    __slots__ = ("_caller",)

    def __init__(self, issuer: str, subject: str) -> None:
        self._caller = sha256(_prefixed(issuer) + _prefixed(subject))

    def __call__(self, event_id: str, time: str, time_ns: int) -> bytes:
        """Return the 16-byte key of the event; `time` and `time_ns` are the same moment."""
        name = self._caller.copy()
        name.update(_prefixed(event_id) + _prefixed(time))
        return (time_ns // 1_000_000).to_bytes(6, "big") + name.digest()[:10]


def event_key(issuer: str, subject: str, event_id: str, time: str, time_ns: int) -> bytes:
    """Return the 16-byte key of one event; see `KeyMaker`."""
    return KeyMaker(issuer, subject)(event_id, time, time_ns)


def _prefixed(text: str) -> bytes:
    raw = text.encode()
    return len(raw).to_bytes(4, "big") + raw
