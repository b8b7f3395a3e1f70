"""Consistency files: one line of JSON that proves offline that one signed tree extends another."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from auditd_client.verify._checkpoint import Checkpoint, open_checkpoint, verify_extends
from auditd_client.verify._errors import MalformedError, MismatchError, quote
from auditd_client.verify._note import MAX_NOTE_BYTES, VerifierKey
from auditd_client.verify._strict import check_hash, check_integer, read_hash, read_text

_MAX_HASHES = 126
_MAX_FILE_BYTES = 3 * MAX_NOTE_BYTES
_NOTES = ("from_checkpoint", "to_checkpoint", "checkpoint")


@dataclass(frozen=True, slots=True)
class ConsistencyFile:
    """A consistency proof and such signed notes of both trees as came with it; nothing of it is verified."""

    from_size: int
    to_size: int
    hashes: Sequence[bytes]
    notes: Sequence[str]

    @classmethod
    def parse(cls, data: str | bytes) -> ConsistencyFile:
        """Read what `auditlog prove --consistency` writes. Raises MalformedError."""
        text = read_text(data, "consistency proof", _MAX_FILE_BYTES)
        try:
            members = json.loads(text)
            if not isinstance(members, dict):
                raise MalformedError("consistency proof", f"not an object: {quote(members)}")
            return cls._read(members)
        except (ValueError, RecursionError) as error:
            raise MalformedError("consistency proof", f"not as it is written: {error}") from error

    @classmethod
    def _read(cls, members: dict[str, Any]) -> ConsistencyFile:
        for name in ("from_size", "to_size"):
            check_integer(members.get(name), f"consistency proof: {name}")  # type: ignore[arg-type]  # is what it checks
        hashes = members.get("hashes")
        if not isinstance(hashes, list) or len(hashes) > _MAX_HASHES:
            raise MalformedError("consistency proof", f"hashes are not a list of at most {_MAX_HASHES}")
        if not all(isinstance(value, str) for value in (*hashes, *(members.get(name, "") for name in _NOTES))):
            raise MalformedError("consistency proof", "a hash or a checkpoint is no string")
        notes = [members[name] for name in _NOTES if name in members]
        return cls(members["from_size"], members["to_size"], [read_hash(value) for value in hashes], notes)


def consistency_json(from_size: int, to_size: int, hashes: Sequence[bytes], notes: dict[str, str]) -> str:
    """Return the text of a consistency file; `notes` are named `from_checkpoint`, `to_checkpoint`, `checkpoint`."""
    for value in hashes:
        check_hash(value, "consistency proof")
    encoded = [base64.b64encode(value).decode() for value in hashes]
    members = {"from_size": from_size, "to_size": to_size, "hashes": encoded, **notes}
    return json.dumps(members, ensure_ascii=False, separators=(",", ":")) + "\n"


def verify_consistency_file(
    data: str | bytes, key: VerifierKey | str, origin: str | None = None, others: Sequence[Checkpoint] = ()
) -> tuple[Checkpoint, Checkpoint]:
    """Verify that the newer tree extends the older one, both signed by `key`, and return both.

    The checkpoint of each size is one of the file or, where it holds none, one of `others`, which were opened before.

    Raises MismatchError where a checkpoint is missing, InconsistentError, MalformedError, WrongLogError,
    BadSignatureError.
    """
    file = ConsistencyFile.parse(data)
    known = [*(open_checkpoint(note, key, origin) for note in file.notes), *others]
    for position, first in enumerate(known):
        for second in known[:position]:
            if first.size == second.size:
                # Two trees of one size contradict each other, whatever the proof says of one of them.
                verify_extends(first, second, ())
    old, new = (_of_size(known, size) for size in (file.from_size, file.to_size))
    verify_extends(old, new, file.hashes)
    return old, new


def _of_size(known: Sequence[Checkpoint], size: int) -> Checkpoint:
    for checkpoint in known:
        if checkpoint.size == size:
            return checkpoint
    held = ", ".join(str(checkpoint.size) for checkpoint in known) or None
    raise MismatchError("checkpoint of size", size, held, "give the checkpoint of that size that you kept as well")
