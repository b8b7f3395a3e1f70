"""The end of a log, as it was signed with the log's own key, and the key of the log that goes on for it."""

from __future__ import annotations

from dataclasses import dataclass, field

from auditd_client.verify._errors import MalformedError, WrongLogError
from auditd_client.verify._note import VerifierKey, open_note
from auditd_client.verify._strict import read_decimal, read_hash

CLOSING_START = "auditd.v1/closing\n"


@dataclass(frozen=True, slots=True)
class Closing:
    """That a log ended with `size` entries and `root` (32 bytes), and that the log `successor` goes on for it.

    `successor_key` is that log's verifier key, as text; `note` the signed note that all of this was read from.
    """

    origin: str
    size: int
    root: bytes
    successor: str
    successor_key: str
    note: str = field(default="", compare=False, repr=False)


def open_closing(note: str | bytes, key: VerifierKey | str, origin: str | None = None) -> Closing:
    """Read what a log says of its end, whose key signed it; `origin` is by default the key's name.

    Whoever trusts `key` may so learn the key of the log's successor.

    Raises MalformedError, WrongLogError for another key or origin, BadSignatureError.
    """
    if isinstance(key, str):
        key = VerifierKey.parse(key)
    text = open_note(note, key)
    lines = text[:-1].split("\n")
    parts = lines[1].split(" ") if len(lines) == 3 else []
    if len(parts) != 3 or not text.startswith(CLOSING_START):
        raise MalformedError("closing", "not a title, a line of origin, size and root, and a verifier key")
    try:
        size, root = read_decimal(parts[1]), read_hash(parts[2])
    except ValueError as error:
        raise MalformedError("closing", str(error), 2) from error
    expected = key.name if origin is None else origin
    if parts[0] != expected:
        raise WrongLogError("closing is of another log", expected, parts[0])
    successor = VerifierKey.parse(lines[2]).name
    return Closing(parts[0], size, root, successor, lines[2], note if isinstance(note, str) else note.decode())
