"""Closing a log and starting its successor: on purpose, or where a log has lost entries.

In this order: the successor's key, then its folder under a name that nothing looks at, its first entry in it, its real
name, the record in `control`. With the real name, in one step, the log before is closed; whatever ends before that
leaves everything as it was, whatever ends after it is completed by the next start or the same command again.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from auditd.errors import (
    DamagedError,
    FolderError,
    InvalidRequestError,
    NotFoundError,
    PreconditionError,
)
from auditd.log import (
    Log,
    LogSettings,
    LogSigner,
    TreeHead,
    create_key_file,
    deliver_each,
    load_signer,
    sign_closing,
    sync,
    sync_all,
)
from auditd.note import Checkpoint, VerifierKey, sign_note
from auditd.server._chain import SUCCEED, Chain, own_name, place_of, succession
from auditd.server._check import claims_by_origin
from auditd.server._clock import Clock
from auditd.server._config import Config
from auditd.server._limits import require_fit_reason, violation
from auditd.server._logs import Logs
from auditd.server._own_events import OwnEvents


@dataclass(frozen=True, slots=True)
class Succeeded:
    """A log that was closed after `size` entries, and its successor.

    `lost` are the entries [first, last) that are missing; None where nothing is. `completed` says that the successor
    was there already, without an entry but its first: at most its record in `control` was missing.
    """

    name: str
    origin: str
    size: int
    successor: str
    verifier_key: str
    lost: tuple[int, int] | None
    completed: bool = False


def succeed_log(config: Config, name: str, reason: str, against: Mapping[str, str]) -> Succeeded:
    """Close the log that goes on under `name` and start its successor; no server may run on the folder.

    A successor without an entry of its own is not succeeded, so that the same command again completes the first.
    `against` are signed notes of this log that others hold, by name: what they were signed for beyond its last entry is
    lost, and the successor says so. Raises FolderError where a server has the folder, or the log was restored and there
    is no note; DamagedError where it contradicts a note; NotFoundError, PreconditionError and InvalidRequestError for
    what is asked wrongly.
    """
    require_reason(reason)
    clock = Clock(config.limits.max_idle_s)
    logs = Logs(config, deliver_each, lambda _origin: None, clock, may_be_short=True)
    try:
        chain = chain_to_succeed(logs, name)
        keys = {log.name: VerifierKey.parse(log.verifier_key) for log in logs.by_name.values()}
        claims = claims_by_origin(against, keys)
        if logs.unrecorded(chain) or _has_just_begun(chain, claims):
            logs.by_name["control"].start()
            logs.record_closures()
            return _told(chain, chain.links[-1].lost, completed=True)
        _require_proven(logs, chain, claims)
        lost = succeed(config, logs, chain, reason, claims.get(chain.newest.origin, []), clock)
        logs.publish(chain, *logs.open_successor(chain))
        logs.by_name["control"].start()
        logs.record_closures()
        return _told(chain, lost)
    finally:
        logs.close()


def succeed(
    config: Config, logs: Logs, chain: Chain, reason: str, claims: Sequence[Checkpoint], clock: Clock
) -> tuple[int, int] | None:
    """Make the successor of a chain's newest log, to which nothing is appended meanwhile; return what was lost.

    The log is closed when this returns; what is left is to open the successor, and to record it. Raises DamagedError
    where the log contradicts one of `claims`, FolderError where keys or folders cannot be written.
    """
    before = chain.newest
    _require_same_history(before, claims)
    name = own_name(chain.name, len(chain.logs) + 1)
    try:
        old_signer = _signer_of(config, before.folder.name)
        head = _last_good(before, claims, old_signer)
        signer = _new_key(config, name)
        closing = sign_closing(old_signer, head, str(signer.verifier_key))
        lost_last = max(before.newest_signed.size, *(claim.size for claim in claims), 0)
        attributes = succession(before.origin, head, closing, lost_last, claims, logs.told_of(before.origin))
        if before.evidence_size > head.size:
            # Whether these are the entries that were recorded nobody can prove; from now on they cannot be changed.
            size = before.evidence_size
            attributes["found"] = {"size": size, "root": before.root_at(size).hex()}
        _make(config, logs, name, signer, _first_entry(before, attributes, reason, clock))
    except OSError as error:
        raise FolderError("FOLDER_UNWRITABLE", f"{error.filename or config.folder}: {error.strerror}") from error
    return (head.size, lost_last) if lost_last > head.size else None


def chain_to_succeed(logs: Logs, name: str) -> Chain:
    """Return the chain whose newest log has this name, or the chain's; raise NotFoundError or PreconditionError."""
    chain_name, number = place_of(name)
    chain = logs.chains.get(chain_name)
    if chain is None:
        names = ", ".join(sorted(logs.chains))
        raise NotFoundError("LOG_NOT_FOUND", f"no log is named {name[:64]!r}; there are {names}", {"log": name[:64]})
    if name == chain.name:
        return chain
    log = chain.numbered(number)
    if log is None:
        raise NotFoundError("LOG_NOT_FOUND", f"{chain.name} has no log {name[:64]!r}", {"log": name[:64]})
    if log.successor is not None:
        raise PreconditionError(
            "LOG_SUCCEEDED",
            f"log {name!r} is closed already: its successor is {log.successor}",
            {"log": name, "successor": log.successor},
        )
    return chain


