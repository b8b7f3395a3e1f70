"""Letting restored logs go on, once it is proven that nothing is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from auditd.errors import DamagedError, FolderError
from auditd.log import Log, deliver_each, restored_from, unmark_restored
from auditd.note import Checkpoint, VerifierKey
from auditd.server._chain import chain_of
from auditd.server._check import claims_by_origin
from auditd.server._clock import Clock
from auditd.server._config import Config
from auditd.server._logs import Logs, log_names
from auditd.server._own_events import OwnEvents


@dataclass(frozen=True, slots=True)
class Resumed:
    """A log that goes on: it has `entries`, and everything up to `proven_size` is what was signed for."""

    name: str
    entries: int
    proven_size: int


def resume_logs(config: Config, against: Mapping[str, str]) -> list[Resumed]:
    """Let the restored logs go on that these signed notes of others, by name, speak for; recorded in `control`.

    Raises FolderError where a server has the folder, none was restored, or `control` itself is not spoken for;
    DamagedError where a log ends before a checkpoint or contradicts it; InvalidRequestError as `check_folder` does.
    """
    if not any(restored_from(config.log_folder(name)) for name in log_names(config.folder)):
        raise _none_waits(config)
    clock = Clock(config.limits.max_idle_s)
    logs = Logs(config, deliver_each, lambda _name: None, clock)
    try:
        marks = {name: log.restored_from for name, log in logs.by_name.items() if log.restored_from is not None}
        if not marks:
            raise _none_waits(config)
        keys = {name: VerifierKey.parse(log.verifier_key) for name, log in logs.by_name.items()}
        claims = claims_by_origin(against, keys)
        _require_whole([(log, claims.get(log.origin, ())) for log in logs.by_name.values()])
        proven = [logs.by_name[name] for name in marks if logs.by_name[name].origin in claims]
        _require_recordable(logs.by_name["control"], proven, marks)
        resumed = [Resumed(log.name, log.size, max(claim.size for claim in claims[log.origin])) for log in proven]
        own_events = OwnEvents(config.origin, clock.now_ns)
        _record(own_events, logs.by_name["control"], proven, claims, marks)
    finally:
        logs.close()
    # Only now: if this ends before, the proof is asked for again.
    for log in proven:
        unmark_restored(log.folder)
    return resumed


def _none_waits(config: Config) -> FolderError:
    return FolderError("NOT_RESTORED", f"{config.folder}: no log of it waits to be resumed")


def _require_whole(logs: Sequence[tuple[Log, Sequence[Checkpoint]]]) -> None:
    """Hold logs against what others say was signed for; raise DamagedError, which names all that lack something."""
    short: list[tuple[Log, int]] = []
    for log, claims in logs:
        _require_same_history(log, claims)
        signed_size = max((claim.size for claim in claims), default=0)
        if signed_size > log.size:
            short.append((log, signed_size))
    if not short:
        return
    # `control` first, for the other closures are recorded in it.
    short.sort(key=lambda item: (chain_of(item[0].name) != "control", item[0].name))
    missing = [
        f"log {log.name} ends after {log.size} entries, {signed_size} were signed for; entries {log.size} to"
        f" {signed_size - 1} are missing"
        for log, signed_size in short
    ]
    commands = [
        f"auditlog log succeed DIR {log.name} --reason TEXT --against NEWEST_KNOWN_CHECKPOINT" for log, _ in short
    ]
    log, signed_size = short[0]
    raise DamagedError(
        "RESTORED_SHORT",
        f"cannot go on: {'; '.join(missing)}. Restore a newer backup. Where there is none, in this order:"
        f" {'; '.join(commands)}",
        {
            "log": log.name,
            "size": str(log.size),
            "signed_size": str(signed_size),
            "logs": " ".join(log.name for log, _ in short),
        },
    )


def _require_same_history(log: Log, claims: Sequence[Checkpoint]) -> None:
    for claim in claims:
        if claim.size <= log.size and log.root_at(claim.size) != claim.root:
            raise DamagedError(
                "RESTORED_OTHER_HISTORY",
                f"log {log.name} cannot go on: its first {claim.size} entries are not those that were signed for."
                " Keep both, they are evidence",
                {"log": log.name, "size": str(log.size), "signed_size": str(claim.size)},
            )


def _require_recordable(control: Log, proven: Sequence[Log], marks: Mapping[str, str]) -> None:
    if not proven:
        raise FolderError(
            "NOT_PROVEN", f"none of these checkpoints is of a restored log; restored were: {', '.join(sorted(marks))}"
        )
    if control.name in marks and control not in proven:
        raise FolderError(
            "NOT_PROVEN",
            f"the log {control.name!r}, in which this is recorded, was restored as well;"
            f" give the newest checkpoint known of {control.origin}, too",
        )


def _record(
    own_events: OwnEvents,
    control: Log,
    proven: Sequence[Log],
    claims: Mapping[str, Sequence[Checkpoint]],
    marks: Mapping[str, str],
) -> None:
    facts = [
        {
            "log": log.folder.name,
            "entries": log.size,
            "backup_made_at": marks[log.name],
            "against": [{"size": claim.size, "root": claim.root.hex()} for claim in claims[log.origin]],
        }
        for log in proven
    ]
    control.resume()
    control.start()
    for attributes in facts:
        control.record(own_events.by_server("log.resume", attributes))
