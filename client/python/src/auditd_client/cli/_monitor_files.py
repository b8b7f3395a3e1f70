"""The files of a monitor: its state, and the evidence of a contradiction."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from auditd_client._durable import sync
from auditd_client._monitor import Contradiction, MonitorState
from auditd_client.cli._errors import CommandError, ExitStatus
from auditd_client.cli._output import compact_json
from auditd_client.cli._whole_file import whole_file
from auditd_client.errors import LogBehindCallerError
from auditd_client.verify import (
    InconsistentError,
    MalformedError,
    VerificationError,
    consistency_json,
    open_checkpoint,
)

_VERSION = 1
_MAX_STATE_BYTES = 1 << 20


@contextmanager
def sole_use(path: Path) -> Iterator[None]:
    """Keep every other monitor from a state file, so that none puts an older state in place of a newer one.

    What is locked is a file beside it, which stays: the state itself is a new file each time. Raises CommandError where
    another monitor has it, or where it cannot be kept from others.
    """
    lock = Path(f"{path}.lock")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise CommandError(f"{lock}: {error.strerror}") from error
    try:
        _lock(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise CommandError(f"{path}: another monitor has this state; end that one, or name another file") from error
    except OSError as error:
        raise CommandError(f"{path}.lock: {error.strerror}") from error


def load_state(path: Path, key: str) -> MonitorState | None:
    """Return the state that a file holds, None if there is no such file.

    Raises CommandError for a file that cannot be read, or is of another log: whoever starts anew without it
    forgets what was seen.
    """
    try:
        members = json.loads(_bytes_of(path))
        if members["v"] != _VERSION:
            raise ValueError(f"version {members['v']!r}, expected {_VERSION}")
        state = MonitorState(open_checkpoint(members["checkpoint"], key), *map(int, members["entries"]))
        if not 0 <= state.entries_from <= state.entries_to <= state.checkpoint.size:
            raise ValueError(f"entries {members['entries']!r} of a tree of size {state.checkpoint.size}")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error
    except (VerificationError, ValueError, KeyError, TypeError, RecursionError) as error:
        what = f"has no {error}" if isinstance(error, KeyError) else str(error)
        raise CommandError(
            f"{path}: no state of a monitor of this log, or damaged: {what}",
            "keep it, and name another file; with --known, the newest checkpoint that you have, nothing is forgotten",
        ) from error
    return state


def _bytes_of(path: Path) -> bytes:
    """Return what a file begins with; raise CommandError for what is none, such as a pipe, which is not waited for."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise CommandError(f"{path}: is no regular file; name another file for the state")
        return file.read(_MAX_STATE_BYTES)


def save_state(path: Path, state: MonitorState) -> None:
    """Write the state, so that after a power cut the file holds this one or the one before.

    Raises CommandError if it cannot be written.
    """
    members = {"v": _VERSION, "checkpoint": state.checkpoint.note, "entries": [state.entries_from, state.entries_to]}
    with whole_file(path) as file:
        file.write(compact_json(members).encode() + b"\n")
    sync(path.parent)


def save_evidence(folder: Path, found: Contradiction) -> Path:
    """Write what a contradiction consists of into a folder named by it, and return that.

    `known` and `offered` are the signed notes, `proof` its hashes in hex, and where it is a consistency proof
    `proof.json`, which `auditlog verify` refuses for whoever wants to see. The same contradiction, met again, is
    the same folder.

    Raises CommandError with status 1 if it cannot be written: the log contradicts itself in any case.
    """
    name = hashlib.sha256(f"{found.known}\0{found.offered}\0{found.summary}".encode()).hexdigest()[:16]
    target = folder / f"contradiction-{name}"
    files = {"known": found.known, "offered": found.offered, "reason": f"{found}\n"}
    files["proof"] = "".join(f"{digest.hex()}\n" for digest in found.proof)
    files["proof.json"] = _consistency(found)
    try:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file_name, text in files.items():
            if text:
                with whole_file(target / file_name) as file:
                    file.write(text.encode())
        sync(target)
        sync(folder)
    except (OSError, CommandError) as error:
        lines = (str(found), f"{target}: the evidence cannot be written: {error}", *found.known.split("\n"))
        raise CommandError(*lines, *found.offered.split("\n"), status=ExitStatus.NO) from error
    return target


def _consistency(found: Contradiction) -> str:
    if not isinstance(found.cause, InconsistentError | LogBehindCallerError):
        return ""
    notes = {"from_checkpoint": found.known, "to_checkpoint": found.offered}
    try:
        old, new = (int(note.split("\n")[1]) for note in notes.values())
        return consistency_json(old, new, found.proof, notes)
    except (ValueError, IndexError, MalformedError):
        return ""