def require_reason(reason: str) -> None:
    """Raise InvalidRequestError unless a reason says something, briefly, in characters that can be printed."""
    if not reason.strip():
        raise violation("reason", "is empty; say why the log is closed, for whoever reads its successor")
    require_fit_reason(reason)


def _has_just_begun(chain: Chain, claims: Collection[str]) -> bool:
    """Whether the newest log holds nothing but how it goes on from the one before, of which all claims are."""
    newest = chain.newest
    if len(chain.logs) == 1 or newest.size > 1 or newest.is_short or newest.restored_from is not None:
        return False
    return set(claims) <= {chain.logs[-2].origin}


def _require_proven(logs: Logs, chain: Chain, claims: Mapping[str, Sequence[Checkpoint]]) -> None:
    before, control = chain.newest, logs.by_name["control"]
    for origin in claims:
        if origin != before.origin:
            raise InvalidRequestError(
                "OTHER_LOG", f"a checkpoint of {origin} says nothing of {before.origin}, which is to be succeeded"
            )
    if before.restored_from is not None and not claims:
        raise FolderError(
            "NOT_PROVEN",
            f"log {before.name!r} was restored from a backup of {before.restored_from}: give the newest checkpoint"
            f" known of {before.origin} with --against, so that its successor can say what is missing",
        )
    if chain.name != control.name and (control.restored_from is not None or control.is_short):
        was = "was restored as well" if control.restored_from is not None else "has lost entries as well"
        raise FolderError(
            "NOT_PROVEN",
            f"the log {control.name!r}, in which this is recorded, {was}: have it go on first,"
            " by 'auditlog log resume' or 'auditlog log succeed'",
        )


def _require_same_history(log: Log, claims: Sequence[Checkpoint]) -> None:
    for claim in claims:
        if claim.size <= log.evidence_size and log.root_at(claim.size) != claim.root:
            raise DamagedError(
                "OTHER_HISTORY",
                f"log {log.name} cannot be succeeded: its first {claim.size} entries are not those that were signed"
                " for, so this is a fork. Keep both, they are evidence",
                {"log": log.name, "signed_size": str(claim.size)},
            )


def _last_good(log: Log, claims: Sequence[Checkpoint], signer: LogSigner) -> TreeHead:
    """Return the largest tree that the evidence has and that was signed for before, by what is at hand or `claims`.

    Where entries are missing, nothing proves those behind it: to sign for them might be to sign another history.
    """
    if not log.is_short:
        return log.tree_head
    held = [claim for claim in claims if log.size < claim.size <= log.evidence_size]
    size = max((claim.size for claim in held), default=log.size)
    good = Checkpoint(log.origin, size, log.root_at(size))
    return TreeHead(size, good.root, sign_note(good.text(), [signer]))


def _new_key(config: Config, name: str) -> LogSigner:
    """Make a successor's key; one that is there was left by an attempt that got no further, and has signed nothing."""
    path = config.keys / f"{name}.pem"
    made = path.with_name(f".{path.name}.new")
    made.unlink(missing_ok=True)
    create_key_file(made)
    made.replace(path)
    sync(config.keys)
    return _signer_of(config, name)


def _signer_of(config: Config, name: str) -> LogSigner:
    return load_signer(config.keys / f"{name}.pem", config.log_origin(name))


@dataclass(frozen=True, slots=True)
class _First:
    """What a successor begins with: an event by the server, recorded no earlier than the log before ended."""

    own_events: OwnEvents
    attributes: Mapping[str, object]
    reason: str
    not_before_us: int
    clock: Clock

    def now_ns(self) -> int:
        return max(self.clock.now_ns(), self.not_before_us * 1_000)


def _first_entry(before: Log, attributes: Mapping[str, object], reason: str, clock: Clock) -> _First:
    origin = before.origin.rpartition("/")[0]
    return _First(OwnEvents(origin, clock.now_ns), attributes, reason, before.newest_recorded_at_us, clock)


def _make(config: Config, logs: Logs, name: str, signer: LogSigner, first: _First) -> None:
    """Make the folder of a log with its first entry; it has its name when all of it is on the disk."""
    folder = config.log_folder(name)
    unnamed = folder.with_name(f".{name}.new")
    shutil.rmtree(unnamed, ignore_errors=True)
    Log.create(unnamed, signer)
    settings = LogSettings(
        clock=first.now_ns, clock_suspect=first.clock.is_suspect, peers=lambda: logs.peers_note(signer)
    )
    log = Log(name, unnamed, signer, settings)
    try:
        log.start()
        log.record(first.own_events.by_server(SUCCEED, first.attributes, reason=first.reason))
    finally:
        log.close()
    sync_all(unnamed)
    _name(unnamed, folder)


def _name(unnamed: Path, folder: Path) -> None:
    """Give a folder its name, durably."""
    unnamed.rename(folder)
    sync(folder.parent)


def _told(chain: Chain, lost: tuple[int, int] | None, *, completed: bool = False) -> Succeeded:
    before, newest = chain.logs[-2:]
    return Succeeded(chain.name, before.origin, before.size, newest.origin, newest.verifier_key, lost, completed)
